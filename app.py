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

# Gradio sums up all of its last 10,000 calls after each call, which takes as long as the answer.
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # visitors are nobody else's business

import gradio as gr
import numpy as np
import torch
from gradio.data_classes import ImageData
from PIL import Image, UnidentifiedImageError

from about import show_about
from explain import classify_and_explain
from image_processing_mnist import MnistImageProcessor
from modeling_mnist import load_pretrained

HERE = Path(__file__).parent
MODEL_ID = os.environ.get("MODEL_ID", str(HERE / "model"))
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
MAX_PIXELS = 64_000_000  # more than a phone's camera has; in RGB each takes four bytes of memory
MAX_DRAWING = 100_000  # characters; the canvas sends fewer than 10,000
SURE = 0.8  # top score from which an answer is given without a second guess
HEAT = (255, 212, 0)  # yellow: bright, so that it stands out for every kind of colour vision
INVITATION = "Draw a digit from 0 to 9, or give a picture of one."
EXAMPLES = sorted(str(path) for path in (HERE / "examples").glob("*.[jp]*g"))

# One small picture at a time is computed faster by one thread than by several.
torch.set_num_threads(1)
try:
    # The classes are those beside this file: no code is run that a model brings along.
    model = load_pretrained(MODEL_ID)
    processor = MnistImageProcessor.from_pretrained(MODEL_ID)
except (OSError, ValueError, RuntimeError) as error:
    sys.exit(f"app.py: MODEL_ID {MODEL_ID!r} is no model that can be loaded: {error}")


def uploaded_path(file: ImageData | None) -> str | None:
    """The path of an uploaded file, which is not opened yet; no other file of the server is given.

    Gradio checks only the paths that a caller marks as files, and opens others unchecked.

    Raises:
        gr.Error: the file was not uploaded.
    """
    if file is None or file.path is None:
        return None
    if not Path(file.path).resolve().is_relative_to(Path(upload.GRADIO_CACHE).resolve()):
        raise gr.Error("This file was not uploaded. Upload it first.")
    return file.path


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


def classify(picture: Image.Image) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture of any kind -> scores (10,), what the model saw and its heat, (28, 28) 0-1."""
    try:
        pixel_values = processor(picture, return_tensors="pt")["pixel_values"]
    except ValueError as error:  # colours such as L*a*b*, which Pillow cannot turn into RGB
        raise gr.Error(
            "This image cannot be read. Save it as PNG or JPEG and try again."
        ) from error
    scores, heat = classify_and_explain(model, pixel_values)
    return scores, pixel_values[0, 0].numpy(), heat


def message(kind: str, line: str) -> dict:
    """An answer without a digit: a sentence alone."""
    return {"kind": kind, "digit": "", "line": line}


def as_bytes(levels: np.ndarray) -> np.ndarray:
    """Floats 0-1 -> uint8."""
    return np.uint8(levels * 255 + 0.5)


def png_url(image: Image.Image) -> str:
    """An image as a data URL."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def answer(picture: Image.Image) -> dict:
    """What the page shows of a picture: the fields of static/answer.js's `value`."""
    scores, seen, heat = classify(picture)
    if not seen.any():
        return message("invitation", f"Nothing is written here yet.\n{INVITATION}")
    top, second = (-scores).argsort()[:2]
    digit, other = model.config.id2label[top], model.config.id2label[second]
    percent = ">99 %" if scores[top] > 0.99 else f"{100 * scores[top]:.0f} %"
    kind, shown, line = "answer", digit, f"{percent} sure."
    if scores[top] < model.config.score_threshold:
        kind, shown = "doubt", "?"
        line = f"This does not look like a digit.\nAt best a {digit}: {percent} sure."
    elif scores[top] < SURE:
        line += f"\nIt could be a {other}: write it a little clearer?"
    if getattr(picture, "is_animated", False):
        line += "\nOnly the first frame was read."
    overlay = Image.new("RGB", heat.shape, HEAT)
    overlay.putalpha(Image.fromarray(as_bytes(heat)))
    return {
        "kind": kind,
        "digit": shown,
        "line": line,
        "scores": [round(float(score), 4) for score in scores],
        "seen": png_url(Image.fromarray(as_bytes(seen))),
        "heat": png_url(overlay),
    }


def read_drawing(data_url: str | None) -> dict:
    """The answer to a canvas, which sends the data URL of a PNG, or "" when it is empty."""
    if not data_url:
        return message("invitation", INVITATION) | {"source": "drawing"}
    try:
        if not isinstance(data_url, str) or len(data_url) > MAX_DRAWING:
            raise ValueError("not what the canvas sends")
        content = data_url.removeprefix("data:image/png;base64,")
        with io.BytesIO(base64.b64decode(content, validate=True)) as file:
            value = answer(open_picture(file))
    except (ValueError, gr.Error):
        value = message("error", "The drawing did not arrive whole. Please draw it again.")
    return value | {"source": "drawing"}


