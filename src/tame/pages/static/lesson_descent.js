// @ts-check
// Lesson 1: the five steps on the learner's own loss, the arrow uphill, and a race with an order committed to before.
import { Lines, Told, Waits, ask, teach, useAsk, useAsked } from "./lesson.js";
import { Plane } from "./plane.js";
import { html, number, useEffect, useState } from "./ui.js";

const STEPS = 12, GUESSES = 5, NEEDED = 3;
const RACERS = ["sgd", "momentum", "rmsprop", "adam"];
const RATES = { sgd: 1, momentum: 0.2, rmsprop: 0.02, adam: 0.05 };
const WORDS = { sgd: "plain descent", momentum: "keeps rolling", rmsprop: "a step of its own for each weight", adam: "rolls, with a step for each weight" };
const FIVE = ["Begin", "Measure", "Differentiate", "Step", "Repeat"];

/** @param {{found: any, descents: any, rate: number}} props */
function Steps({ found, descents, rate }) {
  const [step, setStep] = useState(0);
  const [stage, setStage] = useState(0);
  const [turned, setTurned] = useState(90);
  const [judged, setJudged] = useState(/** @type {any[]} */ ([]));
  const [go, said, busy] = useAsk();
  const path = found.paths[0], right = judged.filter((each) => each.right).length, done = judged.length >= GUESSES;
  const lines = [
    `${found.weights.toLocaleString()} small random weights.`,
    `The loss on the examples is ${number(path.losses[step])}.`,
    `The gradient has ${found.weights.toLocaleString()} numbers and a length of ${number(path.lengths[step])}.`,
    `Move against it, by the rate ${number(rate, 3)} times its length: ${number(rate * path.lengths[step])}.`,
    `Step ${step} of ${STEPS} is done; go on from here.`,
  ];
  const guess = () => {
    const r = turned * Math.PI / 180, [a, b] = path.points[step];
    go("click", { descents, step, a: a + Math.cos(r), b: b + Math.sin(r) }, (own) => {
      setJudged((before) => [...before, own]); setStep((before) => before + 1); setStage(0);
    });
  };
  const last = judged.at(-1);
  return html`<h3>The five steps</h3><p>The picture is a slice through the loss of these examples: each point of it is one choice of the weights. Where does each step go?</p><div class="beside"><${Plane} found=${found} shown=${step + 1} turned=${done ? null : turned} pick=${done ? null : setTurned} />
    <div><ol class="five">${FIVE.map((name, i) => html`<li key=${name} class=${i === stage ? "now" : ""}><strong>${name}.</strong> ${lines[i]}</li>`)}</ol>
      ${stage < 3 && !done ? html`<button onClick=${() => setStage(stage + 1)}>Next of the five</button>` : ""}
      ${!done && html`<label>Where will the next point be? Click in the picture, or turn the arrow:
        <input type="range" min="0" max="359" value=${turned} aria-label="Direction of the arrow in degrees" onInput=${(/** @type {any} */ e) => setTurned(Number(e.target.value))} /></label>
        <p class="row"><button class="go" disabled=${busy} onClick=${guess}>This way</button> <span class="fine">${judged.length} of ${GUESSES} predicted, ${right} within thirty degrees</span></p>`}
      ${last && html`<${Told} right=${last.right}>Your arrow was ${Math.round(last.degrees)} degrees off the way that the step took: against the gradient. ${last.right ? "" : "Aim straight across the lines, from the faint ones towards the strong ones."}<//>`}
      ${done && html`<${Told} right=${right >= NEEDED}>${right} of ${GUESSES} predictions were right. ${right >= NEEDED ? "The step leaves at a right angle to the line of equal loss, downhill." : "Look at the lines: each step leaves them at a right angle, towards the stronger ones."}<//>
        <p class="row"><button onClick=${() => setStep(STEPS)}>Run the other steps</button> <button onClick=${() => { setJudged([]); setStep(0); setStage(0); }}>Once more</button></p>`}
      <p role="status" class="fine">${said}</p></div></div>`;
}

/** @param {{found: any, descents: any}} props */
function Arrow({ found, descents }) {
  const [turned, setTurned] = useState(0);
  const [judged, setJudged] = useState(/** @type {any} */ (null));
  const [go, said, busy] = useAsk();
  const r = turned * Math.PI / 180;
  return html`<h3>The arrow that points uphill</h3><p>Turn the arrow at the start until the loss rises most steeply along it.</p>
    <div class="beside"><${Plane} found=${found} shown=${1} turned=${turned} pick=${setTurned} uphill=${judged?.uphill} /><div>
    <label>Direction <input type="range" min="0" max="359" value=${turned} onInput=${(/** @type {any} */ e) => { setTurned(Number(e.target.value)); setJudged(null); }} /> ${turned}°</label>
    <p class="row"><button class="go" disabled=${busy} onClick=${() => go("click", { descents, step: 0, a: Math.cos(r), b: Math.sin(r), is_arrow: true }, setJudged)}>This is uphill</button> <span class="fine" role="status">${said}</span></p>
    ${judged && html`<${Told} right=${judged.right}>Your arrow is ${Math.round(judged.degrees)} degrees from the gradient, which is drawn now; ten are near enough. ${judged.right ? "Descent goes the other way." : "Uphill is straight across the lines, from the strong ones towards the faint ones."}<//>`}</div></div>`;
}

/** @param {{base: number}} props */
function Race({ base }) {
  const [order, setOrder] = useState(RACERS.map((_, i) => i));
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [go, said, busy] = useAsk();
  const runs = RACERS.map((name) => ({ optimizer: name, lr: RATES[/** @type {keyof typeof RATES} */ (name)] * (name === "sgd" || name === "momentum" ? base : 1) }));
  const up = (/** @type {number} */ i) => setOrder((own) => { const next = [...own]; [next[i - 1], next[i]] = [next[i], next[i - 1]]; return next; });
  const start = () => go("race", { descents: { runs, steps: 60 }, order }, setFound);
  const names = runs.map((run) => `${run.optimizer} at ${number(run.lr, 3)}`);
  return html`<h3>A race</h3><p>Which will have the lowest loss after sixty steps from the same start? Put them into an order. It is committed when they run.</p>
    <ol class="order">${order.map((place, i) => html`<li key=${place}>${names[place]} <span class="fine">${WORDS[/** @type {keyof typeof WORDS} */ (RACERS[place])]}</span> ${i > 0 && !found && html`<button class="plain" aria-label=${`${names[place]} up`} onClick=${() => up(i)}>up</button>`}</li>`)}</ol>
    ${!found && html`<p class="row"><button class="go" disabled=${busy} onClick=${start}>Commit and run</button> <span class="fine" role="status">${said}</span></p>`}
    ${found && html`<${Told} right=${found.right}>${found.right_pairs} of ${found.pairs} pairs are in the right order. It was: ${found.order.map((/** @type {number} */ i) => RACERS[i]).join(", ")}. Other rates would give another order: a race compares optimizers with their rates.<//>
      <${Plane} found=${found} shown=${61} names=${RACERS} memory=${true} />
      <${Lines} label="Loss of each optimizer by step" isLog=${true} lines=${found.paths.map((/** @type {any} */ p, /** @type {number} */ i) => ({ name: names[i], values: p.losses }))} />
      <p class="fine">A dashed line shows what an optimizer that keeps a mean of earlier gradients remembers at the end, turned downhill.</p>`}`;
}

function Descent() {
  const [facts, problem] = useAsked("facts");
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [failed, setFailed] = useState("");
  const descents = facts && { runs: [{ optimizer: "sgd", lr: facts.rate }], steps: STEPS };
  useEffect(() => { if (facts) ask("descents", descents).then(setFound, (p) => setFailed(p.message)); }, [facts]);
  if (!found) return html`<${Waits} problem=${problem || failed} />`;
  return html`<p>A linear network on ${facts.examples.toLocaleString()} of ${facts.of[0].toLocaleString()} training ${facts.nouns} with ${facts.inputs.toLocaleString()} inputs each${facts.is_own ? "" : ", of the demo"}; by the same optimizers that train a study. Its loss is ${found.loss === "mse" ? "the squared error" : "the cross-entropy"}.</p>
    <${Steps} found=${found} descents=${descents} rate=${facts.rate} /><${Arrow} found=${found} descents=${descents} /><${Race} base=${facts.rate} />`;
}

teach(html`<${Descent} />`);
