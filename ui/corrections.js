// Goes on where answer.js ends, where corrections are kept: see ui/corrections.py.
const UNDO_FOR = 10_000; // milliseconds
const saved = element.querySelector(".saved span");
const undoButton = element.querySelector(".undo");
const refused = element.querySelector(".refused");
const session = Math.random().toString(36).slice(2);
const labelled = (label) => ({ 8: "an 8", none: "not a digit" })[label] ?? "a " + label;
let pending = null; // {label, seen, timer}: the correction that is not sent yet

const buttons = [...bars, element.querySelector(".bars").appendChild(document.createElement("li"))].map((item, i) => {
  const label = i < 10 ? String(i) : "none";
  const button = document.createElement("button");
  button.type = "button";
  if (label === "none") button.textContent = "Not a digit";
  else {
    button.innerHTML = "<span class=spoken>This is " + labelled(label).split(" ")[0] + "</span>";
    button.append(...item.childNodes);
  }
  button.addEventListener("click", () => correct(label));
  item.append(button);
  return button;
});

function correct(label) {
  // Another click on the same image is a change of mind; of the image before, it is the end.
  if (pending?.seen === shown.seen) close();
  else settle();
  pending = { label, seen: shown.seen, timer: setTimeout(settle, UNDO_FOR) };
  saved.textContent = "Saved as " + labelled(label) + ".";
  undoButton.hidden = false;
}

function close() {
  clearTimeout(pending.timer);
  if (undoButton.matches(":focus")) buttons.at(pending.label === "none" ? 10 : pending.label).focus();
  undoButton.hidden = true;
  pending = null;
}

function settle() {
  if (!pending) return;
  const { label, seen } = pending;
  close();
  send(label, seen);
}

async function send(label, seen) {
  const call = { component_id: props.component, fn_name: "correct", session_hash: "corrections" };
  let refusal = "The server does not answer. Please click once more.";
  try {
    // Not server.correct(): only what is kept alive arrives from a page that is left.
    const response = await fetch("gradio_api/component_server/", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ...call, data: { label, seen, session } }),
      keepalive: true,
    });
    if (response.ok) refusal = await response.json();
  } catch {}
  if (!refusal) return;
  if (!pending) saved.textContent = "";
  const line = document.createElement("p");
  line.textContent = "Not saved as " + labelled(label) + ": " + refusal;
  if (![...refused.children].some((other) => other.textContent === line.textContent)) refused.append(line);
}

undoButton.addEventListener("click", () => {
  close();
  saved.textContent = "Undone. Nothing was saved.";
});
window.addEventListener("pagehide", settle);
document.addEventListener("visibilitychange", () => document.hidden && settle()); // a phone may end it

function change() {
  for (const button of buttons) button.disabled = !shown;
  if (!pending) saved.textContent = "";
}
watch("value", change);
change();
