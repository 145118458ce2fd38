const verdict = element.querySelector(".verdict");
const why = element.querySelector(".why");
const bars = Array.from({ length: 10 }, (_, digit) => {
  const bar = document.createElement("li");
  bar.dataset.digit = digit;
  bar.innerHTML = "<b>" + digit + "</b><i></i><u></u>";
  return element.querySelector(".bars").appendChild(bar);
});

function show() {
  const { kind, digit, line, probabilities, source } = props.value;
  if (source && source !== window.lastGiven()) return; // late: there is a newer input
  verdict.className = "verdict " + kind;
  element.querySelector(".top").textContent = digit;
  element.querySelector(".line").textContent = line;
  why.classList.toggle("idle", !probabilities);
  bars.forEach((bar, i) => {
    const percent = probabilities ? 100 * probabilities[i] : 0;
    bar.classList.toggle("best", String(i) === digit);
    bar.querySelector("i").style.backgroundSize = percent + "% 100%";
    const text = percent > 99 ? ">99" : percent.toFixed(percent < 9.95 ? 1 : 0);
    bar.querySelector("u").textContent = probabilities ? text + "%" : "";
  });
  for (const image of element.querySelectorAll("img")) image.src = props.value[image.className] ?? "";
}
watch("value", show);
show();

// On a phone images are uploaded, and examples chosen, far below the answer.
const look = () => verdict.scrollIntoView({ block: "nearest" });

function refuse(line) {
  props.value = { kind: "error", digit: "", line };
  show();
  look();
}

// Gradio's own notices, as of a lost connection, are shown here, where visitors look; page.css
// hides them in their corner.
new MutationObserver((changes) => {
  for (const node of changes.flatMap((change) => [...change.addedNodes])) {
    const notice = node.querySelector?.("[data-testid=toast-text]");
    if (notice) refuse(notice.textContent);
  }
}).observe(document.body, { childList: true, subtree: true });

// Images can be dropped and pasted anywhere. What the server would refuse is not sent.
const MAX_BYTES = 20_000_000; // as app.py's max_file_size
const input = () => document.querySelector("#upload input[type=file]");

function give(event, files) {
  if (!files?.length || event.target === input()) return;
  event.preventDefault();
  event.stopPropagation();
  if (!input()) return setTimeout(give, 50, event, files); // just after another image was removed
  input().files = files;
  input().dispatchEvent(new Event("change", { bubbles: true }));
}

function check(event) {
  const file = event.target === input() && event.target.files[0];
  if (!file) return;
  const isImage = file.type.startsWith("image/");
  if (isImage && file.size <= MAX_BYTES) {
    window.imageComes();
    return look();
  }
  event.stopPropagation();
  event.target.value = "";
  refuse(
    isImage
      ? "This file is too large. Use an image of at most 20 MB."
      : "This file is not an image. Use PNG, JPEG, GIF, WebP, BMP or TIFF.",
  );
}

// Ahead of Gradio's own listeners.
document.addEventListener("dragover", (event) => event.preventDefault(), true);
document.addEventListener("drop", (event) => give(event, event.dataTransfer.files), true);
document.addEventListener("paste", (event) => give(event, event.clipboardData.files), true);
document.addEventListener("change", check, true);
document.addEventListener("click", (event) => {
  if (event.target.closest("#examples button, #upload button")) window.imageComes();
  if (event.target.closest("#examples button")) look();
}, true);
