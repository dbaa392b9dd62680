// @ts-check
// What all lessons share: questions to our server, losses as lines, curves, and "test me".
import { api, html, render, useEffect, useState } from "./ui.js";

const root = /** @type {HTMLElement} */ (document.querySelector("main.lesson"));
export const LESSON = root?.dataset.lesson ?? "", STUDY = root?.dataset.study ?? "demo";
const BEYOND = 10;  // times the value at which a line begins
const LOOK_MS = 700;  // between two looks at what grows
const WIDE = 620, HIGH = 280, PAD = { left: 66, right: 12, top: 14, bottom: 50 };
export const COLOURS = ["winner", "default", "good", "problem", "warning", "other"];

let ground = "";  // what the answers were about so far
const CHANGED = "The examples or the trials of this lesson are not those any more with which this page began. Load it again.";

/** What is computed on the learner's examples. @param {string} what @param {object} [asked] */
export async function ask(what, asked = {}) {
  const { ground: own, ...found } = await api(`/api/learn/${LESSON}/ask/${what}`, { study: STUDY, asked });
  ground ||= own;
  if (own !== ground) throw new Error(CHANGED);
  return found;
}

/** Something that is asked for at once: what came, or what went wrong. @param {string} what @param {object} [asked] */
export function useAsked(what, asked = {}) {
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState("");
  useEffect(() => { ask(what, asked).then(setFound, (p) => setProblem(p.message)); }, []);
  return /** @type {[any, string]} */ ([found, problem]);
}

/** A request that a button makes. Returns a function that makes it, words about it, and whether an answer is waited for. */
export function useAsk() {
  const [said, setSaid] = useState("");
  const [busy, setBusy] = useState(false);
  const go = async (/** @type {string} */ what, /** @type {object} */ asked, /** @type {(found: any) => void} */ then) => {
    setBusy(true); setSaid("Computing on these examples…");
    try { then(await ask(what, asked)); setSaid(""); } catch (problem) { setSaid(/** @type {Error} */ (problem).message); }
    setBusy(false);
  };
  return /** @type {[typeof go, string, boolean]} */ ([go, said, busy]);
}

/** How far the population is trained. The process goes on with it while nothing is asked. whole: also where the study has
 * curves of its own. @param {boolean} [whole] */
export function useGrown(whole = true) {
  const [grown, setGrown] = useState(/** @type {any} */ (null));
  useEffect(() => {
    let timer = 0;
    const look = () => ask("grow", { whole }).then((own) => { setGrown(own); if (own.waits) timer = window.setTimeout(look, LOOK_MS); }, (p) => setGrown({ problem: p.message }));
    look();
    return () => clearTimeout(timer);
  }, []);
  return grown;
}

/** @param {{grown: any}} props */
export const Grown = ({ grown }) => (grown?.problem ? html`<${Waits} problem=${grown.problem} />` : grown?.waits && html`<p class="fine" role="status">Training networks on these examples: ${grown.done} of ${grown.of}. <progress max=${grown.of} value=${grown.done}></progress></p>`);

/** Whether an answer was right. @param {{right: boolean, children?: unknown}} props */
export const Told = ({ right, children }) => html`<p class=${`told ${right ? "right" : "wrong"}`} role="status"><strong>${right ? "Right." : "Not yet."}</strong> ${children}</p>`;

/** Waiting, or why there is nothing and how to go on. @param {{problem: string, what?: string}} props */
export const Waits = ({ problem, what = "Reading your examples…" }) => (problem
  ? html`<p role="status" class="note problem">${problem} <button class="plain" onClick=${() => location.reload()}>Load this page again</button></p>`
  : html`<p role="status" class="fine">${what}</p>`);

const nice = (/** @type {number} */ v) => (Math.abs(v) >= 1000 || (v !== 0 && Math.abs(v) < 0.01) ? v.toExponential(1) : String(Number(v.toPrecision(3)))).replace("-", "−");

