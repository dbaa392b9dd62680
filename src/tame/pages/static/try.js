// @ts-check
// Try a trained machine: a picture or the camera in, a bar for each class out, and "I do not know" below a threshold.
import { begin, html, inAddress, keepInAddress, useEffect, useRef, useState } from "./ui.js";

const STUDY = document.getElementById("app")?.dataset.study ?? "";
const WIDE = 640; // pixels of a camera's picture that are sent
const AGAIN_MS = 150;

/** What the model says. One question at a time: the newest waits, older ones are let go.
 * @param {Blob} picture */
async function ask(picture) {
  const answer = await fetch(`/api/s/${STUDY}/try`, { method: "PUT", body: picture, headers: { "X-Tame": "1", "Content-Type": "application/octet-stream" } });
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(found.problem || `the server answered ${answer.status}`);
  return found;
}

/** @param {{found: any, least: number}} props */
function Bars({ found, least }) {
  if (!found.probabilities) return html`<p class="verdict">${found.value}</p>`;
  const rows = Object.entries(found.probabilities).sort((a, b) => b[1] - a[1]).slice(0, 12);
  const [name, highest] = rows[0];
  const knows = highest >= least;
  return html`<p class=${`verdict ${knows ? "" : "no"}`} role="status">${knows ? name : "I do not know"}</p>
    <table class="list bars"><thead class="unseen"><tr><th>Class</th><th>Probability</th></tr></thead><tbody>${rows.map(([own, share]) => html`
      <tr key=${own}><th scope="row">${own}</th><td><meter min="0" max="1" value=${share}>${share}</meter></td><td class="n">${(100 * share).toFixed(1)} %</td></tr>`)}</tbody></table>`;
}

function Try() {
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [said, setSaid] = useState("");
  const [seen, setSeen] = useState("");
  const [least, setLeast] = useState(inAddress("least", "0.5"));
  const [stream, setStream] = useState(/** @type {MediaStream|null} */ (null));
  const video = useRef(/** @type {HTMLVideoElement|null} */ (null));
  const show = (/** @type {File|undefined} */ file) => {
    if (!file) return;
    stop();
    setSaid("Looking… the first time takes a few seconds.");
    setSeen((before) => { URL.revokeObjectURL(before); return URL.createObjectURL(file); });
    ask(file).then((own) => { setFound(own); setSaid(""); }, (problem) => { setFound(null); setSaid(problem.message); });
  };
  const stop = () => { stream?.getTracks().forEach((track) => track.stop()); setStream(null); };
  const start = async () => {
    try { setStream(await navigator.mediaDevices.getUserMedia({ video: true })); setSeen(""); setSaid(""); } catch (problem) {
      const name = /** @type {Error} */ (problem).name;
      setSaid(name === "NotAllowedError" ? "The camera was not allowed; allow it beside the address, and press again." : "No camera was found.");
    }
  };
  useEffect(() => {
    if (!stream || !video.current) return undefined;
    video.current.srcObject = stream;
    let goes = true;
    const canvas = document.createElement("canvas");
    const look = async () => {
      const own = video.current;
      if (!goes || !own) return;
      if (own.videoWidth) {
        canvas.width = Math.min(WIDE, own.videoWidth);
        canvas.height = Math.round(canvas.width * own.videoHeight / own.videoWidth);
        canvas.getContext("2d")?.drawImage(own, 0, 0, canvas.width, canvas.height);
        const blob = await new Promise((good) => canvas.toBlob(good, "image/jpeg", 0.9));
        if (blob) await ask(blob).then((got) => { if (goes) { setFound(got); setSaid(""); } }, (problem) => setSaid(problem.message));
      }
      if (goes) setTimeout(look, AGAIN_MS);
    };
    look();
    return () => { goes = false; stream.getTracks().forEach((track) => track.stop()); };
  }, [stream]);
  const choose = (/** @type {string} */ own) => { setLeast(own); keepInAddress("least", own, "0.5"); };
  const drop = (/** @type {DragEvent} */ e) => { e.preventDefault(); show(e.dataTransfer?.files[0]); };
  return html`<h1>Try it</h1>
    <section class="card" onDragOver=${(/** @type {Event} */ e) => e.preventDefault()} onDrop=${drop} aria-label="A picture">
      <div class="row"><label class="button">Choose a picture<input class="unseen" type="file" accept="image/*" onChange=${(/** @type {any} */ e) => show(e.target.files[0])} /></label>
        ${stream ? html`<button onClick=${stop}>Stop the camera</button>` : html`<button onClick=${start}>Use the camera</button>`}
        <span class="fine">or drop one here; nothing leaves this machine</span></div>
      ${stream && html`<video ref=${video} autoplay muted playsinline width="320"></video>`}
      ${seen && html`<img class="seen" src=${seen} alt="The picture that was given" />`}
    </section>
    <p role="status">${said}</p>
    ${found && html`<${Bars} found=${found} least=${Number(least)} />`}
    ${found?.probabilities && html`<label>Below a probability of ${Number(least).toFixed(2)} it does not know
      <input type="range" min="0" max="1" step="0.05" value=${least} onInput=${(/** @type {any} */ e) => choose(e.target.value)} /></label>`}`;
}

begin(html`<${Try} />`);
