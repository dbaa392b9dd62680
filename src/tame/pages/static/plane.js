// @ts-check
// A slice of the loss: contour lines, the paths in it, and an arrow that the learner turns.
import { COLOURS } from "./lesson.js";
import { html, number } from "./ui.js";

const SIZE = 460, LEVELS = 14, HEAD = 18;

/** The lines along which a grid has a level, as the path of an SVG. Marching squares (Lorensen and Cline, 1987).
 * @param {number[][]} rows @param {number} level @param {(i: number) => number} px @param {(j: number) => number} py */
function contour(rows, level, px, py) {
  let text = "";
  const cut = (/** @type {number} */ from, /** @type {number} */ to) => (level - from) / (to - from);
  for (let j = 0; j + 1 < rows.length; j++) for (let i = 0; i + 1 < rows[j].length; i++) {
    const [a, b, c, d] = [rows[j][i], rows[j][i + 1], rows[j + 1][i + 1], rows[j + 1][i]];
    const ends = [];
    if ((a < level) !== (b < level)) ends.push([px(i + cut(a, b)), py(j)]);
    if ((b < level) !== (c < level)) ends.push([px(i + 1), py(j + cut(b, c))]);
    if ((d < level) !== (c < level)) ends.push([px(i + cut(d, c)), py(j + 1)]);
    if ((a < level) !== (d < level)) ends.push([px(i), py(j + cut(a, d))]);
    for (let k = 0; k + 1 < ends.length; k += 2) text += `M${ends[k].map((v) => v.toFixed(1))}L${ends[k + 1].map((v) => v.toFixed(1))}`;
  }
  return text;
}

/** Levels evenly spread over the logarithms: a valley is flat beside its walls. @param {number[][]} rows */
function levelsOf(rows) {
  const all = rows.flat().filter((v) => v > 0 && Number.isFinite(v));
  const low = Math.log(Math.min(...all)), high = Math.log(Math.max(...all));
  return Array.from({ length: LEVELS }, (_, k) => Math.exp(low + (high - low) * (k + 0.5) / LEVELS));
}

/** shown: how many points of each path are seen; turned: degrees of the learner's arrow from the last point of the first
 * path, null without one; pick: called with the degrees of a click.
 * @param {{found: any, shown: number, turned?: number|null, pick?: ((degrees: number) => void)|null, uphill?: number[]|null, names?: string[], memory?: boolean}} props */
export function Plane({ found, shown, turned = null, pick = null, uphill = null, names = [], memory = false }) {
  const { a, b, losses: rows } = found;
  const wide = a.at(-1) - a[0], high = b.at(-1) - b[0], scale = SIZE / Math.max(wide, high);
  const width = wide * scale, height = high * scale;
  const sx = (/** @type {number} */ v) => (v - a[0]) * scale, sy = (/** @type {number} */ v) => height - (v - b[0]) * scale;
  const gx = (/** @type {number} */ i) => i / (a.length - 1) * width, gy = (/** @type {number} */ j) => height - j / (b.length - 1) * height;
  const first = found.paths[0], last = Math.min(shown, first.points.length) - 1;
  const [x, y] = first.points[last].map((/** @type {number} */ v, /** @type {number} */ k) => (k ? sy : sx)(v));
  const inside = (/** @type {number[]} */ p) => sx(p[0]) >= -1 && sx(p[0]) <= width + 1 && sy(p[1]) >= -1 && sy(p[1]) <= height + 1;
  const long = 0.2 * SIZE;
  const click = (/** @type {any} */ e) => {
    if (!pick) return;
    const box = e.currentTarget.getBoundingClientRect();
    const [cx, cy] = [(e.clientX - box.left) * width / box.width, (e.clientY - box.top) * height / box.height];
    pick(Math.round(Math.atan2(y - cy, cx - x) * 180 / Math.PI + 360) % 360);
  };
  const arrow = (/** @type {number} */ degrees, /** @type {string} */ kind) => {
    const r = degrees * Math.PI / 180, [dx, dy] = [Math.cos(r), -Math.sin(r)];
    const room = Math.min(dx > 0 ? (width - x) / dx : x / -dx || Infinity, dy > 0 ? (height - y) / dy : y / -dy || Infinity);
    const own = Math.max(HEAD, Math.min(long, room - 4)), ex = x + own * dx, ey = y + own * dy;  // its head is to be seen
    const wing = (/** @type {number} */ w) => `L${(ex - 12 * Math.cos(r + w)).toFixed(1)} ${(ey + 12 * Math.sin(r + w)).toFixed(1)}`;
    return html`<path class=${`arrow ${kind}`} d=${`M${x.toFixed(1)} ${y.toFixed(1)}L${ex.toFixed(1)} ${ey.toFixed(1)}${wing(0.4)}M${ex.toFixed(1)} ${ey.toFixed(1)}${wing(-0.4)}`} />`;
  };
  const gone = found.paths.filter((/** @type {any} */ p) => !inside(p.points[Math.min(shown, p.points.length) - 1]) || p.is_lost);
  return html`<figure class="plane"><svg viewBox=${`0 0 ${width} ${height}`} class=${pick ? "pick" : ""} role="img" onClick=${click}
      aria-label=${`A slice of the loss with ${found.paths.length === 1 ? "a descent" : `${found.paths.length} descents`}; the loss is ${number(first.losses[last])} at the last point shown`}>
      ${levelsOf(rows).map((level, k) => html`<path key=${level} class="contour" stroke-opacity=${(0.25 + 0.5 * (1 - k / LEVELS)).toFixed(2)} d=${contour(rows, level, gx, gy)} />`)}
      ${found.paths.map((/** @type {any} */ path, /** @type {number} */ i) => html`<g key=${i} class=${`path ${COLOURS[i % COLOURS.length]}`}>
        <polyline points=${path.points.slice(0, shown).map((/** @type {number[]} */ p) => `${sx(p[0]).toFixed(1)},${sy(p[1]).toFixed(1)}`).join(" ")} />
        ${path.points.slice(0, shown).map((/** @type {number[]} */ p, /** @type {number} */ k) => html`<circle key=${k} cx=${sx(p[0]).toFixed(1)} cy=${sy(p[1]).toFixed(1)} r=${k === 0 ? 6 : 3.2} />`)}
        ${memory && path.velocity && path.velocity[Math.min(shown, path.points.length) - 1].some((/** @type {number} */ v) => v) && remembered(path, Math.min(shown, path.points.length) - 1, sx, sy)}</g>`)}
      ${turned !== null && arrow(turned, "mine")}
      ${uphill && arrow(Math.atan2(uphill[1], uphill[0]) * 180 / Math.PI, "true")}
    </svg><figcaption class="fine">The plane shows ${number(100 * first.share, 0)} % of the movement of the ${found.paths.length > 1 ? "first descent" : "descent"}, of ${found.weights.toLocaleString()} weights. Lines join points of equal loss: the stronger a line, the lower the loss.
      ${names.length > 0 && gone.length > 0 && ` Outside the picture: ${gone.map((/** @type {any} */ p) => names[found.paths.indexOf(p)]).join(", ")}.`}</figcaption></figure>`;
}

/** What an optimizer keeps of earlier gradients, as an arrow against it. @param {any} path @param {number} k @param {(v: number) => number} sx @param {(v: number) => number} sy */
function remembered(path, k, sx, sy) {
  const [va, vb] = path.velocity[k], length = Math.hypot(va, vb) || 1, [a, b] = path.points[k];
  const x = sx(a), y = sy(b);
  return html`<line class="memory" x1=${x} y1=${y} x2=${x - 46 * va / length} y2=${y + 46 * vb / length} />`;
}
