"""Whole numbers in handwriting, read by a network that classifies single digits.

    from transformers import pipeline

    read = pipeline("number-recognition", model="user/mnist-cnn", trust_remote_code=True)
    read("photo.jpg")["number"]  # "407"

The way is that of LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to
document recognition", sections V to VII: the ink gets cuts, too many rather than too few; whatever
lies between two cuts and can be a digit is classified; the number is the cheapest path from the
left end to the right one. A digit costs -log(confidence), much where it is a non-digit.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from transformers import AutoModelForImageClassification, Pipeline
from transformers.pipelines import PIPELINE_REGISTRY

IMAGE_SIZE = 28  # pixels: height and width of a framed digit
SIDES = ("xmin", "ymin", "xmax", "ymax")  # of a box
EDGE_LEVEL = 0.25  # of full ink: where a stroke ends
SPECK_SHARE = 0.02  # of the largest part's area: smaller parts are dirt
FAINT = 0.8  # of full ink: at the edge of the image, what nowhere exceeds it is a non-digit
MOST_PARTS = 100  # a number has fewer, points included
# Lengths, as multiples of the digits' height.
TALL = 0.5  # of the tallest part: what is as tall may be a digit, and tells how tall digits are
SMALL = 0.45  # what is lower is points, dashes, bits of a digit
LINE = 0.7  # where a part as tall as this stands above another, there are two lines
LONG = 1.5  # of the tallest part: as wide a part is a line that can be straightened
RULE = 1.2  # longer parts, if low, are rules of a form, and so are longer thin lines
RULE_THICKNESS = 0.05  # of a rule that digits touch
UNCUT = 0.6  # narrower parts are not cut
LONE_UNCUT = 0.75  # a part that is alone is more often one digit
MIN_UNCUT = 4  # pixels: as narrow parts have no room for a cut
CUT_EVERY = 0.16  # the stretch of a part's width that gets two cuts
LONGEST = 12  # of all parts that are cut: longer ones are drawings
MAX_WIDTH = 1.35  # of a digit that is cut, or in several parts
MAX_GAP = 0.25  # between two parts of a digit
SPACE = 0.75  # between two digits: a wider gap is a space
SLANTS = np.array([-0.25, 0, 0.25, 0.5])  # of cuts: columns to the right for each row up
SLOPE = 0.16  # of a line, at most: rows down or up for each column to the right
# Areas, as multiples of the height's square.
SLIVER = 0.01  # two cuts, and a cut and the part's end, have more ink between them
MIN_INK = 0.02  # of a digit that is cut
# What a path pays besides -log(confidence).
CUT_COST = 0.5  # for each cut through a part
SKIP_COST = 1.5  # for what is low and left out
WIDTH, WIDTH_COST = 0.8, 1.0  # for each height that a digit is wider than this
HEIGHT, HEIGHT_COST = 0.75, 4.0  # for each height that it is lower than this


class NumberRecognitionPipeline(Pipeline):
    """Reads the digits of one line, from left to right.

    Takes an image or a list of images: PIL images, paths or URLs of image files, or whatever else
    the image processor takes. Gives for each a dict with

    - `number`: the digits, such as "407". A digit below the confidence threshold of the model's
      configuration stands as "?", a wide gap as a space. "" if the image is blank.
    - `score`: the product of the digits' confidences, 0-1, in which a digit counts once more for
      each cut at its sides: that cut is right only if the digit is. 0 if the image is blank.
    - `digits`: from left to right, each with its `label`, its `score` (the confidence, 0-1) and its
      `box`, `xmin`, `ymin`, `xmax` and `ymax` in pixels of the image after its EXIF rotation.

    An image of several lines is taken whole, as one digit. Where that is doubtful, so that `number`
    is "?", a `message` says what to do. Signs and decimal points are ignored. All candidates of an
    image are one batch already, so that `batch_size` changes nothing.
    """

    _load_processor = False
    _load_image_processor = True
    _load_feature_extractor = False
    _load_tokenizer = False

    def _sanitize_parameters(self) -> tuple[dict, dict, dict]:
        return {}, {}, {}

    def get_iterator(self, inputs, num_workers, batch_size, *parameters):
        """`Pipeline.get_iterator`, an image at a time: images differ in how many candidates."""
        return super().get_iterator(inputs, num_workers, 1, *parameters)

    def preprocess(self, image: Image.Image | str | Path, cuts: bool = True) -> dict:
        """Everything in an image that may be a digit.

        Args:
            image: Of any kind that the image processor takes.
            cuts: Whether to cut parts that are in doubt. Where digits touch this takes longest.

        Returns:
            For N candidates, of which the first is all of the image, and M low pieces, which can be
            left out: `pixel_values` (N, 1, 28, 28) float32 0-1; `boxes` (N, 4) int, xmin, ymin,
            xmax and ymax in pixels of the image; `runs` (N + M, 2) int, the gaps between which each
            lies, as `find_gaps` orders them; `cuts` (N + M,) int, how many of these are cuts;
            `costs` (N + M,) float, of its shape and cuts; `height` of the digits in pixels;
            `several_lines`, a bool. N is 0 in a blank image.
        """
        processor = self.image_processor
        ink, corner, scale = processor.find_ink(image)
        framed = [processor.frame_ink(ink)]
        ink, parts, wide, height, several_lines, drops = find_line(ink)
        wide &= cuts
        known, most_cuts = {}, 2
        if wide.any():  # sure to be a digit, a part costs less than any path that cuts it
            numbers, boxes = np.flatnonzero(wide) + 1, bounds(parts)[wide]
            if len(wide) > 1:
                framed[1:] = [
                    processor.frame_part(ink[here] * (parts[here] == number))
                    for number, here in zip(numbers, map(place, boxes), strict=True)
                ]
            known = self.forward({"pixel_values": stack(framed[-len(boxes) :])})
            confidences = known["probabilities"].max(1).values.numpy()
            costs = shape_costs(boxes, height) - np.log(confidences)
            if len(wide) == 1 and costs[0] < 2 * CUT_COST:
                most_cuts = 1  # one that is alone costs less than any path that cuts it twice
            width = (boxes[:, 2] - boxes[:, 0])[costs > CUT_COST].sum()
            wide[wide] = (costs > CUT_COST) & (width < LONGEST * height)
        runs, boxes, count, is_cut = np.array([[0, 1]]), bounds(parts), 1, np.zeros(2, bool)
        if len(wide) != 1 or wide.any():  # else all of it is the one candidate
            before, is_cut = find_gaps(ink, parts, wide, height)
            runs, boxes, low = find_runs(before & (parts > 0), is_cut, height, most_cuts)
            runs, boxes, count = runs[low.argsort(kind="stable")], boxes[~low], (~low).sum()
            framed[1:] = [
                processor.frame_part(ink[here] * (before[last][here] & ~before[first][here]))
                for (first, last), here in zip(runs[1:count], map(place, boxes[1:]), strict=True)
            ]
        lower = drops[(boxes[:, 0] + boxes[:, 2]) // 2]
        shapes = np.append(shape_costs(boxes, height), [SKIP_COST] * (len(runs) - count))
        return (known if count == 1 else {}) | {
            "pixel_values": stack(framed[:count]),
            "boxes": (boxes + np.outer(lower, [0, 1, 0, 1])) * scale + np.tile(corner, 2),
            "runs": runs,
            "cuts": is_cut[runs].sum(1),
            "costs": CUT_COST / 2 * is_cut[runs].sum(1) + shapes,
            "height": height * scale,
            "several_lines": several_lines,
        }

    def _forward(self, candidates: dict) -> dict:
        if "probabilities" in candidates:  # `preprocess` had to know
            return candidates
        pixel_values = candidates["pixel_values"].to(self.model.dtype)
        logits = self.model(pixel_values).logits
        return candidates | {"probabilities": logits.float().softmax(-1)}

    def find_path(self, candidates: dict, probabilities: np.ndarray) -> tuple[list[int], float]:
        """The cheapest way to take all of an image as digits.

        Args:
            candidates: As `preprocess` gives them.
            probabilities: (N, 10), of each candidate.

        Returns:
            The indices of the candidates on the path, from left to right, and the number's score,
            0-1; an empty list and 0 if there are no candidates.
        """
        count, confidences = len(probabilities), probabilities.max(1, initial=1e-9)
        runs, costs = candidates["runs"], candidates["costs"].copy()
        costs[:count] -= np.log(confidences)
        end = int(runs.max(initial=0))
        cheapest = [(0.0, []), *[(np.inf, [])] * end]  # to each gap: the cost and the candidates
        for i in runs[:, 0].argsort(kind="stable").tolist():
            first, last = runs[i]
            cost, path = cheapest[first]
            way = cost + costs[i], path + [i] * int(i < count)
            cheapest[last] = min(cheapest[last], way)
        path = cheapest[end][1] or [0][:count]  # all of it, rather than low pieces alone
        score = (confidences ** (1 + candidates["cuts"][:count]))[path].prod()
        return path, float(score) if path else 0.0

    def spell(self, candidates: dict, probabilities: np.ndarray, path: list[int]) -> str:
        """The number, such as "407", of a path as `find_path` gives it."""
        config, number, end = self.model.config, "", np.inf
        for i in path:
            left, _, right, _ = candidates["boxes"][i]
            sure = probabilities[i].max() >= config.confidence_threshold
            number += " " * bool(left - end > SPACE * candidates["height"])
            number += config.id2label[int(probabilities[i].argmax())] if sure else "?"
            end = right
        return number

    def postprocess(self, outputs: dict) -> dict:
        """The result for one image, as the class describes it."""
        probabilities = outputs["probabilities"].numpy()
        path, score = self.find_path(outputs, probabilities)
        digits = [
            {
                "label": self.model.config.id2label[int(probabilities[i].argmax())],
                "score": float(probabilities[i].max()),
                "box": dict(zip(SIDES, outputs["boxes"][i].tolist(), strict=True)),
            }
            for i in path
        ]
        number = self.spell(outputs, probabilities, path)
        result = {"number": number, "score": score, "digits": digits}
        if outputs["several_lines"] and number == "?":
            result["message"] = "The image seems to hold several lines. Crop it to one."
        return result


class Line(NamedTuple):
    """What `find_line` finds."""

    ink: np.ndarray  # (H, W) 0-1
    # (H, W) int: the connected parts, 1 to n from left to right, 0 elsewhere; or everything as
    # one, if there are several lines or more parts than a number has.
    parts: np.ndarray
    wide: np.ndarray  # (n,) bool: whether each is so wide that it may hold several digits
    height: float  # of the digits, in pixels
    several_lines: bool
    drops: np.ndarray  # (W,) int: how much lower each column was before it was straightened


def find_line(ink: np.ndarray, is_level: bool = False) -> Line:
    """The digits in (H, W) ink, without dirt, borders and rules; straightened if not `is_level`."""
    drops = np.zeros(ink.shape[1], int)
    if not ink.any() or ink.shape == (IMAGE_SIZE, IMAGE_SIZE):  # too small for more than a digit
        parts = (ink > EDGE_LEVEL * ink.max()).astype(int)
        return Line(ink, parts, np.zeros(parts.max(), bool), 1.0, False, drops)
    parts, _ = ndimage.label(ink > EDGE_LEVEL, np.ones((3, 3)))
    boxes = bounds(parts)
    wide, tall = (boxes[:, 2:] - boxes[:, :2]).T
    if wide.max() > LONG * tall.max() and not is_level:  # digits that touch each other, or a rule
        ink, drops = straighten(ink, parts == wide.argmax() + 1)
    ink = ink * ~rules(ink > EDGE_LEVEL)
    parts, _ = ndimage.label(ink > EDGE_LEVEL, np.ones((3, 3)))
    areas = np.bincount(parts.ravel(), minlength=2)
    areas[0] = 0
    parts, count = ndimage.label((areas > SPECK_SHARE * areas.max())[parts], np.ones((3, 3)))
    if count > MOST_PARTS:
        height = float((parts > 0).any(1).sum())
        return Line(ink, (parts > 0).astype(int), np.zeros(1, bool), height, False, drops)
    boxes = bounds(parts)
    wide, tall = (boxes[:, 2:] - boxes[:, :2]).T
    edges = (boxes[:, :2] == 0).sum(1) + (boxes[:, 2:] == ink.shape[::-1]).sum(1)
    kept = (edges < 4) | (count == 1)  # a border touches all four edges
    strong = np.bincount(parts[ink > FAINT], minlength=count + 1)[1:] > 0
    if (kept & strong).any():  # a table beyond the paper, or a shadow, is fainter
        kept &= (edges == 0) | strong
    height = float(np.median(tall[kept & (tall >= TALL * (tall * kept).max())]))
    low = tall < SMALL * height
    kept &= ~low | (wide < RULE * height)
    starts, ends = np.maximum(boxes[:, None], boxes), np.minimum(boxes[:, None], boxes)
    overlap = ends[..., 2] - starts[..., 0]
    # Such as the bar of a 5: a low part belongs to the digit that it stands above or below.
    with_digits = np.where(kept & ~low, overlap, 0)
    joins = low & (with_digits.max(1) > wide / 2)
    owner = np.where(joins, with_digits.argmax(1), np.arange(len(boxes)))
    in_line = kept & (tall > LINE * height)
    stacked = (boxes[:, None, 3] < boxes[:, 1]) & (overlap > np.minimum(wide[:, None], wide) / 2)
    several_lines = stacked[in_line][:, in_line].any()
    digits = np.flatnonzero(kept & ~joins)
    digits = digits[(boxes[digits, 0] + boxes[digits, 2]).argsort(kind="stable")]
    number = np.zeros(len(boxes) + 1, int)  # of each part, from left to right; 0 is left out
    number[1 + digits] = np.arange(len(digits)) + 1
    number[1:] = number[1 + owner] * kept
    uncut = max((UNCUT if len(digits) > 1 else LONE_UNCUT) * height, MIN_UNCUT)
    parts, is_wide = number[parts], wide[digits] > uncut
    if several_lines:
        parts, is_wide = (parts > 0).astype(int), np.zeros(1, bool)
    return Line(ink, parts, is_wide, height, bool(several_lines), drops)


def straighten(ink: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Move the columns of (H, W) ink up or down until a part of it, (H, W) bool, is level.

    Then the squares of the ink in each row have the largest sum (Postl 1986, "Detection of linear
    oblique structures and skew scan in digitized documents").

    Returns:
        The ink, (H', W), and how many rows lower each column was, (W,) int.
    """
    y, x = np.nonzero(part)
    slopes = np.linspace(-SLOPE, SLOPE, 2 * int(SLOPE * np.ptp(x)) + 1)  # a row apart at the end
    rows = [np.bincount((y - slope * x + ink.shape[1]).astype(int)) for slope in slopes]
    slope = slopes[np.argmax([(counts**2).sum() for counts in rows])]
    drops = slope * (np.arange(ink.shape[1]) - ink.shape[1] / 2)
    margin = int(np.ceil(np.abs(drops).max()))
    ink = ndimage.affine_transform(
        ink,
        [[1, slope], [0, 1]],
        offset=(drops[0] - margin, 0),
        output_shape=(len(ink) + 2 * margin, ink.shape[1]),
        order=1,
    )
    return ink, np.rint(drops).astype(int) - margin


