// @ts-check
// The data of a study, one example at a time: looked at, left out, relabelled, for the next study.
import { Columns } from "./columns.js";
import { Command, api, begin, html, inAddress, keepInAddress, useEffect, useRef, useState } from "./ui.js";

const ROOT = document.getElementById("app");
const STUDY = ROOT?.dataset.study ?? "", NAME = ROOT?.dataset.name ?? "";
const MOST = 60; // examples at once
const CELLS = 8; // of a row that are shown among others
const AGAIN_MS = 700;
const DONE = { exclude: "left out", undo: "as the data has it" };
const PARTS = { train: "training", val: "validation", test: "test", aside: "put aside", excluded: "left out" };
const KEYS = "X leaves the chosen one out, 1 to 9 give it a class, U takes that back, arrows move, Enter enlarges.";

/** @typedef {{row: number, id: string, label: string, now: string, part: string, excluded: boolean, edited: boolean, verb: string, predicted: string, probability: number|null, note: string, pair: number|null, cells?: Record<string, string>}} Row */

/** @param {string} name @param {string} standard @returns {[string, (value: string) => void]} */
function useAddress(name, standard) {
  const [value, set] = useState(inAddress(name, standard));
  return [value, (own) => { set(own); keepInAddress(name, own, standard); }];
}

/** What became of an edit, once the study has answered. @param {string} id */
async function answered(id) {
  for (;;) {
    const found = await api(`/api/s/${STUDY}/edit/${id}`);
    if (found.answer) return found;
    if (found.problem) throw new Error(found.problem);
    await new Promise((good) => setTimeout(good, AGAIN_MS));
  }
}

/** An example as it will be. @param {Row} row @param {{action: string, label: string}|undefined} edit */
function asMade(row, edit) {
  if (!edit) return row;
  return { ...row, excluded: edit.action === "exclude", edited: edit.action !== "undo", now: edit.action === "label" ? edit.label : row.label };
}

function Data() {
  const [about, setAbout] = useState(/** @type {any} */ (null));
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [said, setSaid] = useState("");
  const [problem, setProblem] = useState("");
  const [view, setView] = useAddress("view", "");
  const [part, setPart] = useAddress("part", "test");
  const [of, setOf] = useAddress("of", "0");
  const [first, setFirst] = useAddress("first", "0");
  const [asTable, setAsTable] = useAddress("table", "0");
  const [at, setAt] = useAddress("at", "");
  const [large, setLarge] = useState(false);
  const [turn, setTurn] = useState(0);
  const [made, setMade] = useState(/** @type {Record<number, {action: string, label: string}>} */ ({})); // not noted yet
  const waits = useRef(Promise.resolve());
  const shown = view || (about?.is_open ? "mistakes" : "labels");
  useEffect(() => { api(`/api/s/${STUDY}/data`).then(setAbout, (e) => setProblem(e.message)); }, []);
  useEffect(() => {
    if (!about || shown === "columns") return;
    api(`/api/s/${STUDY}/examples?view=${shown}&part=${part}&of=${of}&first=${first}&most=${MOST}`).then(
      (own) => { setFound({ ...own, view: shown }); setProblem(""); }, (e) => setProblem(e.message));
  }, [shown, part, of, first, turn, about === null]);
  const rows = /** @type {Row[]} */ ((found?.rows ?? []).map((/** @type {Row} */ row) => asMade(row, made[row.row])));
  const chosen = rows.find((row) => String(row.row) === at) ?? null;
  /** @param {Row} row @param {string} action */
  const edit = (row, action, label = "") => {
    if (!about.can_edit) return;
    setMade((own) => ({ ...own, [row.row]: { action, label } }));
    setSaid(`${row.id}: being noted…`);
    const done = (/** @type {string} */ words) => {
      setMade((own) => { const { [row.row]: gone, ...rest } = own; return gone?.action === action && gone?.label === label ? rest : own; });
      setSaid(`${row.id}: ${words}`);
      setTurn((n) => n + 1);
    };
    // Sent one after the other, so that the last press is the one that counts; what becomes of them is asked meanwhile.
    waits.current = waits.current.then(async () => {
      try {
        const { id } = await api(`/api/s/${STUDY}/edit`, { row: row.row, action, label, view: shown === "columns" ? "classes" : shown });
        answered(id).then(({ answer, about: own }) => { setAbout(own); done(answer.done ? DONE[action] ?? label : answer.reason); }, (e) => done(e.message));
      } catch (e) { done(/** @type {Error} */ (e).message); }
    });
  };
  if (!about) return html`<h1>Data of ${NAME}</h1><p role="status">${problem || "Looking at the data…"}</p>`;
  const tabs = [...about.views, ...(about.counted ? [{ name: "columns", title: "Columns", count: null }] : [])];
  const go = (/** @type {string} */ name) => { setView(name); setFirst("0"); setAt(""); setLarge(false); };
  const all = found?.count ?? 0, from = Number(first) || 0;
  return html`<h1>Data of ${NAME}</h1>
    <div class="row" role="group" aria-label="What is shown">${tabs.map((/** @type {any} */ own) => html`
      <button key=${own.name} aria-pressed=${own.name === shown} onClick=${() => go(own.name)}>${own.title}${own.count === null ? "" : ` ${own.count.toLocaleString()}`}</button>`)}</div>
    ${about.hidden > 0 && html`<p class="note">${about.hidden.toLocaleString()} ${about.nouns} of the sealed test part are not shown before it is opened.</p>`}
    ${about.command && html`<div class="note"><p>A new study on the same files, with your edits:</p><${Command} text=${about.command} /></div>`}
    ${shown === "columns" ? html`<${Columns} study=${STUDY} />` : html`
      <div class="row">
        ${shown === "mistakes" && about.is_open && html`<${Choice} label="Part" value=${part} set=${(/** @type {string} */ own) => { setPart(own); setFirst("0"); }} options=${[["test", "Test part"], ["val", "Validation"]]} />`}
        ${shown === "classes" && about.classes.length > 0 && html`<${Choice} label="Class" value=${of} set=${(/** @type {string} */ own) => { setOf(own); setFirst("0"); }}
          options=${[["0", "all"], ...about.classes.map((/** @type {any} */ own, /** @type {number} */ i) => [String(i + 1), own.words])]} />`}
        <button aria-pressed=${asTable === "1"} onClick=${() => setAsTable(asTable === "1" ? "0" : "1")}>As a table</button>
        <span class="fine">${found?.words ?? ""}</span></div>
      ${about.can_edit && html`<p class="fine keys">${KEYS}</p>`}
      <p class="said" role="status">${problem || said}</p>
      ${chosen && html`<${Chosen} row=${chosen} about=${about} edit=${edit} large=${large} turn=${() => setLarge(!large)} />`}
      ${found && all === 0 && html`<p>Nothing to be seen here.</p>`}
      ${found && all > 0 && html`<${List} rows=${rows} about=${about} asTable=${asTable === "1"} at=${at} setAt=${setAt} edit=${edit} enlarge=${() => setLarge(!large)} />`}
      ${all > MOST && html`<div class="row"><button disabled=${from === 0} onClick=${() => { setFirst(String(Math.max(0, from - MOST))); setAt(""); }}>Before</button>
        <span>${from + 1} to ${Math.min(from + MOST, all)} of ${all.toLocaleString()}</span>
        <button disabled=${from + MOST >= all} onClick=${() => { setFirst(String(from + MOST)); setAt(""); }}>Next</button></div>`}`}`;
}

