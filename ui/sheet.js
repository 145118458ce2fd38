const [sheet, canvas, files] = [".sheet", "canvas", "input"].map((name) => element.querySelector(name));
const [undoButton, clearButton, chooseButton, shareButton] = element.querySelectorAll(".tools button");
const pen = canvas.getContext("2d");
const PEN_WIDTH = canvas.height / 24;
const MARGIN = 2 * PEN_WIDTH; // around what is sent
const SENT_HEIGHT = 112; // pixels of a drawing: read as well as more, in a fraction of the time
const MAX_SIDE = 512; // pixels of anything sent
const MAX_LENGTH = 130_000; // characters of a data URL: about 100 kB
const SEND_EVERY = 50; // milliseconds, while drawing
const RETRY_AFTER = 2000; // milliseconds, when the server does not answer
const REFUSED_FOR = 6000; // milliseconds that a file which is no image is talked about
const AROUND = 60; // a stroke may begin so far outside
const DARK = "#111";
const EXAMPLE = "This is an example. Write on the sheet: it goes away.";
const MAX_LINK = 4000; // characters of the strokes in a link

let image = null; // {source, left, top, width, height, paper}: its place on the canvas, the colour around it
let strokes = []; // {ink, points}: a colour, and [x, y] each
let [past, future] = [[], []]; // of the two, for Undo and Redo
let coming = null; // the last point of a stroke that began beside the sheet and has not reached it
let drawing = false;
let demonstrating = false; // the sheet has written a digit by itself, until somebody touches it
let moving = false; // it is writing that digit
let inputs = 0; // of everything but a stroke that grows: an answer from before the last is late
let unread = false; // something changed since the last call
let calling = false;
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const isEmpty = () => !image && !strokes.length;

// What lies on the sheet
const line = (from, to) => pen.stroke(new Path2D(`M ${from} L ${to} l .01 0`)); // from where it ends: a dot

function redraw() {
  pen.fillStyle = image?.paper ?? "white";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  if (image) pen.drawImage(image.source, image.left, image.top, image.width, image.height);
  pen.lineWidth = PEN_WIDTH;
  pen.lineCap = pen.lineJoin = "round";
  for (const { ink, points } of strokes) {
    pen.strokeStyle = ink;
    points.forEach((point, i) => line(points[Math.max(i - 1, 0)], point));
  }
  undoButton.disabled = !past.length;
  clearButton.disabled = shareButton.disabled = isEmpty();
  sheet.classList.toggle("filled", !isEmpty());
}

function lay(...things) {
  [image, strokes] = things;
  drawing = false;
  inputs++;
  redraw();
  showBoxes([]);
  read();
}
function remember() {
  endDemonstration();
  past = [...past.slice(-49), [image, strokes]]; // an image takes megabytes
  future = [];
}
function change(...things) {
  remember();
  lay(...things);
}
function travel(from, to) {
  if (!from.length) return;
  to.push([image, strokes]);
  lay(...from.pop());
}
const undo = () => travel(past, future);
const redo = () => travel(future, past);
function clear() {
  if (endDemonstration()) lay(null, []);
  else if (!isEmpty()) change(null, []);
}
function endDemonstration() {
  if (!demonstrating) return false;
  strokes = [];
  inputs++;
  demonstrating = false;
  return true;
}

// What is sent: the ink with a margin around it, or the image, as small as it can be read well
function region() {
  const [xs, ys] = [0, 1].map((axis) => strokes.flatMap(({ points }) => points.map((point) => point[axis])));
  const left = Math.min(image?.left ?? Infinity, Math.min(...xs) - MARGIN);
  const top = Math.min(image?.top ?? Infinity, Math.min(...ys) - MARGIN);
  const right = Math.max(image ? image.left + image.width : -Infinity, Math.max(...xs) + MARGIN);
  const bottom = Math.max(image ? image.top + image.height : -Infinity, Math.max(...ys) + MARGIN);
  return { left, top, width: right - left, height: bottom - top };
}

