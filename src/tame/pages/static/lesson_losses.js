// @ts-check
// Lesson 4: an outlier under three losses, own margins, and answers that follow from what mistakes cost.
import { COLOURS, Lines, Told, Waits, ask, teach, useAsk, useAsked } from "./lesson.js";
import { html, number, useEffect, useState } from "./ui.js";

const LOSSES = ["squared", "huber", "absolute"], SIZE = 420, FAR = 12;

function Outlier() {
  const [y, setY] = useState(8);
  const [order, setOrder] = useState(["absolute", "huber", "squared"]);
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [judged, setJudged] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState("");
  const [go, said, busy] = useAsk();
  useEffect(() => {
    const later = setTimeout(() => ask("line", { y }).then((own) => { setFound(own); setProblem(""); }, (p) => setProblem(p.message)), 120);
    return () => clearTimeout(later);
  }, [y]);
  if (!found) return html`<h3>An outlier</h3><${Waits} problem=${problem} />`;
  const low = Math.min(...found.x) - 0.4, wide = found.at + 0.8 - low, px = (/** @type {number} */ v) => SIZE * (v - low) / wide, py = (/** @type {number} */ v) => SIZE * 0.5 - v * SIZE / (2 * FAR + 2);
  const up = (/** @type {number} */ i) => { setJudged(null); setOrder((own) => { const next = [...own]; [next[i - 1], next[i]] = [next[i], next[i - 1]]; return next; }); };
  return html`<h3>An outlier</h3>${found.why && html`<p class="note">${found.why}</p>`}<p>Points of your own: ${found.names[1]} against ${found.names[0]}, both scaled. One outlier is added at the right. Which loss lets it turn the line most?</p>
    <div class="beside"><figure class="plane"><svg viewBox=${`0 0 ${SIZE} ${SIZE}`} role="img" aria-label="Points, an outlier and a line for each loss">
      ${found.x.map((/** @type {number} */ v, /** @type {number} */ i) => html`<circle key=${i} class="point" cx=${px(v)} cy=${py(found.y[i])} r="4" />`)}
      <circle class="mark" cx=${px(found.at)} cy=${py(y)} r="7" />
      ${judged && LOSSES.map((name, i) => { const [slope, level] = found.lines[name]; return html`<g key=${name} class=${`path ${COLOURS[i]}`}><line class="stroke" x1=${px(low)} y1=${py(slope * low + level)} x2=${px(low + wide)} y2=${py(slope * (low + wide) + level)} /></g>`; })}
    </svg>${judged && html`<figcaption><ul class="legend">${LOSSES.map((name, i) => html`<li key=${name} class=${COLOURS[i]}><i></i>${name}: slope changed by ${number(found.pull[name])}</li>`)}</ul></figcaption>`}</figure>
    <div><label>Height of the outlier: ${y} <input type="range" min=${-FAR} max=${FAR} step="0.5" value=${y} onInput=${(/** @type {any} */ e) => setY(Number(e.target.value))} /></label>
      <p>It pulls, most first:</p><ol class="order">${order.map((name, i) => html`<li key=${name}>${name} ${i > 0 && html`<button class="plain" aria-label=${`${name} up`} onClick=${() => up(i)}>up</button>`}</li>`)}</ol>
      <p class="row"><button class="go" disabled=${busy} onClick=${() => go("line", { y, order }, (own) => { setFound(own); setJudged(own); })}>Commit</button> <span class="fine" role="status">${said || problem}</span></p>
      ${judged && html`<${Told} right=${judged.right}>By its slope, the order is ${[...LOSSES].sort((a, b) => judged.pull[b] - judged.pull[a]).join(", ")}. Move the outlier: the squared error follows it without end.<//>`}</div></div>`;
}