/** @param {{label: string, value: string, set: (value: string) => void, options: string[][]}} props */
function Choice({ label, value, set, options }) {
  return html`<label>${label} <select value=${value} onChange=${(/** @type {any} */ e) => set(e.target.value)}>
    ${options.map(([own, words]) => html`<option key=${own} value=${own} selected=${own === value}>${words}</option>`)}</select></label>`;
}

/** What is said of an example. @param {Row} row */
function words(row) {
  const told = row.predicted && `${row.predicted === row.now ? "predicted correctly" : `${row.verb} ${row.predicted}`}${row.probability === null ? "" : ` (${(100 * row.probability).toFixed(1)} %)`}`;
  return [told, row.note].filter(Boolean).join("; ");
}

/** @param {Row} row */
function mark(row) {
  return row.excluded ? "left out" : row.now !== row.label ? `${row.label} → ${row.now}` : row.now;
}

/** @param {{rows: Row[], about: any, asTable: boolean, at: string, setAt: (own: string) => void, edit: any, enlarge: () => void}} props */
function List({ rows, about, asTable, at, setAt, edit, enlarge }) {
  const box = useRef(/** @type {HTMLElement|null} */ (null));
  const items = () => [...(box.current?.querySelectorAll("[data-row]") ?? [])].map((own) => /** @type {HTMLElement} */ (own));
  const press = (/** @type {KeyboardEvent} */ e) => {
    const every = items(), here = every.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    if (here < 0 || e.ctrlKey || e.metaKey || e.altKey) return;
    const row = rows[here], class_ = about.classes[Number(e.key) - 1];
    const key = e.key.toLowerCase();
    if (key === "x") edit(row, "exclude");
    else if (key === "u") edit(row, "undo");
    else if (/^[1-9]$/.test(e.key) && class_) edit(row, "label", class_.name);
    else if (key === "enter" || key === " ") enlarge();
    else if (e.key.startsWith("Arrow")) every[moved(every, here, e.key)]?.focus();
    else return;
    e.preventDefault();
  };
  const own = (/** @type {Row} */ row, /** @type {number} */ i) => ({
    key: row.row, "data-row": row.row, tabindex: String(row.row) === at || (at === "" && i === 0) ? 0 : -1,
    onFocus: () => setAt(String(row.row)), onClick: (/** @type {any} */ e) => e.currentTarget.focus(),
    class: `${row.excluded ? "gone" : row.edited ? "edited" : ""} ${String(row.row) === at ? "at" : ""}`,
  });
  if (asTable) {
    const names = about.pictured ? [] : Object.keys(rows[0].cells ?? {}).slice(0, CELLS);
    return html`<div class="scroll" ref=${box} onKeyDown=${press}><table class="list"><thead><tr><th>Example</th><th>Label</th><th>Part</th><th>What is said of it</th>${names.map((name) => html`<th key=${name}>${name}</th>`)}</tr></thead>
      <tbody>${rows.map((row, i) => html`<tr ...${own(row, i)}><td>${row.id}</td><td>${mark(row)}</td><td>${PARTS[row.part] ?? row.part}</td><td>${words(row)}</td>${names.map((name) => html`<td key=${name}>${row.cells?.[name]}</td>`)}</tr>`)}</tbody></table></div>`;
  }
  const pairs = rows.length > 0 && rows[0].pair !== null;
  return html`<ul class=${`examples ${about.pictured ? "pictured" : ""} ${pairs ? "pairs" : ""}`} ref=${box} onKeyDown=${press} aria-label="Examples">
    ${rows.map((row, i) => html`<li ...${own(row, i)} aria-label=${`${row.id}: ${mark(row)}. ${words(row)}`}>
      ${about.pictured ? html`<img src=${`/api/s/${STUDY}/picture/${row.row}/small`} alt="" loading="lazy" width="160" height="120" />` : html`<${Cells} cells=${row.cells ?? {}} most=${CELLS} />`}
      <strong>${mark(row)}</strong><span class="fine">${words(row)}</span><span class="fine id" title=${row.id}>${row.id}</span></li>`)}</ul>`;
}

