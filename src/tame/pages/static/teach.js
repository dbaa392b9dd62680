// @ts-check
// Teach a machine: classes, pictures dropped by the thousand or recorded, one button to train, and what came of it.
import { Live } from "./live.js";
import { Record } from "./record.js";
import { filesOf, sending } from "./sending.js";
import { Chip, Findings, api, begin, html, inAddress, keepInAddress, useEffect, useRef, useState, whileSeen } from "./ui.js";

const SHOWN = 12; // thumbnails of a class
const EVERY_MS = 1000;
const TIMES = { 20: "20 seconds", 60: "1 minute", 180: "3 minutes", 600: "10 minutes" };
const KNOBS = { epochs: "Epochs", batch_size: "Batch size", rate: "Learning rate" };
const BUSY = ["starting", "training", "evaluating", "paused"];
const BEGINS = "Training begins.";

/** @param {{own: any, isOpen: boolean, refresh: () => void, say: (text: string) => void}} props */
function Card({ own, isOpen, refresh, say }) {
  const [over, setOver] = useState(false);
  const [progress, setProgress] = useState(/** @type {any} */ (null));
  const [shown, setShown] = useState(/** @type {string[]} */ ([]));
  useEffect(() => { api(`/api/teach/class/${own.id}/have?most=${SHOWN}`).then((found) => setShown(found.have), () => {}); }, [own.name, own.count]);
  const take = (/** @type {File[]} */ files) => { if (files.length) sending(own.id, setProgress).add(files); };
  const record = (/** @type {string} */ number) => {
    const { add } = sending(own.id, setProgress, number);
    return (/** @type {Blob} */ picture) => add([picture]);
  };
  const drop = async (/** @type {DragEvent} */ e) => { e.preventDefault(); setOver(false); if (e.dataTransfer) take(await filesOf(e.dataTransfer)); };
  const remove = () => without(`/api/teach/class/${own.id}`).then(refresh, (e) => say(e.message));
  const of = own.recordings ? ` of ${own.recordings} ${own.recordings === 1 ? "recording" : "recordings"}` : "";
  return html`<section class=${`card ${over ? "over" : ""}`} aria-label=${`Class ${own.name}`} onDragOver=${(/** @type {Event} */ e) => { e.preventDefault(); setOver(true); }} onDragLeave=${() => setOver(false)} onDrop=${drop}>
    <div class="row"><h2>${own.name}</h2><span class="fine">${own.count.toLocaleString()} ${own.count === 1 ? "picture" : "pictures"}${of}</span>
      ${isOpen && own.count === 0 && html`<button class="plain" onClick=${remove}>remove</button>`}</div>
    ${isOpen && html`<div class="row">
      <label class="button">Choose pictures<input class="unseen" type="file" multiple accept="image/*" onChange=${(/** @type {any} */ e) => take([...e.target.files])} /></label>
      <label class="button">Choose a folder<input class="unseen" type="file" webkitdirectory onChange=${(/** @type {any} */ e) => take([...e.target.files])} /></label>
      <span class="fine">or drop them here</span></div>
      <${Record} begin=${record} name=${own.name} />`}
    ${progress && html`<${Sent} own=${progress} />`}
    <div class="thumbs">${shown.map((digest) => html`<img key=${digest} src=${`/api/teach/class/${own.id}/${digest}/thumbnail`} alt="" width="72" height="72" loading="lazy" />`)}</div>
  </section>`;
}

/** How far the pictures of a class are. @param {{own: import("./sending.js").Progress}} props */
function Sent({ own }) {
  const done = own.sent + own.there + own.elsewhere.length + own.refused.length;
  const said = [`${done.toLocaleString()} of ${own.total.toLocaleString()}`];
  if (own.there) said.push(`${own.there.toLocaleString()} were there already`);
  if (own.elsewhere.length) said.push(`${own.elsewhere.length.toLocaleString()} are in another class`);
  if (own.refused.length) said.push(`${own.refused.length.toLocaleString()} refused`);
  const told = [...own.elsewhere, ...own.refused];
  return html`<p role="status"><progress max=${own.total} value=${done} aria-label="Pictures sent"></progress><span class="fine"> ${said.join("; ")}</span></p>
    ${own.waits && html`<p class="note" role="alert">TAME does not answer. Start it again with tame ui and open the address that it prints in this browser: ${(own.total - done).toLocaleString()} pictures wait here and are then sent.</p>`}
    ${told.length > 0 && html`<details><summary>What was not taken</summary><ul class="fine">${told.slice(0, 50).map((text) => html`<li key=${text}>${text}</li>`)}</ul></details>`}`;
}

