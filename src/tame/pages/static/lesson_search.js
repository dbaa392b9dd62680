// @ts-check
// Lesson 9: eight tries by hand on networks that were trained before, against chance, a grid and a model.
import { Told, Waits, teach, useAsk, useAsked } from "./lesson.js";
import { html, number, useState } from "./ui.js";

const NAMES = { "model.width": "Units", "optimizer.weight_decay": "Weight decay", "model.dropout": "Dropout", "augment.noise": "Noise on inputs", share: "Share of the examples" };

function Search() {
  const [begun, problem] = useAsked("table");
  const [at, setAt] = useState(/** @type {Record<string, number>} */ ({}));
  const [picks, setPicks] = useState(/** @type {any[]} */ ([]));
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [go, said] = useAsk();
  if (!begun) return html`<${Waits} problem=${problem} what="Training sixty-four networks on your examples; this takes about ten seconds…" />`;
  const keys = Object.keys(begun.sliders), values = Object.fromEntries(keys.map((key) => [key, begun.sliders[key][at[key] ?? 0]]));
  const done = found && found.own !== undefined;
  const send = () => go("table", { picks: [...picks, values] }, (own) => { setPicks((before) => [...before, values]); setFound(own); });
  return html`<p>Choose ${begun.picks} recipes, one after the other. The loss is that of a network which was really trained so; lower is better.</p>
    <div class="beside"><div>${keys.map((key) => html`<label key=${key}>${NAMES[/** @type {keyof typeof NAMES} */ (key)]}: ${key === "share" ? `${Math.round(100 * values[key])} %` : values[key]}<br /><input type="range" min="0" max=${begun.sliders[key].length - 1} value=${at[key] ?? 0} aria-label=${NAMES[/** @type {keyof typeof NAMES} */ (key)]} onInput=${(/** @type {any} */ e) => setAt((own) => ({ ...own, [key]: Number(e.target.value) }))} /></label>`)}
      <p class="row"><button class="go" disabled=${done} onClick=${send}>Try it</button> <span class="fine" role="status">${said || `${picks.length} of ${begun.picks} tried`}</span></p></div>
    <table class="list"><thead><tr><th class="n">Try</th><th>Recipe</th><th class="n">Validation loss</th></tr></thead><tbody>${picks.map((own, i) => html`<tr key=${i}><td class="n">${i + 1}</td><td>${keys.map((key) => own[key]).join(", ")}</td><td class="n">${number(found?.losses[i])}</td></tr>`)}</tbody></table></div>
    ${done && html`<${Told} right=${found.right}>Your best: ${number(found.own)}. Random search with as many tries: ${number(found.random)} on average; it is as good as you or better in ${number(100 * found.random_as_good, 0)} % of a thousand searches. A grid: ${number(found.grid)}. A Gaussian process: ${number(found.model)}. The lowest of all: ${number(found.best)}.<//>
      <p><strong>Was it real?</strong> Against the model's best, on the same examples: ${found.verdict === "helped" ? "yours is better" : found.verdict === "hurt" ? "the model's is better" : "no real difference"} (${number(found.gain)}, 95 % interval ${number(found.low)} to ${number(found.high)}).</p>
      <p class="row"><button onClick=${() => { setPicks([]); setFound(null); }}>Once more</button></p>`}`;
}

teach(html`<${Search} />`);
