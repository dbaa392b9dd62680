// @ts-check
// Try a trained machine.
import { Live } from "./live.js";
import { begin, html } from "./ui.js";

const STUDY = document.getElementById("app")?.dataset.study ?? "";

begin(html`<h1>Try it</h1><${Live} study=${STUDY} />`);