/** Where an axis has numbers; whole ones where it counts. @param {number} first @param {number} last */
function placesOf(first, last) {
  const every = [0, 0.25, 0.5, 0.75, 1].map((share) => first + share * (last - first));
  return Number.isInteger(first) && Number.isInteger(last) ? [...new Set(every.map(Math.round))] : every;
}

/** Lines over steps or epochs. lines: {name, values, colour?, dashed?, xs?}; missing values are null.
 * @param {{lines: any[], label: string, x?: string, isLog?: boolean, marks?: {x: number, y: number, words?: string}[]}} props */
export function Lines({ lines, label, x = "step", isLog = false, marks = [] }) {
  const values = lines.flatMap((line) => line.values).filter((v) => v !== null && Number.isFinite(v) && (!isLog || v > 0));
  if (!values.length) return html`<p class="fine">There is nothing to draw: no value is a number.</p>`;
  const at = (/** @type {any} */ line, /** @type {number} */ i) => line.xs?.[i] ?? i;
  const first = Math.min(...lines.map((line) => at(line, 0))), last = Math.max(first + 1e-9, ...lines.map((line) => at(line, line.values.length - 1)));
  const sorted = [...values].sort((a, b) => a - b);
  const turn = isLog ? Math.log10 : (/** @type {number} */ v) => v;
  let low = turn(sorted[0]), high = turn(sorted[sorted.length - 1]);
  const begun = Math.max(...lines.map((line) => line.values[0]).filter((v) => Number.isFinite(v) && v > 0));
  if (isLog && Number.isFinite(begun)) high = Math.min(high, turn(BEYOND * begun));  // what rises without end leaves the chart
  const most = turn(sorted[Math.floor((sorted.length - 1) * 0.985)]);
  if (high - low > 1.5 * (most - low)) high = most;  // a lost run must not press all others flat
  if (high - low < 1e-9) { low -= 0.5; high += 0.5; }
  const px = (/** @type {number} */ v) => PAD.left + (WIDE - PAD.left - PAD.right) * (v - first) / (last - first);
  const py = (/** @type {number} */ v) => HIGH - PAD.bottom - (HIGH - PAD.bottom - PAD.top) * Math.min(1.03, Math.max(-0.03, (turn(v) - low) / (high - low)));
  const drawn = (/** @type {any} */ line) => {
    let text = "", pen = "M";
    line.values.forEach((/** @type {number|null} */ v, /** @type {number} */ i) => {
      if (v === null || !Number.isFinite(v) || (isLog && v <= 0)) { pen = "M"; return; }
      text += `${pen}${px(at(line, i)).toFixed(1)} ${py(v).toFixed(1)}`; pen = "L";
    });
    return text;
  };
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => low + share * (high - low));
  return html`<figure class="lines-of"><svg viewBox=${`0 0 ${WIDE} ${HIGH}`} role="img" aria-label=${label}>
    ${ticks.map((t) => { const v = isLog ? 10 ** t : t; return html`<g key=${t}><line class="rule" x1=${PAD.left} x2=${WIDE - PAD.right} y1=${py(v)} y2=${py(v)} /><text x=${PAD.left - 6} y=${py(v) + 4} text-anchor="end">${nice(v)}</text></g>`; })}
    ${placesOf(first, last).map((v) => html`<text key=${v} x=${px(v)} y=${HIGH - 29} text-anchor=${v === last ? "end" : v === first ? "start" : "middle"}>${nice(v)}</text>`)}
    <text x=${(WIDE + PAD.left) / 2} y=${HIGH - 7} text-anchor="middle">${x}</text>
    ${lines.map((line, i) => html`<path key=${line.name} class=${`stroke ${line.colour ?? COLOURS[i % COLOURS.length]} ${line.dashed ? "dashed" : ""}`} d=${drawn(line)} />`)}
    ${marks.map((m) => html`<circle class="mark" cx=${px(m.x)} cy=${py(m.y)} r="5"><title>${m.words ?? ""}</title></circle>`)}
  </svg><figcaption><ul class="legend">${lines.map((line, i) => html`<li key=${line.name} class=${line.colour ?? COLOURS[i % COLOURS.length]}><i class=${line.dashed ? "dashed" : ""}></i>${line.name}</li>`)}</ul></figcaption></figure>`;
}

