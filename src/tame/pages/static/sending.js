// @ts-check
// Pictures on their way to the server: one queue for all classes, a few at a time, and none is lost while it is away.

const AT_ONCE = 4; // requests at the same time: a browser that sends thousands at once gives up
const MOST_BYTES = 20 * 1024 * 1024;
const AGAIN_MS = 1000; // after which a server that does not answer is asked again
const TELL_MS = 100; // between two reports of how far it is

/** @type {(() => Promise<void>)[]} */
const waiting = [];
let working = 0;

function work() {
  while (working < AT_ONCE && waiting.length) {
    working++;
    /** @type {() => Promise<void>} */ (waiting.shift())().finally(() => { working--; work(); });
  }
}

addEventListener("beforeunload", (e) => { if (working) e.preventDefault(); });

/** All files of what was dropped, folders included. @param {DataTransfer} dropped */
export async function filesOf(dropped) {
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

/** A number for a recording, whose pictures are kept together. */
export const newRecording = () => [...crypto.getRandomValues(new Uint8Array(6))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** How far the pictures of one drop or recording are. @typedef {{total: number, sent: number, there: number, elsewhere: string[], refused: string[], waits: boolean}} Progress */

/** Takes pictures for a class; what is there already is not sent again. A server that is away, or was started again and
 * does not know this browser yet, is asked again until it answers.
 * @param {string} key @param {(own: Progress) => void} tell @param {string} [recording] */
export function sending(key, tell, recording = "") {
  /** @type {Progress} */
  const own = { total: 0, sent: 0, there: 0, elsewhere: [], refused: [], waits: false };
  /** @type {Promise<Set<string>>|null} */
  let have = null;
  let told = 0;
  const left = () => own.total - own.sent - own.there - own.elsewhere.length - own.refused.length;
  const report = () => {
    if (left() && performance.now() - told < TELL_MS) return;
    told = performance.now();
    tell({ ...own });
  };
  const patiently = async (/** @type {() => Promise<Response>} */ request) => {
    for (;;) {
      const answer = await request().catch(() => null);
      if (own.waits !== (answer === null || answer.status === 401)) { own.waits = !own.waits; tell({ ...own }); }
      if (answer && answer.status !== 401) return answer;
      await new Promise((good) => setTimeout(good, AGAIN_MS));
    }
  };
  const one = async (/** @type {Blob} */ file, /** @type {string} */ name) => {
    if (file.size > MOST_BYTES) throw new Error("it has more than 20 MB");
    const content = await file.arrayBuffer();
    const digest = await digestOf(content);
    have ??= patiently(() => fetch(`/api/teach/class/${key}/have`)).then((answer) => answer.json()).then((found) => new Set(found.have));
    if ((await have).has(digest)) { own.there++; return; }
    const path = `/api/teach/class/${key}/${digest}${recording && `?recording=${recording}`}`;
    const answer = await patiently(() => fetch(path, { method: "PUT", body: new Blob([content]), headers: { "X-Tame": "1", "Content-Type": "application/octet-stream" } }));
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(said.problem || `the server answered ${answer.status}`);
    if (said.there === "") own.sent++; else if (said.there === said.class) own.there++; else own.elsewhere.push(`${name} is in ${said.there} already`);
    if (!said.there || said.there === said.class) (await have).add(digest); // each copy of one in another class is told
  };
  /** @param {Blob[]} files */
  const add = (files) => {
    own.total += files.length;
    for (const file of files) {
      const name = file instanceof File ? file.name : "a picture of the camera";
      waiting.push(() => one(file, name).catch((problem) => { own.refused.push(`${name}: ${problem.message}`); }).then(report));
    }
    tell({ ...own });
    work();
  };
  return { add };
}
