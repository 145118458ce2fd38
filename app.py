"""A Gradio Space that reads handwritten digits: draw one, or upload an image of one.

python app.py                                the model in model/
MODEL_ID=user/mnist-cnn python app.py        a model on the Hub, or in another folder
"""

import base64
import io
import os
import sys
import warnings
from pathlib import Path

# Gradio sums up its last 10,000 calls after every call, which takes as long as an answer.
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # no telemetry, as README.md says

import gradio as gr
import numpy as np
import torch
from gradio.data_classes import ImageData
from PIL import Image, UnidentifiedImageError

from image_processing_mnist import MnistImageProcessor
from modeling_mnist import load_pretrained
from ui.about import show_about
from ui.answer import INVITATION, describe, message
from ui.saliency import classify_with_saliency

HERE = Path(__file__).parent
UI = HERE / "ui"
EXAMPLES = sorted(str(path) for path in (HERE / "examples").glob("*.[jp]*g"))
MODEL_ID = os.environ.get("MODEL_ID", str(HERE / "model"))
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
MAX_MEGAPIXELS = 64  # decoded, each takes 4 MB: 256 MB at most
MAX_DRAWING = 100_000  # characters; the canvas sends fewer than 10,000

# One small image at a time is faster on one thread than on several.
torch.set_num_threads(1)
try:
    # The classes are those beside this file: code that a model brings along never runs.
    model = load_pretrained(MODEL_ID)
    processor = MnistImageProcessor.from_pretrained(MODEL_ID)
except (OSError, ValueError, RuntimeError) as error:
    sys.exit(f"app.py: MODEL_ID {MODEL_ID!r} is no model that can be loaded: {error}")


def uploaded_path(file: ImageData | None) -> str | None:
    """The path of an uploaded file, or None if there is none.

    Gradio checks only the paths that a caller marks as files, and opens others unchecked.

    Raises:
        gr.Error: the path leads to another file of the server.
    """
    if file is None or file.path is None:
        return None
    if not Path(file.path).resolve().is_relative_to(Path(upload.GRADIO_CACHE).resolve()):
        raise gr.Error("This file was not uploaded. Upload it first.")
    return file.path


def open_image(file: str | io.BytesIO | None) -> Image.Image:
    """Open and decode an image; errors are sentences for the visitor.

    Raises:
        gr.Error: there is no file, or it is not an image, is corrupted, or is too large.
    """
    if file is None:
        raise gr.Error("There is no image. Upload one, or draw a digit.")
    try:
        with warnings.catch_warnings():
            # Pillow warns of images that are allowed here; larger ones are refused below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(file, formats=FORMATS)
        if image.width * image.height > MAX_MEGAPIXELS * 10**6:
            raise Image.DecompressionBombError
        image.load()
    except UnidentifiedImageError as error:
        sentence = (
            "This file is not an image that can be read. Use PNG, JPEG, GIF, WebP, BMP or TIFF."
        )
        raise gr.Error(sentence) from error
    except Image.DecompressionBombError as error:
        sentence = f"This image is too large. Use one of at most {MAX_MEGAPIXELS} megapixels."
        raise gr.Error(sentence) from error
    # Pillow's decoders raise errors of many types on corrupted files.
    except Exception as error:
        raise gr.Error("This image file is corrupted. Save it again and retry.") from error
    return image


