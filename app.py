"""A Gradio Space that reads handwritten digits: write on the sheet, or put an image on it.

python app.py                                the model in model/
MODEL_ID=YOUR_NAME/mnist-cnn python app.py   a model on the Hub, or in another folder
CORRECTIONS_DIR=corrections python app.py    visitors can correct it: kept in that folder
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # no telemetry
os.environ.setdefault("OMP_NUM_THREADS", "1")  # small images: threads would wait for each other

import gradio as gr
from starlette.middleware import Middleware

from image_processing_mnist import MnistImageProcessor
from modeling_mnist import load_pretrained
from pipeline_mnist import NumberRecognitionPipeline
from ui.about import links, show_about
from ui.components import Answer, Component, Examples, Inside, Sheet
from ui.corrections import CorrectionStore
from ui.images import ImageFile, Page, Refused, open_image
from ui.link_preview import LinkPreview
from ui.saliency import probabilities

HERE = Path(__file__).parent
MODEL_ID = os.environ.get("MODEL_ID", str(HERE / "model"))
TITLE = "Handwritten digits"
SENTENCE = "Networks that learned from MNIST's 60,000 digits"
DESCRIPTION = "Write a digit or a number: small networks read it while you write."

if MODEL_ID.startswith(("/", ".")) and not Path(MODEL_ID).is_dir():
    sys.exit(f"app.py: MODEL_ID {MODEL_ID!r}: There is no such folder.")
try:
    # The classes are those beside this file: code that a model brings along never runs.
    model = load_pretrained(MODEL_ID)
    processor = MnistImageProcessor.from_pretrained(MODEL_ID)
    read_number = NumberRecognitionPipeline(model=model, image_processor=processor, device="cpu")
except (OSError, ValueError, RuntimeError) as error:
    sys.exit(f"app.py: MODEL_ID {MODEL_ID!r} is no model that can be loaded: {error}")

corrections = None
if folder := os.environ.get("CORRECTIONS_DIR"):
    is_folder = Path(MODEL_ID).is_dir()  # its path is not shown
    model_name = Path(MODEL_ID).resolve().name if is_folder else MODEL_ID
    try:
        corrections = CorrectionStore(folder, model, model_name)
    except OSError as error:
        sys.exit(f"app.py: CORRECTIONS_DIR {folder!r} cannot be written: {error}")


def predict(image: str | None) -> dict[str, float]:
    """Read the handwritten digit in an image.

    The image may have any size and any colours, dark on light or light on dark, and shows one digit
    anywhere in it. Where the highest of the ten probabilities is below `confidence_threshold` in
    the model's configuration (0.5 in that of the model that comes with the app), the image does not
    look like a digit.

    Args:
        image: An image file: PNG, JPEG, GIF, WebP, BMP or TIFF, of at most 64 megapixels.

    Returns:
        The most likely digit, and the probability of each of the ten digits, 0 to 1.
    """
    pixel_values = processor(open_image(image), return_tensors="pt")["pixel_values"]
    if not pixel_values.any():
        raise Refused("This image is blank. Send one with a digit on it.")
    (answer,) = probabilities(model, pixel_values)
    return {model.config.id2label[digit]: float(p) for digit, p in enumerate(answer)}


def read(image: str | None) -> dict:
    """Read the handwritten digits in an image, line by line.

    A digit in doubt stands as "?" in the number, and a wide gap as a space; lines are joined by
    newlines. Signs, points and letters are no part of it. A blank image gives "".

    Args:
        image: An image file: PNG, JPEG, GIF, WebP, BMP or TIFF, of at most 64 megapixels.

    Returns:
        `number`, its `score` (0 to 1), `digits` from left to right and from top to bottom
        of each digit its `label`, `score`, `line` from 0 on, and `box` (xmin, ymin, xmax, ymax)
        `ignored`: the boxes of signs that were left out, all boxes in pixels
        `message`: that the image lies on its side, if it does; then the number is "?"
    """
    return read_number(open_image(image))


# Uploads are deleted after an hour.
with Page(title=TITLE, delete_cache=(60, 3600)) as demo:
    gr.HTML(f"<h1>{TITLE}</h1><p>{SENTENCE}<span> · {links(MODEL_ID)}</span></p>", elem_id="title")
    with gr.Tabs():
        with gr.Tab("Read"):
            with gr.Row(elem_classes="desk"):
                sheet, answer, play = Sheet(read_number), Answer(corrections), Component("play")
            inside = Inside(model)
            Examples(sorted((HERE / "examples").glob("*.[jp]*g")))
        with gr.Tab("About the model"):
            show_about(MODEL_ID)

    # In the browser alone: what comes from one component goes to the next.
    sheet.input(None, sheet, [answer, play], js="(value) => [value, value]", show_progress="hidden")
    chosen = """({ digits = [], lines = [], chosen, writing }) =>
        ({ seen: digits[chosen]?.seen ?? "", line: lines[digits[chosen]?.line], writing })"""
    answer.select(None, answer, inside, js=chosen, show_progress="hidden")
    # For programs alone.
    file = ImageFile(label="image", visible=False)
    label = gr.Label(label="probabilities", visible=False)
    number = gr.JSON(label="number", visible=False)
    gr.on([], predict, file, label, api_name="predict")
    gr.on([], read, file, number, api_name="read")

if __name__ == "__main__":
    demo.queue(
        max_size=100,  # calls of programs that wait; more are refused
        default_concurrency_limit=1,  # the largest file takes seconds, and hundreds of megabytes
    ).launch(
        max_threads=4,  # each keeps some MB of torch's buffers
        theme=gr.themes.Default(
            primary_hue="indigo", neutral_hue="slate", font=["system-ui", "sans-serif"]
        ),
        head=f"<style>{(HERE / 'ui' / 'page.css').read_text('utf-8')}</style>",  # at first paint
        footer_links=["api"],
        max_file_size="20mb",
        app_kwargs={
            "max_body_size": 22_000_000,  # of a request, JSON too: a file and its headers
            "middleware": [
                Middleware(LinkPreview, TITLE, DESCRIPTION, HERE / "ui" / "preview.png")
            ],
        },
        show_error=True,  # to programs as well: what is wrong with their call
        mcp_server=True,
        state_session_capacity=100,  # visitors whose state Gradio keeps; each takes a megabyte
        run_history=False,  # neither Gradio nor the browser keeps what visitors write
    )
