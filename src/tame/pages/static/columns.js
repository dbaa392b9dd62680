// @ts-check
// How the columns of a table are spread, by class: small charts, and the same numbers as tables.
import { api, html, inAddress, keepInAddress, useEffect, useState } from "./ui.js";

const HIGH = 90, WIDE = 260; // pixels of a chart
const TINTS = ["var(--winner)", "var(--default)", "var(--good)", "var(--warning)", "var(--problem)", "var(--other)", "var(--ink)", "var(--soft)", "var(--line)"];

/** @typedef {{name: string, bins: string[], names: string[], counts: number[][], missing: number}} Column */

/** @param {{study: string}} props */
export function Columns({ study }) {
  const [found, setFound] = useState(/** @type {{columns: Column[], n: number}|null} */ (null));
  const [said, setSaid] = useState("Counting…");
  const [asTable, setAsTable] = useState(inAddress("table", "0") === "1");
  useEffect(() => { api(`/api/s/${study}/columns`).then(setFound, (e) => setSaid(e.message)); }, []);
  if (!found) return html`<p role="status">${said}</p>`;
  const turn = () => { setAsTable(!asTable); keepInAddress("table", asTable ? "0" : "1", "0"); };
  const names = found.columns[0]?.names ?? [];
  return html`<div class="row"><button aria-pressed=${asTable} onClick=${turn}>As tables</button>
      <span class="fine">${found.n.toLocaleString()} rows; hidden rows and those that were left out are not counted.</span></div>
    ${names.length > 1 && html`<ul class="legend">${names.map((name, i) => html`<li key=${name}><svg width="12" height="12" aria-hidden="true"><rect width="12" height="12" style=${{ fill: TINTS[i] }} /></svg> ${name}</li>`)}</ul>`}
    <div class="histograms">${found.columns.map((own) => html`<figure key=${own.name}><figcaption><strong>${own.name}</strong>${own.missing > 0 && html` <span class="fine">${own.missing.toLocaleString()} missing</span>`}</figcaption>
      ${asTable ? html`<${Twin} own=${own} />` : html`<${Bars} own=${own} />`}</figure>`)}</div>`;
}

/** Bars of all classes, one on the other. @param {{own: Column}} props */
function Bars({ own }) {
  const sums = own.bins.map((_, bin) => own.counts.reduce((sum, each) => sum + each[bin], 0));
  const most = Math.max(1, ...sums), wide = WIDE / Math.max(1, own.bins.length);
  let said = own.bins.length ? `from ${own.bins[0]} to ${own.bins[own.bins.length - 1]}` : "no values";
  return html`<svg viewBox=${`0 0 ${WIDE} ${HIGH}`} role="img" aria-label=${`${own.name}: ${said}, at most ${most} in one bar`}>
    ${own.bins.map((bin, b) => {
      let top = HIGH;
      return html`<g key=${b}><title>${bin}: ${sums[b]}</title>${own.counts.map((each, i) => {
        const high = HIGH * each[b] / most;
        top -= high;
        return html`<rect key=${i} x=${b * wide + 0.5} y=${top} width=${Math.max(1, wide - 1)} height=${high} style=${{ fill: TINTS[i] }} />`;
      })}</g>`;
    })}</svg>
    <div class="ends fine"><span>${own.bins[0] ?? ""}</span><span>${own.bins.length > 1 ? own.bins[own.bins.length - 1] : ""}</span></div>`;
}

/** @param {{own: Column}} props */
function Twin({ own }) {
  return html`<div class="recipe" tabindex="0"><table class="list"><thead><tr><th>Value</th>${own.names.map((name) => html`<th key=${name} class="n">${name || "rows"}</th>`)}</tr></thead>
    <tbody>${own.bins.map((bin, b) => html`<tr key=${b}><td>${bin}</td>${own.counts.map((each, i) => html`<td key=${i} class="n">${each[b]}</td>`)}</tr>`)}</tbody></table></div>`;
}
