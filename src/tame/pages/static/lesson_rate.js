// @ts-check
// Lesson 2: a rate that creeps, one that arrives and one that overshoots, found by the learner; decay and warm-up.
import { Lines, Told, Waits, teach, useAsk, useAsked, useGrown } from "./lesson.js";
import { Sorted } from "./sort.js";
import { html, number, useState } from "./ui.js";

const WANTED = [["creeps", "Find a rate that creeps: right way, hardly anywhere"], ["arrives", "Find one that arrives"], ["rises", "Find one that overshoots: the loss rises again and again"]];
const ORDER = ["creeps", "arrives", "rises"];  // with the rate
const SAID = { creeps: "It creeps: less than half of the way that the best rate goes in as many steps.", arrives: "It arrives.", rises: "It overshoots: the loss rose in many steps, or stopped being a number." };

/** @param {{rates: any}} props */
function Finder({ rates }) {
  const low = Math.log10(rates.low), high = Math.log10(rates.high);
  const [power, setPower] = useState((low + high) / 2);
  const [runs, setRuns] = useState(/** @type {any[]} */ ([]));
  const [met, setMet] = useState(/** @type {string[]} */ ([]));
  const [go, said, busy] = useAsk();
  const open = WANTED.filter(([kind]) => !met.includes(kind)), lr = Number((10 ** power).toPrecision(2));
  const run = () => go("rate", { lr, wanted: open[0]?.[0] ?? "arrives" }, (own) => {
    const beyond = ORDER.indexOf(own.judged) > ORDER.indexOf(open[0]?.[0]);
    setRuns((before) => [...before.slice(-4), { ...own, lr, hint: own.right ? "" : beyond ? "Try a smaller rate." : "Try a larger rate." }]);
    if (own.right) setMet((before) => [...before, open[0][0]]);
  });
  const last = runs.at(-1);
  return html`<h3>Find three rates</h3>
    <ol>${WANTED.map(([kind, words]) => html`<li key=${kind} class=${met.includes(kind) ? "done" : open[0]?.[0] === kind ? "now" : ""}>${words}${met.includes(kind) ? " ✓" : ""}</li>`)}</ol>
    <label>Rate ${lr} <input type="range" min=${low} max=${high} step="0.05" value=${power} aria-label="Rate, on a logarithmic scale" onInput=${(/** @type {any} */ e) => setPower(Number(e.target.value))} /></label>
    <p class="row"><button class="go" disabled=${busy || !open.length} onClick=${run}>Run forty steps</button> <span class="fine" role="status">${said}</span></p>
    ${last && html`<${Told} right=${last.right}>At ${last.lr}: ${SAID[/** @type {keyof typeof SAID} */ (last.judged)]} The loss rose in ${last.rose} of ${last.steps} steps. ${last.hint}<//>
      <${Lines} label="Loss by step at the rates that were tried" isLog=${true} lines=${runs.map((each, i) => ({ name: `${i + 1}: rate ${each.lr}`, values: each.losses }))} />`}
    ${!open.length && html`<p role="status"><strong>All three found.</strong> The lowest loss that any of the page's own tries reached in as many steps was ${number(last.best)}.</p>`}`;
}

function Decay() {
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [go, said, busy] = useAsk();
  const names = ["constant rate", "linear decay", "warm-up and decay"];
  return html`<h3>Decay and warm-up</h3><p>Small batches give noisy gradients. See what the end of a run does without and with a decay.</p>
    <p class="row"><button disabled=${busy} onClick=${() => go("decays", {}, setFound)}>Run the three</button> <span class="fine" role="status">${said}</span></p>
    ${found && html`<${Lines} label="Loss by step with three schedules" isLog=${true} lines=${found.losses.map((/** @type {any} */ values, /** @type {number} */ i) => ({ name: names[i], values }))} />
      <table class="list"><thead><tr><th>Schedule</th><th class="n">Change by a step at the end</th><th class="n">Loss at the end</th></tr></thead><tbody>
      ${names.map((name, i) => html`<tr key=${name}><td>${name}</td><td class="n">${number(found.noise[i], 5)}</td><td class="n">${number(found.ends[i])}</td></tr>`)}</tbody></table>
      <p role="status">With the decay the end moves ${number(found.noise[0] / Math.max(found.noise[1], 1e-12), 1)} times less, at batches of ${found.batch} and a rate of ${number(found.rate, 3)}.</p>`}`;
}

function Rate() {
  const [rates, problem] = useAsked("rates");
  const grown = useGrown(false);
  if (!rates) return html`<${Waits} problem=${problem} what="Trying rates on these examples…" />`;
  return html`${rates.missed && html`<p class="note">With the cross-entropy no rate up to ${number(rates.missed.highest, 0)} overshoots on these examples: they can be told apart so well that far out the ground is low and flat. So this page takes the squared error, in which one does.</p>`}
    <${Finder} rates=${rates} /><${Decay} />
    <h3>Rates read off a curve</h3><p>Curves, without their rates. Which of them had a rate that was too low, or too high?</p><${Sorted} grown=${grown} first="rate" many=${6} needed=${5} />`;
}

teach(html`<${Rate} />`);
