const find = (name) => element.querySelector(name);
const [sheet, canvas] = [".sheet", "canvas"].map(find);
const [undoButton, clearButton, shareButton] = [".undo", ".clear", ".share"].map(find);
const pen = canvas.getContext("2d");
const PEN_WIDTH = canvas.height / 24;
const MARGIN = 2 * PEN_WIDTH; // around what is sent
const SENT_HEIGHT = 112; // pixels of a drawing: read as well as more, in a fraction of the time
const MAX_SIDE = 512; // pixels of anything sent
const MAX_LENGTH = 130_000; // characters of a data URL: about 100 kB
const SEND_EVERY = 50; // milliseconds, while drawing
const RETRY_AFTER = 2000; // milliseconds, when the server does not answer
const REFUSED_FOR = 6000; // milliseconds that a file or a link which holds nothing is talked about
const AROUND = 60; // a stroke may begin so far outside
const DARK = "#111";
const UNANSWERED = "The server does not answer. What is written stays here, and is sent again.";
const NO_IMAGE = "This file is not an image that can be read. Use PNG, JPEG, GIF, WebP or BMP.";
const BLANK = "This image is blank. Write on it, or choose another.";
const CUT = "This link is not whole: what was written is not in it.";
const EXAMPLE = "This is an example. Write on the sheet: it goes away.";

let image = null; // {source, left, top, width, height, paper}: its place on the canvas, the colour around it
let strokes = []; // {ink, points}: a colour, and [x, y] each
let states = [[null, []]]; // of the two, for Undo and Redo
let now = 0; // the number of the state that is seen
let coming = null; // the last point of a stroke that began beside the sheet and has not reached it
let pointer = null; // the id of the mouse, pen or finger that draws, or comes
let drawing = false;
let example = ""; // of a digit that the sheet writes by itself, until it is touched: "growing" or "whole"
let inputs = 0; // counts all but a stroke's growth: an answer to an older count is late
let unread = false; // something changed since the last call
let calling = false;
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const isEmpty = () => !image && !strokes.length;
const isWriting = () => drawing || example === "growing";
const isSharing = offerSharing(canvas, () => ({ image, strokes }));

// What lies on the sheet
const connect = (from, to) => pen.stroke(new Path2D(`M ${from} L ${to} l .01 0`)); // from where it ends: a dot

function redraw() {
  pen.fillStyle = image?.paper ?? "white";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  if (image) pen.drawImage(image.source, image.left, image.top, image.width, image.height);
  pen.lineWidth = PEN_WIDTH;
  pen.lineCap = pen.lineJoin = "round";
  for (const { ink, points } of strokes) {
    pen.strokeStyle = ink;
    points.forEach((point, i) => connect(points[Math.max(i - 1, 0)], point));
  }
  undoButton.disabled = now === 0;
  clearButton.disabled = shareButton.disabled = isEmpty();
  sheet.classList.toggle("filled", !isEmpty());
}

// To the state of that number; everything but a stroke that grows comes by here.
function go(number) {
  if (!states[number]) return;
  now = number;
  [image, strokes] = states[now];
  drawing = false;
  example = "";
  inputs++;
  redraw();
  showBoxes([]);
  read();
}
// Adds a state, in the place of those that were undone.
function add(...state) {
  states = [...states.slice(0, now + 1), state].slice(-50); // an image takes megabytes
  now = states.length - 1;
  [image, strokes] = state;
}
function change(...state) {
  add(...state);
  go(now);
}
const undo = () => go(now - 1);
const redo = () => go(now + 1);
function clear() {
  if (example) go(now);
  else if (!isEmpty()) change(null, []);
}

// What is sent: the ink with a margin around it, or the image, as small as it can be read well
function region() {
  let [left, top] = image ? [image.left, image.top] : [Infinity, Infinity];
  let [right, bottom] = image ? [left + image.width, top + image.height] : [-Infinity, -Infinity];
  for (const [x, y] of strokes.flatMap(({ points }) => points.map(nearest))) {
    [left, right] = [Math.min(left, x - MARGIN), Math.max(right, x + MARGIN)];
    [top, bottom] = [Math.min(top, y - MARGIN), Math.max(bottom, y + MARGIN)];
  }
  return { left, top, width: right - left, height: bottom - top };
}

function encode(area) {
  const small = strokes.length
    ? reduced(canvas, MAX_SIDE, image ? MAX_SIDE : SENT_HEIGHT, area, image?.paper)
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
    const sent = isEmpty() ? null : { image: encode(area), resting: !isWriting() };
    const value = sent && ((await server.read_sheet(sent)) ?? { kind: "error", busy: true, said: UNANSWERED });
    unread ||= value?.busy;
    if (input === inputs) {
      if (value?.kind === "invitation" && !strokes.length) value.said = BLANK;
      if (value && !value.busy && example === "whole") value.said = EXAMPLE;
      answer(value);
      showBoxes(value?.boxes ?? [], area);
    }
    await (value?.busy ? sleep(RETRY_AFTER) : pause);
  }
  calling = false;
}

