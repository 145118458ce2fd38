const details = element.querySelector("details");
const layers = [{ count: 1, side: 28 }, ...props.stages, { count: props.hidden_size, side: 1 }];
let shown = ""; // the digit whose layers are shown
let calling = false;

// The maps of a layer, levels 0-255 in base64, as one sheet.
function paint(canvas, { count, side }, levels) {
  const columns = Math.ceil(Math.sqrt(count));
  const gap = side > 1 ? 1 : 0; // maps stand apart
  const step = side + gap;
  [canvas.width, canvas.height] = [columns, Math.ceil(count / columns)].map((n) => n * step - gap);
  const context = canvas.getContext("2d");
  const map = context.createImageData(side, side);
  const bytes = atob(levels);
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < side ** 2; j++) {
      const level = bytes.charCodeAt(i * side ** 2 + j);
      map.data.set([level, level, level, 255], 4 * j);
    }
    context.putImageData(map, (i % columns) * step, Math.floor(i / columns) * step);
  }
}

function show(levels, outputs) {
  element.querySelectorAll("canvas").forEach((canvas, i) => paint(canvas, layers[i], levels[i] ?? ""));
  const [low, high] = [Math.min(...outputs), Math.max(...outputs)];
  const bars = outputs.map((output, digit) => {
    const bar = document.createElement("li");
    bar.innerHTML = "<b>" + digit + "</b><i></i><u>" + output.toFixed(1) + "</u>";
    bar.children[1].style.backgroundSize = (100 * (output - low)) / (high - low) + "% 100%";
    return bar;
  });
  element.querySelector("ol").replaceChildren(...bars);
}

// Closed, it asks nothing. One call at a time: the newest digit waits for it.
async function look() {
  const digit = props.value;
  if (calling || !details.open || (digit && digit === shown)) return;
  calling = true;
  const answer = digit ? await server.look(digit) : { line: "Write a digit to see its way here." };
  calling = false;
  shown = answer?.levels ? digit : "";
  if (shown) show([digit, ...answer.levels], answer.outputs);
  element.querySelector("p").textContent = shown
    ? "Strongest maps first, by their mean. White is the largest value of the layer."
    : (answer?.line ?? "The server does not answer. It is asked again with the next digit.");
  details.classList.toggle("idle", !shown);
  if (props.value !== digit) look();
}
watch("value", look);
details.addEventListener("toggle", look);
show([], Array(10).fill(0));
