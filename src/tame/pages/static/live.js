// @ts-check
// What a trained model says of a picture or of the camera: one frame in flight, the newest next, and a bar for each class.
import { frameOf, useCamera } from "./camera.js";
import { html, inAddress, keepInAddress, useEffect, useRef, useState } from "./ui.js";

const AGAIN_MS = 150; // between an answer and the next frame
const MOST_BARS = 12;

/** @param {string} study @param {Blob} picture */
async function ask(study, picture) {
  const answer = await fetch(`/api/s/${study}/try`, { method: "PUT", body: picture, headers: { "X-Tame": "1", "Content-Type": "application/octet-stream" } });
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(found.problem || `the server answered ${answer.status}`);
  return found;
}

/** Asks of one picture after the other. Of those that come meanwhile the newest waits, and older ones are let go.
 * @param {(picture: Blob) => Promise<void>} look */
function newest(look) {
  /** @type {Blob|null} */
  let next = null;
  let busy = false;
  return async (/** @type {Blob} */ picture) => {
    next = picture;
    if (busy) return;
    busy = true;
    while (next) { const own = next; next = null; await look(own); }
    busy = false;
  };
}

/** @param {{found: any, least: number}} props */
function Bars({ found, least }) {
  if (!found.probabilities) return html`<p class="verdict">${found.value}</p>`;
  const rows = Object.entries(found.probabilities).sort((a, b) => b[1] - a[1]).slice(0, MOST_BARS);
  const [name, highest] = rows[0];
  const knows = highest >= least;
  return html`<p class=${`verdict ${knows ? "" : "no"}`} role="status">${knows ? name : "I do not know"}</p>
    <table class="list bars"><thead class="unseen"><tr><th>Class</th><th>Probability</th></tr></thead><tbody>${rows.map(([own, share]) => html`
      <tr key=${own}><th scope="row">${own}</th><td><meter min="0" max="1" value=${share}>${share}</meter></td><td class="n">${(100 * share).toFixed(1)} %</td></tr>`)}</tbody></table>`;
}

/** A picture or the camera in, bars out. @param {{study: string}} props */
export function Live({ study }) {
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [said, setSaid] = useState("");
  const [seen, setSeen] = useState("");
  const [least, setLeast] = useState(inAddress("least", "0.5"));
  const { stream, problem, start, stop } = useCamera();
  const video = useRef(/** @type {HTMLVideoElement|null} */ (null));
  const looks = useRef(newest((picture) => ask(study, picture).then((own) => { setFound(own); setSaid(""); }, (why) => { setFound(null); setSaid(why.message); })));
  const show = (/** @type {File|undefined} */ file) => {
    if (!file) return;
    stop();
    setSaid("Looking… the first time takes a few seconds.");
    setSeen((before) => { URL.revokeObjectURL(before); return URL.createObjectURL(file); });
    looks.current(file);
  };
  useEffect(() => {
    const own = video.current;
    if (!stream || !own) return undefined;
    own.srcObject = stream;
    setSeen("");
    let goes = true;
    const canvas = document.createElement("canvas");
    const look = async () => {
      if (!goes) return;
      const frame = document.hidden ? null : await frameOf(own, canvas);
      if (frame && goes) await looks.current(frame);
      setTimeout(look, AGAIN_MS);
    };
    look();
    return () => { goes = false; };
  }, [stream]);
  const choose = (/** @type {string} */ own) => { setLeast(own); keepInAddress("least", own, "0.5"); };
  const drop = (/** @type {DragEvent} */ e) => { e.preventDefault(); show(e.dataTransfer?.files[0]); };
  return html`<section class="card" onDragOver=${(/** @type {Event} */ e) => e.preventDefault()} onDrop=${drop} aria-label="A picture">
      <div class="row"><label class="button">Choose a picture<input class="unseen" type="file" accept="image/*" onChange=${(/** @type {any} */ e) => show(e.target.files[0])} /></label>
        ${stream ? html`<button onClick=${stop}>Stop the camera</button>` : html`<button onClick=${start}>Use the camera</button>`}
        <span class="fine">or drop one here; nothing leaves this machine</span></div>
      ${stream && html`<video ref=${video} autoplay muted playsinline width="320"></video>`}
      ${seen && html`<img class="seen" src=${seen} alt="The picture that was given" />`}
    </section>
    <p role="status">${problem || said}</p>
    ${found && html`<${Bars} found=${found} least=${Number(least)} />`}
    ${found?.probabilities && html`<label>Below a probability of ${Number(least).toFixed(2)} it does not know: none of these
      <input type="range" min="0" max="1" step="0.05" value=${least} onInput=${(/** @type {any} */ e) => choose(e.target.value)} /></label>`}`;
}