// A copy that is at most so large: of all of the source, or of an area of it, on paper of a colour.
function reduced(source, maxWidth, maxHeight, area, paper = "white") {
  const { left = 0, top = 0, width, height } = area ?? source;
  const small = document.createElement("canvas");
  const scale = Math.min(1, maxWidth / width, maxHeight / height);
  small.width = Math.max(1, Math.round(width * scale));
  small.height = Math.max(1, Math.round(height * scale));
  const context = small.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = paper;
  if (area) context.fillRect(0, 0, small.width, small.height);
  context.drawImage(source, left, top, width, height, 0, 0, small.width, small.height);
  return small;
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
    const value = isEmpty() ? null : await server.read_sheet({ image: encode(area), resting: !drawing && !moving });
    const failed = value === undefined;
    const again = failed || value?.busy;
    unread ||= again;
    if (input === inputs) {
      if (value?.kind === "invitation" && !strokes.length)
        value.line = "This image is blank. Write on it, or choose another.";
      if (failed) fail("The server does not answer. What is written stays here, and is sent again.");
      else if (demonstrating && !moving) answer({ ...value, line: EXAMPLE });
      else answer(value);
      showBoxes(value?.boxes ?? [], area);
    }
    await (again ? sleep(RETRY_AFTER) : pause);
  }
  calling = false;
}