def rules(inside: np.ndarray) -> np.ndarray:
    """The thin horizontal lines of a form in (H, W) bool, but for what strokes cover of them."""
    height = inside.any(1).sum()
    length, thickness = int(RULE * height), int(RULE_THICKNESS * height) + 2  # with soft edges
    full = inside.sum(1) > length  # rows; few images have any
    line = np.zeros_like(inside)
    if full.any():
        line[full] = ndimage.minimum_filter1d(inside[full], length, mode="constant")
        line[full] = ndimage.maximum_filter1d(line[full], length)
        line[ndimage.binary_opening(line.any(1), np.ones(thickness + 1))] = False
        # A stroke goes on where there is ink right above or below.
        line &= ~ndimage.maximum_filter1d(inside & ~line, 2 * thickness + 1, axis=0)
    return line & (inside & ~line).any()  # a lone dash stays


def find_gaps(
    ink: np.ndarray, parts: np.ndarray, wide: np.ndarray, height: float
) -> tuple[np.ndarray, np.ndarray]:
    """Where one digit may end and the next begin, from left to right.

    Args:
        ink: (H, W) 0-1.
        parts: (H, W) int, the number of each part of it from 1 on, 0 for the background.
        wide: (n,) bool, which parts to cut.
        height: Of the digits, in pixels.

    Returns:
        For G gaps, of which the first is before all ink and the last after it: what lies before
        each, (G, H, W) bool, soft edges included; and whether it is a cut, (G,) bool.
    """
    parts = np.where(parts, parts, ndimage.grey_dilation(parts, 3))
    before, is_cut = [np.zeros_like(parts, bool)], [False]
    for number, box in enumerate(bounds(parts), 1):
        earlier, part = (parts > 0) & (parts < number), parts == number
        if wide[number - 1]:
            inside, x = part[place(box)], np.arange(box[2] - box[0])
            for columns in find_cuts(ink[place(box)] * inside, height):
                before.append(earlier.copy())
                before[-1][place(box)] |= inside & (x <= columns[:, None])
                is_cut.append(True)
        before.append(earlier | part)
        is_cut.append(False)
    return np.array(before), np.array(is_cut)


