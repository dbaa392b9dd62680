// @ts-check
// The space of a study: all trials over one axis for each dimension, what mattered, and edges that can be moved.
import { Parallel } from "./parallel.js";
import { api, begin, html, number, useEffect, useRef, useState, whileSeen } from "./ui.js";

const STUDY = document.getElementById("app")?.dataset.study ?? "";
const EVERY_MS = 2000;

/** An edge that was moved, and has not been asked for. @typedef {{name: string, label: string, low?: number, high?: number}} Moved */

/** What a wider range costs, before it is asked for. @param {{moved: Moved, leave: () => void, asked: (text: string) => void}} props */
function Cost({ moved, leave, asked }) {
  const [words, setWords] = useState(/** @type {string[]|null} */ (null));
  const [problem, setProblem] = useState("");
  const ends = Object.entries({ low: moved.low, high: moved.high }).filter(([, value]) => value !== undefined);
  const query = ends.map(([end, value]) => `&${end}=${encodeURIComponent(String(value))}`).join("");
  useEffect(() => {
    setWords(null); setProblem("");
    let goes = true;
    api(`/api/s/${STUDY}/space/cost?name=${encodeURIComponent(moved.name)}${query}`).then((found) => { if (goes) setWords(found.words); }, (e) => { if (goes) setProblem(e.message); });
    return () => { goes = false; };
  }, [moved.name, query]);
  const ask = () => api(`/api/s/${STUDY}/ask`, { what: "space", name: moved.name, ...Object.fromEntries(ends) })
    .then(() => { asked("Asked; the study answers between two rounds."); leave(); }, (e) => setProblem(e.message));
  return html`<section class="note" aria-label="What it costs" aria-live="polite">
    <p><strong>${moved.label}: ${ends.map(([end, value]) => `${end === "low" ? "down" : "up"} to ${value}`).join(", ")}</strong></p>
    ${problem ? html`<p>${problem}</p>` : words ? words.map((text) => html`<p key=${text}>${text}</p>`) : html`<p>Looking what it costs…</p>`}
    <div class="row">${words && !problem && html`<button class="go" onClick=${ask}>Search it too</button>`}<button onClick=${leave}>Leave it</button></div></section>`;
}

