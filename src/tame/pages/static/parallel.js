// @ts-check
// Parallel coordinates: lines on a canvas, over them axes with edges that can be dragged or moved by the arrow keys.
// Source: Inselberg, The plane with parallel coordinates (1985).
import { html, number, useEffect, useRef, useState } from "./ui.js";

const HIGH = 420, TOP = 92, BOTTOM = 64; // pixels; beyond an edge there is room to drag it into
const LEAST_APART = 116; // pixels between two axes, below which the chart is scrolled
const ROOM = 48; // pixels by which an edge is dragged to make its range twice as long
const STEP = 0.1; // of a range, by an arrow key
const MOST_BEYOND = 1; // ranges, to which an edge goes beyond itself
const LETTERS = 15;

/** The colour of a token of the style. @param {string} name */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** The value at u of an axis, which may lie beyond its ends; two digits, and never inside of them.
 * @param {any} axis @param {number} u */
function valueAt(axis, u) {
  const own = axis.log ? Math.exp(Math.log(axis.low) + u * Math.log(axis.high / axis.low)) : axis.low + u * (axis.high - axis.low);
  const short = axis.kind === "whole" ? Math.round(own) : Number(own.toPrecision(2));
  return u < 0 ? Math.min(short, axis.low) : Math.max(short, axis.high);
}

/** Places of the losses on an axis of their own, on which the worst few share the end. @param {any[]} lines */
function lossAxis(lines) {
  const known = lines.map((line) => line.loss).filter((loss) => loss !== null).sort((a, b) => a - b);
  const low = known[0] ?? 0, top = known[Math.floor(0.9 * (known.length - 1))] ?? 1;
  const high = top > low ? top : low + 1;
  const at = (/** @type {number|null} */ loss) => (loss === null ? 1 : Math.min(1, (loss - low) / (high - low)));
  return { at, ticks: [[0, number(low)], [1, `${number(high)}+`]] };
}

/** turn: another number puts all edges back. @param {{found: any, turn: number, move: (moved: import("./space.js").Moved) => void}} props */
export function Parallel({ found, turn, move }) {
  const box = useRef(/** @type {HTMLDivElement|null} */ (null));
  const canvas = useRef(/** @type {HTMLCanvasElement|null} */ (null));
  const [wide, setWide] = useState(0);
  useEffect(() => {
    const own = box.current;
    if (!own) return undefined;
    const watcher = new ResizeObserver(() => setWide(own.clientWidth));
    watcher.observe(own);
    return () => watcher.disconnect();
  }, []);
  const count = found.axes.length + 1;
  const width = Math.max(wide, LEAST_APART * count);
  const x = (/** @type {number} */ i) => LEAST_APART / 2 + i * (width - LEAST_APART) / Math.max(count - 1, 1);
  const y = (/** @type {number} */ u) => HIGH - BOTTOM - u * (HIGH - TOP - BOTTOM);
  const loss = lossAxis(found.lines);
  useEffect(() => {
    const own = canvas.current;
    if (own && wide) draw(own, width, found.lines, { x, y, loss: loss.at });
  }, [found, width, wide > 0]);
  return html`<div class="scroll parallel" ref=${box} tabindex="0" role="region" aria-label="All trials over the dimensions">
    <div class="axes" style=${{ width: `${width}px`, height: `${HIGH}px` }}>
      <canvas ref=${canvas} aria-hidden="true" style=${{ width: `${width}px`, height: `${HIGH}px` }}></canvas>
      <svg width=${width} height=${HIGH} viewBox=${`0 0 ${width} ${HIGH}`} role="group" aria-label="Axes">
        ${found.axes.map((/** @type {any} */ axis, /** @type {number} */ i) => html`<${Axis} key=${axis.name} axis=${axis} x=${x(i)} y=${y} isOpen=${found.is_open && axis.kind !== "choice"} turn=${turn} move=${move} />`)}
        <g><line x1=${x(count - 1)} x2=${x(count - 1)} y1=${y(0)} y2=${y(1)} class="post" /><text x=${x(count - 1)} y="20" class="name" text-anchor="middle">validation loss</text>
          ${loss.ticks.map(([u, words]) => html`<text key=${u} x=${x(count - 1) + 6} y=${y(Number(u)) + 4}>${words}</text>`)}</g>
      </svg></div></div>
    <ul class="legend"><li class="best"><i></i>the best, trial ${found.lines[0].trial}</li><li class="default"><i></i>the default recipe</li><li class="tenth"><i></i>the best tenth</li><li><i></i>the others</li></ul>`;
}

