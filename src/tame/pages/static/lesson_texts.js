// @ts-check
// Lesson 11: which text was written after a model was adapted; an adaptation that gains much and forgets little.
import { Told, Waits, ask, teach, useAsk } from "./lesson.js";
import { html, number, useEffect, useState } from "./ui.js";

const LOOK_MS = 500;

/** @param {{pairs: any[], isOwn: boolean}} props */
function Pairs({ pairs, isOwn }) {
  const [place, setPlace] = useState(0);
  const [right, setRight] = useState(0);
  const [judged, setJudged] = useState(/** @type {any} */ (null));
  const [go, said, busy] = useAsk();
  if (!pairs.length) return html`<p class="fine">Nothing was written at the end of this study: it had no time for that.</p>`;
  if (place >= pairs.length) return html`<${Told} right=${right === pairs.length}>${right} of ${pairs.length} were told apart.<//><p class="row"><button onClick=${() => { setPlace(0); setRight(0); setJudged(null); }}>Once more</button></p>`;
  const own = pairs[place], guess = (/** @type {number} */ after) => go("which", { pair: place, after }, (found) => { setJudged(found); setRight((n) => n + Number(found.right)); });
  return html`<p>${isOwn ? "Your model" : "The tiny model"} went on from “${own.opening.trim()}”, once before and once after it was adapted. Which was written after?</p>
    <div class="beside">${own.texts.map((/** @type {string} */ text, /** @type {number} */ i) => html`<div key=${i}><blockquote class="written">${text}</blockquote><p class="row"><button disabled=${!!judged || busy} aria-label=${`Text ${i + 1} was written after`} onClick=${() => guess(i)}>This one</button></p></div>`)}</div>
    <p role="status" class="fine">${said}</p>
    ${judged && html`<${Told} right=${judged.right}>Pair ${place + 1} of ${pairs.length}. Words that follow each other in the new texts give it away; whether they are true they do not tell.<//><p class="row"><button onClick=${() => { setPlace(place + 1); setJudged(null); }}>Next</button></p>`}`;
}

/** @param {{own: any}} props */
function Adapt({ own }) {
  const [way, setWay] = useState(own.ways[0]);
  const [power, setPower] = useState(1);
  const [steps, setSteps] = useState(own.most);
  const [tried, setTried] = useState(/** @type {any[]} */ ([]));
  const [go, said, busy] = useAsk();
  const factor = Number((10 ** power).toPrecision(2)), last = tried.at(-1);
  const send = () => go("adapt", { way, factor, steps }, (found) => setTried((before) => [...before.slice(-5), { ...found, way, factor, steps }]));
  return html`<h3>Gain much, forget little</h3><p>Adapt the tiny model to contracts. A held-out letter of them must cost at most ${Math.round(100 * own.better)} % of the bits that it cost before, and one of everyday text at most ${Math.round(100 * own.worse)} %.</p>
    <p class="row">${own.ways.map((/** @type {string} */ each) => html`<label class="inline" key=${each}><input type="radio" name="way" checked=${way === each} onChange=${() => setWay(each)} /> ${each}</label>`)}</p>
    <label>Rate: ${factor} × the usual one <input type="range" min="-2" max="2" step="0.1" value=${power} aria-label="Rate, on a logarithmic scale" onInput=${(/** @type {any} */ e) => setPower(Number(e.target.value))} /></label>
    <label>Steps: ${steps} <input type="range" min="5" max=${own.most} step="5" value=${steps} aria-label="Steps" onInput=${(/** @type {any} */ e) => setSteps(Number(e.target.value))} /></label>
    <p class="row"><button class="go" disabled=${busy} onClick=${send}>Adapt</button> <span class="fine" role="status">${said}</span></p>
    ${last && html`<${Told} right=${last.right}>${last.gained ? "It gained enough." : "It gained too little."} ${last.kept ? "It forgot little." : "It forgot too much."}<//>
      <div class="wide"><table class="list"><thead><tr><th>Way</th><th class="n">Rate</th><th class="n">Steps</th><th class="n">Numbers trained</th><th class="n">Bits, contracts</th><th class="n">Bits, everyday text</th></tr></thead><tbody>
      <tr><td>before</td><td></td><td></td><td></td><td class="n">${number(last.before.contracts)}</td><td class="n">${number(last.before.everyday)}</td></tr>
      ${tried.map((each, i) => html`<tr key=${i}><td>${each.way}</td><td class="n">${each.factor} ×</td><td class="n">${each.steps}</td><td class="n">${each.num_trained.toLocaleString()}</td><td class="n">${number(each.after.contracts)}</td><td class="n">${number(each.after.everyday)}</td></tr>`)}</tbody></table></div>
      <p>It writes now: <q class="written">${last.written[0]}</q></p>`}`;
}

function Texts() {
  const [own, setOwn] = useState(/** @type {any} */ (null));
  const [pairs, setPairs] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState("");
  const whole = !!own?.bits;
  useEffect(() => {
    let timer = 0;
    const look = () => ask("letters").then((found) => { setOwn(found); if (!found.bits) timer = window.setTimeout(look, LOOK_MS); }, (p) => setProblem(p.message));
    look();
    return () => clearTimeout(timer);
  }, []);
  const told = whole || !!own?.is_own;  // what there is to be told apart was written
  useEffect(() => { if (told) ask("pairs").then(setPairs, (p) => setProblem(p.message)); }, [told]);
  if (!own) return html`<${Waits} problem=${problem} what="Beginning…" />`;
  return html`<p>A tiny language model of ${own.weights.toLocaleString()} weights is trained here, letter by letter, on a page of everyday text. It never gets far; what it gains and forgets is measured all the same.</p>
    ${!whole && !problem && html`<p class="fine" role="status">Training it: step ${own.done} of ${own.of}. <progress max=${own.of} value=${own.done}></progress></p>`}
    ${problem && html`<${Waits} problem=${problem} />`}
    <h3>What it sounds like</h3>${pairs ? html`<${Pairs} pairs=${pairs.pairs} isOwn=${pairs.is_own} />` : html`<p class="fine">The texts come when it is trained.</p>`}
    <${Adapt} own=${own} />`;
}

teach(html`<${Texts} />`);
