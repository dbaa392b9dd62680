// @ts-check
// A study while it runs: where the loop stands, its clock, its curves, what it did and why, and what can be asked of it.
import { Curves } from "./chart.js";
import { Aloud, Chip, Command, Findings, api, begin, clockText, html, inAddress, keepInAddress, useEffect, useRef, useState, whileSeen } from "./ui.js";

const STUDY = document.getElementById("app")?.dataset.study ?? "";
const STAGES = { T: "Test", A: "Adjust", M: "Monitor", E: "Evaluate" };
const FIELDS = { loss: "Validation loss", train: "Training loss", metric: "Metric" };
const ASKS = { pause: "Pause", go_on: "Go on", stop: "Stop and evaluate", time: "2 more minutes" };
const OVER = ["finished", "failed", "imported", "stopped", "killed", "unreadable"];
const MOST_LINES = 400;
const MOST_LIVE = 120;
const CURVES_MS = 1000;
const AGAIN_MS = 2000;

/** What the server tells, as it comes. */
function useStudy() {
  const [state, setState] = useState(/** @type {any} */ (null));
  const [lines, setLines] = useState(/** @type {any[]} */ ([]));
  const [live, setLive] = useState(/** @type {number[][]} */ ([]));
  const [lost, setLost] = useState("");
  const last = useRef(0);
  useEffect(() => whileSeen(() => {
    /** @type {EventSource} */
    let source;
    /** @type {ReturnType<typeof setTimeout>} */
    let timer;
    const open = () => {
      source = new EventSource(`/api/s/${STUDY}/events?after=${last.current}`);
      source.onopen = () => setLost("");
      source.onerror = () => {
        setLost((before) => before || "The server does not answer.");
        if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
        api(`/api/s/${STUDY}/state`).catch((problem) => { if (source.readyState === EventSource.CLOSED) setLost(problem.message); });
        timer = setTimeout(open, AGAIN_MS);
      };
      source.addEventListener("state", (e) => setState(JSON.parse(e.data)));
      source.addEventListener("lines", (e) => {
        last.current = Number(e.lastEventId);
        const fresh = JSON.parse(e.data);
        if (fresh.length) setLines((before) => [...before.filter((one) => one.id < fresh[0].id), ...fresh].slice(-MOST_LINES));
      });
      source.addEventListener("live", (e) => {
        const told = JSON.parse(e.data);
        if (told.points.length) setLive((before) => [...before, ...told.points].slice(-MOST_LIVE));
      });
    };
    open();
    return () => { clearTimeout(timer); source.close(); };
  }), []);
  return { state, lines, live, lost };
}

/** @param {{field: string, version: string}} props */
function useCurves({ field, version }) {
  const [found, setFound] = useState(/** @type {any} */ (null));
  const asked = useRef(-CURVES_MS);
  useEffect(() => {
    if (!version) return undefined; // nothing is known yet
    const wait = Math.max(0, asked.current + CURVES_MS - performance.now()); // a clock that nobody sets
    const timer = setTimeout(() => {
      asked.current = performance.now();
      api(`/api/s/${STUDY}/curves?field=${field}`).then(setFound, () => {});
    }, wait);
    return () => clearTimeout(timer);
  }, [field, version]);
  return found;
}

/** @param {{clock: any, when: string, isOver: boolean}} props */
function Clock({ clock, when, isOver }) {
  const [now, setNow] = useState(0);
  const since = useRef(performance.now());
  useEffect(() => {
    since.current = performance.now();
    setNow(0);
    if (!clock.runs) return undefined;
    const timer = setInterval(() => setNow((performance.now() - since.current) / 1000), 500);
    return () => clearInterval(timer);
  }, [clock.used_s, clock.runs]);
  const used = clock.used_s + now;
  if (isOver) return html`<span class="clock">${[clock.words, when].filter(Boolean).join("; ")}</span>`;
  if (clock.given_s === null) return html`<span class="clock">${clockText(used)} used, no clock</span>`;
  const left = Math.max(0, clock.given_s - used);
  const kept = clock.kept_s ? `; ${clockText(clock.kept_s)} of it are kept for the end` : "";
  return html`<span class="clock"><progress max=${clock.given_s} value=${Math.min(used, clock.given_s)} aria-label="Time used"></progress>
    <span title=${`${clockText(used)} of ${clockText(clock.given_s)} used${kept}`}>${clockText(left)} left of ${clockText(clock.given_s)}</span></span>`;
}

