// @ts-check
// Lesson 10: frozen, fine-tuned and from scratch with few examples; how many scratch needs; a rate that destroys.
import { Lines, Told, Waits, teach, useAsk, useAsked } from "./lesson.js";
import { html, number, useState } from "./ui.js";

function Transfer() {
  const [found, problem] = useAsked("few");
  const [answer, setAnswer] = useState("");
  const [read, setRead] = useState(/** @type {any} */ (null));
  const [factor, setFactor] = useState("1");
  const [lost, setLost] = useState(/** @type {any} */ (null));
  const [go, said] = useAsk();
  if (!found) return html`<${Waits} problem=${problem} what="Training the old network and the new ones; a few seconds…" />`;
  const send = (/** @type {Event} */ e) => { e.preventDefault(); const own = Number(answer); if (answer.trim() && Number.isFinite(own)) go("reading", { examples: own }, setRead); };
  return html`<h3>A new question</h3><p>A network was trained to tell all classes apart on ${found.trained_on} of your examples. Now it is asked only for <strong>${found.name}</strong>, with few of the others. Balanced accuracy, mean of ${found.times} draws:</p>
    <${Lines} label="Balanced accuracy by number of new examples, three ways" x="new examples" lines=${Object.entries(found.curves).map(([name, values]) => ({ name, values, xs: found.sizes }))} />
    <form onSubmit=${send}><label>How many examples does the network from scratch need to be as good as the frozen one with ${found.sizes[0]}? Write more than ${found.sizes.at(-1)} if it never is. <input name="examples" inputmode="decimal" value=${answer} onInput=${(/** @type {any} */ e) => setAnswer(e.target.value)} /></label><button>Answer</button> <span class="fine" role="status">${said || (answer && !Number.isFinite(Number(answer)) ? "Write a number, such as 50." : "")}</span></form>
    ${read && html`<${Told} right=${read.right}>${read.needed === null ? `It is not as good with ${read.most} either.` : `About ${number(read.needed, 0)}, read between the measured points.`}<//>`}
    <h3>A rate that destroys</h3><p>Find a rate at which fine-tuning ends below the frozen network.</p>
    <p class="row">${["0.1", "1", "10", "100"].map((each) => html`<label class="inline" key=${each}><input type="radio" name="factor" checked=${factor === each} onChange=${() => setFactor(each)} /> ${each} × the usual rate</label>`)}
    <button class="go" onClick=${() => go("destroy", { factor: Number(factor) }, setLost)}>Fine-tune</button></p>
    ${lost && html`<${Told} right=${lost.right}>Fine-tuned: ${number(lost.tuned, 3)}; frozen: ${number(lost.frozen, 3)}, with ${lost.examples} examples. ${lost.right ? "What was learned before is gone." : "What was learned before is still there."}<//>`}`;
}

teach(html`<${Transfer} />`);
