"""A Gradio Space that reads handwritten digits: write on the sheet, or put an image on it.

python app.py                                the model in model/
MODEL_ID=user/mnist-cnn python app.py        a model on the Hub, or in another folder
CORRECTIONS_DIR=corrections python app.py    visitors can correct it: kept in that folder
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # no telemetry, as README.md says

import gradio as gr
import torch

from image_processing_mnist import MnistImageProcessor
from modeling_mnist import load_pretrained
from ui.about import show_about
from ui.answer import Answer, describe, message
from ui.batcher import Batcher, Busy
from ui.corrections import Corrections
from ui.images import ImageFile, open_image
from ui.inside import Inside
from ui.saliency import classify, saliency_maps
from ui.sheet import Examples, Sheet, decode

HERE = Path(__file__).parent
MODEL_ID = os.environ.get("MODEL_ID", str(HERE / "model"))

CORRECTIONS_DIR = os.environ.get("CORRECTIONS_DIR")

# One small image at a time is faster on one thread than on several.
torch.set_num_threads(1)
try:
    # The classes are those beside this file: code that a model brings along never runs.
    model = load_pretrained(MODEL_ID)
    processor = MnistImageProcessor.from_pretrained(MODEL_ID)
except (OSError, ValueError, RuntimeError) as error:
    sys.exit(f"app.py: MODEL_ID {MODEL_ID!r} is no model that can be loaded: {error}")
if CORRECTIONS_DIR:
    is_folder = Path(MODEL_ID).is_dir()  # whose path is nobody's business
    model_name = Path(MODEL_ID).resolve().name if is_folder else MODEL_ID
    corrections = Corrections(CORRECTIONS_DIR, model, model_name)


def frame(image) -> torch.Tensor:
    """The model's input (1, 1, 28, 28), 0-1.

    Raises:
        gr.Error: the image's colours, such as L*a*b*, cannot be turned into RGB.
    """
    try:
        return processor(image, return_tensors="pt")["pixel_values"]
    except ValueError as error:
        raise gr.Error("This image cannot be read. Save it as PNG or JPEG and retry.") from error


def answer_all(sheets: list) -> list[dict]:
    """The answers to what sheets sent, in one batch; an image that cannot be read fails alone."""
    answers, framed = {}, {}
    for index, sent in enumerate(sheets):
        try:
            image, resting = decode(sent)
            framed[index] = frame(image), resting
        except gr.Error as error:
            answers[index] = message("error", error.message)
    if framed:
        pixel_values = torch.cat([pixels for pixels, _ in framed.values()])
        probabilities = classify(model, pixel_values)
        # While the pen moves, the next image comes before anyone could look at the map.
        resting = [row for row, (_, resting) in enumerate(framed.values()) if resting]
        maps = saliency_maps(model, pixel_values[resting]) if resting else []
        maps = dict(zip(resting, maps, strict=True))
        for row, index in enumerate(framed):
            seen = pixel_values[row, 0].numpy()
            answers[index] = describe(model.config, probabilities[row], seen, maps.get(row))
    return [answers[index] for index in range(len(sheets))]


batcher = Batcher(answer_all)


async def read(sent: dict) -> dict:
    """The answer to what a sheet sends: see ui/sheet.py and ui/answer.py."""
    try:
        return await batcher(sent)
    except Busy:
        return message("error", "Too many people write at the moment. Please wait a little.")


async def correct(sent: object) -> str:
    """Keep a correction: see ui/corrections.py."""
    return await corrections(sent)


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
    pixel_values = frame(open_image(picture))
    if not pixel_values.any():
        raise gr.Error("This image is blank. Send one with a digit on it.")
    (probabilities,) = classify(model, pixel_values)
    return {model.config.id2label[digit]: float(p) for digit, p in enumerate(probabilities)}


# Uploads are deleted after an hour.
with gr.Blocks(title="Handwritten digits", delete_cache=(60, 3600)) as demo:
    gr.HTML("<h1>Handwritten digits</h1>", elem_id="title")
    with gr.Tabs():
        with gr.Tab("Read"):
            with gr.Row(elem_classes="desk"):
                sheet = Sheet(read)
                answer = Answer(correct if CORRECTIONS_DIR else None)
            inside = Inside(model)
            examples = Examples(sorted((HERE / "examples").glob("*.[jp]*g")))
        with gr.Tab("About the model"):
            show_about(MODEL_ID)

    # In the browser alone: what comes from one component goes to the next.
    sheet.input(None, sheet, answer, js="(value) => value", show_progress="hidden")
    examples.select(None, examples, sheet, js="(value) => value", show_progress="hidden")
    chosen = "(value) => value.digits?.[value.chosen]?.seen ?? ''"
    answer.select(None, answer, inside, js=chosen, show_progress="hidden")
    # For programs alone.
    gr.on([], predict, ImageFile(visible=False), gr.Label(visible=False), api_name="predict")

if __name__ == "__main__":
    demo.queue(
        max_size=100,  # calls of programs that wait; more are refused
        default_concurrency_limit=1,  # the largest file takes seconds, and hundreds of megabytes
    ).launch(
        max_threads=4,  # each keeps some MB of torch's buffers
        theme=gr.themes.Default(
            primary_hue="indigo", neutral_hue="slate", font=["system-ui", "sans-serif"]
        ),
        head=f"<style>{(HERE / 'ui' / 'page.css').read_text()}</style>",  # there at first paint
        footer_links=["api"],
        max_file_size="20mb",
        app_kwargs={"max_body_size": 22_000_000},  # of a request, JSON too: a file and its headers
        show_error=True,  # to programs as well: what is wrong with their call
        mcp_server=True,
        state_session_capacity=1000,  # visitors; of an evicted one each call builds its state anew
        run_history=False,  # what visitors write is kept nowhere, not in their browser either
    )
