"""Draw docs/strokes.png anew: every way of writing in training/strokes.txt, a few times.

    python -m scripts.make_contact_sheet

A person who looks at it judges whether each way is legible and no line of the table is a misprint.
The same command gives the same image.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from training.handwriting import draw, random_pen_width, vary, ways_of_writing
from training.synthetic import frame

PATH = Path(__file__).parent.parent / "docs" / "strokes.png"
REPEATS = 4  # of each way
SIDE = 28  # pixels: the images as training has them


def main() -> None:
    """Write the sheet: a row for each digit, and the non-digits below."""
    rng = np.random.default_rng(0)
    rows = [(digit, ways_of_writing(digit)[0]) for digit in "0123456789"]
    signs, _ = ways_of_writing("-")
    longest = max(len(ways) for _, ways in rows)
    rows += [("-", signs[start : start + longest]) for start in range(0, len(signs), longest)]
    width, height = SIDE * REPEATS + 12, SIDE + 6
    sheet = Image.new("L", (20 + width * longest, height * len(rows)), 255)
    for y, (label, ways) in enumerate(rows):
        ImageDraw.Draw(sheet).text((6, y * height + 8), label, 0)
        for x, way in enumerate(ways):
            for n in range(REPEATS):
                image = Image.fromarray(frame(draw(vary(way, rng), random_pen_width(rng))))
                sheet.paste(ImageOps.invert(image), (20 + x * width + n * SIDE, y * height + 3))
    sheet.save(PATH, optimize=True)


if __name__ == "__main__":
    main()
