const sheet = element.querySelector(".sheet");
const canvas = sheet.querySelector("canvas");
const [undoButton, clearButton] = element.querySelectorAll("button");
const pen = canvas.getContext("2d");
const SENT_SIZE = 140; // pixels: read as well as more, in a third of the time
const SEND_EVERY = 50; // milliseconds, while drawing
let strokes = []; // lists of points [x, y]
let drawing = false;
let timer = null;
let last = ""; // the last input: "drawing" or "image"
let drawnSince = false; // since an image was asked for

const small = document.createElement("canvas");
small.width = small.height = SENT_SIZE;

function line(from, to) {
  pen.beginPath();
  pen.moveTo(...from);
  pen.lineTo(...to);
  pen.stroke();
}

function redraw() {
  pen.fillStyle = "white";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.strokeStyle = "#111";
  pen.lineWidth = canvas.width / 16;
  pen.lineCap = pen.lineJoin = "round";
  for (const stroke of strokes) stroke.forEach((point, i) => line(stroke[Math.max(i - 1, 0)], point));
  sheet.classList.toggle("drawn", strokes.length > 0);
  undoButton.disabled = clearButton.disabled = strokes.length === 0;
}

function send() {
  timer = null;
  small.getContext("2d").drawImage(canvas, 0, 0, SENT_SIZE, SENT_SIZE);
  props.value = strokes.length ? small.toDataURL("image/png") : "";
  trigger("input");
}

function sendSoon() {
  if (last !== "drawing") trigger("draw");
  last = "drawing";
  drawnSince = true;
  timer ??= setTimeout(send, SEND_EVERY);
}

function keep(rest) {
  drawing = false;
  strokes = rest;
  redraw();
}
function change(rest) {
  keep(rest);
  sendSoon();
}
const undo = () => change(strokes.slice(0, -1));
const clear = () => change([]);

function addPoint(event) {
  const box = canvas.getBoundingClientRect();
  const point = [
    ((event.clientX - box.left) * canvas.width) / box.width,
    ((event.clientY - box.top) * canvas.height) / box.height,
  ];
  const stroke = strokes.at(-1);
  line(stroke.at(-1) ?? point, point); // a stroke's first point is a dot
  stroke.push(point);
  sendSoon();
}

canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !event.isPrimary) return; // a second finger, a resting palm
  canvas.setPointerCapture(event.pointerId);
  drawing = true;
  strokes.push([]);
  addPoint(event);
  redraw();
});
canvas.addEventListener("pointermove", (event) => {
  if (!drawing || !event.isPrimary) return;
  const between = event.getCoalescedEvents?.() ?? [];
  (between.length ? between : [event]).forEach(addPoint);
});
for (const end of ["pointerup", "pointercancel"])
  canvas.addEventListener(end, (event) => event.isPrimary && (drawing = false));

element.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") undo();
  else if (event.key === "Delete" || event.key === "Backspace" || event.key === "Escape") clear();
  else return;
  event.preventDefault();
});
undoButton.addEventListener("click", undo);
clearButton.addEventListener("click", clear);
redraw();

// For app.py and answer.js. An image that has arrived takes the drawing's place, unless that was
// drawn while the image was on its way.
window.lastGiven = () => last;
window.imageComes = () => (drawnSince = false);
window.imageIsHere = () => {
  if (drawnSince && strokes.length) return trigger("draw");
  last = "image";
  clearTimeout(timer);
  timer = null;
  keep([]);
};
