// @ts-check
// Hold to record: pictures of the camera, a few a second for as long as the button is held, as one recording.
import { frameOf, useCamera } from "./camera.js";
import { newRecording } from "./sending.js";
import { html, useEffect, useRef, useState } from "./ui.js";

const EVERY_MS = 125; // neighbouring pictures of a film are nearly the same, so more would teach nothing

/** begin: takes the number of a recording, and gives back what takes its pictures.
 * @param {{begin: (recording: string) => (picture: Blob) => void, name: string}} props */
export function Record({ begin, name }) {
  const { stream, problem, start, stop } = useCamera();
  const [count, setCount] = useState(0);
  const [isOn, setOn] = useState(false);
  const video = useRef(/** @type {HTMLVideoElement|null} */ (null));
  useEffect(() => { if (stream && video.current) video.current.srcObject = stream; }, [stream]);
  useEffect(() => {
    if (!isOn) return undefined;
    const take = begin(newRecording()), canvas = document.createElement("canvas");
    let goes = true;
    setCount(0);
    const timer = setInterval(async () => {
      const picture = video.current && await frameOf(video.current, canvas);
      if (picture && goes) { take(picture); setCount((before) => before + 1); }
    }, EVERY_MS);
    const end = () => setOn(false);
    const away = () => { if (document.hidden) end(); };
    for (const kind of ["pointerup", "pointercancel", "keyup", "blur"]) addEventListener(kind, end);
    document.addEventListener("visibilitychange", away);
    return () => {
      goes = false;
      clearInterval(timer);
      for (const kind of ["pointerup", "pointercancel", "keyup", "blur"]) removeEventListener(kind, end);
      document.removeEventListener("visibilitychange", away);
    };
  }, [isOn]);
  const hold = (/** @type {KeyboardEvent} */ e) => { if (e.key === " " || e.key === "Enter") { e.preventDefault(); setOn(true); } };
  return html`<div class="row">
      ${stream ? html`<button class=${`hold ${isOn ? "on" : ""}`} aria-label=${`Hold to record ${name}`} onPointerDown=${() => setOn(true)} onKeyDown=${hold} onContextMenu=${(/** @type {Event} */ e) => e.preventDefault()}>${isOn ? "Recording…" : "Hold to record"}</button>
        <button class="plain" onClick=${stop}>camera off</button>` : html`<button onClick=${start}>Record with the camera</button>`}
      <span class="fine" role="status">${count ? `${count} pictures in this recording` : stream ? "Hold the button, or the space bar. Record it several times, from different sides." : ""}</span></div>
    ${problem && html`<p class="note" role="alert">${problem}</p>`}
    ${stream && html`<video ref=${video} autoplay muted playsinline width="240"></video>`}`;
}
