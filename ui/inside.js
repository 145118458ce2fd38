const details = element.querySelector("details");
const status = element.querySelector("p");
const canvases = [...element.querySelectorAll("canvas")];
const bars = Array.from({ length: 10 }, (_, digit) => {
  const bar = document.createElement("li");
  bar.innerHTML = "<b>" + digit + "</b><i></i><u></u>";
  return element.querySelector("ol").appendChild(bar);
});
const layers = [{ count: 1, side: 28 }, ...props.stages, { count: props.hidden_size, side: 1 }];
let shown = ""; // the digit that the layers show
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
  canvases.forEach((canvas, i) => paint(canvas, layers[i], levels[i] ?? ""));
  const [low, high] = [Math.min(...outputs), Math.max(...outputs)];
  outputs.forEach((output, digit) => {
    const [, bar, text] = bars[digit].children;
    bar.style.backgroundSize = (100 * (output - low)) / (high - low) + "% 100%";
    text.textContent = output.toFixed(1);
  });
}

// Closed, it asks nothing. One call at a time: the newest digit waits for it.
async function look() {
  const digit = props.value;
  if (calling || !details.open || (digit && digit === shown)) return;
  let line = "Write a digit to see its way through the network.";
  shown = "";
  if (digit) {
    calling = true;
    const answer = await server.look(digit);
    calling = false;
    line = answer?.line ?? "The server does not answer. It is asked again with the next digit.";
    if (answer?.levels) {
      show([digit, ...answer.levels], answer.outputs);
      line = "Strongest maps first, by their mean. White is the largest value of the layer.";
      shown = digit;
    }
  }
  status.textContent = line;
  details.classList.toggle("idle", !shown);
  if (props.value !== digit) look();
}
watch("value", look);
details.addEventListener("toggle", look);
show([], []);
