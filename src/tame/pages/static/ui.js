// @ts-check
// What all pages share: the template tag, requests, small components.
import { useEffect, useRef, useState } from "./hooks.js";
import { h, render } from "./preact.js";
import htm from "./htm.js";

export const html = htm.bind(h);
export { render };
export { useEffect, useMemo, useRef, useState } from "./hooks.js";

const PATIENCE_MS = 180_000;  // for an answer

/** JSON from our own server; throws an Error with its words. @param {string} path @param {object} [body] */
export async function api(path, body) {
  const change = body === undefined ? {} : {
    method: "POST", body: JSON.stringify(body),
    headers: { "Content-Type": "application/json", "X-Tame": "1" },
  };
  let answer, text;
  try {
    answer = await fetch(path, { credentials: "same-origin", signal: AbortSignal.timeout(PATIENCE_MS), ...change });
    text = await answer.text();
  } catch (problem) {
    const is_late = /** @type {Error} */ (problem).name === "TimeoutError";
    throw new Error(is_late ? "No answer came for three minutes. Try it again." : "The server does not answer. If tame ui has ended, start it again and open the address that it shows.");
  }
  let found;
  try { found = JSON.parse(text); } catch { found = { problem: text.trim() }; }
  if (!answer.ok) throw new Error(sentence(found.problem || `the server answered ${answer.status}`));
  return found;
}

/** @param {string} text */
function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");
}

/** A value of the address, and a function that changes it there: the state of a view can be kept and shared.
 * @param {string} name @param {string} standard */
export function inAddress(name, standard) {
  return new URLSearchParams(location.search).get(name) ?? standard;
}

/** @param {string} name @param {string} value @param {string} standard */
export function keepInAddress(name, value, standard) {
  const own = new URLSearchParams(location.search);
  if (value === standard) own.delete(name); else own.set(name, value);
  const query = own.toString();
  history.replaceState(null, "", query ? `?${query}` : location.pathname);
}

/** A number as people read it. @param {number|null|undefined} value */
export function number(value, digits = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return (Math.abs(value) >= 100 ? value.toPrecision(4) : value.toFixed(digits)).replace("-", "−");
}

/** @param {number} seconds */
export function clockText(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  return whole < 3600 ? `${Math.floor(whole / 60)}:${two(whole % 60)}` : `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

/** @param {{life: string, children?: unknown}} props */
export function Chip({ life, children }) {
  return html`<span class=${`chip ${life}`}>${children}</span>`;
}

const ALOUD_MS = 5000;

/** The newest text for those who hear the page; what changes all the time is read aloud every few seconds only.
 * @param {{text: string}} props */
export function Aloud({ text }) {
  const [said, setSaid] = useState("");
  const last = useRef(-ALOUD_MS);
  useEffect(() => {
    const wait = Math.max(0, last.current + ALOUD_MS - performance.now());
    const timer = setTimeout(() => { last.current = performance.now(); setSaid(text); }, wait);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<p class="unseen" role="status">${said}</p>`;
}

/** A command with a button that copies it. @param {{text: string}} props */
export function Command({ text }) {
  const copy = () => navigator.clipboard?.writeText(text);
  return html`<pre class="command">${text} <button class="plain" onClick=${copy}>copy</button></pre>`;
}

/** mute: what leaves a finding out; without it none can be. @param {{found: any, mute?: (code: string) => void}} props */
export function Findings({ found, mute }) {
  return html`<ul class="findings">${found.map((/** @type {any} */ each) => html`
    <li class=${each.severity} key=${each.code + each.trial}>
      <strong>${each.title}</strong>${each.trial !== null && html` <span class="fine">trial ${each.trial}</span>`} ${each.evidence}
      ${each.change && html` <span class="fine">${each.to_do}: ${each.change} ${each.outcome}</span>`}
      ${mute && each.can_mute && html` <button class="plain" aria-label=${`Leave out: ${each.title}`} onClick=${() => mute(each.code)}>leave it out</button>`}
    </li>`)}</ul>`;
}

/** Begins a page in the place of what the server wrote. @param {any} part */
export function begin(part) {
  const root = /** @type {HTMLElement} */ (document.getElementById("app"));
  root.replaceChildren();
  render(part, root);
}

/** Calls back now and whenever the page is seen again; what it returns is called when it is hidden. A hidden page holds
 * no connection: a browser has few of them for one server. @param {() => () => void} start */
export function whileSeen(start) {
  /** @type {(() => void) | null} */
  let stop = document.hidden ? null : start();
  const turn = () => {
    if (document.hidden) { stop?.(); stop = null; } else if (!stop) stop = start();
  };
  document.addEventListener("visibilitychange", turn);
  return () => { document.removeEventListener("visibilitychange", turn); stop?.(); };
}
