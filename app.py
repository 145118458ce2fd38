"""A Gradio Space that reads handwritten digits: draw one, or upload a picture of one.

python app.py                                the model in model/
MODEL_ID=user/mnist-cnn python app.py        a model on the Hub, or in another folder
"""

import base64
import io
import os
import sys
import warnings
from pathlib import Path

import gradio as gr
import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from image_processing_mnist import MnistImageProcessor
from modeling_mnist import load_pretrained

HERE = Path(__file__).parent
MODEL_ID = os.environ.get("MODEL_ID", str(HERE / "model"))
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
MAX_PIXELS = 64_000_000  # more than a phone's camera has; RGB needs three bytes of memory for each
MAX_DRAWING = 1_000_000  # characters; the canvas sends fewer than 20,000
INVITATION = "Draw a digit from 0 to 9, or upload a picture of one."

# One small picture at a time is computed faster by one thread than by several.
torch.set_num_threads(1)
try:
    # The classes are those beside this file: no code is run that a model brings along.
    model = load_pretrained(MODEL_ID)
    processor = MnistImageProcessor.from_pretrained(MODEL_ID)
except (OSError, ValueError, RuntimeError) as error:
    sys.exit(f"app.py: MODEL_ID {MODEL_ID!r} is no model that can be loaded: {error}")


def open_picture(path: str | None) -> Image.Image:
    """Open an uploaded file; what is wrong with it becomes a sentence for the visitor.

    Raises:
        gr.Error: there is no file, or it is not an image, is damaged, or is too large.
    """
    if path is None:
        raise gr.Error("There is no picture. Upload one, or draw a digit.")
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures; larger ones than this are refused below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(path, formats=FORMATS)
        if picture.width * picture.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        picture.load()
    except UnidentifiedImageError as error:
        raise gr.Error(
            "This file is not an image that can be read. Use PNG, JPEG, GIF, WebP, BMP or TIFF."
        ) from error
    except Image.DecompressionBombError as error:
        raise gr.Error(
            f"This picture is too large. Use one of at most {MAX_PIXELS // 10**6} megapixels."
        ) from error
    # Pillow's decoders raise all sorts of errors on damaged files.
    except Exception as error:
        raise gr.Error("This image file is damaged. Save it anew and try again.") from error
    return picture