function answer(value) {
  props.value = value && { ...value, writing: drawing || moving };
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
const nearest = ([x, y]) => [Math.min(Math.max(x, 0), canvas.width), Math.min(Math.max(y, 0), canvas.height)];
const isOn = (point, around = 0) => nearest(point).every((value, axis) => Math.abs(value - point[axis]) <= around);

// Light where an image is dark: a digit that is in the way does not matter to so large an area.
function inkAt([x, y]) {
  if (!image) return DARK;
  const scale = image.source.width / image.width;
  const side = (canvas.height / 2) * scale;
  const [left, top] = [(x - image.left) * scale - side / 2, (y - image.top) * scale - side / 2];
  return isDark(mean(image.source, { left, top, width: side, height: side }, image.paper)) ? "white" : DARK;
}
function mean(source, area, paper) {
  return reduced(source, 1, 1, area, paper).getContext("2d").getImageData(0, 0, 1, 1).data.slice(0, 3);
}
const isDark = ([red, green, blue]) => red + green + blue < 384;

function begin(event, point) {
  canvas.setPointerCapture(event.pointerId);
  coming = null;
  drawing = true;
  remember();
  strokes = [...strokes, { ink: inkAt(point), points: [point] }];
  redraw();
  answer(props.value ?? {}); // the pen is down: no sentences
  read();
}

document.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !event.isPrimary) return; // a second finger, a resting palm
  if (isSharing()) return; // this closes the menu
  const point = place(event);
  if (event.target === canvas) begin(event, point);
  else if (isOn(point, AROUND) && !event.target.closest("a, button, summary")) coming = point;
});
document.addEventListener("pointermove", (event) => {
  if (!(drawing || coming) || !event.isPrimary) return;
  const between = event.getCoalescedEvents?.() ?? [];
  for (const passed of between.length ? between : [event]) {
    const point = place(passed);
    if (coming && isOn(point)) begin(event, nearest(coming));
    if (coming) coming = point;
    if (!drawing) continue;
    strokes.at(-1).points.push(point);
    line(...strokes.at(-1).points.slice(-2));
  }
  if (drawing) read();
});
for (const end of ["pointerup", "pointercancel"])
  document.addEventListener(end, (event) => {
    if (!event.isPrimary) return;
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

// Images: dropped and pasted anywhere, chosen, photographed, or an example
async function put(url) {
  const input = ++inputs;
  const loaded = new Image();
  loaded.src = url;
  await loaded.decode().catch(() => {});
  if (input !== inputs || drawing) return;
  if (!loaded.naturalWidth) {
    fail("This file is not an image that can be read. Use PNG, JPEG, GIF, WebP or BMP.");
    await sleep(REFUSED_FOR);
    return input === inputs && read();
  }
  const source = reduced(loaded, 2 * canvas.width, 2 * canvas.width); // a photograph is slow to draw
  const scale = Math.min(canvas.width / source.width, canvas.height / source.height);
  const [width, height] = [source.width * scale, source.height * scale];
  const [left, top] = [(canvas.width - width) / 2, (canvas.height - height) / 2];
  const colour = mean(source, { width: source.width, height: source.height });
  const paper = isDark(colour) ? `rgb(${colour})` : "white"; // the pen is seen beside it, too
  change({ source, left, top, width, height, paper }, []);
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

// Strokes as text, for a link: a point is its halved x and y in base 36, two characters each
function toText() {
  for (let step = 6; step < canvas.width; step *= 1.5) {
    const far = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) >= step;
    const thin = ({ points }) => {
      const kept = points.slice(0, 1);
      for (const point of points) if (far(point, kept.at(-1))) kept.push(point);
      return [...kept, points.at(-1)];
    };
    const number = (value) => Math.round(value / 2).toString(36).padStart(2, "0");
    const text = strokes.map((stroke) => thin(stroke).map(nearest).flat().map(number).join("")).join("-");
    if (text.length <= MAX_LINK) return text;
  }
}
function fromText(text) {
  if (text.length > MAX_LINK || !/^([0-9a-z]{4})+(-([0-9a-z]{4})+)*$/.test(text)) return [];
  const point = (four) => nearest([four.slice(0, 2), four.slice(2)].map((digits) => 2 * parseInt(digits, 36)));
  return text.split("-").map((stroke) => ({ ink: DARK, points: stroke.match(/.{4}/g).map(point) }));
}
function openLink() {
  const written = fromText(location.hash.split("#strokes=")[1] ?? "");
  if (!written.length) return false;
  change(null, written);
  history.replaceState(null, "", location.pathname + location.search); // a reload would bring them back
  return true;
}
window.addEventListener("hashchange", openLink);

// Sharing
const sharing = element.querySelector("#share");
const said = sharing.querySelector("p");
const isSharing = () => sharing.popover && sharing.matches(":popover-open"); // older browsers have none
async function copy(text, done) {
  const copied = await navigator.clipboard?.writeText(text).then(() => true, () => false);
  said.textContent = copied ? done : "Copying is not allowed here. Open this page in a tab of its own.";
}
const shares = {
  copy: () => copy(props.value?.text ?? "", `Copied: ${props.value?.text || "nothing was read"}`),
  link() {
    const text = image ? undefined : toText();
    if (text) copy(`${location.origin}${location.pathname}#strokes=${text}`, "Copied. The link itself holds what is written.");
    else said.textContent = image ? "A link holds what is written, and no image." : "This is too much for a link.";
  },
  save() {
    const area = { width: canvas.width, height: 1.25 * canvas.height };
    const poster = reduced(canvas, area.width, area.height, area);
    const context = poster.getContext("2d");
    const baseline = 1.17 * canvas.height;
    context.fillStyle = "#4f46e5";
    context.font = "700 80px system-ui, sans-serif";
    context.fillText(props.value?.text?.replaceAll("\n", "  ") ?? "", 40, baseline, 480);
    context.fillStyle = "#374151";
    context.font = "24px system-ui, sans-serif";
    context.textAlign = "right";
    context.fillText(props.value?.line?.split("\n")[0] ?? "", canvas.width - 40, baseline, 280);
    const link = Object.assign(document.createElement("a"), { href: poster.toDataURL(), download: "digits.png" });
    link.click();
    said.textContent = "Saved as digits.png.";
  },
};
for (const [name, act] of Object.entries(shares)) sharing.querySelector(`.${name}`).addEventListener("click", act);
sharing.addEventListener("toggle", () => (said.textContent = ""));

// On the first visit it writes a 7 by itself; not for a program, which measures.
async function demonstrate() {
  try {
    const isStill = navigator.webdriver || matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (isStill || localStorage.getItem("visited")) return;
    localStorage.setItem("visited", "yes");
  } catch {
    return; // a browser that stores nothing cannot tell a first visit
  }
  demonstrating = moving = true;
  const corners = [[330, 140], [520, 140], [430, 430]];
  strokes = [{ ink: DARK, points: [] }];
  for (let step = 0; step <= 40 && demonstrating; step++) {
    const [from, to] = step < 20 ? corners : corners.slice(1);
    const share = (step % 20) / 20;
    strokes[0].points.push(step < 40 ? from.map((value, axis) => value + share * (to[axis] - value)) : to);
    redraw();
    moving = step < 40;
    read();
    await sleep(25);
  }
  moving = false;
}
redraw();
if (!openLink()) demonstrate();