/** @param {HTMLCanvasElement} canvas @param {number} width @param {any[]} lines @param {{x: (i: number) => number, y: (u: number) => number, loss: (loss: number|null) => number}} at */
function draw(canvas, width, lines, { x, y, loss }) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  canvas.width = width * ratio;
  canvas.height = HIGH * ratio;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.scale(ratio, ratio);
  const tenth = Math.max(1, Math.round(lines.length / 10));
  lines.map((line, i) => ({ line, i })).reverse().forEach(({ line, i }) => {
    const isBest = i === 0, isDefault = line.origin === "default";
    pen.strokeStyle = colour(isBest ? "--winner" : isDefault ? "--default" : i < tenth ? "--ink" : "--other");
    pen.lineWidth = isBest ? 3 : isDefault ? 2 : 1;
    pen.globalAlpha = isBest || isDefault ? 1 : i < tenth ? 0.55 : 0.35;
    pen.beginPath();
    let isDown = false;
    [...line.places, loss(line.loss)].forEach((u, place) => {
      if (u === null) { isDown = false; return; }
      if (isDown) pen.lineTo(x(place), y(u)); else pen.moveTo(x(place), y(u));
      isDown = true;
    });
    pen.stroke();
  });
}

/** @param {{axis: any, x: number, y: (u: number) => number, isOpen: boolean, turn: number, move: (moved: any) => void}} props */
function Axis({ axis, x, y, isOpen, turn, move }) {
  const label = axis.label.length > LETTERS ? `${axis.label.slice(0, LETTERS - 1)}…` : axis.label;
  return html`<g><title>${axis.label}</title><line x1=${x} x2=${x} y1=${y(0)} y2=${y(1)} class="post" /><text x=${x} y="20" class="name" text-anchor="middle">${label}</text>
    ${axis.ticks.map((/** @type {any} */ tick) => html`<text key=${tick[0]} x=${x + (isOpen ? 13 : 6)} y=${y(tick[0]) + 4}>${tick[1]}</text>`)}
    ${axis.edges?.map((/** @type {any} */ edge) => html`<g key=${edge[1]} class="was"><line x1=${x - 9} x2=${x + 9} y1=${y(edge[0])} y2=${y(edge[0])} /><text x=${x - 11} y=${y(edge[0]) + 4} text-anchor="end">planned ${edge[1]}</text></g>`)}
    ${isOpen && [0, 1].map((end) => html`<${Edge} key=${`${end} ${axis.low} ${axis.high} ${turn}`} axis=${axis} end=${end} x=${x} y=${y(end)} move=${move} />`)}</g>`;
}

/** An edge of a range, to be dragged or moved by the arrow keys; it is asked for with Enter or when it is let go.
 * @param {{axis: any, end: number, x: number, y: number, move: (moved: any) => void}} props */
function Edge({ axis, end, x, y, move }) {
  const [beyond, setBeyond] = useState(0); // ranges
  const from = useRef(/** @type {number|null} */ (null));
  const away = end ? -1 : 1; // down the page is up in pixels
  const value = valueAt(axis, end ? 1 + beyond : -beyond);
  const go = (/** @type {number} */ to) => setBeyond(Math.min(Math.max(to, 0), MOST_BEYOND));
  const ask = () => { if (beyond > 0) move({ name: axis.name, label: axis.label, [end ? "high" : "low"]: value }); };
  const down = (/** @type {any} */ e) => { from.current = e.clientY; e.currentTarget.setPointerCapture(e.pointerId); };
  const drag = (/** @type {PointerEvent} */ e) => { if (from.current !== null) go(away * (e.clientY - from.current) / ROOM); };
  const up = () => { if (from.current !== null) { from.current = null; ask(); } };
  const key = (/** @type {KeyboardEvent} */ e) => {
    const steps = { ArrowUp: 1, ArrowDown: -1 }[e.key];
    if (steps !== undefined) { e.preventDefault(); go(beyond + (end ? steps : -steps) * STEP); }
    if (e.key === "Enter") ask();
    if (e.key === "Escape") go(0);
  };
  const at = y + away * beyond * ROOM;
  return html`<g class="edge" tabindex="0" role="slider" aria-orientation="vertical" aria-label=${`${axis.label}, ${end ? "upper" : "lower"} edge`} aria-valuenow=${value} aria-valuemin=${end ? axis.high : valueAt(axis, -MOST_BEYOND)} aria-valuemax=${end ? valueAt(axis, 1 + MOST_BEYOND) : axis.low} aria-valuetext=${`${value}; Enter asks what it costs`}
    onPointerDown=${down} onPointerMove=${drag} onPointerUp=${up} onPointerCancel=${() => { from.current = null; go(0); }} onKeyDown=${key}>
    <rect x=${x - 16} y=${at - 12} width="32" height="24" class="grip" /><path d=${`M${x - 9} ${at}H${x + 9}M${x - 5} ${at + away * 3}L${x} ${at + away * 8}L${x + 5} ${at + away * 3}`} />
    ${beyond > 0 && html`<line x1=${x} x2=${x} y1=${y} y2=${at} class="more" /><text x=${x} y=${at + away * 18 + 4} text-anchor="middle" class="name">${value}</text>`}</g>`;
}
