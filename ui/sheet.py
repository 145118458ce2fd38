"""The sheet of paper: takes the pen and images, and asks the server what is written on it."""

import base64
import io
import mimetypes
from collections.abc import Awaitable, Callable
from pathlib import Path

import gradio as gr
from PIL import Image

from ui.images import open_image

UI = Path(__file__).parent
MAX_CHARACTERS = 200_000  # of a data URL; sheet.js sends fewer
MAX_SENT_PIXELS = 10**6  # sheet.js sends at most 512 a side


def assets(name: str) -> dict[str, str]:
    """The HTML, CSS and JavaScript of a component, as `gr.HTML` takes them."""
    parts = {"html_template": "html", "css_template": "css", "js_on_load": "js"}
    return {part: (UI / f"{name}.{kind}").read_text() for part, kind in parts.items()}


class Sheet(gr.HTML):
    """Its value is the last answer, None where nothing is written; `input` tells of a new one.

    To put an image on the sheet, set the value to {"example": its URL}.

    Args:
        read_sheet: Called by sheet.js with {"image": data URL, "resting": whether the pen rests}.
            Returns the answer (ui/answer.py); with "boxes", four shares 0-1 of the image each
            (left, top, right, bottom), the sheet shows them.
    """

    def __init__(self, read_sheet: Callable[[dict], Awaitable[dict]]):
        super().__init__(None, **assets("sheet"), server_functions=[read_sheet], elem_id="sheet")

    def postprocess(self, value: dict | None) -> dict | None:
        return value


class Examples(gr.HTML):
    """Images to try, as buttons; its value is {"example": URL} of the last one clicked."""

    def __init__(self, files: list[Path]):
        urls = [
            f"data:{mimetypes.guess_type(file)[0]};base64,"
            + base64.b64encode(file.read_bytes()).decode()
            for file in files
        ]
        buttons = "".join(
            f'<button type="button" aria-label="Example {number}"><img src="{url}" alt=""></button>'
            for number, url in enumerate(urls, 1)
        )
        super().__init__(
            html_template=f'<p>Or try one of these</p><div class="images">{buttons}</div>',
            css_template=(UI / "examples.css").read_text(),
            js_on_load="""
                for (const button of element.querySelectorAll("button"))
                  button.addEventListener("click", () => {
                    props.value = { example: button.firstChild.src };
                    trigger("select");
                  });
            """,
            elem_id="examples",
        )


def decode(sent: object) -> tuple[Image.Image, bool]:
    """What sheet.js sends -> the image, and whether the pen rests.

    Raises:
        gr.Error: it is not what sheet.js sends.
    """
    try:
        if len(sent["image"]) > MAX_CHARACTERS:
            raise ValueError
        head, _, content = sent["image"].partition(";base64,")
        if not head.startswith("data:image/"):
            raise ValueError
        file = io.BytesIO(base64.b64decode(content, validate=True))
        return open_image(file, MAX_SENT_PIXELS), bool(sent["resting"])
    except (TypeError, KeyError, AttributeError, ValueError, gr.Error) as error:
        raise gr.Error("The sheet did not arrive whole. Please write once more.") from error