function Margins() {
  const [found, problem] = useAsked("margins");
  if (!found) return html`<h3>Your margins</h3><${Waits} problem=${problem} />`;
  const share = (/** @type {number} */ n) => `${Math.round(100 * n / found.n)} %`;
  const places = found.margins.map((/** @type {number} */ _, /** @type {number} */ i) => 4 * (1 - i / found.margins.length));
  return html`<h3>Your margins</h3><p>The margin of an example is how far the true class is ahead of the best other one. Below zero it is told wrong: ${found.wrong} of ${found.n}.</p>
    <${Lines} label="Losses by margin, with the margins of your validation examples" x="margin" lines=${[{ name: "hinge", values: found.hinge, xs: found.grid }, { name: "logistic, the cross-entropy of two classes", values: found.logistic, xs: found.grid }, { name: "squared", values: found.squared.map((/** @type {number} */ v) => (v > 5 ? null : v)), xs: found.grid, dashed: true }, { name: "your examples, sorted", values: places, xs: found.margins, colour: "other" }]} />
    <p>The hinge loss no longer looks at ${share(found.idle)} of your examples: their margin is above one. Cross-entropy still looks at all of them, a little.</p>`;
}

/** @param {{classes: string[]}} props */
function Costs({ classes }) {
  const [costs, setCosts] = useState(classes.map((_, i) => classes.map((__, j) => (i === j ? 0 : 1))));
  const [less, setLess] = useState(0);
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [go, said, busy] = useAsk();
  const write = (/** @type {number} */ i, /** @type {number} */ j, /** @type {string} */ text) => { setFound(null); setCosts((own) => own.map((row, a) => row.map((v, b) => (a === i && b === j ? (text.trim() === "" ? NaN : Number(text)) : v)))); };
  const isWhole = costs.flat().every((v) => Number.isFinite(v) && v >= 0);
  return html`<h3>What mistakes cost</h3><p>A row for what it is, a column for what was said. Set costs by which ${""}
    <select aria-label="The class" value=${less} onChange=${(/** @type {any} */ e) => { setLess(Number(e.target.value)); setFound(null); }}>${classes.map((name, i) => html`<option key=${name} value=${i}>${name}</option>`)}</select> is said less often.</p>
    <div class="scroll"><table class="list costs"><thead><tr><th>It is, but was said to be</th>${classes.map((name) => html`<th key=${name}>${name}</th>`)}</tr></thead><tbody>${classes.map((name, i) => html`<tr key=${name}><th scope="row">${name}</th>${classes.map((other, j) => html`<td key=${other}>${i === j ? "0" : html`<input size="4" inputmode="decimal" aria-label=${`${name} said to be ${other}`} value=${Number.isFinite(costs[i][j]) ? costs[i][j] : ""} onInput=${(/** @type {any} */ e) => write(i, j, e.target.value)} />`}</td>`)}</tr>`)}</tbody></table></div>
    <p class="row"><button class="go" disabled=${busy || !isWhole} onClick=${() => go("costs", { costs, less }, setFound)}>Choose answers by these costs</button> <span class="fine" role="status">${isWhole ? said : "Write a number from 0 on into each cell."}</span></p>
    ${found && html`<${Told} right=${found.right}>${classes[less]} was said ${found.counts[0][less]} times, and now ${found.counts[1][less]} times, of ${found.n}. ${found.changed} answers changed.<//>
      <p>The mean cost went from ${number(found.before)} to ${number(found.after)}, the accuracy from ${number(found.accuracy[0], 3)} to ${number(found.accuracy[1], 3)}: from the same probabilities.</p>`}`;
}

function Losses() {
  const [facts, problem] = useAsked("facts");
  if (!facts) return html`<${Waits} problem=${problem} />`;
  const many = facts.classes.length;
  return html`<${Outlier} />${many >= 2 ? html`<${Margins} />` : html`<p class="note">Margins and costs of mistakes need classes; choose the demo above to see them.</p>`}${many >= 2 && many <= 6 && html`<${Costs} classes=${facts.classes} />`}`;
}

teach(html`<${Losses} />`);
