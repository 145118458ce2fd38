const details = element.querySelector("details");
const layers = [{ count: 1, side: 28 }, ...props.stages, { count: props.hidden_size, side: 1 }];
let shown = ""; // the digit whose layers are shown
let calling = false;

function show(levels, outputs) {
  element.querySelectorAll("canvas").forEach((canvas, i) => paint(canvas, levels[i], layers[i]));
  const [low, high] = [Math.min(...outputs), Math.max(...outputs)];
  element.querySelectorAll("li").forEach((bar, digit) => {
    bar.querySelector("i").style.backgroundSize = (100 * (outputs[digit] - low)) / (high - low) + "% 100%";
    bar.querySelector("u").textContent = outputs[digit].toFixed(1);
  });
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
