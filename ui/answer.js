const find = (name) => element.querySelector(name);
const tiles = find(".tiles");
let shown; // the digit that the bars and images are of
let picked; // the tile that was clicked, and the text then: later answers with this text keep it
const confidence = ({ probabilities }) => Math.max(...probabilities);
const percent = (share) => (share > 0.99 ? ">99" : (100 * share).toFixed(share < 0.0995 ? 1 : 0)) + "%";

function choose(digits, chosen) {
  shown = digits[chosen];
  tiles.querySelectorAll("button").forEach((tile, i) => tile.setAttribute("aria-pressed", i === chosen));
  find(".why").classList.toggle("idle", !shown);
  element.querySelectorAll("[data-digit]").forEach((bar, i) => {
    const probability = shown?.probabilities[i] ?? 0;
    bar.classList.toggle("best", i === shown?.probabilities.indexOf(confidence(shown)));
    bar.querySelector("i").style.backgroundSize = 100 * probability + "% 100%";
    bar.querySelector("u").textContent = shown ? percent(probability) : "";
  });
  paint(find(".seen"), shown?.seen);
  const marks = atob(shown?.saliency ?? "");
  const colour = (level, i) => {
    const mark = (marks.charCodeAt(i) || 0) / 255; // yellow, on top of half of what the model sees
    return [255, 212, 0].map((yellow) => (level / 2) * (1 - mark) + yellow * mark);
  };
  paint(find(".saliency"), shown?.seen, { colour });
  props.value = { ...props.value, chosen }; // which of them the page shows
  trigger("select");
}

function show() {
  const { kind, text = "", line = props.invitation, digits = [] } = props.value ?? {};
  const length = text.length > 12 || text.includes("\n") ? "long longer" : text.length > 2 ? "long" : "";
  find(".verdict").className = ["verdict", kind, length].join(" ");
  find(".top").textContent = text;
  find(".line").textContent = line;
  tiles.innerHTML = "";
  for (const [i, digit] of digits.length > 1 ? digits.entries() : []) {
    if (digit.line > digits[Math.max(i - 1, 0)].line) tiles.appendChild(document.createElement("hr"));
    const tile = tiles.appendChild(document.createElement("button"));
    tile.type = "button";
    tile.innerHTML = `<canvas></canvas><b>${digit.label}</b>${percent(confidence(digit))}`;
    tile.addEventListener("click", () => choose(digits, (picked = { text, i }).i));
    paint(tile.firstChild, digit.seen);
  }
  if (picked?.text !== text) picked = undefined;
  const confidences = digits.map(confidence);
  choose(digits, picked?.i ?? confidences.indexOf(Math.min(...confidences)));
}
watch("value", show);
show();
