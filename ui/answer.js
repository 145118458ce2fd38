const invitation = props.value;
const verdict = element.querySelector(".verdict");
const tiles = element.querySelector(".tiles");
const why = element.querySelector(".why");
const bars = Array.from({ length: 10 }, (_, digit) => {
  const bar = document.createElement("li");
  bar.dataset.digit = digit;
  bar.innerHTML = "<b>" + digit + "</b><i></i><u></u>";
  return element.querySelector(".bars").appendChild(bar);
});
let shown; // the digit that the bars and images are of
const percent = (share) => {
  const hundredths = 100 * share;
  return (hundredths > 99 ? ">99" : hundredths.toFixed(hundredths < 9.95 ? 1 : 0)) + "%";
};

// Levels 0-255 of 28x28 pixels, in base64, as grey values; with marks, yellow on top of half of it.
function paint(canvas, levels, marks) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(28, 28);
  const [grey, yellow] = [levels, marks].map((text) => (text ? atob(text) : ""));
  for (let i = 0; i < 784; i++) {
    const level = (grey.charCodeAt(i) || 0) * (canvas.className === "saliency" ? 0.5 : 1);
    const mark = (yellow.charCodeAt(i) || 0) / 255;
    const pixel = [255, 212, 0].map((value) => level * (1 - mark) + value * mark);
    image.data.set([...pixel, 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
}

function showDigit(digit) {
  shown = digit;
  why.classList.toggle("idle", !digit);
  bars.forEach((bar, i) => {
    const probability = digit?.probabilities[i] ?? 0;
    bar.classList.toggle("best", digit?.best === i);
    bar.querySelector("i").style.backgroundSize = 100 * probability + "% 100%";
    bar.querySelector("u").textContent = digit ? percent(probability) : "";
  });
  paint(element.querySelector(".seen"), digit?.seen);
  paint(element.querySelector(".saliency"), digit?.seen, digit?.saliency);
}

function choose(digits, chosen) {
  [...tiles.children].forEach((tile, i) => tile.setAttribute("aria-pressed", i === chosen));
  showDigit(digits[chosen]);
  props.value = { ...props.value, chosen }; // which of them the page shows
  trigger("select");
}

function show() {
  const { kind, text, line, digits = [] } = props.value || invitation;
  const length = text.length > 12 ? "long longer" : text.length > 2 ? "long" : "";
  verdict.className = ["verdict", kind, length].join(" ");
  element.querySelector(".top").textContent = text;
  element.querySelector(".line").textContent = line;
  const several = digits.length > 1 ? digits : [];
  tiles.replaceChildren(
    ...several.map((digit, i) => {
      const tile = document.createElement("button");
      tile.type = "button";
      tile.innerHTML = "<canvas width=28 height=28></canvas><b>" + digit.label + "</b>";
      tile.append(percent(digit.probabilities[digit.best]));
      tile.addEventListener("click", () => choose(digits, i));
      paint(tile.firstChild, digit.seen);
      return tile;
    }),
  );
  const confidences = digits.map((digit) => digit.probabilities[digit.best]);
  choose(digits, confidences.indexOf(Math.min(...confidences)));
}
watch("value", show);
show();
