// @ts-check
// Teach a machine: classes, pictures dropped by the thousand, one button to train, and what came of it in words.
import { Chip, Findings, api, begin, html, inAddress, keepInAddress, useEffect, useRef, useState, whileSeen } from "./ui.js";

const AT_ONCE = 4; // requests at the same time: a browser that sends thousands at once gives up
const SHOWN = 12; // thumbnails of a class
const EVERY_MS = 1000;
const TIMES = { 30: "half a minute", 60: "1 minute", 180: "3 minutes", 600: "10 minutes" };
const BEGINS = "Training begins.";
const MOST_BYTES = 20 * 1024 * 1024;

/** All files of what was dropped, folders included. @param {DataTransfer} dropped */
async function filesOf(dropped) {
  const entries = [...dropped.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...dropped.files];
  /** @type {File[]} */
  const found = [];
  const walk = async (/** @type {any} */ entry) => {
    if (entry.isFile) { found.push(await new Promise((good, bad) => entry.file(good, bad))); return; }
    const reader = entry.createReader();
    for (;;) { // it gives a hundred at a time
      const part = await new Promise((good, bad) => reader.readEntries(good, bad));
      if (!part.length) return;
      for (const own of part) await walk(own);
    }
  };
  for (const entry of entries) await walk(entry);
  return found;
}

