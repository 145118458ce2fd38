const details = element.querySelector("details");
const [whole, lens] = [".whole", ".lens"].map((name) => element.querySelector(name));
const canvases = [...element.querySelectorAll(".layers canvas")];
const layers = [{ count: 1, side: 28 }, ...props.stages, { count: props.hidden_size, side: 1 }];
let shown = ""; // the digit whose layers are shown
let calling = false;
const RETRY_AFTER = 2000; // milliseconds, when too many ask

function show(levels, outputs) {
  canvases.forEach((canvas, i) => paint(canvas, levels[i], layers[i]));
  const [low, high] = [Math.min(...outputs), Math.max(...outputs)];
  element.querySelectorAll("li").forEach((bar, digit) => {
    bar.querySelector("i").style.backgroundSize = (100 * (outputs[digit] - low)) / (high - low) + "% 100%";
    bar.querySelector("u").textContent = outputs[digit].toFixed(1);
  });
}

function showLine(line) {
  whole.hidden = !line;
  if (!line) return;
  const { seen, width, height, places } = line;
  const colour = (level, i) => (places.includes(i % width) ? [255, 212, 0] : grey(level)); // marks in yellow
  paint(whole.querySelector("canvas"), seen, { side: width, height, colour });
}

// Closed, it asks nothing. One call at a time: the newest digit waits for it.
async function look() {
  const { seen: digit = "", line, writing } = props.value ?? {};
  if (details.open && !writing) showLine(line);
  if (calling || !details.open || (digit && digit === shown)) return;
  calling = true;
  const answer = digit ? await server.look(digit) : { said: "Write a digit to see its way through the network." };
  calling = false;
  shown = answer?.levels ? digit : "";
  lens.hidden = true;
  if (shown) show([digit, ...answer.levels], answer.outputs);
  element.querySelector("p").textContent = shown
    ? "Strongest maps first, by their mean. White is the largest value of the layer."
    : (answer?.said ?? "The server does not answer. It is asked again with the next digit.");
  details.classList.toggle("idle", !shown);
  if (answer?.busy) setTimeout(look, RETRY_AFTER);
  if ((props.value?.seen ?? "") !== digit) look();
}

// Under the pointer, or with the focus and the arrow keys, a map is enlarged.
element.querySelectorAll("[role=slider]").forEach((canvas, stage) => {
  const { count, side } = props.stages[stage];
  const columns = Math.ceil(Math.sqrt(count));
  let chosen = 0;
  const enlarge = (map) => {
    chosen = Math.min(Math.max(map, 0), count - 1);
    const place = [chosen % columns, Math.floor(chosen / columns)].map((n) => n * (side + 1));
    const context = lens.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(canvas, ...place, side, side, 0, 0, lens.width, lens.height);
    canvas.after(lens);
    canvas.ariaValueNow = chosen + 1;
    canvas.ariaValueText = `Map ${chosen + 1} of ${count}`;
    lens.hidden = false;
  };
  canvas.addEventListener("pointermove", ({ offsetX, offsetY }) => {
    const [column, row] = [offsetX, offsetY].map((at) => Math.floor((at / canvas.clientWidth) * columns));
    enlarge(row * columns + column);
  });
  canvas.addEventListener("focus", () => enlarge(chosen));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (!step) return;
    event.preventDefault();
    enlarge(chosen + step);
  });
  for (const end of ["pointerleave", "blur"]) canvas.addEventListener(end, () => (lens.hidden = true));
});
watch("value", look);
details.addEventListener("toggle", look);
show([], Array(10).fill(0));
