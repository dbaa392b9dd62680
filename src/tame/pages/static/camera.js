// @ts-check
// The camera, and what to do where there is none.
import { useEffect, useRef, useState } from "./ui.js";

const WIDE = 640; // pixels of a picture that is taken
const HELP = {
  NotAllowedError: "The camera was not allowed. Allow it at the sign beside the address, and press again.",
  NotFoundError: "No camera was found. Connect one, or choose pictures from a file.",
  NotReadableError: "The camera cannot be read: another program may use it. Close that, and press again.",
};

/** A camera that is off until it is started. It goes off with the part of the page that it is shown in. */
export function useCamera() {
  const [stream, setStream] = useState(/** @type {MediaStream|null} */ (null));
  const [problem, setProblem] = useState("");
  const own = useRef(/** @type {MediaStream|null} */ (null));
  const end = () => { own.current?.getTracks().forEach((track) => track.stop()); own.current = null; };
  const stop = () => { end(); setStream(null); };
  const start = async () => {
    try {
      if (!navigator.mediaDevices) throw new DOMException("", "NotFoundError");
      own.current = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: WIDE } } });
      own.current.getVideoTracks()[0]?.addEventListener("ended", () => { stop(); setProblem(HELP.NotReadableError); });
      setStream(own.current);
      setProblem("");
    } catch (why) {
      const name = /** @type {keyof typeof HELP} */ (/** @type {Error} */ (why).name);
      setProblem(HELP[name] ?? `The camera cannot be used: ${/** @type {Error} */ (why).message || name}.`);
    }
  };
  useEffect(() => end, []);
  return { stream, problem, start, stop };
}

/** What the camera shows now, as a JPEG; null before its first picture.
 * @param {HTMLVideoElement} video @param {HTMLCanvasElement} canvas @returns {Promise<Blob|null>} */
export function frameOf(video, canvas) {
  if (!video.videoWidth) return Promise.resolve(null);
  canvas.width = Math.min(WIDE, video.videoWidth);
  canvas.height = Math.round(canvas.width * video.videoHeight / video.videoWidth);
  canvas.getContext("2d")?.drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((good) => canvas.toBlob(good, "image/jpeg", 0.9));
}