def find_cuts(ink: np.ndarray, height: float) -> np.ndarray:
    """Straight cuts through a part (h, w), from left to right, (K, h) int: their columns.

    Where two strokes have become one, the right cut runs along it, however much ink it crosses. So
    there are cuts in each stretch of the width: of two slants, those that cross least ink.
    """
    rows, columns = ink.shape
    every = max(2, int(CUT_EVERY * height))
    lean = np.rint(SLANTS[:, None] * (rows / 2 - np.arange(rows))).astype(int)  # (slants, rows)
    x = np.arange(columns) + lean[..., None] + rows
    crossed = np.pad(ink, ((0, 0), (rows, rows)))[np.arange(rows)[:, None], x].sum(1)
    cuts = []
    for left in range(every // 2, columns - every, every):
        stretch = crossed[:, left : left + every]
        for slant in stretch.min(1).argsort()[:2]:
            cuts.append(left + stretch[slant].argmin() + lean[slant])
    inside, kept, before = ink > EDGE_LEVEL, [], np.zeros_like(ink, bool)
    for cut in sorted(cuts, key=np.mean):
        left = inside & (np.arange(columns) <= cut[:, None])
        if min((left ^ before).sum(), (inside & ~left).sum()) > SLIVER * height**2:
            kept, before = [*kept, cut], left
    return np.array(kept, int).reshape(-1, rows)


def shape_costs(boxes: np.ndarray, height: float) -> np.ndarray:
    """What each of boxes (n, 4) costs for being wide or low, (n,)."""
    wide, tall = (boxes[:, 2:] - boxes[:, :2]).T / height
    return WIDTH_COST * np.maximum(wide - WIDTH, 0) + HEIGHT_COST * np.maximum(HEIGHT - tall, 0)


def find_runs(
    before: np.ndarray, is_cut: np.ndarray, height: float, most_cuts: int = 2
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What lies between two gaps and can be a digit by its size, or is too low for one.

    Takes what `find_gaps` gives, without soft edges; at most `most_cuts` of a run's ends are cuts.

    Returns:
        For n runs, of which the first is everything, the gaps before and after it, (n, 2) int; the
        box around it, (n, 4) int; and whether it is too low for a digit, (n,) bool.
    """
    # A later gap has before it all that an earlier one has, or their cuts cross: counts suffice.
    columns, rows = before.sum(1), before.sum(2)  # how many pixels of ink lie before each gap
    first, last = np.triu_indices(len(before), 1)
    is_all, part = last - first == len(before) - 1, np.cumsum(~is_cut)
    is_part = ~(is_cut[first] | is_cut[last]) & (part[last] - part[first] == 1)
    starts, ends = (columns < columns[-1]).argmax(1), right_ends(columns > 0)
    near = ends[last] - starts[first] <= 2 * MAX_WIDTH * height  # cuts slant: not exact, but cheap
    order = np.lexsort((last, first, ~is_all))
    order = order[(near | is_part | is_all)[order]]
    first, last = first[order], last[order]
    needed = (is_part | is_all)[order]  # the line and its parts, however large
    in_columns, in_rows = columns[last] > columns[first], rows[last] > rows[first]
    left, right = in_columns.argmax(1), right_ends(in_columns)
    top, bottom = in_rows.argmax(1), right_ends(in_rows)
    x = np.arange(in_columns.shape[1])
    ink_before = np.maximum.accumulate(np.where(in_columns, x, left[:, None]), axis=1)
    gaps = np.where(in_columns[:, 1:], x[1:] - ink_before[:, :-1], 0).max(1, initial=0)
    fits = (right - 1 - left < MAX_WIDTH * height) & (gaps <= MAX_GAP * height + 1)
    fits &= (rows[last] - rows[first]).sum(1) >= MIN_INK * height**2
    fits &= (rows[first] <= rows[last]).all(1)  # else the cuts cross
    fits &= is_cut[np.stack([first, last])].sum(0) <= most_cuts
    kept = in_columns.any(1) & (needed | fits)
    runs, boxes = np.stack([first, last], 1)[kept], np.stack([left, top, right, bottom], 1)[kept]
    low = (boxes[:, 3] - boxes[:, 1] < SMALL * height) & (np.arange(len(boxes)) > 0)
    return runs, boxes, low


def right_ends(inside: np.ndarray) -> np.ndarray:
    """One more than the last index that is inside, of each row of (n, W) bool: (n,)."""
    return inside.shape[1] - inside[:, ::-1].argmax(1)


def bounds(labels: np.ndarray) -> np.ndarray:
    """The boxes (n, 4) of labels 1 to n in (H, W): left, top, right, bottom."""
    found = ndimage.find_objects(labels)
    return np.array([(x.start, y.start, x.stop, y.stop) for y, x in found], int).reshape(-1, 4)


def place(box: np.ndarray) -> tuple[slice, slice]:
    """Where a box lies in an array."""
    left, top, right, bottom = box
    return slice(top, bottom), slice(left, right)


def stack(framed: list[np.ndarray]) -> torch.Tensor:
    """Framed digits (28, 28) as the model takes them, (n, 1, 28, 28)."""
    return torch.from_numpy(np.array(framed, np.float32).reshape(-1, 1, IMAGE_SIZE, IMAGE_SIZE))


PIPELINE_REGISTRY.register_pipeline(
    "number-recognition",
    NumberRecognitionPipeline,
    pt_model=AutoModelForImageClassification,
    type="image",
)