/** The curves of a trial. @param {{curve: any}} props */
export function Curve({ curve }) {
  const column = (/** @type {number} */ i) => curve.points.map((/** @type {any} */ p) => p[i]);
  const lines = [{ name: "training loss", values: column(1), xs: column(0), colour: "other" }, { name: "validation loss", values: column(2), xs: column(0), colour: "winner" }];
  return html`<${Lines} lines=${lines} x="epoch" label=${`Training and validation loss of trial ${curve.trial}`} />`;
}

/** One question. @param {{asked: any, number: number, seed: string, told: (right: boolean) => void}} props */
function Question({ asked, number: place, seed, told }) {
  const [answer, setAnswer] = useState("");
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [said, setSaid] = useState("");
  const send = async (/** @type {Event} */ e) => {
    e.preventDefault();
    try {
      const judged = await api(`/api/learn/${LESSON}/answer`, { study: STUDY, seed, number: place, mark: asked.mark, answer });
      setFound(judged); setSaid(""); told(judged.right);
    } catch (problem) { setSaid(/** @type {Error} */ (problem).message); }
  };
  const name = `question-${place}`;
  return html`<form class="card question" onSubmit=${send}>
    ${asked.curve && html`<${Curve} curve=${asked.curve} />`}
    ${asked.options.length ? html`<fieldset disabled=${!!found}><legend>${asked.text}</legend>
      ${asked.options.map((/** @type {string} */ option, /** @type {number} */ i) => html`<label class="option" key=${i}><input type="radio" name=${name} value=${i} checked=${answer === String(i)} onChange=${() => setAnswer(String(i))} /> ${option}</label>`)}</fieldset>`
      : html`<label>${asked.text} <input name=${name} inputmode="decimal" autocomplete="off" value=${answer} disabled=${!!found} onInput=${(/** @type {any} */ e) => setAnswer(e.target.value)} /></label>`}
    ${!found && html`<button>Answer</button>`} <span class="fine" role="status">${said}</span>
    ${found && html`<${Told} right=${found.right}>The answer: ${found.answer}. ${found.why}<//>`}
  </form>`;
}

function Quiz() {
  const [round, setRound] = useState(/** @type {any} */ (null));
  const [right, setRight] = useState(0);
  const [said, setSaid] = useState("");
  const begin = () => {
    setSaid("Making questions from the study…"); setRight(0); setRound(null);
    api(`/api/learn/${LESSON}/questions?study=${STUDY}`).then((own) => { setRound(own); setSaid(own.questions.length ? "" : "This study holds nothing to ask about here."); }, (p) => setSaid(p.message));
  };
  return html`<h2>Test me</h2><p>Questions made from ${STUDY === "demo" ? "the demo" : "your study"}; each key is computed again when you answer.</p>
    ${round && round.questions.map((/** @type {any} */ asked, /** @type {number} */ i) => html`<${Question} key=${`${round.seed}-${i}`} asked=${asked} number=${i} seed=${round.seed} told=${(/** @type {boolean} */ good) => setRight((n) => n + Number(good))} />`)}
    <p class="row"><button onClick=${begin}>${round ? "Other questions" : "Test me"}</button> <span role="status" class="fine">${said || (round && `${right} of ${round.questions.length} right`)}</span></p>`;
}

/** Says so where the demo stands in for a study whose examples cannot be read. */
function Whose() {
  const [about] = useAsked("about");
  return about && !about.is_own && STUDY !== "demo" && html`<p class="note">What is tried here is on ${about.name}. ${about.why}</p>`;
}

/** Begins a lesson: what there is to try, and the questions. @param {any} part */
export function teach(part) {
  const place = /** @type {HTMLElement} */ (document.getElementById("app")), quiz = /** @type {HTMLElement} */ (document.getElementById("quiz"));
  place.replaceChildren();
  render(html`<h2>Try it</h2><${Whose} />${part}`, place);
  render(html`<${Quiz} />`, quiz);
}

