"""What the benchmarks share: options, tables, MNIST, calls of the app."""

import argparse
import base64
from itertools import pairwise

import httpx
from PIL import Image, ImageDraw, ImageOps

from scripts.strokes import FIVE, encode, smooth

DATASET = ("ylecun/mnist", "MNIST on the Hub or in a local folder")
SHEET_URL = "/gradio_api/component_server/"
SHEET = (840, 560)  # pixels: width and height, as in ui/sheet.html
PEN_WIDTH = SHEET[1] / 24  # as in ui/sheet.js, like the two below
MARGIN = round(2 * PEN_WIDTH)
SENT_HEIGHT = 112


def parse(about: str, **options: tuple) -> argparse.Namespace:
    """The command line of a benchmark, whose docstring is `about`.

    Of each option the default (False for a flag, a list for several words), and a help text.
    """
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    for name, (default, text) in options.items():
        kind = {"type": type(default)}
        if isinstance(default, bool | list):
            kind = {"nargs": "+"} if default else {"action": "store_true"}
        told = f"{text} (%(default)s)" if default and default != [""] else text
        parser.add_argument(f"--{name}", default=default, help=told, **kind)
    return parser.parse_args()


def print_row(*cells: object) -> str:
    """Print a line of a table, and give it."""
    line = f"| {' | '.join(map(str, cells))} |"
    print(line, flush=True)
    return line


def print_head(*names: object) -> str:
    """Print a table's first two lines, and give them: all columns but the first are of numbers."""
    head, line = print_row(*names), f"|---{'|---:' * (len(names) - 1)}|"
    print(line)
    return f"{head}\n{line}"


def data_url(png: bytes) -> str:
    """A PNG as the page sends it."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def growing(strokes: list, count: int) -> list[Image.Image]:
    """A drawing on the sheet at `count` moments while it grows; the last one is of all strokes."""
    image, images = Image.new("RGBA", SHEET, "white"), []
    pen, (width, side) = ImageDraw.Draw(image), SHEET
    ways = [smooth(stroke) * side / 100 + ((width - side) / 2, 0) for stroke in strokes]
    lines = [ends for way in ways for ends in pairwise(map(tuple, way))]
    for number, ends in enumerate(lines, 1):
        pen.line(ends, "#111", round(PEN_WIDTH))
        for point in ends:
            pen.circle(point, PEN_WIDTH / 2, "#111")
        if number * count // len(lines) > (number - 1) * count // len(lines):
            images.append(image.copy())
    return images


def sent_by_sheet(drawing: Image.Image) -> bytes:
    """A drawing on the sheet as the PNG that ui/sheet.js sends: its ink, with a margin, reduced."""
    ink = drawing.crop(ImageOps.invert(drawing.convert("L")).getbbox())
    whole = ImageOps.expand(ink, MARGIN, "white")
    whole.thumbnail((whole.width, SENT_HEIGHT), Image.Resampling.BILINEAR, reducing_gap=None)
    return encode(whole)


def drawings() -> list[bytes]:
    """A 5 at twenty moments while it grows, as the page sends it: PNGs."""
    return [sent_by_sheet(drawing) for drawing in growing(FIVE, 20)]


def sheet_call(app_url: str) -> dict[str, object]:
    """What calls the sheet's function: posted as JSON to `SHEET_URL`, beside `data`, a drawing."""
    components = httpx.get(f"{app_url}/config", timeout=60).json()["components"]
    sheet = next(c["id"] for c in components if c["props"].get("elem_id") == "sheet")
    return {"component_id": sheet, "fn_name": "read_sheet", "session_hash": "benchmark"}
