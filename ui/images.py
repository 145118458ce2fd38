"""Opens what visitors and programs send; errors are sentences for them."""

import io
import warnings
from pathlib import Path

import gradio as gr
from gradio.data_classes import ImageData
from PIL import Image, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
MAX_PIXELS = 64 * 10**6  # decoded, each takes 4 bytes: 256 MB at most

UNREADABLE = "This image cannot be read. Save it as PNG or JPEG and retry."  # as L*a*b* colours


class ImageFile(gr.Image):
    """An image file that a program uploads; it arrives as a path, unopened.

    Gradio itself would open it, and fail on a corrupted one without telling what to do.
    """

    def preprocess(self, payload: ImageData | None) -> str | None:
        """The path of an uploaded file, or None if there is none.

        Gradio checks only the paths that a caller marks as files, and opens others unchecked.

        Raises:
            gr.Error: the path leads to another file of the server.
        """
        if payload is None or payload.path is None:
            return None
        if not Path(payload.path).resolve().is_relative_to(Path(self.GRADIO_CACHE).resolve()):
            raise gr.Error("This file was not uploaded. Upload it first.")
        return payload.path


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
    except UnidentifiedImageError as error:
        sentence = (
            "This file is not an image that can be read. Use PNG, JPEG, GIF, WebP, BMP or TIFF."
        )
        raise gr.Error(sentence) from error
    except Image.DecompressionBombError as error:
        sentence = f"This image is too large. Use one of at most {max_pixels / 1e6:g} megapixels."
        raise gr.Error(sentence) from error
    # Pillow's decoders raise errors of many types on corrupted files.
    except Exception as error:
        raise gr.Error("This image file is corrupted. Save it again and retry.") from error
    return image
