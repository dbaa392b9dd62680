// @ts-check
// The list of studies: which there are, whether they are well, and two of them to compare.
import { Chip, api, begin, html, inAddress, keepInAddress, useEffect, useState, whileSeen } from "./ui.js";

const EVERY_MS = 2000;

/** @param {{view: any}} props */
function Score({ view }) {
  if (view.score) return html`${view.metric.words} <strong>${view.score.words}</strong><span class="fine">${view.score.span}</span>`;
  if (view.best) return html`${view.metric.words} ${view.best.words}<span class="fine">validation, not final</span>`;
  return "";
}

function Studies() {
  const [studies, setStudies] = useState(/** @type {any[]|null} */ (null));
  const [problem, setProblem] = useState("");
  const [word, setWord] = useState(inAddress("find", ""));
  const [picked, setPicked] = useState(/** @type {string[]} */ ([]));
  useEffect(() => whileSeen(() => {
    const look = () => api("/api/studies").then((found) => { setStudies(found.studies); setProblem(""); }, (e) => setProblem(e.message));
    look();
    const timer = setInterval(look, EVERY_MS);
    return () => clearInterval(timer);
  }), []);
  const find = (/** @type {string} */ text) => { setWord(text); keepInAddress("find", text, ""); };
  const pick = (/** @type {string} */ id) => setPicked(picked.includes(id) ? picked.filter((one) => one !== id) : [...picked.slice(-1), id]);
  if (studies === null) return html`<h1>Studies</h1><p>${problem || "Looking…"}</p>`;
  const shown = studies.filter((view) => view.name.toLowerCase().includes(word.toLowerCase()));
  return html`
    <h1>Studies</h1>
    ${problem && html`<p class="note problem" role="alert">${problem}</p>`}
    ${studies.length === 0 ? html`<${Empty} />` : html`
      <div class="row">
        <label>Find <input type="search" value=${word} onInput=${(/** @type {any} */ e) => find(e.target.value)} /></label>
        ${picked.length === 2
          ? html`<a class="button" href=${`/compare?a=${picked[0]}&b=${picked[1]}`}>Compare these two</a>`
          : html`<span class="fine">Tick two studies to compare them.</span>`}
      </div>
      <table class="list stacked studies">
        <thead><tr><th><span class="unseen">Compare</span></th><th>Study</th><th>State</th><th>Score</th><th>Gravest finding</th></tr></thead>
        <tbody>${shown.map((view) => html`<tr key=${view.id}>
          <td><input type="checkbox" aria-label=${`Compare ${view.name}`} checked=${picked.includes(view.id)} onChange=${() => pick(view.id)} /></td>
          <td><a href=${`/s/${view.id}`}>${view.name}</a>${view.seq > 0 && html`<span class="fine">${[view.kind, view.recipes].filter(Boolean).join(", ")}</span>`}</td>
          <td><${Chip} life=${view.life}>${view.words}<//>
            <span class="fine">${view.problem || view.now || [view.clock.words, view.when].filter(Boolean).join("; ")}</span></td>
          <td><${Score} view=${view} /></td>
          <td>${view.findings[0]?.title ?? ""}</td>
        </tr>`)}</tbody>
      </table>`}`;
}

function Empty() {
  return html`<p>No studies here yet. Begin one in a terminal; it appears here by itself:</p>
    <pre class="command">tame demo
tame fit photos/ --time 5m
tame fit data.csv --target COLUMN</pre>
    <p>Or <a href="/teach">teach a machine</a> to tell your own pictures apart, here in the browser, or see <a href="/learn">how training works</a>.</p>`;
}

begin(html`<${Studies} />`);
