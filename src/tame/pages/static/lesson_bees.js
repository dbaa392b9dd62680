// @ts-check
// The exercise without code: look, split, a first network, five planted faults, changes, the doctor, an exam.
import { Curve, Told, Waits, teach, useAsk, useAsked } from "./lesson.js";
import { html, number, useState } from "./ui.js";

const capital = (/** @type {string} */ text) => text.charAt(0).toUpperCase() + text.slice(1);
const interval = (/** @type {any} */ own) => `${number(own.value, 3)} (95 % interval ${number(own.low, 3)} to ${number(own.high, 3)}, ${own.n} pictures)`;

/** Some answers to choose from, and a button that asks about one. given: what is asked with an answer.
 * @param {{name: string, options: [string, string][], what: string, given: (answer: string) => object, then: (found: any, answer: string) => void, done: boolean, words: string}} props */
function Choose({ name, options, what, given, then, done, words }) {
  const [answer, setAnswer] = useState("");
  const [go, said, busy] = useAsk();
  const send = () => go(what, given(answer), (found) => then(found, answer));
  return html`<fieldset class="options" disabled=${done}><legend class="unseen">${words}</legend>${options.map(([value, text]) => html`<label class="option" key=${value}><input type="radio" name=${name} value=${value} checked=${answer === value} onChange=${() => setAnswer(value)} /> ${text}</label>`)}</fieldset>
    ${!done && html`<p class="row"><button disabled=${!answer || busy} onClick=${send}>${words}</button> <span class="fine" role="status">${said}</span></p>`}`;
}

/** @param {{own: any}} props */
function Split({ own }) {
  const [found, setFound] = useState(/** @type {any} */ (null));
  return html`<h3>Split</h3><p>${own.pairs ? `Among the pictures are ${own.pairs} pairs that show the same. How do you split?` : "Among these pictures are no pairs that show the same. How would you split if there might be some?"}</p>
    <${Choose} name="split" words="Split" done=${!!found} options=${[["pictures", "Each picture by itself, at random"], ["groups", "By groups: copies of a picture stay together"]]} what="split" given=${(/** @type {string} */ by) => ({ by })} then=${setFound} />
    ${found && html`<${Told} right=${found.right}>${found.pairs ? `Each by itself divides ${found.divided.pictures} of ${found.pairs} pairs between the parts; by groups ${found.divided.groups}.` : "By groups, a picture and its copies never lie in two parts."} From here on it is by groups: ${found.parts[0]} pictures to learn from, ${found.parts[1]} to choose by, ${found.parts[2]} for the exam.<//>`}`;
}

/** @param {{own: any}} props */
function First({ own }) {
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [judged, setJudged] = useState(/** @type {any} */ (null));
  const [go, said, busy] = useAsk();
  return html`<h3>A first network, from scratch</h3><p>Three convolutions, each with an activation and pooling, then one hidden layer; ${own.epochs} epochs.</p>
    ${!found && html`<p class="row"><button class="go" disabled=${busy} onClick=${() => go("first", {}, setFound)}>Train it</button> <span class="fine" role="status">${said}</span></p>`}
    ${found && html`<${Curve} curve=${found.curve} /><p>Its accuracy on the validation pictures is ${interval(found.accuracy)}. Guessing has a loss of ${number(found.guess, 3)}. What would you say of its curve?</p>
      <${Choose} name="curve" words="Answer" done=${!!judged} options=${Object.entries(own.verdicts)} what="read" given=${(/** @type {string} */ answer) => ({ answer })} then=${setJudged} />`}
    ${judged && html`<${Told} right=${judged.right}>The doctor says: ${own.verdicts[judged.verdict]}. ${judged.why}<//>`}`;
}

/** More of what there is: changed copies, and the change that a label does not survive. */
function Augmented() {
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [picked, setPicked] = useState(/** @type {any} */ (null));
  const [go, said, busy] = useAsk();
  return html`<h3>More of what there is</h3><p>In training, each picture can be changed at random each time it is seen. Nobody labels the copies again, so a change must leave what a picture shows as it is.</p>
    ${!found ? html`<p class="row"><button class="go" disabled=${busy} onClick=${() => go("augmented", {}, setFound)}>See four ways</button> <span class="fine" role="status">${said}</span></p>`
    : html`${Object.entries(found.names).map(([name, words]) => html`<figure key=${name} class="wide"><figcaption>${words}</figcaption><img src=${found.strips[name]} alt=${`Pictures and a drawn six. ${words}`} class="sheet" /></figure>`)}
      <p>Above are pictures of the exercise, below a drawn six. Which of the four can make the label of a six wrong?</p>
      <${Choose} name="augment" words="Answer" done=${!!picked} options=${Object.entries(found.names)} what="relabels" given=${(/** @type {string} */ way) => ({ way })} then=${setPicked} />
      ${picked && html`<${Told} right=${picked.right}>Of ${picked.drawn} sixes changed at random, more like a nine than a six are: ${Object.entries(picked.shares).map(([name, share]) => `${found.names[name].toLowerCase()} ${Math.round(100 * share)} %`).join("; ")}. An insect that is turned is still that insect: what is harmless depends on what the pictures show.<//>`}`}`;
}

/** @param {{own: any, place: number, told: (right: boolean) => void}} props */
function Fault({ own, place, told }) {
  const [story, problem] = useAsked("story", { place });
  const [found, setFound] = useState(/** @type {any} */ (null));
  if (!story) return html`<${Waits} problem=${problem} what="Making the mistake on your pictures…" />`;
  return html`<blockquote>${story.told}</blockquote>
    <${Choose} name=${`fault-${place}`} words="Say what is wrong" done=${!!found} options=${Object.entries(own.faults)} what="found" given=${(/** @type {string} */ answer) => ({ place, answer })} then=${(/** @type {any} */ what) => { setFound(what); told(what.right); }} />
    ${found && html`<${Told} right=${found.right}>${own.faults[found.name]}. ${found.check}<//><p>What to do: ${found.fixed}</p>`}`;
}

