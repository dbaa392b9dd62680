// @ts-check
// Curves: of a large study the density of all, over it the best, the default and those that were asked for.
import uPlot from "./uplot.js";
import { html, inAddress, keepInAddress, number, useEffect, useRef, useState } from "./ui.js";

/** The colour of a token of the style. @param {string} name */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** The density as a picture, one pixel for each cell. @param {any} density @param {string} tint */
function painted(density, tint) {
  const canvas = document.createElement("canvas");
  canvas.width = density.wide;
  canvas.height = density.high;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.fillStyle = tint;
  pen.fillRect(0, 0, 1, 1);
  const [red, green, blue] = pen.getImageData(0, 0, 1, 1).data;
  const image = pen.createImageData(density.wide, density.high);
  const cells = atob(density.cells);
  for (let i = 0; i < cells.length; i++) image.data.set([red, green, blue, cells.charCodeAt(i) * 0.8], 4 * i);
  pen.putImageData(image, 0, 0);
  return canvas;
}

/** One x axis for all curves, and their values on it. @param {any[]} curves */
function aligned(curves) {
  const epochs = [...new Set(curves.flatMap((one) => one.epochs))].sort((a, b) => a - b);
  const place = new Map(epochs.map((epoch, i) => [epoch, i]));
  const columns = curves.map((one) => {
    /** @type {(number|null)[]} */
    const column = new Array(epochs.length).fill(null);
    one.epochs.forEach((/** @type {number} */ epoch, /** @type {number} */ i) => { column[/** @type {number} */ (place.get(epoch))] = one.values[i]; });
    return column;
  });
  return [epochs, ...columns];
}

/** The lowest and highest value to show: a lost trial must not press all others flat. @param {any} found */
function bounds(found) {
  if (found.density) return [found.density.low, found.density.top];
  const values = found.curves.flatMap((/** @type {any} */ one) => one.values).filter((/** @type {any} */ v) => v !== null).sort((/** @type {number} */ a, /** @type {number} */ b) => a - b);
  if (!values.length) return [0, 1];
  const top = values[Math.min(values.length - 1, Math.floor(values.length * 0.98))];
  return top > values[0] ? [values[0], top] : [values[0] - 0.5, values[0] + 0.5];
}

/** @param {any} found */
function lastEpoch(found) {
  return found.density ? found.density.last : Math.max(2, ...found.curves.map((/** @type {any} */ one) => one.epochs.at(-1) ?? 1));
}

/** The epochs of an address, from and to; null: all of them. @param {string} text @returns {[number, number]|null} */
function zoomOf(text) {
  const [from, to] = text.split("-").map(Number);
  return from >= 1 && to > from ? [from, to] : null;
}

/** The epochs to show. @param {[number, number]|null} zoom @param {number} end @returns {[number, number]} */
function within(zoom, end) {
  return zoom && zoom[0] < end ? [zoom[0], Math.min(zoom[1], end)] : [1, end];
}