def classify(image: Image.Image) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities (10,), the model's input (28, 28), and its saliency map (28, 28), all 0-1.

    Raises:
        gr.Error: the image's colours, such as L*a*b*, cannot be turned into RGB.
    """
    try:
        pixel_values = processor(image, return_tensors="pt")["pixel_values"]
    except ValueError as error:
        raise gr.Error("This image cannot be read. Save it as PNG or JPEG and retry.") from error
    probabilities, saliency = classify_with_saliency(model, pixel_values)
    return probabilities, pixel_values[0, 0].numpy(), saliency


def answer(image: Image.Image) -> dict:
    """What the page shows of an image: see ui/answer.py."""
    value = describe(model.config, *classify(image))
    if "probabilities" in value and getattr(image, "is_animated", False):
        value["line"] += "\nOnly the first frame was read."
    return value


def read_drawing(data_url: str | None) -> dict:
    """The answer to a drawing: the data URL of a PNG, or "" for an empty canvas."""
    if not data_url:
        return INVITATION | {"source": "drawing"}
    try:
        if not isinstance(data_url, str) or len(data_url) > MAX_DRAWING:
            raise ValueError("not what the canvas sends")
        content = data_url.removeprefix("data:image/png;base64,")
        with io.BytesIO(base64.b64decode(content, validate=True)) as file:
            value = answer(open_image(file))
    except (ValueError, gr.Error):
        value = message("error", "The drawing did not arrive whole. Please draw it again.")
    return value | {"source": "drawing"}


def read_upload(path: str | None) -> dict:
    """The answer to an uploaded file."""
    if path is None:  # removed by the visitor, or by a drawing, which has its own answer
        return gr.skip()
    try:
        value = answer(open_image(path))
    except gr.Error as error:
        value = message("error", error.message)
    return value | {"source": "image"}


def predict(picture: str | None) -> dict[str, float]:
    """Read the handwritten digit in an image.

    The image may have any size and any colours, dark on light or light on dark, and shows one digit
    anywhere in it. A confidence, the highest of the ten probabilities, below `confidence_threshold`
    in the model's configuration (0.5 in that of the model that comes with the app) means that the
    image does not look like a digit.

    Args:
        picture: An image file: PNG, JPEG, GIF, WebP, BMP or TIFF, of at most 64 megapixels.

    Returns:
        The most likely digit, and the probability of each of the ten digits, 0 to 1.
    """
    probabilities, seen, _ = classify(open_image(picture))
    if not seen.any():
        raise gr.Error("This image is blank. Send one with a digit on it.")
    return {model.config.id2label[digit]: float(p) for digit, p in enumerate(probabilities)}


def component(name: str, value: str | dict, elem_id: str) -> gr.HTML:
    """A component of our own, from its HTML, CSS and JavaScript in ui/."""
    template, css, js = ((UI / f"{name}.{kind}").read_text() for kind in ("html", "css", "js"))
    return gr.HTML(value, html_template=template, css_template=css, js_on_load=js, elem_id=elem_id)


# Uploads are deleted after an hour.
with gr.Blocks(title="Handwritten digits", delete_cache=(60, 3600)) as demo:
    gr.HTML("<h1>Handwritten digits</h1>", elem_id="title")
    with gr.Tabs():
        with gr.Tab("Read a digit"):
            with gr.Row(elem_classes="desk"):
                canvas = component("canvas", "", "draw")
                digit = component("answer", INVITATION, "digit")
            with gr.Row(elem_classes="desk"):
                upload = gr.Image(
                    type="filepath",
                    image_mode=None,
                    sources=["upload", "clipboard", "webcam"],
                    label="An image of a digit",
                    show_label=False,
                    placeholder="Drop, paste or choose\nan image of a digit",
                    height=190,
                    elem_id="upload",
                )
                gr.Examples(EXAMPLES, upload, label="Or try one of these", elem_id="examples")
        with gr.Tab("About the model"):
            show_about(MODEL_ID)

    # Gradio would open the file here and fail on a corrupted one without telling what to do.
    upload.preprocess = uploaded_path

    # A progress display would put its own text into the answer, in front of the digit.
    silent = {
        "show_progress": "hidden",
        "show_progress_on": canvas,
        "trigger_mode": "always_last",
        "api_visibility": "private",
    }
    # One drawing at a time: each keeps Python busy, and two at once are no faster. Files wait for
    # files only, since the largest takes seconds, and hundreds of megabytes.
    drawings = {"concurrency_id": "drawings", "concurrency_limit": 1}
    files = {"concurrency_id": "files", "concurrency_limit": 1}
    canvas.input(read_drawing, canvas, digit, **silent, **drawings)
    # Answers may come late: the page notes which input is the last, and shows only its answer.
    canvas.draw(None, None, upload, js="() => null")  # a drawing takes the image's place
    upload.change(None, upload, None, js="(image) => image && imageIsHere()")
    upload.change(read_upload, upload, digit, **silent, **files)
    upload.clear(lambda: INVITATION | {"source": "image"}, None, digit, **silent)
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
        head=f"<style>{(UI / 'page.css').read_text()}</style>",  # there at first paint
        footer_links=["api"],
        max_file_size="20mb",
        app_kwargs={"max_body_size": 22_000_000},  # of a request, JSON too: a file and its headers
        show_error=True,  # to programs as well: what is wrong with their call
        mcp_server=True,
        state_session_capacity=100,  # visitors whose last input Gradio keeps: nothing here needs it
        run_history=False,  # what visitors write is kept nowhere, not in their browser either
    )