/** Asks something of the study, and tells what came of it. @param {any[]} lines */
function useAsk(lines) {
  const [said, setSaid] = useState("");
  const [waits, setWaits] = useState("");
  const answered = [...lines].reverse().find((one) => one.kind === "answered");
  useEffect(() => { if (answered) { setWaits(""); setSaid(`${answered.words}: ${answered.reason}`); } }, [answered?.id]);
  const ask = (/** @type {{what: string, seconds?: number, code?: string}} */ wish) => {
    setWaits(wish.what);
    setSaid("Asked; the study answers after its next step.");
    api(`/api/s/${STUDY}/ask`, wish).catch((problem) => { setWaits(""); setSaid(problem.message); });
  };
  return { said, waits, ask };
}

/** The buttons, and what came of the last one. @param {{view: any, asking: ReturnType<typeof useAsk>}} props */
function Asks({ view, asking }) {
  const { said, waits, ask } = asking;
  const shown = view.ask.filter((/** @type {string} */ what) => what in ASKS);
  return html`<div class="row">
    ${shown.map((/** @type {keyof typeof ASKS} */ what) => html`<button key=${what} disabled=${waits === what} onClick=${() => ask(what === "time" ? { what, seconds: 120 } : { what })}>${ASKS[what]}</button>`)}
    <span class="fine said" role="status">${said}</span></div>`;
}

/** @param {{seal: any}} props */
function Seal({ seal }) {
  const shape = seal.open ? "M7 13V9a5 5 0 0 1 9.6-2" : "M7 13V9a5 5 0 0 1 10 0v4";
  return html`<p class=${`seal ${seal.open ? "open" : ""}`}><svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" aria-hidden="true"><path d=${shape} /><rect x="5" y="12" width="14" height="9" rx="2" /></svg><span>${seal.words}</span></p>`;
}

/** @param {{view: any}} props */
function Facts({ view }) {
  const best = view.best, own = view.default;
  return html`<dl class="facts">
    ${view.score && html`<div><dt>On the sealed test part</dt><dd>${view.metric.words} ${view.score.words}<small>${view.score.span}, ${view.score.examples}</small></dd></div>`}
    ${best && html`<div><dt>${view.life === "finished" ? "Best of the search" : "Best so far"}</dt><dd>${best.words}<small>validation ${view.metric.words} of trial ${best.trial}, loss ${best.loss_words}; not a final score</small></dd></div>`}
    ${own && html`<div><dt>The default recipe</dt><dd>${own.words}<small>trial ${own.trial}, epoch ${own.epochs}</small></dd></div>`}
    <div><dt>Recipes</dt><dd>${view.trials.toLocaleString()}<small>${view.counts || "none has begun"}</small></dd></div>
    <div><dt>Epochs trained</dt><dd>${view.epochs.toLocaleString()}</dd></div>
  </dl>`;
}

/** What to do next. @param {{next: any}} props */
function Next({ next }) {
  if (!next) return null;
  return html`<div class="note"><p>${next.words}</p>${next.command && html`<${Command} text=${next.command} />`}</div>`;
}

/** @param {{lines: any[]}} props */
function Story({ lines }) {
  const [only, setOnly] = useState(inAddress("only", "all"));
  const kinds = { all: "All", decision: "Decisions", finding: "Findings", cases: "Cases" };
  const fits = (/** @type {any} */ one) => only === "all" || one.kind === only || (only === "cases" && ["prescribed", "remedied"].includes(one.kind));
  const choose = (/** @type {string} */ kind) => { setOnly(kind); keepInAddress("only", kind, "all"); };
  return html`<section aria-label="What TAME did and why"><h2>What TAME did and why</h2>
    <div class="row">${Object.entries(kinds).map(([kind, words]) => html`<button key=${kind} aria-pressed=${only === kind} onClick=${() => choose(kind)}>${words}</button>`)}</div>
    <ol class="lines" tabindex="0">${[...lines].reverse().filter(fits).slice(0, 150).map((one) => html`
      <li key=${one.id} class=${`${one.kind} ${one.severity ?? ""}`}><time datetime=${one.at} title=${new Date(one.at).toLocaleString()}>${new Date(one.at).toLocaleTimeString()}</time>${one.words}${one.reason && html`<br /><span class="fine">${one.reason}</span>`}</li>`)}
      ${lines.length === 0 && html`<li class="fine">Nothing yet.</li>`}</ol></section>`;
}