function answer(value) {
  props.value = value && { ...value, writing: isWriting() };
  trigger("input");
}

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
const nearest = ([x, y]) => [Math.min(Math.max(x, 0), canvas.width), Math.min(Math.max(y, 0), canvas.height)];
const isOn = (point, around = 0) => nearest(point).every((value, axis) => Math.abs(value - point[axis]) <= around);

// Light where an image is dark: a digit that is in the way does not matter to so large an area.
function inkAt([x, y]) {
  if (!image) return DARK;
  const scale = image.source.width / image.width;
  const side = (canvas.height / 2) * scale;
  const [left, top] = [(x - image.left) * scale - side / 2, (y - image.top) * scale - side / 2];
  const area = { left, top, width: side, height: side };
  return isDark(meanColour(image.source, area, image.paper)) ? "white" : DARK;
}

function begin(event, point) {
  canvas.setPointerCapture(event.pointerId);
  if (example) go(now);
  coming = null;
  drawing = true;
  add(image, [...strokes, { ink: inkAt(point), points: [point] }]);
  redraw();
  answer(props.value ?? {}); // the pen is down: no sentences
  read();
}

document.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !event.isPrimary) return; // a second finger, a resting palm
  if (drawing && event.pointerId !== pointer) return; // a finger beside a pen
  if (isSharing()) return; // this closes the menu
  const point = place(event);
  pointer = event.pointerId;
  if (event.target === canvas) begin(event, point);
  else if (isOn(point, AROUND) && !event.target.closest("a, button, summary")) coming = point;
});
document.addEventListener("pointermove", (event) => {
  if (!(drawing || coming) || event.pointerId !== pointer) return;
  const between = event.getCoalescedEvents?.() ?? [];
  for (const passed of between.length ? between : [event]) {
    const point = place(passed);
    if (coming && isOn(point)) begin(event, nearest(coming));
    if (coming) coming = point;
    if (!drawing) continue;
    strokes.at(-1).points.push(point);
    connect(...strokes.at(-1).points.slice(-2));
  }
  if (drawing) read();
});
for (const end of ["pointerup", "pointercancel"])
  document.addEventListener(end, (event) => {
    if (event.pointerId !== pointer) return;
    coming = null;
    if (!drawing) return;
    drawing = false;
    read();
  });
document.addEventListener("selectstart", (event) => (drawing || coming) && event.preventDefault());

document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, textarea, select, [contenteditable]") || !canvas.offsetParent) return;
  if (isSharing()) return;
  const held = { z: event.shiftKey ? redo : undo, y: redo };
  const alone = { backspace: undo, delete: clear, escape: clear };
  const act = (event.ctrlKey || event.metaKey ? held : alone)[event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  act();
});
undoButton.addEventListener("click", undo);
clearButton.addEventListener("click", clear);

// Images, and links that hold strokes
async function refuse(said) {
  const input = inputs;
  answer({ kind: "error", said });
  await sleep(REFUSED_FOR);
  if (input === inputs) read();
}

takeImages(async (url) => {
  const input = ++inputs;
  const loaded = await load(url, canvas);
  if (input !== inputs || drawing) return;
  if (loaded) change(loaded, []);
  else refuse(NO_IMAGE);
});

function openLink() {
  const text = location.hash.split("#strokes=")[1];
  if (text === undefined) return false;
  const written = fromText(text);
  if (written.length) change(null, written.map((points) => ({ ink: DARK, points: points.map(nearest) })));
  else refuse(CUT);
  history.replaceState(null, "", location.pathname + location.search); // a reload would bring them back
  return true;
}
window.addEventListener("hashchange", openLink);

// On the first visit it writes a 7 by itself; not for a program, which measures.
async function demonstrate() {
  try {
    const isStill = navigator.webdriver || matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (isStill || localStorage.getItem("visited")) return;
    localStorage.setItem("visited", "yes");
  } catch {
    return; // a browser that stores nothing cannot tell a first visit
  }
  example = "growing";
  const corners = [[330, 140], [520, 140], [430, 430]];
  strokes = [{ ink: DARK, points: [] }];
  for (let step = 0; step <= 40 && example; step++) {
    const [from, to = from] = corners.slice(step / 20);
    const share = (step % 20) / 20;
    strokes[0].points.push(from.map((value, axis) => value + share * (to[axis] - value)));
    if (step === 40) example = "whole";
    redraw();
    read();
    await sleep(25);
  }
}
redraw();
if (!openLink()) demonstrate();