/** Takes something away. @param {string} path */
async function without(path) {
  const answer = await fetch(path, { method: "DELETE", headers: { "X-Tame": "1" } });
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(found.problem || `the server answered ${answer.status}`);
}

/** What came of training, in words. @param {{view: any, verdict: any, longer: () => void}} props */
function Outcome({ view, verdict, longer }) {
  return html`<section class="note" aria-label="What came of it">
    <p><${Chip} life=${view.life}>${view.words}<//> ${view.now} <a href=${`/s/${view.id}`}>Watch it</a>${view.has_report && html`, <a href=${`/s/${view.id}/report`}>read its report</a>`}</p>
    ${view.score && html`<p class="verdict">${view.metric.words.charAt(0).toUpperCase() + view.metric.words.slice(1)} ${view.score.words} on ${view.score.examples} that it had never seen (${view.score.span}).</p><p>${view.verdict}</p>`}
    ${!view.score && view.best && html`<p>Best so far: ${view.metric.words} ${view.best.words} in validation.</p>`}
    ${view.life === "failed" && html`<p>${view.next?.words}</p>`}
    ${verdict && html`<ul class="outcome">${verdict.said.map((/** @type {string} */ text) => html`<li key=${text}>${text}</li>`)}</ul>
      <h2>What to do next</h2><ol class="outcome">${verdict.next.map((/** @type {string} */ text) => html`<li key=${text}>${text}</li>`)}</ol>
      <div class="row">${verdict.longer && html`<button onClick=${longer}>Train for longer</button>`}
        <a class="button" href=${`/s/${view.id}/model.zip`} download>Download the model</a>
        <span class="fine">a folder for tame predict, with its description and hashes</span></div>`}
    ${view.findings.length > 0 && html`<details><summary>What it noticed (${view.findings.length})</summary><${Findings} found=${view.findings} /></details>`}</section>`;
}

/** The three knobs of other teaching machines, beside what the search chose. @param {{verdict: any, mine: any, turn: (name: string, value: string) => void, train: () => void, isOpen: boolean}} props */
function Knobs({ verdict, mine, turn, train, isOpen }) {
  const fixed = Object.keys(KNOBS).filter((name) => mine[name] !== "");
  return html`<details open=${fixed.length > 0}><summary>Under the hood: epochs, batch size, learning rate</summary>
    <p class="fine">The search chooses these by itself. Fix the ones that you want to try; it then chooses the rest.</p>
    <div class="scroll" tabindex="0" role="region" aria-label="Knobs"><table class="list fitted"><thead><tr><th>Knob</th><th class="n">The search chose</th><th class="n">The default</th><th>Mine</th></tr></thead><tbody>
      ${Object.entries(KNOBS).map(([name, words]) => html`<tr key=${name}><th scope="row">${words}</th><td class="n">${short(verdict?.knobs[name])}</td><td class="n">${short(verdict?.default[name])}</td>
        <td><input type="number" min="0" step="any" inputmode="decimal" size="8" aria-label=${`Mine: ${words}`} value=${mine[name]} onInput=${(/** @type {any} */ e) => turn(name, e.target.value)} /></td></tr>`)}
    </tbody></table></div>
    <div class="row"><button disabled=${!isOpen || fixed.length === 0} onClick=${train}>Train with mine</button>
      <span class="fine">${verdict ? "" : "What the search chose is told here once it has trained. "}The report compares each with the default.</span></div></details>`;
}

/** A value of a recipe as people read it. @param {unknown} value */
const short = (value) => (typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(2)) : value ?? "–");

/** What the study has to say once it has ended. @param {any} view */
function useVerdict(view) {
  const [verdict, setVerdict] = useState(/** @type {any} */ (null));
  const ended = view?.life === "finished" ? view.id : "";
  useEffect(() => {
    if (ended) api(`/api/s/${ended}/verdict`).then(setVerdict, () => {});
  }, [ended]);
  return verdict;
}

