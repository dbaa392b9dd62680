// @ts-check
// Lesson 3: which batch size gets there first, by updates, by examples and by seconds; said before it is run.
import { Lines, Told, Waits, teach, useAsk, useAsked } from "./lesson.js";
import { html, number, useState } from "./ui.js";

const AXES = { updates: "by the number of updates", examples: "by examples seen", seconds: "by seconds on this machine" };

function Batches() {
  const [facts, problem] = useAsked("facts");
  const [bets, setBets] = useState(/** @type {Record<string, number>} */ ({}));
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [axis, setAxis] = useState("updates");
  const [go, said, busy] = useAsk();
  if (!facts) return html`<${Waits} problem=${problem} />`;
  const sizes = [1, Math.min(32, Math.floor(facts.examples / 2)), 0];
  const named = (/** @type {number} */ size) => (size === 0 ? `all ${facts.examples}` : size === 1 ? "one" : String(size));
  const cost = (/** @type {number} */ i, /** @type {number} */ step) => (axis === "updates" ? step : axis === "examples" ? step * (found.sizes[i] || found.all) : step * found.each_s[i]);
  return html`<p>Three descents from the same start on ${facts.examples} ${facts.nouns}, each at the best of the rates tried for it. Which gets to the same loss first?</p>
    ${Object.entries(AXES).map(([name, words]) => html`<fieldset class="options" key=${name} disabled=${!!found}><legend>First ${words}:</legend>${sizes.map((size) => html`<label class="option" key=${size}><input type="radio" name=${name} checked=${bets[name] === size} onChange=${() => setBets((own) => ({ ...own, [name]: size }))} /> batches of ${named(size)}</label>`)}</fieldset>`)}
    ${!found && html`<p class="row"><button class="go" disabled=${busy || Object.keys(bets).length < 3} onClick=${() => go("batches", { bets }, setFound)}>Commit and run</button> <span class="fine" role="status">${said}</span></p>`}
    ${found && html`<${Told} right=${found.right}>${Object.entries(found.hits).filter(([, hit]) => hit).length} of 3. First ${Object.entries(found.first).map(([name, size]) => `by ${name}: ${named(/** @type {number} */ (size))}`).join("; ")}.<//>
      <div class="row" role="group" aria-label="The clock">${Object.keys(AXES).map((name) => html`<button key=${name} aria-pressed=${axis === name} onClick=${() => setAxis(name)}>${name}</button>`)}</div>
      <${Lines} label=${`Loss by ${axis} for three batch sizes`} x=${axis} isLog=${true} lines=${found.losses.map((/** @type {number[]} */ values, /** @type {number} */ i) => ({ name: `batches of ${named(found.sizes[i])}, rate ${number(found.rates[i], 3)}`, values, xs: values.map((_, step) => cost(i, step)) }))} />
      <table class="list"><thead><tr><th>Batches of</th><th class="n">Updates</th><th class="n">Examples</th><th class="n">Seconds</th><th class="n">An update takes</th></tr></thead><tbody>${found.sizes.map((/** @type {number} */ size, /** @type {number} */ i) => html`<tr key=${size}><td>${named(size)}</td><td class="n">${found.cost.updates[i]}</td><td class="n">${found.cost.examples[i].toLocaleString()}</td><td class="n">${number(found.cost.seconds[i], 4)}</td><td class="n">${number(1000 * found.each_s[i], 3)} ms</td></tr>`)}</tbody></table>
      <p class="fine">Until the loss, averaged over a few updates, was ${number(found.goal)}. The time is that of the updates alone.</p>`}`;
}

teach(html`<${Batches} />`);
