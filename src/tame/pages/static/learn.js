// @ts-check
// The words of the glossary as cards: turn one over, say whether you knew it, and it comes back later or soon.
import { api, html, render, useEffect, useState } from "./ui.js";

function Cards() {
  const [cards, setCards] = useState(/** @type {any[]|null} */ (null));
  const [open, setOpen] = useState(false);
  const [said, setSaid] = useState("");
  useEffect(() => { api("/api/learn/cards").then((own) => setCards(own.cards), (p) => setSaid(p.message)); }, []);
  const turn = async (/** @type {boolean} */ known) => {
    try { await api("/api/learn/card", { anchor: cards?.[0].anchor, known }); setCards((own) => (own ?? []).slice(1)); setOpen(false); } catch (p) { setSaid(/** @type {Error} */ (p).message); }
  };
  const card = cards?.[0];
  return html`<h2>Words</h2>${card ? html`<div class="card flash"><p class="verdict">${card.name}</p>
      ${open ? html`<p>${card.meaning}</p><p class="row"><button onClick=${() => turn(true)}>I knew it</button><button onClick=${() => turn(false)}>Again soon</button></p>` : html`<button onClick=${() => setOpen(true)}>Turn over</button>`}
      <p class="fine">${cards?.length} to go</p></div>` : cards && html`<p>No word is due today.</p>`}<p role="status">${said}</p>`;
}

render(html`<${Cards} />`, /** @type {HTMLElement} */ (document.getElementById("cards")));
