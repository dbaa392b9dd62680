// @ts-check
// Lesson 10: frozen, fine-tuned and from scratch with few examples; how many scratch needs; a rate that destroys.
import { Lines, Told, Waits, ask, teach, useAsk, useAsked } from "./lesson.js";
import { html, number, useEffect, useState } from "./ui.js";

function Transfer() {
  const [before, problem] = useAsked("before");
  const [points, setPoints] = useState(/** @type {any[]} */ ([]));
  const [failed, setFailed] = useState("");
  const [answer, setAnswer] = useState("");
  const [read, setRead] = useState(/** @type {any} */ (null));
  const [factor, setFactor] = useState("1");
  const [lost, setLost] = useState(/** @type {any} */ (null));
  const [go, said, busy] = useAsk();
  const many = before ? before.sizes.length : 0, whole = many > 0 && points.length === many;
  useEffect(() => { if (points.length < many) ask("few", { place: points.length }).then((own) => setPoints((all) => [...all, own]), (p) => setFailed(p.message)); }, [many, points.length]);
  if (!before) return html`<${Waits} problem=${problem} />`;
  const sizes = before.sizes;
  const lines = points.length ? Object.keys(points[0]).map((name) => ({ name, values: points.map((own) => own[name]), xs: sizes.slice(0, points.length) })) : [];
  const send = (/** @type {Event} */ e) => { e.preventDefault(); const own = Number(answer); if (answer.trim() && Number.isFinite(own)) go("reading", { examples: own }, setRead); };
  return html`<h3>A new question</h3><p>${before.said} The mean share of each class that is told right, in ${before.times} draws:</p>
    ${points.length > 1 && html`<${Lines} label="Share told right by number of new examples, three ways" x="new examples" lines=${lines} />`}
    ${failed ? html`<${Waits} problem=${failed} />` : !whole && html`<p class="fine" role="status">Training with ${sizes[points.length]} examples, three ways… <progress max=${many} value=${points.length}></progress></p>`}
    ${points.length > 0 && html`<table class="list"><thead><tr><th class="n">Examples</th>${lines.map((line) => html`<th key=${line.name} class="n">${line.name}</th>`)}</tr></thead><tbody>${points.map((own, i) => html`<tr key=${i}><td class="n">${sizes[i]}</td>${lines.map((line) => html`<td key=${line.name} class="n">${number(own[line.name], 3)}</td>`)}</tr>`)}</tbody></table>`}
    <form onSubmit=${send}><label>How many examples does the network from scratch need to be as good as the frozen one with ${sizes[0]}? Write more than ${sizes.at(-1)} if it never is. <input name="examples" inputmode="decimal" value=${answer} onInput=${(/** @type {any} */ e) => setAnswer(e.target.value)} /></label><button disabled=${busy || !whole}>Answer</button> <span class="fine" role="status">${said || (answer && !Number.isFinite(Number(answer)) ? "Write a number, such as 50." : "")}</span></form>
    ${read && html`<${Told} right=${read.right}>${read.needed === null ? `It is not as good with ${read.most} either.` : `About ${number(read.needed, 0)}, read between the measured points.`}<//>`}
    <h3>A rate that destroys</h3><p>Find a rate at which fine-tuning ends below the frozen network.</p>
    <p class="row">${["0.1", "1", "10", "100"].map((each) => html`<label class="inline" key=${each}><input type="radio" name="factor" checked=${factor === each} onChange=${() => setFactor(each)} /> ${each} × the usual rate</label>`)}
    <button class="go" disabled=${busy} onClick=${() => go("destroy", { factor: Number(factor) }, setLost)}>Fine-tune</button> <span class="fine" role="status">${said}</span></p>
    ${lost && html`<${Told} right=${lost.right}>Fine-tuned: ${number(lost.tuned, 3)}; frozen: ${number(lost.frozen, 3)}, with ${lost.examples} examples. ${lost.right ? "What was learned before is gone." : "What was learned before is still there."}<//>`}`;
}

teach(html`<${Transfer} />`);