/** The axes as a table, whose edges can be written. @param {{found: any, move: (moved: Moved) => void}} props */
function Ranges({ found, move }) {
  const [written, setWritten] = useState(/** @type {Record<string, string>} */ ({}));
  const write = (/** @type {string} */ key, /** @type {string} */ value) => setWritten({ ...written, [key]: value });
  const changed = (/** @type {any} */ axis) => {
    /** @type {Moved} */
    const moved = { name: axis.name, label: axis.label };
    const low = written[`${axis.name} low`], high = written[`${axis.name} high`];
    if (low && Number(low) !== axis.low) moved.low = Number(low);
    if (high && Number(high) !== axis.high) moved.high = Number(high);
    return moved.low === undefined && moved.high === undefined ? null : moved;
  };
  const edge = (/** @type {any} */ axis, /** @type {"low"|"high"} */ end) => (found.is_open
    ? html`<input type="number" step="any" size="10" aria-label=${`${axis.label}, ${end === "low" ? "lower" : "upper"} edge`} value=${written[`${axis.name} ${end}`] ?? axis[end]} onInput=${(/** @type {any} */ e) => write(`${axis.name} ${end}`, e.target.value)} />`
    : axis[end]);
  const importance = Object.fromEntries(found.importance.map((/** @type {any} */ one) => [one.name, one]));
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Dimensions"><table class="list ranges"><thead><tr><th>Dimension</th><th>Importance</th><th>From</th><th>To</th><th></th></tr></thead><tbody>
    ${found.axes.map((/** @type {any} */ axis) => {
    const own = importance[axis.name], moved = axis.kind === "choice" ? null : changed(axis);
    return html`<tr key=${axis.name}><th scope="row">${axis.label}${axis.when && html`<span class="fine">only in some recipes</span>`}</th>
      <td>${own ? html`<meter min="0" max="1" value=${own.value} class=${own.is_shown ? "shown" : ""}>${own.value}</meter><span class="fine">${own.words}${own.is_shown ? ", shown" : ""}</span>` : ""}</td>
      ${axis.kind === "choice" ? html`<td colspan="2">${axis.ticks.map((/** @type {any} */ tick) => tick[1]).join(", ")}</td>` : html`<td>${edge(axis, "low")}</td><td>${edge(axis, "high")}${axis.log && html`<span class="fine">log scale</span>`}</td>`}
      <td>${found.is_open && axis.kind !== "choice" && html`<button disabled=${!moved} onClick=${() => moved && move(moved)}>What would it cost?</button>`}</td></tr>`;
  })}</tbody></table></div>`;
}

/** The same for those who do not see the chart. @param {{found: any}} props */
function Twin({ found }) {
  return html`<details><summary>Show the trials as a table</summary><div class="scroll" tabindex="0" role="region" aria-label="Trials of the chart"><table class="list">
    <thead><tr><th class="n">Trial</th><th class="n">Validation loss</th>${found.axes.map((/** @type {any} */ axis) => html`<th key=${axis.name}>${axis.label}</th>`)}</tr></thead>
    <tbody>${found.lines.map((/** @type {any} */ line) => html`<tr key=${line.trial}><td class="n"><a href=${`/s/${STUDY}/trials?trial=${line.trial}`}>${line.trial}</a></td><td class="n">${number(line.loss)}</td>
      ${line.values.map((/** @type {string} */ value, /** @type {number} */ i) => html`<td key=${i}>${value || "–"}</td>`)}</tr>`)}</tbody></table></div></details>`;
}

function Page() {
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [moved, setMoved] = useState(/** @type {Moved|null} */ (null));
  const [turn, setTurn] = useState(0);
  const [said, setSaid] = useState("");
  const seq = useRef(-1), answer = useRef(/** @type {number|null} */ (null));
  const look = () => api(`/api/s/${STUDY}/space?after=${seq.current}`).then((own) => {
    if (own.seq === seq.current) return;
    seq.current = own.seq;
    setFound(own);
    if (answer.current !== null && own.answer && own.answer.id !== answer.current) setSaid(`${own.answer.words}: ${own.answer.reason}`);
    answer.current = own.answer?.id ?? 0;
  }, (e) => setSaid(`The server does not answer: ${e.message}`));
  useEffect(() => whileSeen(() => { look(); const timer = setInterval(look, EVERY_MS); return () => clearInterval(timer); }), []);
  if (!found) return html`<h1>Space</h1><p role="status">${said || "Looking…"}</p>`;
  return html`<h1>Space</h1>
    <p>${found.count.toLocaleString()} trials have measured something; ${found.lines.length === found.count ? "all are drawn" : `${found.lines.length} are drawn, the best and a sample of the others`}.${found.hidden > 0 && ` ${found.hidden} dimensions of the least importance are left out.`}</p>
    ${found.lines.length > 0 && found.axes.length > 0 ? html`<${Parallel} found=${found} turn=${turn} move=${setMoved} />` : html`<p class="fine">No epoch has ended yet, or nothing is searched.</p>`}
    ${moved && html`<${Cost} moved=${moved} leave=${() => { setMoved(null); setTurn(turn + 1); }} asked=${setSaid} />`}
    <p class="said" role="status">${said}</p>
    <h2>What mattered, and where it was searched</h2><p>${found.how}</p>
    ${found.is_open ? html`<p class="fine">A range can be widened while the study searches: drag its edge in the chart, move it with the arrow keys, or write it here. What it costs is shown before anything is asked.</p>` : html`<p class="fine">Ranges can be widened while a study searches. This one does not.</p>`}
    <${Ranges} key=${found.axes.map((/** @type {any} */ axis) => `${axis.low} ${axis.high}`).join()} found=${found} move=${setMoved} />
    <${Twin} found=${found} />`;
}

begin(html`<${Page} />`);