/** @param {{found: any, live: number[][], isLog: boolean, label: string}} props */
export function Curves({ found, live, isLog, label }) {
  const place = useRef(/** @type {HTMLDivElement|null} */ (null));
  const points = useRef(live);
  const plot = useRef(/** @type {any} */ (null));
  const zoom = useRef(zoomOf(inAddress("epochs", "")));
  const [isZoomed, setZoomed] = useState(zoom.current !== null);
  points.current = live;
  const look = (/** @type {[number, number]|null} */ epochs) => {
    zoom.current = epochs; // a chart that is drawn again shows what was looked at
    setZoomed(epochs !== null);
    keepInAddress("epochs", epochs ? epochs.map((epoch) => epoch.toFixed(1)).join("-") : "", "");
    plot.current?.setScale("x", { min: 1, max: 2 }); // what it becomes is said by `within`
  };
  useEffect(() => {
    const root = place.current;
    if (!root || !found.curves.length) return undefined;
    const special = { [found.default]: ["--default", 2], [found.best]: ["--winner", 2.5] };
    const last = [...found.curves].sort((a, b) => Number(a.trial in special) - Number(b.trial in special));
    const [low, high] = bounds(found);
    const end = lastEpoch(found);
    const picture = found.density && painted(found.density, colour("--other"));
    const canLog = isLog && low > 0;
    const ink = colour("--soft"), line = colour("--line");
    const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "12px sans-serif" };
    const inside = (/** @type {any} */ u, /** @type {() => void} */ draw) => { // a part of all epochs goes beyond the axes
      u.ctx.save();
      u.ctx.beginPath();
      u.ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
      u.ctx.clip();
      draw();
      u.ctx.restore();
    };
    const under = (/** @type {any} */ u) => {
      if (!picture || canLog) return;
      const left = u.valToPos(1, "x", true), right = u.valToPos(end, "x", true);
      const top = u.valToPos(high, "y", true), bottom = u.valToPos(low, "y", true);
      u.ctx.imageSmoothingEnabled = true;
      inside(u, () => u.ctx.drawImage(picture, left, top, right - left, bottom - top));
    };
    const over = (/** @type {any} */ u) => inside(u, () => {
      u.ctx.fillStyle = colour("--good");
      for (const [epoch, value] of points.current) {
        u.ctx.beginPath();
        u.ctx.arc(u.valToPos(epoch, "x", true), u.valToPos(value, "y", true), 3, 0, 7);
        u.ctx.fill();
      }
    });
    const chosen = (/** @type {any} */ u) => {
      const { left, width } = u.select;
      if (width < 5) return; // a click
      u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      look([Math.max(1, u.posToVal(left, "x")), Math.min(end, u.posToVal(left + width, "x"))]);
    };
    const size = () => ({ width: root.clientWidth, height: Math.max(260, Math.min(380, root.clientWidth * 0.5)) });
    const u = new uPlot({
      ...size(), cursor: { y: false, drag: { setScale: false }, bind: { dblclick: () => () => look(null) } }, legend: { show: false },
      scales: { x: { time: false, range: () => within(zoom.current, end) }, y: { distr: canLog ? 3 : 1, range: canLog ? [low, high] : [low - 0.04 * (high - low), high + 0.04 * (high - low)] } },
      axes: [{ ...axis, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000], label: "epoch", labelFont: "12px sans-serif" }, { ...axis, size: 64 }],
      series: [{}, ...last.map((one) => {
        const [token, width] = special[one.trial] ?? ["--other", 1];
        return { stroke: colour(String(token)), width, alpha: one.trial in special ? 1 : 0.55, points: { show: one.epochs.length === 1 }, spanGaps: true };
      })],
      hooks: { drawAxes: [under], draw: [over], setSelect: [chosen] },
    }, aligned(last), root);
    plot.current = u;
    const watcher = new ResizeObserver(() => u.setSize(size()));
    watcher.observe(root);
    return () => { watcher.disconnect(); u.destroy(); plot.current = null; };
  }, [found, isLog]);
  useEffect(() => plot.current?.redraw(false), [live]);
  const said = `${label} of ${found.count} trials by epoch`;
  return html`<div class="chart" role="img" aria-label=${said} ref=${place}></div>
    <ul class="legend">
      <li class="best"><i></i>best so far, trial ${found.best ?? "–"}${found.best === found.default && ", the default recipe"}</li>
      ${found.default !== null && found.best !== found.default && html`<li class="default"><i></i>the default recipe, trial ${found.default}</li>`}
      <li class=${found.density ? "all" : ""}><i></i>${found.density ? `all ${found.count.toLocaleString()} trials: the darker, the more` : "the other trials"}</li>
      <li class="live"><i></i>measured just now</li>
    </ul>
    ${isZoomed && html`<button onClick=${() => look(null)}>Show all epochs</button>`}
    <details><summary>Show as a table</summary><${Twin} found=${found} label=${label} /></details>`;
}

/** The same for those who do not see the chart. @param {{found: any, label: string}} props */
function Twin({ found, label }) {
  const shown = found.curves.filter((/** @type {any} */ one) => one.trial === found.best || one.trial === found.default);
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${`${label} as a table`}><table class="list">
    <thead><tr><th class="n">Epoch</th>${shown.map((/** @type {any} */ one) => html`<th class="n" key=${one.trial}>Trial ${one.trial}</th>`)}</tr></thead>
    <tbody>${aligned(shown)[0]?.map((/** @type {any} */ epoch, /** @type {number} */ i) => html`<tr key=${epoch}><td class="n">${epoch}</td>
      ${shown.map((/** @type {any} */ one) => { const at = one.epochs.indexOf(epoch); return html`<td class="n" key=${one.trial}>${at < 0 ? "" : number(one.values[at])}</td>`; })}</tr>`)}</tbody>
  </table></div>`;
}