/** What is read aloud: where it stands, and the last that was found. @param {any} view @param {any[]} lines */
function heard(view, lines) {
  return [view.words, view.now, [...lines].reverse().find((one) => one.kind === "finding")?.words].filter(Boolean).join(". ");
}

function Watch() {
  const { state: view, lines, live, lost } = useStudy();
  const [field, setField] = useState(inAddress("field", "loss"));
  const [isLog, setLog] = useState(inAddress("log", "") === "1");
  const asking = useAsk(lines);
  const found = useCurves({ field, version: view ? `${view.epochs} ${view.trials} ${view.life}` : "" });
  if (!view) return html`<p role="status">${lost || "Looking…"}</p>`;
  if (view.life === "unreadable" && view.seq === 0) { // nothing is known, so nothing is claimed
    return html`<h1>${view.name}</h1><div class="row"><${Chip} life=${view.life}>${view.words}<//></div><p class="note problem" role="alert">${view.problem}</p>`;
  }
  const dots = live.map((one) => [one[1], field === "loss" ? one[3] : field === "train" ? one[2] : one[4]]).filter((one) => one[1] !== null);
  const choose = (/** @type {string} */ name) => { setField(name); keepInAddress("field", name, "loss"); };
  const turn = () => { setLog(!isLog); keepInAddress("log", isLog ? "" : "1", ""); };
  document.title = `${view.words}: ${view.name} · TAME`;
  const label = field === "metric" ? `Validation ${view.metric.words}` : FIELDS[/** @type {keyof typeof FIELDS} */ (field)];
  return html`
    <div class="head"><h1>${view.name}</h1>
      <div class="row"><${Chip} life=${lost ? "lost" : view.life}>${lost ? "lost contact; trying again" : view.words}<//><${Clock} clock=${view.clock} when=${view.when} isOver=${OVER.includes(view.life)} /></div>
      <ol class="stages row" aria-label="The loop">${Object.entries(STAGES).map(([key, words]) => html`<li key=${key} class=${view.stage === key ? "now" : ""} aria-current=${view.stage === key ? "step" : undefined}>${words}</li>`)}</ol>
      <${Asks} view=${view} asking=${asking} /></div>
    <p>${view.now}</p><${Aloud} text=${lost || heard(view, lines)} />
    ${lost && html`<p class="note">${lost}</p>`}
    ${view.problem && html`<p class="note problem" role="alert">${view.problem}</p>`}
    ${view.life !== "finished" && html`<${Next} next=${view.next} />`}
    <${Facts} view=${view} />${view.seal.words && html`<${Seal} seal=${view.seal} />`}
    ${view.life === "finished" && html`${view.verdict && html`<p class="verdict">${view.verdict}</p>`}<${Next} next=${view.next} />`}
    <div class="grid"><section aria-label="Curves"><h2>${label}</h2>
      <div class="row">${Object.entries(FIELDS).map(([name, words]) => html`<button key=${name} aria-pressed=${field === name} onClick=${() => choose(name)}>${words}</button>`)}
        <button aria-pressed=${isLog} onClick=${turn}>Log scale</button></div>
      ${found && found.curves.length ? html`<${Curves} found=${found} live=${dots} isLog=${isLog} label=${label} />` : html`<p class="fine">No epoch has ended yet.</p>`}
      ${view.findings.length > 0 && html`<h2>Findings</h2><${Findings} found=${view.findings} mute=${view.ask.includes("mute") ? (/** @type {string} */ code) => asking.ask({ what: "mute", code }) : undefined} />`}
      ${view.forecast.length > 0 && html`<h2>Forecast</h2>${view.forecast.map((/** @type {string} */ words) => html`<p key=${words} class="fine">${words}</p>`)}`}
    </section><${Story} lines=${lines} /></div>`;
}

begin(html`<${Watch} />`);
