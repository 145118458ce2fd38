"""Serves a model on Hugging Face Inference Endpoints; training copies it beside the weights.

    handler = EndpointHandler("mnist-cnn")
    handler({"inputs": "iVBORw0KGgo..."})  # [{"label": "7", "score": 0.99...}, ...]

The platform passes on the JSON of a request, or the image that the request is. A ValueError becomes
the answer {"error": sentence}, with status 400.
"""

import base64
import io
from typing import Any

import torch
from PIL import Image, UnidentifiedImageError
from transformers import AutoConfig, pipeline

CLASSIFICATION = "image-classification"
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
MAX_IMAGES = 64
MAX_MEGABYTES = 20  # of a file
MAX_MEGAPIXELS = 64  # decoded, each takes 4 MB; of a list, one image is decoded at a time


class EndpointHandler:
    """Reads images with the pipelines of the model in a folder, whose code is executed."""

    def __init__(self, path: str = ""):
        config = AutoConfig.from_pretrained(path, trust_remote_code=True)
        self.pipelines = {
            task: pipeline(task, model=path, trust_remote_code=True)
            for task in [CLASSIFICATION, *getattr(config, "custom_pipelines", {})]
        }

    def __call__(self, data: dict[str, Any]) -> Any:
        """Read an image, or a list of them.

        `inputs` is a PIL image, or an image file in base64 or a data URL, of at most 20 MB and 64
        megapixels, or a list of 1 to 64 of them. `parameters` may hold the `task`:
        "image-classification" (the default) or one of the model's own. The answer is what the
        task's pipeline returns for an image, or a list of that, in which {"error": sentence}
        stands for an image that cannot be read. `ValueError`, which says what can be used, if the
        call or its only image cannot.
        """
        if not isinstance(data, dict) or "inputs" not in data:
            raise ValueError('Send a JSON object with "inputs": an image file in base64.')
        inputs, parameters = data["inputs"], data.get("parameters") or {}
        if not isinstance(parameters, dict) or parameters.keys() - {"task"}:
            raise ValueError('"parameters" must be an object with nothing in it but "task".')
        task = parameters.get("task", CLASSIFICATION)
        if task not in list(self.pipelines):  # it may be anything, also what cannot be hashed
            raise ValueError(f'"task" must be one of: {", ".join(self.pipelines)}.')
        images = inputs if isinstance(inputs, list) else [inputs]
        if not 1 <= len(images) <= MAX_IMAGES:
            raise ValueError(f'"inputs" must be an image, or a list of 1 to {MAX_IMAGES} images.')
        answers = self.read(images, task)
        if images is inputs:
            return answers
        if "error" in answers[0]:
            raise ValueError(answers[0]["error"])
        return answers[0]

    def read(self, images: list, task: str) -> list:
        """A task's answer to each image, or what is wrong with it; one batch is classified."""
        reader, answers, frames = self.pipelines[task], [None] * len(images), {}
        for place, content in enumerate(images):
            try:
                image = decode_image(content)
                if task == CLASSIFICATION:
                    # Not by the pipeline, which would drop transparency and clip 16 bits.
                    frames[place] = reader.image_processor(image, return_tensors="pt").pixel_values
                else:
                    answers[place] = reader(image)
            except ValueError as error:
                answers[place] = {"error": str(error)}
        if frames:
            logits = reader.forward({"pixel_values": torch.cat([*frames.values()])}).logits
            for place, row in zip(frames, logits.split(1), strict=True):
                answers[place] = reader.postprocess({"logits": row})
        return answers


def decode_image(content: str | Image.Image) -> Image.Image:
    """Decode an image file in base64 or a data URL; an image stays as it is.

    `ValueError` if it is not an image, is corrupted, or is too large.
    """
    if isinstance(content, Image.Image):
        return content
    if not isinstance(content, str):
        raise ValueError("An image must be a string: a file in base64, or a data URL.")
    content = content.rpartition(",")[2]  # base64 has no comma
    try:
        if len(content) * 3 / 4 > MAX_MEGABYTES * 10**6:
            raise Image.DecompressionBombError
        image = Image.open(io.BytesIO(base64.b64decode(content)), formats=FORMATS)
        if image.width * image.height > MAX_MEGAPIXELS * 10**6:
            raise Image.DecompressionBombError
        image.load()
        return image
    except Image.DecompressionBombError as error:
        limits = f"at most {MAX_MEGABYTES} MB and {MAX_MEGAPIXELS} megapixels"
        raise ValueError(f"This image is too large. Send one of {limits}.") from error
    except (UnidentifiedImageError, ValueError) as error:
        formats = "PNG, JPEG, GIF, WebP, BMP or TIFF in base64, or a data URL"
        raise ValueError(f"This is not an image that can be read. Send {formats}.") from error
    except Exception as error:  # Pillow's decoders raise errors of many types
        raise ValueError("This image file is corrupted. Save it again and retry.") from error
