const verdict = element.querySelector(".verdict");
const why = element.querySelector(".why");
const bars = Array.from({ length: 10 }, (_, digit) => {
  const bar = document.createElement("li");
  bar.dataset.digit = digit;
  bar.innerHTML = "<b>" + digit + "</b><i></i><u></u>";
  return element.querySelector(".bars").appendChild(bar);
});

function setImages(selector, source) {
  for (const image of element.querySelectorAll(selector))
    source ? (image.src = source) : image.removeAttribute("src");
}

function show() {
  const { kind, digit, line, scores, seen, heat } = props.value;
  verdict.className = "verdict " + kind;
  element.querySelector(".top").textContent = digit;
  element.querySelector(".line").textContent = line;
  why.classList.toggle("idle", !scores);
  bars.forEach((bar, i) => {
    const percent = scores ? 100 * scores[i] : 0;
    bar.classList.toggle("best", String(i) === digit);
    bar.querySelector("i").style.backgroundSize = percent + "% 100%";
    const text = percent > 99 ? ">99" : percent.toFixed(percent < 10 ? 1 : 0);
    bar.querySelector("u").textContent = scores ? text + " %" : "";
  });
  setImages(".seen", seen);
  setImages(".heat", heat);
}
watch("value", show);
show();