def read_upload(path: str | None) -> dict:
    """The answer to an uploaded file."""
    if path is None:  # taken away by the visitor, or by a drawing that has its own answer
        return gr.skip()
    try:
        value = answer(open_picture(path))
    except gr.Error as error:
        value = message("error", error.message)
    return value | {"source": "picture"}


def predict(picture: str | None) -> dict[str, float]:
    """Read the handwritten digit in a picture.

    The picture may have any size and any colours, dark on light or light on dark, and shows one
    digit anywhere in it. A top score below `score_threshold` in the model's configuration (0.5 in
    that of the model that comes with the app) means that it does not look like a digit.

    Args:
        picture: An image file: PNG, JPEG, GIF, WebP, BMP or TIFF, of at most 64 megapixels.

    Returns:
        The likeliest digit, and the score of each of the ten digits, 0 to 1.
    """
    scores, seen, _ = classify(open_picture(picture))
    if not seen.any():
        raise gr.Error("This picture is blank. Send one with a digit on it.")
    return {model.config.id2label[digit]: float(score) for digit, score in enumerate(scores)}


def component(name: str, value: str | dict, elem_id: str) -> gr.HTML:
    """The component whose HTML, CSS and JavaScript lie in static/."""
    template, css, js = (
        (HERE / "static" / f"{name}.{kind}").read_text() for kind in ("html", "css", "js")
    )
    return gr.HTML(value, html_template=template, css_template=css, js_on_load=js, elem_id=elem_id)


# Uploads are deleted after an hour.
with gr.Blocks(title="Handwritten digits", delete_cache=(60, 3600)) as demo:
    gr.HTML("<h1>Handwritten digits</h1>", elem_id="title")
    with gr.Tabs():
        with gr.Tab("Read a digit"):
            with gr.Row(elem_classes="desk"):
                with gr.Column():
                    canvas = component("canvas", "", "draw")
                with gr.Column():
                    digit = component("answer", message("invitation", INVITATION), "digit")
            with gr.Row(elem_classes="desk"):
                with gr.Column():
                    upload = gr.Image(
                        type="filepath",
                        image_mode=None,
                        sources=["upload", "clipboard", "webcam"],
                        label="A picture of a digit",
                        show_label=False,
                        placeholder="Drop, paste or choose\na picture of a digit",
                        height=190,
                        elem_id="upload",
                    )
                with gr.Column():
                    gr.Examples(EXAMPLES, upload, label="Or try one of these", elem_id="examples")
        with gr.Tab("About the model"):
            show_about(MODEL_ID)

    # Gradio would open the file here, and a damaged one would fail without a word of what to do.
    upload.preprocess = uploaded_path

    # A progress display would put its own text into the answer, in front of the digit.
    silent = {
        "show_progress": "hidden",
        "show_progress_on": canvas,
        "trigger_mode": "always_last",
        "api_visibility": "private",
    }
    # One drawing at a time: each keeps Python busy, and two at once were no faster. Files wait for
    # files only, since the largest takes seconds, and hundreds of megabytes.
    drawings = {"concurrency_id": "drawings", "concurrency_limit": 1}
    files = {"concurrency_id": "files", "concurrency_limit": 1}
    canvas.input(read_drawing, canvas, digit, **silent, **drawings)
    # Answers may come late. What was given last is noted on the page, and only its answer is shown.
    canvas.draw(None, None, upload, js="() => null")  # who draws is done with the picture
    upload.change(None, upload, None, js="(picture) => picture && pictureIsHere()")
    upload.change(read_upload, upload, digit, **silent, **files)
    removed = message("invitation", INVITATION) | {"source": "picture"}
    upload.clear(lambda: removed, None, digit, **silent)
    gr.on([], predict, upload, gr.Label(visible=False), api_name="predict", **files)

if __name__ == "__main__":
    demo.queue(
        max_size=100,  # calls that wait, one a visitor: about three seconds; more are refused
        status_update_rate=1,  # telling all who wait at every step would cost more than the answers
    ).launch(
        max_threads=4,  # drawings, files and small things; each keeps some MB of torch's buffers
        theme=gr.themes.Default(
            primary_hue="indigo", neutral_hue="slate", font=["system-ui", "sans-serif"]
        ),
        head=f"<style>{(HERE / 'static' / 'page.css').read_text()}</style>",  # there at first paint
        footer_links=["api"],
        max_file_size="20mb",
        app_kwargs={"max_body_size": 22_000_000},  # of a request, JSON too: a file and its headers
        show_error=True,  # to programs as well: what is wrong with their call
        mcp_server=True,
        state_session_capacity=100,  # visitors whose last input Gradio keeps: nothing here needs it
        run_history=False,  # what visitors write is kept nowhere, not in their browser either
    )
