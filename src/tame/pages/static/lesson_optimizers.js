// @ts-check
// Lesson 5: a choice in three situations, then all five at their best rates; a guide that is tried.
import { Lines, Told, Waits, teach, useAsk, useAsked } from "./lesson.js";
import { html, number, useState } from "./ui.js";

const NAMES = ["sgd", "momentum", "adagrad", "rmsprop", "adam"];
const SITUATIONS = { "as it is": "Your examples as they are", sparse: "A sparse copy: nearly all values of the inputs are taken away, and half of the inputs are small", noisy: "Steps from four examples each" };

/** @param {{situation: string, words: string, suggested?: string}} props */
function Contest({ situation, words, suggested }) {
  const [mine, setMine] = useState(suggested ?? "");
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [go, said, busy] = useAsk();
  return html`<section class="contest" aria-label=${words}><p><strong>${words}.</strong></p>
    <fieldset class="options" disabled=${!!found}><legend>Your choice</legend>${NAMES.map((name) => html`<label class="inline" key=${name}><input type="radio" name=${`${situation}${suggested ?? ""}`} checked=${mine === name} onChange=${() => setMine(name)} /> ${name}</label>`)}</fieldset>
    ${!found && html`<p class="row"><button disabled=${busy || !mine} onClick=${() => go("contest", { situation, optimizer: mine }, setFound)}>Run all five</button> <span class="fine" role="status">${said}</span></p>`}
    ${found && html`<${Told} right=${found.right}>${mine} ended at ${number(found.ends[mine])}; the lowest was ${found.best} with ${number(found.ends[found.best])}.<//>
      <${Lines} label="Loss of five optimizers by step" isLog=${true} lines=${NAMES.map((name) => ({ name: `${name} at ${number(found.rates[name], 4)}, keeps ${found.keeps[name]}`, values: found.losses[name] }))} />`}</section>`;
}

function Guide() {
  const [sparse, setSparse] = useState("");
  const [tunes, setTunes] = useState("");
  const [noisy, setNoisy] = useState("");
  const ready = sparse && tunes && noisy;
  const suggestion = sparse === "yes" ? (tunes === "yes" ? "adagrad" : "adam") : tunes === "yes" ? "momentum" : "adam";
  const situation = sparse === "yes" ? "sparse" : noisy === "yes" ? "noisy" : "as it is";
  const ask = (/** @type {string} */ words, /** @type {string} */ value, /** @type {(v: string) => void} */ set) => html`<p>${words} ${["yes", "no"].map((each) => html`<label class="inline" key=${each}><input type="radio" name=${words} checked=${value === each} onChange=${() => set(each)} /> ${each}</label>`)}</p>`;
  return html`<h3>A guide</h3>${ask("Are most values of your inputs zero, as in counts of words?", sparse, setSparse)}${ask("Do you have time to try several rates?", tunes, setTunes)}${ask("Are your batches small, so that gradients are noisy?", noisy, setNoisy)}
    ${ready && html`<p role="status">Try <strong>${suggestion}</strong>. ${tunes === "no" ? "It works over the widest range of rates." : "With a tuned rate it is hard to beat here."} See whether that holds:</p><${Contest} key=${`${situation}${suggestion}`} situation=${situation} suggested=${suggestion} words=${SITUATIONS[/** @type {keyof typeof SITUATIONS} */ (situation)]} />`}`;
}

function Optimizers() {
  const [facts, problem] = useAsked("facts");
  if (!facts) return html`<${Waits} problem=${problem} />`;
  return html`<p>Five optimizers, each at the best of four rates, on ${facts.examples} ${facts.nouns}. Choose before they run; nine tenths of the way down that the best one goes is as good.</p>
    ${Object.entries(SITUATIONS).map(([name, words]) => html`<${Contest} key=${name} situation=${name} words=${words} />`)}<${Guide} />`;
}

teach(html`<${Optimizers} />`);
