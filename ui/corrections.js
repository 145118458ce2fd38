// Takes corrections, of the digit that `shown()` gives: see ui/corrections.py.
function takeCorrections(shown) {
  const UNDO_FOR = 10_000; // milliseconds
  const [saved, undoButton] = element.querySelector(".saved").children;
  const session = Math.random().toString(36).slice(2);
  const refusals = new Map(); // of a label and an image: the sentence; all stay to be seen
  const kept = new Map(); // of an image: the label that is saved
  let pending = null; // {label, seen, timer}: what is not sent yet, and can be undone
  const named = (label) => ({ 8: "an 8", none: "not a digit" })[label] ?? "a " + label;

  const rows = [...element.querySelectorAll(".bars li")];
  const labels = rows.map((row) => row.dataset.digit ?? "none");
  const buttons = rows.map((row, i) => {
    const label = labels[i];
    const button = document.createElement("button");
    button.type = "button";
    if (label !== "none") button.innerHTML = `<span class="ears">This is ${named(label).split(" ")[0]}</span>`; // for ears
    button.append(...row.childNodes);
    button.addEventListener("click", () => correct(label));
    row.append(button);
    return button;
  });

  function correct(label) {
    // A second click on the same image is a change of mind; one on another image ends the wait.
    if (pending?.seen === shown().seen) forget();
    settle();
    pending = { label, seen: shown().seen, timer: setTimeout(settle, UNDO_FOR) };
    saved.textContent = `To be saved as ${named(label)} in ten seconds.`;
    undoButton.hidden = false;
    mark();
  }

  function mark() {
    const label = pending && pending.seen === shown()?.seen ? pending.label : kept.get(shown()?.seen);
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", label === labels[i]));
  }

  function forget() {
    clearTimeout(pending.timer);
    if (undoButton.matches(":focus")) buttons[labels.indexOf(pending.label)].focus();
    undoButton.hidden = true;
    pending = null;
    mark();
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
    if (!pending) saved.textContent = refusal || seen !== shown()?.seen ? "" : `Saved as ${named(label)}.`;
    mark();
    element.querySelector(".refused").textContent = [...new Set(refusals.values())].join("\n");
  }

  function change() {
    for (const button of buttons) button.disabled = !shown();
    if (!pending && saved.textContent !== `Saved as ${named(kept.get(shown()?.seen))}.`) saved.textContent = "";
    mark();
  }
  watch("value", change);
  element.querySelector(".tiles").addEventListener("click", change); // after the tile has chosen
  change();

  undoButton.addEventListener("click", () => {
    forget();
    saved.textContent = "Undone. Nothing was saved.";
  });
  window.addEventListener("pagehide", settle);
  // A phone ends hidden pages without another word.
  document.addEventListener("visibilitychange", () => document.hidden && settle());
}