def classify(picture: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """A picture of any kind -> probabilities (10,) and what the model saw, (28, 28) 0-1."""
    try:
        pixel_values = processor(picture, return_tensors="pt")["pixel_values"]
    except ValueError as error:  # colours such as L*a*b*, which Pillow cannot turn into RGB
        raise gr.Error(
            "This image cannot be read. Save it as PNG or JPEG and try again."
        ) from error
    with torch.inference_mode():
        probabilities = model(pixel_values).logits.softmax(-1)[0].numpy()
    return probabilities, pixel_values[0, 0].numpy()


def answer(picture: Image.Image) -> dict:
    """What the page shows of a picture: the fields of ANSWER_JS's `value`."""
    probabilities, seen = classify(picture)
    if not seen.any():
        return {"digit": "", "line": f"Nothing is written here yet. {INVITATION}"}
    top = int(probabilities.argmax())
    share = ">99 %" if probabilities[top] > 0.99 else f"{100 * probabilities[top]:.0f} %"
    sure = probabilities[top] >= 0.5
    line = f"{share} sure." if sure else f"Perhaps, but only {share} sure. Try writing it clearer."
    if getattr(picture, "is_animated", False):
        line += " Only the first frame was read."
    file = io.BytesIO()
    Image.fromarray(np.uint8(seen * 255 + 0.5)).save(file, "PNG")
    return {
        "digit": model.config.id2label[top],
        "line": line,
        "probabilities": [round(float(p), 4) for p in probabilities],
        "seen": "data:image/png;base64," + base64.b64encode(file.getvalue()).decode(),
    }


def read_drawing(data_url: str | None) -> dict:
    """The answer to a canvas, which sends the data URL of a PNG, or "" when it is empty."""
    if not data_url:
        return {"digit": "", "line": INVITATION}
    try:
        header, _, content = data_url.partition(",")
        if header != "data:image/png;base64" or len(content) > MAX_DRAWING:
            raise ValueError("not what the canvas sends")
        with io.BytesIO(base64.b64decode(content, validate=True)) as file:
            return answer(open_picture(file))
    except (ValueError, gr.Error):
        return {"digit": "", "line": "The drawing did not arrive whole. Please draw it again."}


def read_upload(path: str | None) -> dict:
    """The answer to an uploaded file."""
    if path is None:
        return {"digit": "", "line": INVITATION}
    try:
        return answer(open_picture(path))
    except gr.Error as error:
        return {"digit": "", "line": error.message}


def predict(path: str | None) -> dict[str, float]:
    """Read the digit in an image file: the probability of each of the ten digits."""
    probabilities, seen = classify(open_picture(path))
    if not seen.any():
        raise gr.Error("This picture is blank. Send one with a digit on it.")
    return {model.config.id2label[digit]: float(p) for digit, p in enumerate(probabilities)}


CANVAS_HTML = """
<canvas width="280" height="280" tabindex="0" role="img"
  aria-label="Canvas: draw a digit here with mouse, finger or pen. Press Delete to clear."></canvas>
<button type="button">Clear</button>
"""
# The paper is white and the pen dark in both themes, so that both send the same picture.
CANVAS_CSS = """
canvas { display: block; width: 100%; max-width: 400px; margin: 0 auto; aspect-ratio: 1;
  background: white; border: 1px solid var(--border-color-primary); border-radius: 8px;
  touch-action: none; cursor: crosshair; box-sizing: border-box; }
button { display: block; width: 100%; max-width: 400px; margin: 8px auto 0; padding: 10px;
  border: 1px solid var(--border-color-primary); border-radius: 8px; cursor: pointer;
  background: var(--button-secondary-background-fill); color: var(--button-secondary-text-color); }
"""
CANVAS_JS = """
const canvas = element.querySelector("canvas");
const pen = canvas.getContext("2d");
const SEND_EVERY = 80;  // milliseconds, while drawing
let last = null, empty = true, timer = null;

function wipe() {
  pen.fillStyle = "white";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.strokeStyle = "#111";
  pen.lineWidth = 16;
  pen.lineCap = pen.lineJoin = "round";
  empty = true;
}
function send() {
  timer = null;
  props.value = empty ? "" : canvas.toDataURL("image/png");
  trigger("input");
}
function sendSoon() { timer ??= setTimeout(send, SEND_EVERY); }
function clear() {
  clearTimeout(timer);
  wipe();
  send();
}
function place(event) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) * canvas.width / box.width,
          (event.clientY - box.top) * canvas.height / box.height];
}
function lineTo(point) {
  pen.beginPath();
  pen.moveTo(...last);
  pen.lineTo(...point);
  pen.stroke();
  last = point;
  empty = false;
  sendSoon();
}
canvas.addEventListener("pointerdown", event => {
  if (event.button !== 0 || !event.isPrimary) return;  // a second finger, a resting palm
  canvas.setPointerCapture(event.pointerId);
  last = place(event);
  lineTo(last);  // a dot
});
canvas.addEventListener("pointermove", event => {
  if (last === null || !event.isPrimary) return;
  for (const e of event.getCoalescedEvents?.() ?? []) lineTo(place(e));
  lineTo(place(event));
});
for (const end of ["pointerup", "pointercancel"])
  canvas.addEventListener(end, event => { if (event.isPrimary) last = null; });
canvas.addEventListener("keydown", event => {
  if (["Delete", "Backspace", "Escape"].includes(event.key)) clear();
});
element.querySelector("button").addEventListener("click", clear);
wipe();
"""

# The digit is the first text in here: scripts rely on it.
ANSWER_HTML = """
<div role="status" aria-live="polite"><span class="top"></span><p></p></div>
<div class="details">
  <div class="bars" role="img" aria-label="Probability of each digit">
    DIGITS
  </div>
  <figure><img alt="" width="112" height="112">
    <figcaption>what the model sees: 28 by 28 pixels</figcaption></figure>
</div>
""".replace(
    "DIGITS",
    "".join(f'<b aria-hidden="true" data-digit="{d}"><i></i><u></u></b>' for d in range(10)),
)
ANSWER_CSS = """
div[role=status] { display: flex; align-items: center; gap: 16px; min-height: 112px; }
.top:empty { display: none; }
.top { font-size: 96px; font-weight: 700; line-height: 1; }
p { margin: 0; }
.details { display: flex; flex-wrap: wrap; gap: 24px; }
.details.hidden { visibility: hidden; }
.bars { flex: 1 1 200px; }
.bars b { display: flex; align-items: center; gap: 8px; font: inherit; height: 22px; }
.bars b::before { content: attr(data-digit); width: 1ch; }
.bars i { flex: 1; height: 12px; border-radius: 6px; transition: background-size .12s;
  background: linear-gradient(var(--color-accent), var(--color-accent)) no-repeat 0 / 0% 100%,
    #8883; }
.bars u { width: 7ch; text-align: right; text-decoration: none; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.bars u::after { content: attr(data-percent); }
.bars b.best { font-weight: 700; }
figure { margin: 0; max-width: 140px; }
img { image-rendering: pixelated; border-radius: 4px; background: black; }
figcaption { font-size: 12px; opacity: .75; }
"""
ANSWER_JS = """
function show() {
  const { digit, line, probabilities, seen } = props.value;
  element.querySelector(".top").textContent = digit;
  element.querySelector("p").textContent = line;
  element.querySelector(".details").classList.toggle("hidden", !probabilities);
  if (!probabilities) return;
  element.querySelectorAll(".bars b").forEach((bar, i) => {
    const percent = 100 * probabilities[i];
    bar.classList.toggle("best", String(i) === digit);
    bar.querySelector("i").style.backgroundSize = percent + "% 100%";
    const text = percent > 99 ? ">99" : percent.toFixed(percent < 10 ? 1 : 0);
    bar.querySelector("u").dataset.percent = text + " %";
  });
  element.querySelector("img").src = seen;
}
watch("value", show);
show();
"""

# Uploads are deleted after an hour.
with gr.Blocks(title="Handwritten digits", delete_cache=(3600, 3600)) as demo:
    gr.Markdown("# Handwritten digits\nA small network reads what you write, while you write it.")
    with gr.Row():
        with gr.Column():
            draw = gr.HTML(
                "",
                html_template=CANVAS_HTML,
                css_template=CANVAS_CSS,
                js_on_load=CANVAS_JS,
                elem_id="draw",
            )
        with gr.Column():
            digit = gr.HTML(
                {"digit": "", "line": INVITATION},
                html_template=ANSWER_HTML,
                css_template=ANSWER_CSS,
                js_on_load=ANSWER_JS,
                elem_id="digit",
            )
    upload = gr.Image(
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard", "webcam"],
        label="Or a picture of a digit",
        height=240,
    )
    # Gradio would open the file here, and a damaged one would fail without a word of what to do.
    upload.preprocess = lambda file: file.path if file else None

    # A progress display would put its own text into the answer, in front of the digit.
    silent = {
        "show_progress": "hidden",
        "show_progress_on": draw,
        "trigger_mode": "always_last",
        "api_visibility": "private",
    }
    draw.input(read_drawing, draw, digit, **silent)
    upload.change(read_upload, upload, digit, **silent)
    gr.on([], predict, upload, gr.Label(visible=False), api_name="predict")

if __name__ == "__main__":
    demo.launch(max_file_size="20mb")