/** Where an arrow leads. @param {HTMLElement[]} every @param {number} here @param {string} key */
function moved(every, here, key) {
  if (key === "ArrowRight") return Math.min(here + 1, every.length - 1);
  if (key === "ArrowLeft") return Math.max(here - 1, 0);
  const top = every[0].offsetTop, wide = every.filter((own) => own.offsetTop === top).length;
  const to = key === "ArrowDown" ? here + wide : here - wide;
  return to < 0 || to >= every.length ? here : to;
}

/** @param {{cells: Record<string, string>, most: number}} props */
function Cells({ cells, most }) {
  const every = Object.entries(cells);
  return html`<dl class="cells">${every.slice(0, most).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value === "" ? "–" : value}</dd></div>`)}</dl>
    ${every.length > most && html`<span class="fine">and ${every.length - most} more columns</span>`}`;
}

/** @param {{row: Row, about: any, edit: any, large: boolean, turn: () => void}} props */
function Chosen({ row, about, edit, large, turn }) {
  const [number, setNumber] = useState("");
  const give = (/** @type {Event} */ e) => { e.preventDefault(); edit(row, "label", number.trim()); };
  return html`<section class="drawer chosen" aria-label="The chosen example">
    ${about.pictured ? html`<img class=${large ? "large" : ""} src=${`/api/s/${STUDY}/picture/${row.row}/${large ? "large" : "small"}`} alt=${row.id} />` : html`<${Cells} cells=${row.cells ?? {}} most=${large ? 1000 : CELLS} />`}
    <div><p><strong>${mark(row)}</strong> · ${PARTS[row.part] ?? row.part} part${words(row) && ` · ${words(row)}`}<br /><span class="fine">${row.id}</span></p>
    <div class="row">
      ${about.can_edit && html`<button disabled=${row.excluded} onClick=${() => edit(row, "exclude")}>Leave out</button>
        ${about.classes.length > 0 && about.classes.length <= 9 && about.classes.map((/** @type {any} */ own, /** @type {number} */ i) => html`<button key=${i} disabled=${own.words === row.now && !row.excluded} onClick=${() => edit(row, "label", own.name)}>${i + 1} ${own.words}</button>`)}
        ${about.classes.length > 9 && html`<${Choice} label="Class" value="" set=${(/** @type {string} */ own) => own && edit(row, "label", about.classes[Number(own)].name)} options=${[["", "choose"], ...about.classes.map((/** @type {any} */ own, /** @type {number} */ i) => [String(i), own.words])]} />`}
        ${about.classes.length === 0 && html`<form class="row" onSubmit=${give}><label>Number <input value=${number} inputmode="decimal" size="10" onInput=${(/** @type {any} */ e) => setNumber(e.target.value)} /></label><button>Change</button></form>`}
        <button disabled=${!row.edited} onClick=${() => edit(row, "undo")}>Take back</button>`}
      <button aria-pressed=${large} onClick=${turn}>${about.pictured ? "Large" : "All columns"}</button></div></div></section>`;
}

begin(html`<${Data} />`);
