const [sheet, canvas, files] = [".sheet", "canvas", "input"].map((name) => element.querySelector(name));
const [undoButton, clearButton, chooseButton] = element.querySelectorAll("button");
const pen = canvas.getContext("2d");
const PEN_WIDTH = canvas.height / 24;
const MARGIN = 2 * PEN_WIDTH; // around what is sent
const SENT_HEIGHT = 112; // pixels of a drawing: read as well as more, in a fraction of the time
const MAX_SIDE = 512; // pixels of anything sent
const MAX_LENGTH = 130_000; // characters of a data URL: about 100 kB
const SEND_EVERY = 50; // milliseconds, while drawing
const RETRY_AFTER = 2000; // milliseconds, when the server does not answer

let image = null; // {source, left, top, width, height, isDark}: an image and its place on the canvas
let strokes = []; // lists of points [x, y]
let drawing = false;
let inputs = 0; // of everything but a stroke that grows: an answer from before the last is late
let unread = false; // something changed since the last call
let calling = false;
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const isEmpty = () => !image && !strokes.length;

// What lies on the sheet
const line = (from, to) => pen.stroke(new Path2D(`M ${from} L ${to} l .01 0`)); // from where it ends: a dot

function redraw() {
  pen.fillStyle = "white";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  if (image) pen.drawImage(image.source, image.left, image.top, image.width, image.height);
  pen.strokeStyle = image?.isDark ? "white" : "#111";
  pen.lineWidth = PEN_WIDTH;
  pen.lineCap = pen.lineJoin = "round";
  for (const stroke of strokes) stroke.forEach((point, i) => line(stroke[Math.max(i - 1, 0)], point));
  undoButton.disabled = clearButton.disabled = isEmpty();
  sheet.classList.toggle("filled", !isEmpty());
}

function change(newImage, newStrokes) {
  [image, strokes, drawing] = [newImage, newStrokes, false];
  inputs++;
  redraw();
  showBoxes([]);
  read();
}
const undo = () => (strokes.length ? change(image, strokes.slice(0, -1)) : change(null, []));
const clear = () => change(null, []);

// What is sent: the ink with a margin around it, or the image, as small as it can be read well
function region() {
  const [xs, ys] = [0, 1].map((axis) => strokes.flat().map((point) => point[axis]));
  const left = Math.min(image?.left ?? Infinity, Math.min(...xs) - MARGIN);
  const top = Math.min(image?.top ?? Infinity, Math.min(...ys) - MARGIN);
  const right = Math.max(image ? image.left + image.width : -Infinity, Math.max(...xs) + MARGIN);
  const bottom = Math.max(image ? image.top + image.height : -Infinity, Math.max(...ys) + MARGIN);
  return { left, top, width: right - left, height: bottom - top };
}

// A copy that is at most so large: of all of the source, or of an area of it, white where that goes beyond.
function reduced(source, maxWidth, maxHeight, area) {
  const { left = 0, top = 0, width, height } = area ?? source;
  const small = document.createElement("canvas");
  const scale = Math.min(1, maxWidth / width, maxHeight / height);
  small.width = Math.max(1, Math.round(width * scale));
  small.height = Math.max(1, Math.round(height * scale));
  const context = small.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white";
  if (area) context.fillRect(0, 0, small.width, small.height);
  context.drawImage(source, left, top, width, height, 0, 0, small.width, small.height);
  return small;
}

function encode(area) {
  const small = strokes.length
    ? reduced(canvas, MAX_SIDE, image ? MAX_SIDE : SENT_HEIGHT, area)
    : reduced(image.source, MAX_SIDE, MAX_SIDE);
  let url = small.toDataURL();
  for (const [kind, quality] of [["webp", 0.9], ["jpeg", 0.85], ["jpeg", 0.5]])
    if (url.length > MAX_LENGTH) url = small.toDataURL("image/" + kind, quality);
  return url;
}

