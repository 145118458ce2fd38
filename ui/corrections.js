// Takes corrections of the digit that `shown()` gives (see ui/corrections.py), and returns what to
// call whenever that changes.
function takeCorrections(shown) {
  const UNDO_FOR = 10_000; // milliseconds
  const [saved, undoButton] = element.querySelector(".saved").children;
  const session = Math.random().toString(36).slice(2);
  const refusals = new Map(); // of a label and an image: the sentence; all stay to be seen
  const kept = new Map(); // of an image: the label that is saved
  let pending = null; // {label, seen, timer}: what is not sent yet, and can be undone
  const named = (label) => ({ 8: "an 8", none: "not a digit" })[label] ?? "a " + label;

  const buttons = new Map(); // of a label
  for (const row of element.querySelectorAll(".bars li")) {
    const label = row.dataset.digit ?? "none";
    const button = document.createElement("button");
    if (label !== "none") button.innerHTML = `<span class="ears">This is ${named(label).split(" ")[0]}</span>`;
    button.append(...row.childNodes);
    button.addEventListener("click", () => correct(label));
    row.append(button);
    buttons.set(label, button);
  }

  function correct(label) {
    // A second click on the same image is a change of mind; one on another image ends the wait.
    if (pending?.seen === shown().seen) forget();
    settle();
    pending = { label, seen: shown().seen, timer: setTimeout(settle, UNDO_FOR) };
    undoButton.hidden = false;
    tell();
  }

  function tell() {
    const seen = shown()?.seen;
    const label = pending?.seen === seen ? pending?.label : kept.get(seen);
    for (const [value, button] of buttons) {
      button.disabled = !seen;
      button.ariaPressed = value === label;
    }
    const savedAs = kept.has(seen) ? `Saved as ${named(kept.get(seen))}.` : "";
    const toBe = pending?.seen === seen ? "To be saved" : "Another digit is to be saved";
    const text = pending ? `${toBe} as ${named(pending.label)} in ten seconds.` : savedAs;
    if (saved.textContent !== text) saved.textContent = text; // else it would be said again
  }

  function forget() {
    clearTimeout(pending.timer);
    if (undoButton.matches(":focus")) buttons.get(pending.label).focus();
    undoButton.hidden = true;
    pending = null;
  }

  async function settle() {
    if (!pending) return;
    const { label, seen } = pending;
    forget();
    const data = { label, seen, session };
    const call = { data, component_id: props.component, fn_name: "correct", session_hash: "corrections" };
    // Not server.correct(data): of a page that is left, only what is kept alive arrives.
    const response = await fetch("gradio_api/component_server/", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(call),
      keepalive: true,
    }).catch(() => ({}));
    const refusal = response.ok ? await response.json() : "The server does not answer. Please click once more.";
    if (refusal) refusals.set(label + seen, `Not saved as ${named(label)}: ${refusal}`);
    else refusals.delete(label + seen);
    if (!refusal) kept.set(seen, label);
    element.querySelector(".refused").textContent = [...new Set(refusals.values())].join("\n");
    tell();
  }

  undoButton.addEventListener("click", () => {
    forget();
    tell();
    saved.textContent = "Undone. " + (saved.textContent || "Nothing was saved.");
  });
  window.addEventListener("pagehide", settle);
  // A phone ends hidden pages without another word.
  document.addEventListener("visibilitychange", () => document.hidden && settle());
  return tell;
}
