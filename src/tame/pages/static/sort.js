// @ts-check
// Curves to be named, one after the other: what the doctor calls them is told with each answer.
import { Curve, Told, Waits, ask, useAsk } from "./lesson.js";
import { html, useEffect, useState } from "./ui.js";

/** @param {{curves: any[], isMixed: boolean, names: Record<string, string>, needed: number}} props */
function Sort({ curves, isMixed, names, needed }) {
  const [place, setPlace] = useState(0);
  const [answer, setAnswer] = useState("");
  const [judged, setJudged] = useState(/** @type {any} */ (null));
  const [right, setRight] = useState(0);
  const [go, said, busy] = useAsk();
  const many = curves.length, done = place >= many;
  if (done) return html`<${Told} right=${right >= Math.min(needed, many)}>${right} of ${many} as the doctor says.<//><p class="row"><button onClick=${() => { setPlace(0); setRight(0); setJudged(null); setAnswer(""); }}>Once more</button></p>`;
  const own = curves[place];
  const send = () => go("sort", { trial: own.trial, answer }, (found) => { setJudged(found); setRight((n) => n + Number(found.right)); });
  const next = () => { setPlace(place + 1); setJudged(null); setAnswer(""); };
  return html`${isMixed && html`<p class="fine">The curves of your trials are of few kinds. So some of these are of networks that were trained on the same examples for this lesson; each answer says which.</p>`}
    <p>Curve ${place + 1} of ${many}${isMixed ? "" : `: trial ${own.trial}`}. What would you say of it?</p><${Curve} curve=${own} />
    <fieldset class="options" disabled=${!!judged}><legend class="unseen">What it is</legend>${Object.entries(names).map(([name, words]) => html`<label class="option" key=${name}><input type="radio" name="sort" value=${name} checked=${answer === name} onChange=${() => setAnswer(name)} /> ${words}</label>`)}</fieldset>
    ${judged ? html`<${Told} right=${judged.right}>The doctor says: ${names[judged.verdict]}. ${judged.why} ${judged.evidence}<//><p class="row"><button onClick=${next}>Next</button></p>`
      : html`<p class="row"><button disabled=${busy || !answer} onClick=${send}>Answer</button> <span class="fine" role="status">${said}</span></p>`}`;
}

/** Curves of the study, or of the population once it has grown. first: whose kinds come first, those of rates or all.
 * @param {{grown: any, first: string, many: number, needed: number}} props */
export function Sorted({ grown, first, many, needed }) {
  const [curves, setCurves] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState("");
  const whole = grown && (grown.readable || !grown.waits);
  useEffect(() => { if (whole && !curves) ask("curves", { first, many }).then(setCurves, (p) => setProblem(p.message)); }, [whole]);
  const wrong = problem || grown?.problem;
  return curves ? html`<${Sort} curves=${curves.curves} isMixed=${curves.is_mixed} names=${curves.names} needed=${needed} />` : html`<${Waits} problem=${wrong} what="The curves are still growing…" />`;
}