// One call at a time: the newest input waits for it, older ones are never sent
async function read() {
  unread = true;
  if (calling) return;
  calling = true;
  while (unread) {
    unread = false;
    const [pause, input, area] = [sleep(SEND_EVERY), inputs, region()];
    const value = isEmpty() ? null : await server.read_sheet({ image: encode(area), resting: !drawing });
    const failed = value === undefined;
    const again = failed || value?.busy;
    unread ||= again;
    if (input === inputs) {
      if (failed) fail("The server does not answer. What is written stays here, and is sent again.");
      else answer(value);
      showBoxes(value?.boxes ?? [], area);
    }
    await (again ? sleep(RETRY_AFTER) : pause);
  }
  calling = false;
}

function answer(value) {
  props.value = value;
  trigger("input");
}
const fail = (line) => answer({ kind: "error", line });

function showBoxes(boxes, area) {
  const x = (share) => (100 * (area.left + share * area.width)) / canvas.width;
  const y = (share) => (100 * (area.top + share * area.height)) / canvas.height;
  sheet.querySelector(".boxes").innerHTML = boxes
    .map(([left, top, right, bottom]) => [y(top), 100 - x(right), 100 - y(bottom), x(left)].join("% "))
    .map((inset) => `<i style="inset: ${inset}%"></i>`)
    .join("");
}

// The pen
function place({ clientX, clientY }) {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  return [((clientX - left) * canvas.width) / width, ((clientY - top) * canvas.height) / height];
}

canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !event.isPrimary) return; // a second finger, a resting palm
  canvas.setPointerCapture(event.pointerId);
  drawing = true;
  strokes.push([place(event)]);
  redraw();
  read();
});
canvas.addEventListener("pointermove", (event) => {
  if (!drawing || !event.isPrimary) return;
  const between = event.getCoalescedEvents?.() ?? [];
  for (const passed of between.length ? between : [event]) {
    strokes.at(-1).push(place(passed));
    line(...strokes.at(-1).slice(-2));
  }
  read();
});
for (const end of ["pointerup", "pointercancel"])
  canvas.addEventListener(end, (event) => {
    if (!drawing || !event.isPrimary) return;
    drawing = false;
    read();
  });

element.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") undo();
  else if (["Delete", "Backspace", "Escape"].includes(event.key)) clear();
  else return;
  event.preventDefault();
});
undoButton.addEventListener("click", undo);
clearButton.addEventListener("click", clear);

// Images: dropped and pasted anywhere, chosen, photographed, or an example
async function put(url) {
  const input = ++inputs;
  const loaded = new Image();
  loaded.src = url;
  await loaded.decode().catch(() => {});
  if (input !== inputs || drawing) return;
  if (!loaded.naturalWidth)
    return fail("This file is not an image that can be read. Use PNG, JPEG, GIF, WebP or BMP.");
  const source = reduced(loaded, 2 * canvas.width, 2 * canvas.width); // a photograph is slow to draw
  const scale = Math.min(canvas.width / source.width, canvas.height / source.height);
  const [width, height] = [source.width * scale, source.height * scale];
  const [left, top] = [(canvas.width - width) / 2, (canvas.height - height) / 2];
  const [red, green, blue, alpha] = reduced(loaded, 1, 1).getContext("2d").getImageData(0, 0, 1, 1).data;
  change({ source, left, top, width, height, isDark: alpha > 127 && red + green + blue < 384 }, []);
}

function give(event, list) {
  if (!list?.length) return;
  event.preventDefault();
  const url = URL.createObjectURL(list[0]);
  put(url).finally(() => URL.revokeObjectURL(url));
}
chooseButton.addEventListener("click", () => files.click());
files.addEventListener("change", (event) => {
  give(event, files.files);
  files.value = ""; // so that the same file can be chosen again
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => give(event, event.dataTransfer.files));
document.addEventListener("paste", (event) => give(event, event.clipboardData.files));
document.addEventListener("click", (event) => {
  const example = event.target.closest(".examples button");
  if (!example) return;
  put(example.firstChild.src);
  sheet.scrollIntoView({ block: "nearest" }); // on a phone the examples lie below
});
redraw();
