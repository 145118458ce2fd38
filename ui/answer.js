const PAUSE = 600; // milliseconds: the pen rests longer than between two strokes of a 4
const find = (name) => element.querySelector(name);
const tiles = find(".tiles");
let shown; // the digit that the bars and images are of
let saying; // the timer of the sentences that wait until the pen rests
let picked; // the tile that was clicked, and the text then: later answers with this text keep it
const tellCorrections = props.corrects ? takeCorrections(() => shown) : () => {};
// Never by innerHTML: a label is what a model's configuration says.
const make = (tag, textContent = "") => Object.assign(document.createElement(tag), { textContent });
const confidence = ({ probabilities }) => Math.max(...probabilities);
const percent = (share) => (share > 0.99 ? ">99" : (100 * share).toFixed(share < 0.0995 ? 1 : 0)) + "%";
const spoken = (digit, share) => `${digit}, ${percent(share).replace(">", "more than ").replace("%", " percent")}`;

function choose(digits, chosen) {
  shown = digits[chosen];
  tiles.querySelectorAll("button").forEach((tile, i) => tile.setAttribute("aria-pressed", i === chosen));
  find(".why").classList.toggle("idle", !shown);
  element.querySelectorAll("[data-digit]").forEach((bar, i) => {
    const probability = shown?.probabilities[i] ?? 0;
    bar.classList.toggle("best", i === shown?.probabilities.indexOf(confidence(shown)));
    bar.querySelector("i").style.backgroundSize = 100 * probability + "% 100%";
    bar.querySelector("u").textContent = shown ? percent(probability) : "";
    bar.querySelector("u + .ears").textContent = shown ? spoken(i, probability) : i;
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
  tellCorrections();
}

function show() {
  const { kind, writing, text = "", said = props.invitation, digits = [] } = props.value ?? {};
  const length = text.includes("\n") ? "long lines" : text.length > 12 ? "long longer" : text.length > 2 ? "long" : "";
  const waits = writing || find(".writing");
  find(".verdict").className = ["verdict", kind, length, waits ? "writing" : ""].join(" ");
  find(".top").replaceChildren(...text.split("\n").filter(Boolean).map((line) => make("span", line)));
  clearTimeout(saying);
  if (!waits) say(text, said);
  else if (!writing) saying = setTimeout(say, PAUSE, text, said);
  tiles.innerHTML = "";
  const isColumn = digits.at(-1)?.line === digits.length - 1; // one a line: side by side all are seen
  for (const [i, digit] of digits.length > 1 ? digits.entries() : []) {
    if (!isColumn && digit.line > digits[Math.max(i - 1, 0)].line) tiles.appendChild(document.createElement("hr"));
    const tile = tiles.appendChild(document.createElement("button"));
    tile.ariaLabel = spoken(digit.label, confidence(digit));
    tile.append(make("canvas"), make("b", digit.label), percent(confidence(digit)));
    tile.addEventListener("click", () => {
      picked = { text, i };
      choose(digits, i);
    });
    paint(tile.firstChild, digit.seen);
  }
  if (picked?.text !== text) picked = undefined;
  const confidences = digits.map(confidence);
  choose(digits, picked?.i ?? confidences.indexOf(Math.min(...confidences)));
}

function say(text, said) {
  find(".verdict").classList.remove("writing");
  for (const [name, words] of [[".verdict .ears", text], [".said", said]])
    if (find(name).textContent !== words) find(name).textContent = words; // else it would be said again
}
watch("value", show);
show();
