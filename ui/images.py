"""Opens what visitors and programs send; errors are sentences for them."""

import io
import logging
from pathlib import Path

import gradio as gr
from gradio.data_classes import ImageData
from PIL import Image, UnidentifiedImageError

EXAMPLE = "examples/1-a-4-from-MNIST.png"  # of this project
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
MAX_PIXELS = 64 * 10**6  # decoded, each takes 4 bytes: 256 MB at most


class Refused(gr.Error):
    """A call that cannot be answered: a sentence for the program, and one line in the log."""

    def __init__(self, sentence: str):
        super().__init__(sentence, print_exception=False)
        logging.warning("Refused: %s", sentence)


class Page(gr.Blocks):
    """The app, which also refuses a call that holds anything but an uploaded image."""

    async def preprocess_data(self, *args, **kwargs) -> list:
        try:
            return await super().preprocess_data(*args, **kwargs)
        except Refused:
            raise
        # Gradio raises errors of many types, and would print each with its traceback.
        except Exception as error:
            reason = str(error).partition("\n")[0]
            raise Refused(f"There is no uploaded image in this call: {reason}") from error


class ImageFile(gr.Image):
    """An image file that a program uploads. Gradio would open it, and fail on a corrupted one."""

    is_template = True  # called "Image" where the API is described

    def example_payload(self) -> dict:
        """What the API page shows as an example."""
        return {"path": EXAMPLE, "url": EXAMPLE, "meta": {"_type": "gradio.FileData"}}

    def preprocess(self, payload: ImageData | None) -> str | None:
        """The path of an uploaded file, unopened, or None if there is none.

        Raises:
            Refused: the path leads to another file of the server.
        """
        path = payload and payload.path
        # Gradio checks only the paths that a caller marks as files.
        if path and not Path(path).resolve().is_relative_to(Path(self.GRADIO_CACHE).resolve()):
            raise Refused("This file was not uploaded. Upload it first.")
        return path


def open_image(file: str | io.BytesIO | None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open and decode an image of at most `max_pixels`.

    Raises:
        Refused: there is no file, or it is not an image, is corrupted, or is too large.
    """
    if file is None:
        raise Refused("There is no image. Upload one.")
    try:
        image = Image.open(file, formats=FORMATS)
        if image.width * image.height > max_pixels:
            raise Image.DecompressionBombError
        image.load()
        return image
    except Exception as error:  # Pillow's decoders raise errors of many types on corrupted files
        problem = {
            UnidentifiedImageError: f"not an image that can be read. Use {', '.join(FORMATS)}",
            Image.DecompressionBombError: f"too large. Use {max_pixels / 1e6:g} megapixels at most",
        }.get(type(error), "corrupted. Save it again and retry")
        raise Refused(f"This file is {problem}.") from error
