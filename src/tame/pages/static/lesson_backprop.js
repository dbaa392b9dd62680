// @ts-check
// Lesson 6: a network of two inputs, three units and one output, with its numbers on the edges; two derivatives by hand.
import { Told, Waits, ask, teach, useAsk } from "./lesson.js";
import { html, number, useEffect, useState } from "./ui.js";

const XS = [70, 300, 540], HIGH = 330, TWO = [95, 235], THREE = [55, 165, 275];
const AT = [0.26, 0.46];  // where the weights of an input stand on their edges, so that none lies on another
const said = (/** @type {string} */ edge) => (edge[0] === "v" ? `from unit ${edge[1]} to the output` : `from input ${edge[1]} to unit ${edge[2]}`);

/** @param {{net: any}} props */
function Drawing({ net }) {
  const label = (/** @type {number} */ x, /** @type {number} */ y, /** @type {unknown} */ text, kind = "") => html`<text class=${kind} x=${x} y=${y} text-anchor="middle">${text}</text>`;
  return html`<figure class="plane"><svg viewBox=${`0 0 640 ${HIGH}`} role="img" aria-label="The network with its weights and values">
    ${TWO.map((y, i) => THREE.map((z, j) => html`<g key=${`w${i}${j}`} class=${net.edges.includes(`w${i + 1}${j + 1}`) ? "edge asked" : "edge"}><line x1=${XS[0]} y1=${y} x2=${XS[1]} y2=${z} />${label(XS[0] + AT[i] * (XS[1] - XS[0]), y + AT[i] * (z - y) - 5, number(net.w[i][j], 1), "weight")}</g>`))}
    ${THREE.map((z, j) => html`<g key=${`v${j}`} class=${net.edges.includes(`v${j + 1}`) ? "edge asked" : "edge"}><line x1=${XS[1]} y1=${z} x2=${XS[2]} y2=${HIGH / 2} />${label((XS[1] + XS[2]) / 2, (z + HIGH / 2) / 2 - 6, number(net.v[j], 1), "weight")}</g>`)}
    ${TWO.map((y, i) => html`<circle class="node" cx=${XS[0]} cy=${y} r="25" />${label(XS[0], y + 4, number(net.x[i], 1))}${label(XS[0], y + 42, net.names[i].slice(0, 16), "fine")}`)}
    ${THREE.map((z, j) => html`<circle class="node" cx=${XS[1]} cy=${z} r="29" />${label(XS[1], z - 2, number(net.inside[j], 2), "fine")}${label(XS[1], z + 14, number(net.outside[j], 2))}`)}
    <circle class="node" cx=${XS[2]} cy=${HIGH / 2} r="29" />${label(XS[2], HIGH / 2 + 4, number(net.output, 3))}${label(XS[2], HIGH / 2 + 50, `target ${number(net.target, 1)}`, "fine")}${label(XS[2], HIGH / 2 + 68, `loss ${number(net.loss, 4)}`, "fine")}
  </svg><figcaption class="fine">In each unit: the sum above, what is let through below. The two edges that are asked for are drawn in colour.</figcaption></figure>`;
}

/** @param {{seed: number, edge: string}} props */
function Asked({ seed, edge }) {
  const [value, setValue] = useState("");
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [go, told, busy] = useAsk();
  const own = Number(value.replace("−", "-")), isNumber = value.trim() !== "" && Number.isFinite(own);
  const send = (/** @type {Event} */ e) => { e.preventDefault(); if (isNumber) go("derivative", { seed, edge, value: own }, setFound); };
  return html`<form onSubmit=${send}><label>The derivative of the loss with respect to the weight ${said(edge)}: <input name=${edge} inputmode="decimal" autocomplete="off" value=${value} onInput=${(/** @type {any} */ e) => { setValue(e.target.value); setFound(null); }} /></label>
    <button disabled=${busy}>Check</button> <span class="fine" role="status">${value.trim() && !isNumber ? "Write a number, such as -0.25." : told}</span>
    ${found && html`<${Told} right=${found.right}>${found.right ? `It is ${number(found.key, 4)}.` : "Multiply the slopes along the way back, as told below."} Moving the weight by ${found.nudge} to both sides gives ${found.right ? number(found.by_difference, 4) : "the same as the chain rule"}.<//>`}</form>`;
}

function Backprop() {
  const [seed, setSeed] = useState(0);
  const [net, setNet] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState("");
  useEffect(() => { ask("network", { seed }).then(setNet, (p) => setProblem(p.message)); }, [seed]);
  if (!net) return html`<${Waits} problem=${problem} />`;
  return html`${net.why && html`<p class="note">${net.why}</p>`}<p>One of your examples goes through a small network with weights drawn at random. Compute two derivatives by hand.</p><${Drawing} net=${net} />
    ${net.edges.map((/** @type {string} */ edge) => html`<${Asked} key=${`${seed}${edge}`} seed=${seed} edge=${edge} />`)}
    <p class="row"><button onClick=${() => setSeed(seed + 1)}>Another example and other weights</button></p>`;
}

teach(html`<${Backprop} />`);
