// Two games, on top of what the sheet does. The best is kept in localStorage, and nowhere else.
const [status, [writeButton, foolButton, stopButton]] = [element.querySelector("p"), element.querySelectorAll("button")];
const NEXT_AFTER = 1500; // milliseconds that a number which was read stays to be seen
const RESTS = 900; // milliseconds: the writer has finished
let game = null; // {kind, target, begun, done}
let streak = 0;
let timer;
const article = (digit) => (digit === "8" ? "an" : "a");
const number = () => (props.value?.text ?? "").replaceAll(" ", ""); // wide gaps are as good
const best = { // seconds a digit
  get: () => { try { return Number(localStorage.getItem("best")) || Infinity; } catch { return Infinity; } },
  set: (value) => { try { localStorage.setItem("best", value); } catch {} },
};

function play(kind) {
  const length = kind === "write" ? 2 + Math.floor(4 * Math.random()) : 1;
  const lowest = length > 1 ? 10 ** (length - 1) : 0;
  const target = String(lowest + Math.floor((10 ** length - lowest) * Math.random()));
  offer({ kind, target, begun: 0, done: false });
  document.querySelector("#sheet .clear").click();
  ask();
  document.querySelector("#sheet").scrollIntoView({ block: "nearest" });
}

function ask() {
  const { kind, target } = game;
  status.innerHTML = kind === "write"
    ? `Write <b>${target}</b>` + (streak ? `. Streak: ${streak}` : "")
    : `Write ${article(target)} <b>${target}</b> that a person can read, and it cannot`;
}

function stop() {
  offer(null);
  streak = 0;
  status.textContent = "How fast can you write? Can you fool it?";
}

// Begins a game, or none. Of the buttons those of it are seen.
function offer(next) {
  clearTimeout(timer);
  game = next;
  writeButton.hidden = game?.kind === "fool";
  foolButton.hidden = game?.kind === "write";
  writeButton.textContent = game ? "Another" : "Write a number";
  foolButton.textContent = game ? "Another" : "Fool it";
  stopButton.hidden = !game;
}

function follow() {
  const { kind, writing, digits = [] } = props.value ?? {};
  const text = number();
  if (!game || game.done) return;
  clearTimeout(timer);
  if (writing || digits.length) game.begun ||= performance.now();
  if (!props.value && game.kind === "fool") ask(); // it is cleared
  if (!digits.length) return;
  if (game.kind === "write" && text === game.target) return won();
  if (game.kind === "fool" && !writing) timer = setTimeout(judge, RESTS, text, kind);
}

function won() {
  const time = (performance.now() - game.begun) / 1000;
  const aDigit = time / game.target.length;
  const record = aDigit < best.get();
  if (record) best.set(aDigit);
  game.done = true;
  streak++;
  status.textContent = `${game.target} in ${time.toFixed(1)} s${record ? ", your best" : ""}. Streak: ${streak}`;
  timer = setTimeout(goOn, NEXT_AFTER);
}

function goOn() {
  if (props.value?.writing) timer = setTimeout(goOn, NEXT_AFTER);
  else if (["", game.target].includes(number())) play("write"); // it may be cleared already
  else stop(); // the visitor does something else
}

function judge(text, kind) {
  const { target } = game;
  if (text === target) status.textContent = `It reads your ${target}. Clear, and write it differently.`;
  else if (kind === "answer") status.textContent = `It took your ${target} for ${text}. If a person reads ${article(target)} ${target}: fooled!`;
  else status.textContent = `It is in doubt about your ${target}. Fooled by half.`;
}

writeButton.addEventListener("click", () => {
  if (!game?.done) streak = 0; // a number that is skipped ends it
  play("write");
});
foolButton.addEventListener("click", () => play("fool"));
stopButton.addEventListener("click", stop);
watch("value", follow);
stop();