function Teach() {
  const [shop, setShop] = useState(/** @type {any} */ (null));
  const [view, setView] = useState(/** @type {any} */ (null));
  const [said, setSaid] = useState("");
  const [time, setTime] = useState(inAddress("time", ""));
  const [mine, setMine] = useState(Object.fromEntries(Object.keys(KNOBS).map((name) => [name, inAddress(name, "")])));
  const field = useRef(/** @type {HTMLInputElement|null} */ (null));
  const verdict = useVerdict(view);
  const refresh = () => api("/api/teach").then(async (found) => {
    setShop(found);
    setView(found.study ? (await api(`/api/s/${found.study}/state`)).view : null); // one that came to nothing leaves no folder
    setSaid((before) => (before.startsWith("The server") || (before === BEGINS && found.study) ? "" : before));
  }).catch((problem) => setSaid(problem.message));
  useEffect(() => whileSeen(() => { refresh(); const timer = setInterval(refresh, EVERY_MS); return () => clearInterval(timer); }), []);
  if (!shop) return html`<h1>Teach</h1><p role="status">${said || "Looking…"}</p>`;
  const seconds = time in TIMES ? time : String(shop.proposed_s);
  const choose = (/** @type {string} */ own) => { setTime(own); keepInAddress("time", own, ""); };
  const turn = (/** @type {string} */ name, /** @type {string} */ value) => { setMine({ ...mine, [name]: value }); keepInAddress(name, value, ""); };
  const add = (/** @type {Event} */ e) => {
    e.preventDefault();
    const own = field.current;
    if (own) api("/api/teach/class", { name: own.value }).then((found) => { setShop(found); setSaid(""); own.value = ""; own.focus(); }, (problem) => setSaid(problem.message));
  };
  const train = (/** @type {string} */ own, /** @type {object} */ knobs = {}) => {
    setSaid(BEGINS);
    api("/api/teach/train", { seconds: Number(own), knobs }).then((found) => { setShop(found); setView(null); }, (problem) => setSaid(problem.message));
  };
  const withMine = () => train(seconds, Object.fromEntries(Object.entries(mine).filter(([, value]) => value !== "").map(([name, value]) => [name, Number(value)])));
  const longer = () => { const next = Object.keys(TIMES).find((own) => Number(own) > Number(seconds)) ?? "600"; choose(next); train(next); };
  const busy = BUSY.includes(view?.life) ? "It is being trained." : shop.refusal;
  return html`<h1>Teach a machine to tell pictures apart</h1>
    <p class="fine">Everything stays on this machine: the pictures lie in <code>${shop.folder}</code>, one folder for each class.</p>
    ${!shop.is_open && html`<p class="note">These pages only show; start them with tame ui FOLDER to teach.</p>`}
    ${shop.is_open && html`<form class="row" onSubmit=${add}><label>New class <input ref=${field} name="class" maxlength="60" required /></label><button>Add</button></form>`}
    <div class="cards">${shop.classes.map((/** @type {any} */ own) => html`<${Card} key=${own.name} own=${own} isOpen=${shop.is_open} refresh=${refresh} say=${setSaid} />`)}</div>
    ${shop.is_open && html`<div class="row"><label>Train for <select value=${seconds} onChange=${(/** @type {any} */ e) => choose(e.target.value)}>${Object.entries(TIMES).map(([own, words]) => html`<option key=${own} value=${own}>${words}</option>`)}</select></label>
      <button class="go" disabled=${busy !== ""} onClick=${() => train(seconds)}>Train</button><span class="fine">${busy}</span></div>
      <${Knobs} verdict=${verdict} mine=${mine} turn=${turn} train=${withMine} isOpen=${busy === ""} />`}
    <p role="status">${said || (shop.is_training && !shop.study ? BEGINS : "")}</p>
    ${shop.problem && html`<p class="note problem" role="alert">${shop.problem}</p>`}
    ${view && html`<${Outcome} view=${view} verdict=${view.life === "finished" ? verdict : null} longer=${longer} />`}
    ${view?.life === "finished" && html`<h2>Try it</h2><${Live} key=${view.id} study=${view.id} />`}`;
}

begin(html`<${Teach} />`);
