const sheet = element.querySelector(".sheet");
const canvas = sheet.querySelector("canvas");
const [undoButton, clearButton, chooseButton] = element.querySelectorAll("button");
const files = element.querySelector("input");
const pen = canvas.getContext("2d");
const PEN_WIDTH = canvas.height / 24;
const MARGIN = 2 * PEN_WIDTH; // around what is sent
const SENT_HEIGHT = 112; // pixels of a drawing: read as well as more, in a fraction of the time
const MAX_SIDE = 512; // pixels of anything sent
const MAX_LENGTH = 130_000; // characters of a data URL: about 100 kB
const SEND_EVERY = 50; // milliseconds, while drawing
const RETRY_AFTER = 2000; // milliseconds, when the server does not answer
const error = (line) => ({ kind: "error", text: "", line });

let image = null; // {source, left, top, width, height}: an image and its place on the canvas
let strokes = []; // lists of points [x, y]
let drawing = false;
let inputs = 0; // of everything but a stroke that grows: an answer from before the last is late
let unread = false; // something changed since the last call
let calling = false;

// What lies on the sheet

function line(from, to) {
  pen.beginPath();
  pen.moveTo(...from);
  pen.lineTo(...to);
  pen.stroke();
}

function redraw() {
  pen.fillStyle = "white";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  if (image) pen.drawImage(image.source, image.left, image.top, image.width, image.height);
  pen.strokeStyle = image?.isDark ? "white" : "#111";
  pen.lineWidth = PEN_WIDTH;
  pen.lineCap = pen.lineJoin = "round";
  for (const stroke of strokes) stroke.forEach((point, i) => line(stroke[Math.max(i - 1, 0)], point));
  const isEmpty = !image && !strokes.length;
  sheet.classList.toggle("filled", !isEmpty);
  undoButton.disabled = clearButton.disabled = isEmpty;
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
  const points = strokes.flat();
  const reach = (pick, start, end) => [
    Math.min(image?.[start] ?? Infinity, ...points.map((point) => point[pick] - MARGIN)),
    Math.max(image?.[end] ?? -Infinity, ...points.map((point) => point[pick] + MARGIN)),
  ];
  const [left, right] = reach(0, "left", "right");
  const [top, bottom] = reach(1, "top", "bottom");
  return { left, top, width: right - left, height: bottom - top };
}

function reduced(source, width, height = width) {
  const small = document.createElement("canvas");
  const scale = Math.min(1, width / source.width, height / source.height);
  small.width = Math.max(1, Math.round(source.width * scale));
  small.height = Math.max(1, Math.round(source.height * scale));
  const context = small.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, small.width, small.height);
  return small;
}

function encode() {
  const place = region();
  let small = image?.source;
  if (strokes.length) {
    small = document.createElement("canvas");
    [small.width, small.height] = [place.width, place.height];
    const context = small.getContext("2d");
    context.fillStyle = "white";
    context.fillRect(0, 0, small.width, small.height);
    context.drawImage(canvas, -place.left, -place.top);
    if (!image) small = reduced(small, Infinity, SENT_HEIGHT);
  }
  small = reduced(small, MAX_SIDE);
  const urls = [["png"], ["webp", 0.9], ["jpeg", 0.85], ["jpeg", 0.5]];
  for (const [kind, quality] of urls) {
    const url = small.toDataURL("image/" + kind, quality);
    if (url.length <= MAX_LENGTH || quality === 0.5) return [url, place];
  }
}

// One call at a time: the newest input waits for it, older ones are never sent

async function read() {
  unread = true;
  if (calling) return;
  calling = true;
  while (unread) {
    unread = false;
    const start = performance.now();
    const input = inputs;
    let pause = SEND_EVERY;
    if (!image && !strokes.length) answer(null);
    else {
      const [url, place] = encode();
      const value = await server.read_sheet({ image: url, resting: !drawing });
      if (value === undefined) {
        pause = RETRY_AFTER;
        unread = true;
      }
      if (input === inputs) {
        answer(value ?? error("The server does not answer. What is written stays here, and is sent again."));
        showBoxes(value?.boxes ?? [], place);
      }
    }
    await new Promise((resolve) => setTimeout(resolve, start + pause - performance.now()));
  }
  calling = false;
}

function answer(value) {
  props.value = value;
  trigger("input");
}

function showBoxes(boxes, place) {
  const percent = (part, whole) => (100 * part) / whole + "%";
  sheet.querySelector(".boxes").replaceChildren(
    ...boxes.map(([left, top, right, bottom]) => {
      const box = document.createElement("i");
      box.style.left = percent(place.left + left * place.width, canvas.width);
      box.style.top = percent(place.top + top * place.height, canvas.height);
      box.style.width = percent((right - left) * place.width, canvas.width);
      box.style.height = percent((bottom - top) * place.height, canvas.height);
      return box;
    }),
  );
}

// The pen

function addPoint(event) {
  const box = canvas.getBoundingClientRect();
  const point = [
    ((event.clientX - box.left) * canvas.width) / box.width,
    ((event.clientY - box.top) * canvas.height) / box.height,
  ];
  const stroke = strokes.at(-1);
  line(stroke.at(-1) ?? point, point); // a stroke's first point is a dot
  stroke.push(point);
}

canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !event.isPrimary) return; // a second finger, a resting palm
  canvas.setPointerCapture(event.pointerId);
  drawing = true;
  strokes.push([]);
  addPoint(event);
  redraw();
  read();
});
canvas.addEventListener("pointermove", (event) => {
  if (!drawing || !event.isPrimary) return;
  const between = event.getCoalescedEvents?.() ?? [];
  (between.length ? between : [event]).forEach(addPoint);
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
  else if (event.key === "Delete" || event.key === "Backspace" || event.key === "Escape") clear();
  else return;
  event.preventDefault();
});
undoButton.addEventListener("click", undo);
clearButton.addEventListener("click", clear);

// Images: dropped and pasted anywhere, chosen, photographed, or an example's address

async function put(url) {
  const input = ++inputs;
  const loaded = new Image();
  loaded.src = url;
  await loaded.decode().catch(() => {});
  if (input === inputs && !loaded.naturalWidth)
    answer(error("This file is not an image that can be read. Use PNG, JPEG, GIF, WebP or BMP."));
  if (input !== inputs || drawing || !loaded.naturalWidth) return;
  const small = reduced(loaded, 2 * canvas.width); // a photograph is slow to draw
  const scale = Math.min(canvas.width / small.width, canvas.height / small.height);
  const [width, height] = [small.width * scale, small.height * scale];
  const [left, top] = [(canvas.width - width) / 2, (canvas.height - height) / 2];
  const [red, green, blue, alpha] = reduced(loaded, 1).getContext("2d").getImageData(0, 0, 1, 1).data;
  const isDark = alpha > 127 && red + green + blue < 384;
  change({ source: small, left, top, width, height, right: left + width, bottom: top + height, isDark }, []);
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
watch("value", () => {
  if (!props.value?.example) return;
  put(props.value.example);
  sheet.scrollIntoView({ block: "nearest" }); // on a phone the examples lie below
});

redraw();