/** @param {ArrayBuffer} content */
async function digestOf(content) {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Sends files, a few at a time; what is there already is not sent again.
 * @param {string} key @param {File[]} files @param {(done: any) => void} tell */
async function send(key, files, tell) {
  const own = { total: files.length, sent: 0, there: 0, refused: /** @type {string[]} */ ([]) };
  const have = new Set((await api(`/api/teach/class/${key}/have`)).have);
  let next = 0;
  const one = async (/** @type {File} */ file) => {
    if (file.size > MOST_BYTES) throw new Error("it has more than 20 MB");
    const content = await file.arrayBuffer();
    const digest = await digestOf(content);
    if (have.has(digest)) { own.there++; return; }
    const answer = await fetch(`/api/teach/class/${key}/${digest}`, { method: "PUT", body: content, headers: { "X-Tame": "1", "Content-Type": "application/octet-stream" } });
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(said.problem || `the server answered ${answer.status}`);
    if (said.there) own.there++; else own.sent++;
    have.add(digest);
  };
  const work = async () => {
    while (next < files.length) {
      const file = files[next++];
      try { await one(file); } catch (problem) { own.refused.push(`${file.name}: ${/** @type {Error} */ (problem).message}`); }
      tell({ ...own });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  tell({ ...own });
}

/** @param {{own: any, isOpen: boolean, refresh: () => void, say: (text: string) => void}} props */
function Card({ own, isOpen, refresh, say }) {
  const [over, setOver] = useState(false);
  const [sending, setSending] = useState(/** @type {any} */ (null));
  const [shown, setShown] = useState(/** @type {string[]} */ ([]));
  useEffect(() => { api(`/api/teach/class/${own.id}/have`).then((found) => setShown(found.have.slice(0, SHOWN)), () => {}); }, [own.name, own.count]);
  const take = async (/** @type {File[]} */ files) => {
    if (!files.length) return;
    await send(own.id, files, setSending).catch((problem) => say(problem.message));
    refresh();
  };
  const drop = async (/** @type {DragEvent} */ e) => { e.preventDefault(); setOver(false); if (e.dataTransfer) await take(await filesOf(e.dataTransfer)); };
  const remove = () => api2("DELETE", `/api/teach/class/${own.id}`).then(refresh, (e) => say(e.message));
  const done = sending ? sending.sent + sending.there + sending.refused.length : 0;
  return html`<section class=${`card ${over ? "over" : ""}`} aria-label=${`Class ${own.name}`} onDragOver=${(/** @type {Event} */ e) => { e.preventDefault(); setOver(true); }} onDragLeave=${() => setOver(false)} onDrop=${drop}>
    <div class="row"><h2>${own.name}</h2><span class="fine">${own.count.toLocaleString()} ${own.count === 1 ? "picture" : "pictures"}</span>
      ${isOpen && own.count === 0 && html`<button class="plain" onClick=${remove}>remove</button>`}</div>
    ${isOpen && html`<div class="row">
      <label class="button">Choose pictures<input class="unseen" type="file" multiple accept="image/*" onChange=${(/** @type {any} */ e) => take([...e.target.files])} /></label>
      <label class="button">Choose a folder<input class="unseen" type="file" webkitdirectory onChange=${(/** @type {any} */ e) => take([...e.target.files])} /></label>
      <span class="fine">or drop them here</span></div>`}
    ${sending && html`<p role="status"><progress max=${sending.total} value=${done} aria-label="Pictures sent"></progress>
      <span class="fine"> ${done.toLocaleString()} of ${sending.total.toLocaleString()}${sending.there ? `; ${sending.there.toLocaleString()} were there already` : ""}${sending.refused.length ? `; ${sending.refused.length.toLocaleString()} refused` : ""}</span></p>`}
    ${sending?.refused.length > 0 && html`<details><summary>What was refused</summary><ul class="fine">${sending.refused.slice(0, 50).map((/** @type {string} */ text) => html`<li key=${text}>${text}</li>`)}</ul></details>`}
    <div class="thumbs">${shown.map((digest) => html`<img key=${digest} src=${`/api/teach/class/${own.id}/${digest}/thumbnail`} alt="" width="72" height="72" loading="lazy" />`)}</div>
  </section>`;
}

/** A change without a body. @param {string} method @param {string} path */
async function api2(method, path) {
  const answer = await fetch(path, { method, headers: { "X-Tame": "1" } });
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(found.problem || `the server answered ${answer.status}`);
  return found;
}

/** What came of training, in words. @param {{view: any}} props */
function Outcome({ view }) {
  return html`<section class="note" aria-label="What came of it">
    <p><${Chip} life=${view.life}>${view.words}<//> ${view.now} <a href=${`/s/${view.id}`}>Watch it</a>${view.has_report && html`, <a href=${`/s/${view.id}/report`}>read its report</a>, <a href=${`/s/${view.id}/try`}>try it</a>`}</p>
    ${view.score && html`<p class="verdict">${view.metric.words} ${view.score.words} on ${view.score.examples} that it had never seen (${view.score.span}).</p><p>${view.verdict}</p>`}
    ${!view.score && view.best && html`<p>Best so far: ${view.metric.words} ${view.best.words} in validation.</p>`}
    ${view.life === "failed" && html`<p>${view.next?.words}</p>`}
    ${view.findings.length > 0 && html`<h2>What it noticed</h2><${Findings} found=${view.findings} />`}
    ${view.life === "finished" && view.next?.command && html`<p>${view.next.words}</p><pre class="command">${view.next.command}</pre>`}</section>`;
}

function Teach() {
  const [shop, setShop] = useState(/** @type {any} */ (null));
  const [view, setView] = useState(/** @type {any} */ (null));
  const [said, setSaid] = useState("");
  const [time, setTime] = useState(inAddress("time", "60"));
  const field = useRef(/** @type {HTMLInputElement|null} */ (null));
  const refresh = () => api("/api/teach").then(async (found) => {
    setShop(found);
    if (found.study) { setView((await api(`/api/s/${found.study}/state`)).view); setSaid((before) => (before === BEGINS ? "" : before)); }
  }).catch((problem) => setSaid(problem.message));
  useEffect(() => whileSeen(() => { refresh(); const timer = setInterval(refresh, EVERY_MS); return () => clearInterval(timer); }), []);
  if (!shop) return html`<h1>Teach</h1><p role="status">${said || "Looking…"}</p>`;
  const add = (/** @type {Event} */ e) => {
    e.preventDefault();
    const own = field.current;
    if (own) api("/api/teach/class", { name: own.value }).then((found) => { setShop(found); setSaid(""); own.value = ""; own.focus(); }, (problem) => setSaid(problem.message));
  };
  const train = () => api("/api/teach/train", { seconds: Number(time) }).then((found) => { setShop(found); setView(null); setSaid(BEGINS); }, (problem) => setSaid(problem.message));
  const choose = (/** @type {string} */ own) => { setTime(own); keepInAddress("time", own, "60"); };
  return html`<h1>Teach a machine to tell pictures apart</h1>
    <p class="fine">Everything stays on this machine: the pictures lie in <code>${shop.folder}</code>, one folder for each class.</p>
    ${!shop.is_open && html`<p class="note">These pages only show; start them with tame ui FOLDER to teach.</p>`}
    ${shop.is_open && html`<form class="row" onSubmit=${add}><label>New class <input ref=${field} name="class" maxlength="60" required /></label><button>Add</button></form>`}
    <div class="cards">${shop.classes.map((/** @type {any} */ own) => html`<${Card} key=${own.name} own=${own} isOpen=${shop.is_open} refresh=${refresh} say=${setSaid} />`)}</div>
    ${shop.is_open && html`<div class="row"><label>Train for <select value=${time} onChange=${(/** @type {any} */ e) => choose(e.target.value)}>${Object.entries(TIMES).map(([own, words]) => html`<option key=${own} value=${own}>${words}</option>`)}</select></label>
      <button class="go" disabled=${shop.refusal !== ""} onClick=${train}>Train</button><span class="fine">${shop.refusal}</span></div>`}
    <p role="status">${said}</p>
    ${shop.problem && html`<p class="note problem" role="alert">${shop.problem}</p>`}
    ${view && html`<${Outcome} view=${view} />`}`;
}

begin(html`<${Teach} />`);
