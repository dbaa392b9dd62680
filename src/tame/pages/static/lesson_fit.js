// @ts-check
// Lesson 7: sort own curves, move sliders over a population that was really trained, fix an overfitted network.
import { Curve, Lines, Told, Waits, teach, useAsk, useAsked } from "./lesson.js";
import { html, number, useState } from "./ui.js";

const NAMES = { "model.width": "Units in the hidden layer", "optimizer.weight_decay": "Weight decay", "model.dropout": "Dropout", "augment.noise": "Augmentation: noise on the inputs", share: "Share of the training examples" };
const AT_ONCE = 6, NEEDED = 4;

/** @param {{curves: any[], names: Record<string, string>}} props */
function Sort({ curves, names }) {
  const [place, setPlace] = useState(0);
  const [answer, setAnswer] = useState("");
  const [judged, setJudged] = useState(/** @type {any} */ (null));
  const [right, setRight] = useState(0);
  const [go, said] = useAsk();
  const many = Math.min(AT_ONCE, curves.length), done = place >= many;
  if (done) return html`<h3>Sort curves</h3><${Told} right=${right >= Math.min(NEEDED, many)}>${right} of ${many} as the doctor says.<//><p class="row"><button onClick=${() => { setPlace(0); setRight(0); setJudged(null); setAnswer(""); }}>Once more</button></p>`;
  const own = curves[place];
  const send = () => go("sort", { trial: own.trial, answer }, (found) => { setJudged(found); setRight((n) => n + Number(found.right)); });
  const next = () => { setPlace(place + 1); setJudged(null); setAnswer(""); };
  return html`<h3>Sort curves</h3><p>Curve ${place + 1} of ${many}: trial ${own.trial}. What would you say of it?</p><${Curve} curve=${own} />
    <fieldset class="options" disabled=${!!judged}><legend class="unseen">What it is</legend>${Object.entries(names).map(([name, words]) => html`<label class="option" key=${name}><input type="radio" name="sort" value=${name} checked=${answer === name} onChange=${() => setAnswer(name)} /> ${words}</label>`)}</fieldset>
    ${judged ? html`<${Told} right=${judged.right}>The doctor says: ${names[judged.verdict]}. ${judged.why} ${judged.evidence}<//><p class="row"><button onClick=${next}>Next</button></p>`
      : html`<p class="row"><button disabled=${!answer} onClick=${send}>Answer</button> <span class="fine" role="status">${said}</span></p>`}`;
}

/** @param {{found: any, names: Record<string, string>}} props */
function Sliders({ found, names }) {
  const keys = Object.keys(found.sliders);
  const [at, setAt] = useState(/** @type {Record<string, number>} */ (Object.fromEntries(keys.map((key) => [key, key === "model.width" ? found.sliders[key].length - 1 : 0]))));
  const [bet, setBet] = useState("");
  const [fixed, setFixed] = useState(/** @type {any} */ (null));
  const [go, said] = useAsk();
  const placeOf = (/** @type {Record<string, number>} */ own) => keys.reduce((place, key) => place * found.sliders[key].length + own[key], 0);
  const own = found.networks[placeOf(at)];
  const values = Object.fromEntries(keys.map((key) => [key, found.sliders[key][at[key]]]));
  const move = (/** @type {string} */ key, /** @type {number} */ place) => { setAt((before) => ({ ...before, [key]: place })); setFixed(null); };
  const tries = keys.filter((key) => found.sliders[key].length === 2 || key === "model.width");
  const other = (/** @type {string} */ key) => (key === "model.width" ? (at[key] > 1 ? 1 : at[key] + 1) : 1 - at[key]);
  const send = () => go("fix", { values, slider: bet, to: found.sliders[bet][other(bet)] }, (what) => setFixed({ ...what, slider: bet, to: other(bet) }));
  const shown = (/** @type {string} */ key, /** @type {number} */ place) => (key === "share" ? `${Math.round(100 * found.sliders[key][place])} %` : found.sliders[key][place]);
  return html`<h3>Sixty-four networks</h3><p>They were just trained on your examples, ${found.epochs} epochs each. Move the sliders; nothing is simulated.</p>
    <div class="beside"><div><${Curve} curve=${{ trial: 1 + placeOf(at), points: own.points }} /><p role="status"><strong>${names[own.verdict]}.</strong> ${own.why}</p></div>
    <div>${keys.map((key) => html`<label key=${key}>${NAMES[/** @type {keyof typeof NAMES} */ (key)]}: ${shown(key, at[key])}<br />
      <input type="range" min="0" max=${found.sliders[key].length - 1} value=${at[key]} aria-label=${NAMES[/** @type {keyof typeof NAMES} */ (key)]} onInput=${(/** @type {any} */ e) => move(key, Number(e.target.value))} /></label>`)}</div></div>
    <h3>Fix it</h3><p>Which single change lowers the validation loss of the network above? Say it first, then see the paired difference on the same examples.</p>
    <p class="row"><select aria-label="The change" value=${bet} onChange=${(/** @type {any} */ e) => { setBet(e.target.value); setFixed(null); }}><option value="">choose a change</option>
      ${tries.map((key) => html`<option key=${key} value=${key}>${NAMES[/** @type {keyof typeof NAMES} */ (key)]}: ${shown(key, at[key])} → ${shown(key, other(key))}</option>`)}</select>
      <button class="go" disabled=${!bet} onClick=${send}>Compare</button> <span class="fine" role="status">${said}</span></p>
    ${fixed && html`<${Told} right=${fixed.right}>The change ${fixed.verdict === "helped" ? "helped" : fixed.verdict === "hurt" ? "hurt" : "made no real difference"}: the validation loss fell by ${number(fixed.value)} (95 % interval ${number(fixed.low)} to ${number(fixed.high)}, ${fixed.n} examples).<//>
      <${Lines} label="Validation loss before and after the change" x="epoch" lines=${[["before", own], ["after", found.networks[placeOf({ ...at, [fixed.slider]: fixed.to })]]].map(([name, net]) => ({ name, values: net.points.map((/** @type {any} */ p) => p[2]), xs: net.points.map((/** @type {any} */ p) => p[0]) }))} />`}`;
}

function Fit() {
  const [curves, problem] = useAsked("curves");
  const [found, failed] = useAsked("population");
  return html`${curves ? html`<${Sort} curves=${curves.curves} names=${curves.names} />` : html`<${Waits} problem=${problem} />`}
    ${found && curves ? html`<${Sliders} found=${found} names=${curves.names} />` : html`<h3>Sixty-four networks</h3><${Waits} problem=${failed} what="Training sixty-four networks on your examples; this takes about ten seconds…" />`}`;
}

teach(html`<${Fit} />`);
