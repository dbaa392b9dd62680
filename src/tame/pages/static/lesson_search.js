// @ts-check
// Lesson 9: three rounds of search by hand on recorded trials, against chance, a grid and a model.
import { Grown, Told, Waits, teach, useAsk, useAsked, useGrown } from "./lesson.js";
import { html, number, useState } from "./ui.js";

/** @param {{pool: any, round: number, picks: number[], losses: number[], pick: (place: number) => void, waits: boolean}} props */
function Round({ pool, round, picks, losses, pick, waits }) {
  const done = picks.length === pool.picks, low = Math.min(...losses);
  return html`<div class="wide"><table class="list"><caption class="unseen">The recipes of round ${round + 1}</caption><thead><tr><th class="n">Validation loss</th>${pool.fields.map((/** @type {string} */ name) => html`<th key=${name}>${name}</th>`)}</tr></thead>
    <tbody>${pool.rounds[round].map((/** @type {any} */ own) => { const at = picks.indexOf(own.place); return html`<tr key=${own.place} class=${at >= 0 && losses[at] === low ? "best" : ""}>
      <td class="n">${at >= 0 ? number(losses[at]) : html`<button disabled=${done || waits} aria-label=${`Try ${own.values.join(", ")}`} onClick=${() => pick(own.place)}>Try</button>`}</td>${own.values.map((/** @type {string} */ value, /** @type {number} */ i) => html`<td key=${i}>${value}</td>`)}</tr>`; })}</tbody></table></div>`;
}

/** @param {{found: any, round: number}} props */
const Compared = ({ found, round }) => html`<table class="list"><thead><tr><th>Round ${round + 1}</th><th class="n">Lowest validation loss</th></tr></thead><tbody>
  ${[["You", found.own], ["A grid", found.grid], ["Random search, on average", found.random], ["A Gaussian process", found.model], ["The lowest of the round", found.best]].map(([name, value]) => html`<tr key=${name}><td>${name}</td><td class="n">${number(value)}</td></tr>`)}</tbody></table>`;

/** @param {{found: any, again: () => void}} props */
const Real = ({ found, again }) => html`<h3>Was it real?</h3><${Told} right=${found.right}>Over all rounds you ended ${number(found.regrets.own / 3, 2)} of the way from the lowest loss to the middle one, random search ${number(found.regrets.random / 3, 2)} on average, the grid ${number(found.regrets.grid / 3, 2)}, the Gaussian process ${number(found.regrets.model / 3, 2)}.<//>
  <p><strong>${found.is_real ? "Yes, hardly luck." : "It may be luck."}</strong> Of a thousand random searches over the same rounds, ${number(100 * found.as_good, 0)} % are as good as yours or better.</p><p class="row"><button onClick=${again}>Once more</button></p>`;

function Search() {
  const [pool, problem] = useAsked("pool");
  const [picks, setPicks] = useState(/** @type {number[][]} */ ([[]]));
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [go, said, busy] = useAsk();
  const grown = useGrown();
  if (!pool) return html`<${Waits} problem=${problem} />`;
  const round = picks.length - 1, own = picks[round], over = own.length === pool.picks;
  const pick = (/** @type {number} */ place) => { const next = [...picks.slice(0, -1), [...own, place]]; go("tries", { picks: next }, (answer) => { setPicks(next); setFound(answer); }); };
  return html`<p>Three rounds. In each, try ${pool.picks} recipes one after the other, and find a low loss: ${pool.is_own ? "they are trials of your study, with the lowest validation loss that each reached" : "networks that are really trained on these examples"}. Which settings matter? Do what you think is best, and write down the rule that you used.</p>${!pool.is_own && html`<${Grown} grown=${grown} />`}
    <h3>Round ${round + 1} of ${pool.rounds.length}</h3><p role="status">${said || `${own.length} of ${pool.picks} tried`}</p>
    <${Round} pool=${pool} round=${round} picks=${own} losses=${found?.losses[round] ?? []} pick=${pick} waits=${busy} />
    ${(found?.rounds ?? []).map((/** @type {any} */ each, /** @type {number} */ i) => html`<${Compared} key=${i} found=${each} round=${i} />`)}
    ${over && round < pool.rounds.length - 1 && html`<p class="row"><button class="go" onClick=${() => setPicks([...picks, []])}>Next round</button></p>`}
    ${found?.regrets && html`<${Real} found=${found} again=${() => { setPicks([[]]); setFound(null); }} />`}`;
}

teach(html`<${Search} />`);
