// @ts-check
// Lesson 8: how much the best of many is flattered by the examples that chose it, guessed and then simulated.
import { Grown, Lines, Told, teach, useAsk, useGrown } from "./lesson.js";
import { html, number, useState } from "./ui.js";

function Honest() {
  const [guess, setGuess] = useState("");
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [go, said, busy] = useAsk();
  const grown = useGrown();
  const points = Number(guess), good = guess.trim() !== "" && Number.isFinite(points);
  const send = (/** @type {Event} */ e) => { e.preventDefault(); if (good) go("second_look", { points }, setFound); };
  return html`<p>Sixty-four networks are trained on these examples. The best of them is chosen on one half of the validation examples. By how many points of accuracy does it look better there than on the other half?</p><${Grown} grown=${grown} />
    <form onSubmit=${send}><label>Your guess, in points: <input name="points" inputmode="decimal" value=${guess} onInput=${(/** @type {any} */ e) => setGuess(e.target.value)} /></label>
    <p class="row"><button class="go" disabled=${busy || !!found}>Commit and simulate</button> <span class="fine" role="status">${said || (good ? "" : "Write a number, such as 3.")}</span></p></form>
    ${found && html`<${Told} right=${found.right}>It is ${number(found.key, 1)} points, over ${found.times.toLocaleString()} random halves of ${found.half} examples each.<//>
      <${Lines} label="Points by which the best of so many networks is flattered" x="networks compared" lines=${[{ name: "points of accuracy above the other half", values: found.flattery, xs: found.networks }]} />
      <p>As many coin flippers of the same mean accuracy, who have learned nothing: the luckiest looks ${number(found.coins, 1)} points better than it is.</p>`}`;
}

teach(html`<${Honest} />`);
