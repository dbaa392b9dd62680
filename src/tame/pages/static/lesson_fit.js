// @ts-check
// Lesson 7: sort own curves, move sliders over a population that was really trained, fix an overfitted network.
import { Curve, Grown, Lines, Told, Waits, ask, teach, useAsk, useGrown } from "./lesson.js";
import { Sorted } from "./sort.js";
import { html, number, useEffect, useState } from "./ui.js";

const NAMES = { "model.width": "Units in the hidden layer", "optimizer.weight_decay": "Weight decay", "model.dropout": "Dropout", "augment.noise": "Augmentation: noise on the inputs", share: "Share of the training examples" };

/** @param {{found: any, look: (values: object) => void, grown: any, problem: string}} props */
function Sliders({ found, look, grown, problem }) {
  const keys = Object.keys(found.sliders), names = found.names;
  const [at, setAt] = useState(/** @type {Record<string, number>} */ (Object.fromEntries(keys.map((key) => [key, found.sliders[key].indexOf(found.start[key])]))));
  const [bet, setBet] = useState("");
  const [fixed, setFixed] = useState(/** @type {any} */ (null));
  const [go, said, busy] = useAsk();
  const placeOf = (/** @type {Record<string, number>} */ own) => keys.reduce((place, key) => place * found.sliders[key].length + own[key], 0);
  const own = found.networks[placeOf(at)], changed = fixed && found.networks[placeOf({ ...at, [fixed.slider]: fixed.to })];
  const values = Object.fromEntries(keys.map((key) => [key, found.sliders[key][at[key]]]));
  const move = (/** @type {string} */ key, /** @type {number} */ place) => { setAt((before) => ({ ...before, [key]: place })); setFixed(null); };
  useEffect(() => { if (!own || (fixed && !changed)) look(values); }, [own, fixed, changed]);
  const tries = keys.filter((key) => found.sliders[key].length === 2 || key === "model.width");
  const other = (/** @type {string} */ key) => (key === "model.width" ? (at[key] > 1 ? 1 : at[key] + 1) : 1 - at[key]);
  const send = () => go("fix", { values, slider: bet, to: found.sliders[bet][other(bet)] }, (what) => setFixed({ ...what, slider: bet, to: other(bet) }));
  const shown = (/** @type {string} */ key, /** @type {number} */ place) => (key === "share" ? `${Math.round(100 * found.sliders[key][place])} %` : found.sliders[key][place]);
  return html`<h3>Sixty-four networks</h3><p>They are trained on these examples, ${found.epochs} epochs each. Move the sliders; nothing is simulated.</p><${Grown} grown=${grown} />
    <div class="beside"><div>${own ? html`<${Curve} curve=${{ trial: 1 + placeOf(at), points: own.points }} /><p role="status"><strong>${names[own.verdict]}.</strong> ${own.why}</p>` : html`<${Waits} problem=${problem} what="Training this one now…" />`}</div>
    <div>${keys.map((key) => html`<label key=${key}>${NAMES[/** @type {keyof typeof NAMES} */ (key)]}: ${shown(key, at[key])}<br />
      <input type="range" min="0" max=${found.sliders[key].length - 1} value=${at[key]} aria-label=${NAMES[/** @type {keyof typeof NAMES} */ (key)]} onInput=${(/** @type {any} */ e) => move(key, Number(e.target.value))} /></label>`)}</div></div>
    <h3>Fix it</h3><p>Which single change lowers the validation loss of the network above? Say it first, then see the paired difference on the same examples.</p>
    <p class="row"><select aria-label="The change" value=${bet} onChange=${(/** @type {any} */ e) => { setBet(e.target.value); setFixed(null); }}><option value="">choose a change</option>
      ${tries.map((key) => html`<option key=${key} value=${key}>${NAMES[/** @type {keyof typeof NAMES} */ (key)]}: ${shown(key, at[key])} → ${shown(key, other(key))}</option>`)}</select>
      <button class="go" disabled=${busy || !bet} onClick=${send}>Compare</button> <span class="fine" role="status">${said}</span></p>
    ${fixed && own && changed && html`<${Told} right=${fixed.right}>The change ${fixed.verdict === "helped" ? "helped" : fixed.verdict === "hurt" ? "hurt" : "made no real difference"}: the validation loss fell by ${number(fixed.value)} (95 % interval ${number(fixed.low)} to ${number(fixed.high)}, ${fixed.n} examples).<//>
      <${Lines} label="Validation loss before and after the change" x="epoch" lines=${[["before", own], ["after", changed]].map(([name, net]) => ({ name, values: net.points.map((/** @type {any} */ p) => p[2]), xs: net.points.map((/** @type {any} */ p) => p[0]) }))} />`}`;
}

function Fit() {
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState("");
  const look = (values = {}) => ask("population", { values }).then(setFound, (p) => setProblem(p.message));
  const grown = useGrown();
  useEffect(() => { ask("population").then(setFound, (p) => setProblem(p.message)); }, []);
  return html`${found ? html`<${Sliders} found=${found} look=${look} grown=${grown} problem=${problem} />` : html`<h3>Sixty-four networks</h3><${Waits} problem=${problem} what="Training networks on these examples…" />`}
    <h3>Sort curves</h3><${Sorted} grown=${grown} first="" many=${12} needed=${9} />`;
}

teach(html`<${Fit} />`);