/** @param {{own: any}} props */
function Faults({ own }) {
  const [shown, setShown] = useState(0);
  const [answers, setAnswers] = useState(/** @type {boolean[]} */ ([]));
  const right = answers.filter(Boolean).length;
  return html`<h3>Five planted faults</h3><p>Somebody reports results on these pictures. Each report has another fault; nothing in it fails. Find at least three.</p>
    ${Array.from({ length: shown }, (_, place) => html`<h4 key=${`h${place}`}>Report ${place + 1}</h4><${Fault} key=${place} own=${own} place=${place} told=${(/** @type {boolean} */ good) => setAnswers((all) => [...all, good])} />`)}
    ${shown < own.many && answers.length === shown && html`<p class="row"><button class="go" onClick=${() => setShown(shown + 1)}>${shown ? "Next report" : "Read the first report"}</button></p>`}
    ${answers.length === own.many && html`<${Told} right=${right >= 3}>${right} of ${own.many} faults found.<//>`}`;
}

/** @param {{own: any}} props */
function Changes({ own }) {
  const [change, setChange] = useState(own.changes[0]);
  const [rows, setRows] = useState(/** @type {any[]} */ ([]));
  const then = (/** @type {any} */ found, /** @type {string} */ bet) => setRows((all) => [...all.filter((each) => each.change !== change), { ...found, change, bet }]);
  const last = rows.at(-1);
  return html`<h3>One change at a time</h3><p>Say first what it does to the accuracy. Both are trained with the same two seeds.</p>
    <label>The change <select value=${change} onChange=${(/** @type {any} */ e) => setChange(e.target.value)}>${own.changes.map((/** @type {string} */ each) => html`<option key=${each}>${each}</option>`)}</select></label>
    <${Choose} key=${`${change}-${rows.length}`} name="change" words="Commit and train" done=${false} options=${own.bets.map((/** @type {string} */ each) => [each, capital(each)])} what="change" given=${(/** @type {string} */ bet) => ({ change, bet })} then=${then} />
    ${last && html`<${Told} right=${last.right}>${capital(last.change)}: ${last.outcome}.<//><table class="list stacked"><thead><tr><th>Change</th><th>You said</th><th>It is</th><th class="n">Accuracy, after minus before</th></tr></thead><tbody>
      ${rows.map((each) => html`<tr key=${each.change}><td>${each.change}</td><td>${each.bet}</td><td>${each.outcome}</td><td class="n">${interval(each)}</td></tr>`)}</tbody></table>`}`;
}

/** @param {{own: any}} props */
function Doctor({ own }) {
  const [found, setFound] = useState(/** @type {any} */ (null));
  return html`<h3>Let the doctor try</h3><p>The same network is trained for much longer. The doctor reads its curve, prescribes one change, and both are trained with the same seeds. What will the change do to the accuracy?</p>
    <${Choose} name="doctor" words="Call the doctor" done=${!!found} options=${own.bets.map((/** @type {string} */ each) => [each, capital(each)])} what="doctor" given=${(/** @type {string} */ bet) => ({ bet })} then=${setFound} />
    ${found && html`<${Curve} curve=${found.curve} />${found.finding ? html`<${Told} right=${found.right}>The doctor says: ${found.finding} It prescribes ${found.field} = ${found.to}: ${found.outcome}, ${interval(found)}.<//>` : html`<p role="status">The doctor finds nothing here that it treats.</p>`}`}`;
}

/** @param {{own: any}} props */
function Exam({ own }) {
  const [found, setFound] = useState(/** @type {any} */ (null));
  return html`<h3>Transfer, and the exam</h3><p>A network that has seen many photographs gets a new last layer. Is it better than the one from scratch, on the pictures that nothing has seen? They are opened once.</p>
    <${Choose} name="exam" words="Open the exam" done=${!!found} options=${own.bets.map((/** @type {string} */ each) => [each, capital(each)])} what="exam" given=${(/** @type {string} */ bet) => ({ bet })} then=${setFound} />
    ${found && html`<${Told} right=${found.right}>${capital(found.outcome)}: pretrained minus from scratch is ${interval(found)}.<//>
      <table class="list"><thead><tr><th>Network</th><th class="n">Accuracy in the exam</th></tr></thead><tbody><tr><td>from scratch</td><td class="n">${interval(found.scratch)}</td></tr><tr><td>pretrained</td><td class="n">${interval(found.pretrained)}</td></tr></tbody></table>`}`;
}

function Bees() {
  const [own, problem] = useAsked("bees");
  if (!own) return html`<${Waits} problem=${problem} what="Looking at the pictures…" />`;
  return html`<h3>Look</h3><p>${own.is_drawn ? "The pictures are drawn" : `The pictures are of ${own.name}`}: ${own.classes.map((/** @type {string} */ name, /** @type {number} */ i) => `${own.counts[i]} of ${name}`).join(", ")}. Some of each, a row for each class, as the first network sees them:</p>
    <p class="wide"><img src=${own.sheet} alt=${`Pictures of ${own.classes.join(", ")}`} class="sheet" /></p>
    <${Split} own=${own} /><${First} own=${own} /><${Augmented} /><${Faults} own=${own} /><${Changes} own=${own} /><${Doctor} own=${own} /><${Exam} own=${own} />`;
}

teach(html`<${Bees} />`);
