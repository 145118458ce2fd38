"""The parts of the page: each a `gr.HTML` of its own file of HTML and of JavaScript."""

import base64
from pathlib import Path

import gradio as gr
import numpy as np
from gradio.image_utils import encode_image_file_to_base64
from transformers import PreTrainedModel

from modeling_mnist import IMAGE_SIZE
from pipeline_mnist import NumberRecognitionPipeline
from ui.batcher import batched
from ui.corrections import CorrectionStore
from ui.reading import BUSY, INVITATION, read_sheets
from ui.saliency import MAX_LEVELS, trace

UI = Path(__file__).parent


class Component(gr.HTML):
    """#`name` on the page, made by ui/`name`.html and ui/`name`.js; its value is any JSON.

    Args:
        called: Names of files of JavaScript whose functions ui/`name`.js calls.
        options: Those of `gr.HTML`, and whatever else the HTML and the scripts are told.
    """

    def __init__(self, name: str, called: tuple[str, ...] = (), **options):
        scripts = [(UI / f"{script}.js").read_text("utf-8") for script in (*called, name)]
        super().__init__(
            html_template=(UI / f"{name}.html").read_text("utf-8"),
            js_on_load="".join(scripts),
            elem_id=name,
            apply_default_css=False,
            digits=list("0123456789"),
            **options,
        )


class Sheet(Component):
    """Takes the pen and images; its value is the last answer (ui/reading.py), or None if empty."""

    def __init__(self, read: NumberRecognitionPipeline):
        def read_sheet(sheets: list) -> list[dict]:
            return read_sheets(read, sheets)

        super().__init__("sheet", ("images", "share"), server_functions=[batched(read_sheet, BUSY)])


class Answer(Component):
    """Shows its value, an answer, or where that is None the invitation; takes corrections, if any.

    `select` tells that it shows another digit: `chosen` in its value is the index.
    """

    def __init__(self, corrections: CorrectionStore | None):
        async def correct(sent: object) -> str:
            return await corrections(sent)

        options = {"server_functions": [correct]} if corrections else {}
        options |= {"invitation": INVITATION, "corrects": bool(corrections)}
        super().__init__("answer", ("paint", "corrections"), **options)
        self.props["component"] = self._id


class Inside(Component):
    """Shows its value, a digit's `seen` and the one of `lines` that holds it, while it is open."""

    def __init__(self, model: PreTrainedModel):
        traced = batched(lambda digits: trace(model, np.stack(digits)), BUSY)

        async def look(seen: object) -> dict:
            try:
                levels = base64.b64decode(str(seen)[:MAX_LEVELS], validate=True)
                digit = np.frombuffer(levels, np.uint8).reshape(IMAGE_SIZE, IMAGE_SIZE)
                return await traced(digit)
            except ValueError:
                return {"said": "The digit did not arrive whole. Please write once more."}

        # A stage pools by 2 between two 3x3 convolutions: hence its receptive field.
        stages = [
            {"count": count, "side": IMAGE_SIZE >> k, "field": min(7 * 2**k - 6, IMAGE_SIZE)}
            for k, count in enumerate(model.config.conv_channels, 1)
        ]
        options = {"stages": stages, "hidden_size": model.config.hidden_size}
        super().__init__("inside", ("paint",), server_functions=[look], **options)


class Examples(gr.HTML):
    """Images to try, as buttons: images.js puts on the sheet what is clicked."""

    def __init__(self, files: list[Path]):
        buttons = ""
        for file in files:
            url = encode_image_file_to_base64(file)
            shows = file.stem.partition("-")[2].replace("-", " ")
            buttons += f'<button type="button"><img src="{url}" alt="Example: {shows}"></button>'
        text = f'<p class="caption">Or try one of these</p><div class="examples">{buttons}</div>'
        super().__init__(text, elem_id="examples", apply_default_css=False)
