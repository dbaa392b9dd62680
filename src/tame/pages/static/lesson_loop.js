// @ts-check
// Lesson 12: the four stages; the questions below are events of the learner's own study.
import { teach } from "./lesson.js";
import { html, useState } from "./ui.js";

const STAGES = {
  Test: "Recipes are trained for some epochs and measured on the validation examples.", Adjust: "What was measured decides who goes on, who stops, and what is tried next.",
  Monitor: "Curves are watched; what is wrong gets a name, evidence and a remedy that is tried.", Evaluate: "Finalists with fresh seeds, and once the sealed examples.",
};

function Loop() {
  const [at, setAt] = useState("Test");
  return html`<div class="row" role="group" aria-label="The stages of the loop">${Object.keys(STAGES).map((name) => html`<button key=${name} aria-pressed=${at === name} onClick=${() => setAt(name)}>${name}</button>`)}</div>
    <p role="status">${STAGES[/** @type {keyof typeof STAGES} */ (at)]}</p><p>Then press <em>Test me</em> below: which stage did what in your own study?</p>`;
}

teach(html`<${Loop} />`);
