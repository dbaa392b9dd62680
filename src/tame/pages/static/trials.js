// @ts-check
// All trials as a table of which only the rows that are seen exist, and one trial in detail.
import { Command, Findings, api, begin, html, inAddress, keepInAddress, number, useEffect, useRef, useState, whileSeen } from "./ui.js";

const ROOT = document.getElementById("app");
const STUDY = ROOT?.dataset.study ?? "", METRIC = ROOT?.dataset.metric || "metric";
const HIGH = 37; // pixels of a row
const SPARE = 8; // rows beyond the seen ones
const EVERY_MS = 2000;
const HEADS = { number: "Trial", state: "State", epochs: "Epochs", loss: "Loss", metric: METRIC.charAt(0).toUpperCase() + METRIC.slice(1), origin: "From" };

function Trials() {
  const [sort, setSort] = useState(inAddress("sort", "loss"));
  const [down, setDown] = useState(inAddress("down", "") === "1");
  const [open, setOpen] = useState(inAddress("trial", ""));
  const [view, setView] = useState({ first: 0, most: 40 });
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState("");
  const box = useRef(/** @type {HTMLDivElement|null} */ (null));
  useEffect(() => whileSeen(() => {
    const look = () => api(`/api/s/${STUDY}/trials?sort=${sort}&down=${down ? 1 : 0}&first=${view.first}&most=${view.most}`).then((own) => { setFound(own); setProblem(""); }, (e) => setProblem(e.message));
    look();
    const timer = setInterval(look, EVERY_MS);
    return () => clearInterval(timer);
  }), [sort, down, view.first, view.most]);
  const scrolled = () => {
    const own = box.current;
    if (!own) return;
    const first = Math.max(0, Math.floor(own.scrollTop / HIGH) - SPARE), most = Math.ceil(own.clientHeight / HIGH) + 2 * SPARE;
    if (first !== view.first || most !== view.most) setView({ first, most });
  };
  const by = (/** @type {string} */ name) => {
    const turned = name === sort ? !down : name === "metric";
    setSort(name); setDown(turned);
    keepInAddress("sort", name, "loss"); keepInAddress("down", turned ? "1" : "", "");
  };
  const show = (/** @type {string} */ trial) => { setOpen(trial); keepInAddress("trial", trial, ""); };
  if (!found) return html`<p role="status">${problem || "Looking…"}</p>`;
  const before = found.first * HIGH, after = Math.max(0, (found.count - found.first - found.rows.length) * HIGH);
  return html`<h1>Trials</h1>${problem && html`<p class="note problem" role="alert">${problem}</p>`}
    <form class="row" onSubmit=${(/** @type {Event} */ e) => { e.preventDefault(); show(String(/** @type {any} */ (e.target).elements.trial.value)); }}>
      <label>Go to trial <input name="trial" inputmode="numeric" size="6" /></label> <button>Show</button>
      <span class="fine">${found.count.toLocaleString()} trials, finalists and remedies included</span></form>
    ${open !== "" && html`<${Detail} number=${open} close=${() => show("")} />`}
    <div class="vgrid" ref=${box} onScroll=${scrolled} tabindex="0" role="region" aria-label="All trials">
      <table class="list" aria-rowcount=${found.count}>
        <thead><tr>${Object.entries(HEADS).map(([name, words]) => html`<th key=${name} class=${["state", "origin"].includes(name) ? "" : "n"} aria-sort=${sort === name ? (down ? "descending" : "ascending") : "none"}>
          <button onClick=${() => by(name)}>${words}${sort === name ? (down ? " ↓" : " ↑") : ""}</button></th>`)}<th>Differs in</th><th>Reason</th></tr></thead>
        <tbody><${Gap} high=${before} />
          ${found.rows.map((/** @type {any} */ row, /** @type {number} */ i) => html`<tr key=${row.number} aria-rowindex=${found.first + i + 1}>
            <td class="n"><button class="plain" onClick=${() => show(String(row.number))}>${row.number}</button></td><td>${row.state}</td>
            <td class="n">${row.epochs}/${row.most}</td><td class="n">${number(row.loss)}</td><td class="n">${number(row.metric)}</td><td>${row.origin}</td>
            <td title=${row.changes}>${row.changes || "nothing"}</td><td title=${row.reason}>${row.reason}</td></tr>`)}
          <${Gap} high=${after} /></tbody></table></div>`;
}

/** The rows that are not there, as room. @param {{high: number}} props */
function Gap({ high }) {
  return high > 0 ? html`<tr aria-hidden="true"><td colspan="8" style=${{ height: `${high}px`, padding: 0, border: 0 }}></td></tr>` : null;
}

/** @param {{number: string, close: () => void}} props */
function Detail({ number: own, close }) {
  const [trial, setTrial] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState("");
  useEffect(() => { setTrial(null); setProblem(""); api(`/api/s/${STUDY}/trial/${/^\d{1,9}$/.test(own) ? own : "0"}`).then(setTrial, (e) => setProblem(e.message)); }, [own]);
  if (!trial) return html`<div class="drawer"><p role="status">${problem || "Looking…"}</p><button onClick=${close}>Close</button></div>`;
  return html`<section class="drawer" aria-label=${`Trial ${trial.number}`}>
    <div class="row"><h2>Trial ${trial.number}: ${trial.state}</h2><button onClick=${close}>Close</button></div>
    <p>Began because: ${trial.begun}.${trial.last && html`<br />At last: ${trial.last}.`}</p>
    <p>Loss ${number(trial.loss)}, ${METRIC} ${number(trial.metric)} after ${trial.epochs} of ${trial.most} epochs.</p>
    ${trial.command && html`<${Command} text=${trial.command} />`}
    ${trial.findings.length > 0 && html`<${Findings} found=${trial.findings} />`}
    <details open><summary>Its recipe beside the default one</summary><div class="recipe" tabindex="0"><table class="list"><thead><tr><th>Field</th><th>Here</th><th>Default</th></tr></thead>
      <tbody>${trial.recipe.map((/** @type {any} */ row) => html`<tr key=${row.field} class=${row.differs ? "differs" : ""}><td>${row.name}</td><td>${row.value}</td><td>${row.default}</td></tr>`)}</tbody></table></div></details>
    <details><summary>Its curve as a table</summary><div class="recipe" tabindex="0"><table class="list"><thead><tr><th class="n">Epoch</th><th class="n">Training loss</th><th class="n">Validation loss</th><th class="n">${HEADS.metric}</th></tr></thead>
      <tbody>${trial.points.map((/** @type {number[]} */ p) => html`<tr key=${p[0]}>${p.map((value, i) => html`<td class="n" key=${i}>${i ? number(value) : value}</td>`)}</tr>`)}</tbody></table></div></details>
  </section>`;
}

begin(html`<${Trials} />`);
