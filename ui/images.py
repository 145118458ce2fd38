"""Opens what visitors and programs send; errors are sentences for them."""

import io
import warnings
from pathlib import Path

import gradio as gr
from gradio.data_classes import ImageData
from PIL import Image, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
MAX_PIXELS = 64 * 10**6  # decoded, each takes 4 bytes: 256 MB at most


class ImageFile(gr.Image):
    """An image file that a program uploads. Gradio would open it, and fail on a corrupted one."""

    def preprocess(self, payload: ImageData | None) -> str | None:
        """The path of an uploaded file, unopened, or None if there is none.

        Raises:
            gr.Error: the path leads to another file of the server.
        """
        path = payload and payload.path
        # Gradio checks only the paths that a caller marks as files.
        if path and not Path(path).resolve().is_relative_to(Path(self.GRADIO_CACHE).resolve()):
            raise gr.Error("This file was not uploaded. Upload it first.")
        return path


def open_image(file: str | io.BytesIO | None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open and decode an image of at most `max_pixels`.

    Raises:
        gr.Error: there is no file, or it is not an image, is corrupted, or is too large.
    """
    if file is None:
        raise gr.Error("There is no image. Upload one.")
    try:
        with warnings.catch_warnings():
            # Pillow warns of images that are allowed here; larger ones are refused below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
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
        raise gr.Error(f"This file is {problem}.") from error
