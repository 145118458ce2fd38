"""Whole numbers in handwriting, read by a network that classifies single digits.

    from transformers import pipeline

    read = pipeline("number-recognition", model="user/mnist-cnn", trust_remote_code=True)
    read("photo.jpg")["number"]  # "407"

The way is that of LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to
document recognition", sections V to VII: the ink is cut into pieces, too many rather than too few;
each run of neighbouring pieces that can be a digit is classified; the number is the cheapest path
from the first piece to the last. A digit costs -log(confidence), much where a run is a non-digit.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from transformers import AutoModelForImageClassification, Pipeline
from transformers.pipelines import PIPELINE_REGISTRY

IMAGE_SIZE = 28  # pixels: height and width of a framed digit
SIDES = ("xmin", "ymin", "xmax", "ymax")  # of a box
EDGE_LEVEL = 0.25  # of full ink: where a stroke ends
FULL_INK = 0.8  # quantile of the ink's contrast that becomes 1: a few outliers lie above it
SPECK_SHARE = 0.02  # of the largest part's area: smaller parts are dirt
FAINT = 0.8  # of full ink: at the edge of the image, what nowhere exceeds it is a non-digit
# Lengths, as multiples of the digits' height.
TALL = 0.5  # of the tallest part: what is as tall may be a digit, and tells how tall digits are
SMALL = 0.45  # lower pieces are points, dashes, bits of a digit
LINE = 0.7  # where a part as tall as this stands above another, there are two lines
RULE = 1.2  # longer parts, if low, are rules of a form, and so are longer thin lines
RULE_THICKNESS = 0.05  # of a rule that digits touch
UNCUT = 0.6  # narrower parts are not cut
LONE_UNCUT = 0.75  # a part that is alone is more often one digit
MIN_UNCUT = 4  # pixels: as narrow parts have no room for a cut
CUT_EVERY = 0.18  # at most so many cuts to a part's width
CUT_APART = 0.12  # two cuts, and a cut and the part's end
MAX_WIDTH = 1.35  # of a digit in several pieces
MAX_GAP = 0.25  # between two parts of a digit
COARSE = 40  # pixels of height: lower digits are found anew in the line alone
SEAM_ROWS = 80  # of a digit: seams are found in about so many
SPACE = 0.75  # between two digits: a wider gap is a space
# What a path pays besides -log(confidence).
CUT_COST = 0.25  # for each cut through a part
SKIP_COST = 1.5  # for a low piece that is left out
WIDTH, WIDTH_COST = 0.8, 1.0  # for each height that a digit is wider than this
HEIGHT, HEIGHT_COST = 0.75, 4.0  # for each height that it is lower than this
SLANT_COST = 0.05  # of full ink: for each pixel that a cut moves sideways
PAPER_COST = 0.01  # of full ink: for each pixel of a cut through the background


class NumberRecognitionPipeline(Pipeline):
    """Reads the digits of one line, from left to right.

    Takes an image or a list of images: PIL images, paths or URLs of image files, or whatever else
    the image processor takes. Gives for each a dict with

    - `number`: the digits, such as "407". A digit below the confidence threshold of the model's
      configuration stands as "?", a wide gap as a space. "" if the image is blank.
    - `score`: the product of the digits' confidences, 0-1; 0 if the image is blank.
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

    def preprocess(self, image: Image.Image | str | Path, classify_first: bool = True) -> dict:
        """Everything in an image that may be a digit.

        Args:
            image: Of any kind that the image processor takes.
            classify_first: Whether to classify a part that is alone before cutting it, which saves
                the cuts where the network is sure of it. The result is the same. It does not pay
                for who classifies the candidates of many images at once.

        Returns:
            For N candidates, of which the first is all of the image, and n pieces: `pixel_values`
            (N, 1, 28, 28) float32 0-1; `boxes` (N, 4) int, xmin, ymin, xmax and ymax in pixels of
            the image; `runs` (N, 2) int, the first piece of each and the one after its last;
            `costs` (N,) float, of its shape; `low` (n,) bool, the pieces that can be left out;
            `height` of the digits in pixels; `several_lines`, a bool. N is 0 in a blank image.
        """
        processor = self.image_processor
        image = processor.open(image)
        ink = processor.find_ink(image)
        scale = -(-max(image.size) // max(ink.shape))  # by which `find_ink` has reduced the image
        framed = [processor.frame_ink(ink)]
        whole = {"pixel_values": torch.from_numpy(framed[0][None, None])}
        ink, parts, wide, height, several_lines = find_parts(ink)
        corner = np.zeros(2, int)  # of the part of the image that `ink` shows
        if scale > 1 and height < COARSE and len(wide) > 1:  # the line alone is reduced less
            margin = int(height) * np.array([-1, -1, 1, 1])
            box = (join(bounds(parts)) + margin).clip(0) * scale
            corner, image = box[:2], processor.crop(image, box)
            ink = processor.find_ink(image)
            scale = -(-max(image.size) // max(ink.shape))
            ink, parts, wide, height, several_lines = find_parts(ink)
        # Sure to be a digit, a part that is alone costs less than any path with a cut.
        if classify_first and list(wide) == [True]:
            whole = self.forward(whole)
            cost = shape_costs(bounds(parts), height) - np.log(whole["probabilities"].max().item())
            wide = cost > CUT_COST
        wide &= not several_lines
        pieces, cuts = cut(ink, parts, wide, height)
        boxes = bounds(pieces)
        low = boxes[:, 3] - boxes[:, 1] < SMALL * height
        runs = [(0, len(low))][: len(low)]
        if not several_lines:
            runs += [run for run in find_runs(boxes, height) if run not in runs]
        boxes = np.array([join(boxes[first:last]) for first, last in runs], int).reshape(-1, 4)
        if len(runs) > 1:
            pieces = np.where(pieces, pieces, ndimage.grey_dilation(pieces, 3))  # with soft edges
        for (first, last), (left, top, right, bottom) in zip(runs[1:], boxes[1:], strict=True):
            place = slice(top, bottom), slice(left, right)
            mask = (pieces[place] > first) & (pieces[place] <= last)
            framed.append(processor.frame_part(ink[place] * mask))
        runs = np.array(runs, int).reshape(-1, 2)
        return (whole if len(runs) == 1 else {}) | {
            "pixel_values": torch.from_numpy(np.stack(framed)[: len(runs), None]),
            "boxes": boxes * scale + np.tile(corner, 2),
            "runs": runs,
            "costs": CUT_COST / 2 * cuts[runs].sum(1) + shape_costs(boxes, height),
            "low": low,
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
        """The cheapest way to take all pieces of an image as digits.

        Args:
            candidates: As `preprocess` gives them.
            probabilities: (N, 10), of each candidate.

        Returns:
            The indices of the candidates on the path, from left to right, and the product of their
            confidences, 0-1; an empty list and 0 if there are no candidates.
        """
        confidences = probabilities.max(1, initial=1e-9)
        costs = candidates["costs"] - np.log(confidences)
        paths = [(0.0, [])]  # to each gap between pieces: the cost and the candidates
        for end, low in enumerate(candidates["low"], 1):
            arriving = np.flatnonzero(candidates["runs"][:, 1] == end)
            ways = [(paths[candidates["runs"][i, 0]], costs[i], [int(i)]) for i in arriving]
            ways += [(paths[-1], SKIP_COST, [])] * bool(low)
            paths.append(min([(p[0] + c, p[1] + i) for p, c, i in ways], default=(np.inf, [])))
        path = paths[-1][1]
        return path, float(confidences[path].prod()) if path else 0.0

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


def find_pieces(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, bool]:
    """Cut (H, W) ink into pieces of digits.

    Returns:
        The ink, 0-1; the pieces (H, W) int, 1 to n from left to right, 0 for the background;
        whether there is a cut before each piece and after the last, (n + 1) bool; the
        digits' height in pixels; and whether there are several lines.
    """
    ink, parts, wide, height, several_lines = find_parts(ink)
    return ink, *cut(ink, parts, wide, height), height, several_lines


def find_parts(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, bool]:
    """The connected parts of (H, W) ink, without dirt, borders and rules.

    Returns:
        The ink, 0-1; the parts (H, W) int, 1 to n from left to right, 0 for the background;
        whether each is so wide that it may hold several digits, (n,) bool; the digits' height in
        pixels; and whether there are several lines.
    """
    if not ink.any() or ink.shape == (IMAGE_SIZE, IMAGE_SIZE):  # too small for more than a digit
        parts = (ink > EDGE_LEVEL * ink.max()).astype(int)
        return ink, parts, np.zeros(parts.max(), bool), 1.0, False
    ink = np.minimum(ink / np.quantile(ink[ink > ink.max() / 2], FULL_INK), 1)
    ink = ink * ~rules(ink > EDGE_LEVEL)
    parts, _ = ndimage.label(ink > EDGE_LEVEL, np.ones((3, 3)))
    boxes, areas = bounds(parts), np.bincount(parts.ravel())[1:]
    wide, tall = (boxes[:, 2:] - boxes[:, :2]).T
    kept = areas > SPECK_SHARE * areas.max()
    edges = (boxes[:, :2] == 0).sum(1) + (boxes[:, 2:] == ink.shape[::-1]).sum(1)
    if kept.sum() > 1:
        kept &= edges < 4  # a border touches all four edges
    strong = np.bincount(parts[ink > FAINT], minlength=len(areas) + 1)[1:] > 0
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
    return ink, number[parts], wide[digits] > uncut, height, bool(several_lines)


def rules(inside: np.ndarray) -> np.ndarray:
    """The thin horizontal lines of a form in (H, W) bool, but for what strokes cover of them."""
    height = inside.any(1).sum()
    length, thickness = int(RULE * height), int(RULE_THICKNESS * height) + 1
    long = inside.sum(1) > length  # rows; few images have any
    long &= ~ndimage.binary_opening(long, np.ones(thickness + 1))
    line = np.zeros_like(inside)
    if long.any():
        line[long] = ndimage.minimum_filter1d(inside[long], length, mode="constant")
        line[long] = ndimage.maximum_filter1d(line[long], length)
        # A stroke goes on where there is ink right above or below.
        line &= ~ndimage.maximum_filter1d(inside & ~line, 2 * thickness + 1, axis=0)
    return line & (inside & ~line).any()  # a lone dash stays


def cut(
    ink: np.ndarray, parts: np.ndarray, wide: np.ndarray, height: float
) -> tuple[np.ndarray, np.ndarray]:
    """Cut those parts that are `wide`: the pieces and cuts of `find_pieces`."""
    pieces, cuts = np.zeros_like(parts), [False]
    for part, place in enumerate(ndimage.find_objects(parts), 1):
        mask = parts[place] == part
        index = np.zeros(mask.shape, int)
        if wide[part - 1]:
            for seam in find_seams(ink[place] * mask, height):
                index += np.arange(mask.shape[1]) > seam[:, None]
        used, index = np.unique(index[mask], return_inverse=True)  # a seam may cut nothing off
        pieces[place][mask] = len(cuts) + index
        cuts += [True] * (len(used) - 1) + [False]
    return pieces, np.array(cuts)


def find_seams(ink: np.ndarray, height: float) -> np.ndarray:
    """The ways from top to bottom of a part (h, w) that cross little ink -> columns (K, h) int.

    Seams are the minimum-cost paths of seam carving (Avidan & Shamir 2007, section 3) through each
    column of the middle row, of which the local minima are kept.
    """
    step = max(1, round(height / SEAM_ROWS))
    small = ink[step // 2 :: step, step // 2 :: step]  # precise enough, and quicker
    middle, apart = len(small) // 2, max(2, int(CUT_APART * height / step))
    cost = np.pad(small + PAPER_COST, ((0, 0), (1, 1)), constant_values=len(small))
    upper, lower = accumulate(cost[: middle + 1]), accumulate(cost[middle:][::-1])
    through = (upper[-1] + lower[-1] - cost[middle])[1:-1]
    lowest = ndimage.minimum_filter1d(through, apart // 2 * 2 + 1) == through
    valleys = ndimage.find_objects(ndimage.label(lowest[apart:-apart])[0])
    columns = np.array([apart + (x.start + x.stop - 1) // 2 for (x,) in valleys], int)
    count = int(ink.shape[1] / height / CUT_EVERY) - 1
    columns = np.sort(columns[through[columns].argsort()[:count]]) + 1
    seams = np.vstack([trace(upper, columns), trace(lower, columns)[-2::-1]]).T - 1
    rows = np.minimum(np.arange(len(ink)) // step, len(small) - 1)
    return step * seams[:, rows] + step // 2


def accumulate(cost: np.ndarray) -> np.ndarray:
    """The cost (h, w) of the cheapest way from the first row to each pixel."""
    total = cost.copy()
    for row in range(1, len(total)):
        above = total[row - 1]
        total[row, 1:-1] += np.minimum(above[1:-1], np.minimum(above[:-2], above[2:]) + SLANT_COST)
    return total


def trace(total: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The cheapest ways (h, K) from the first row to columns (K,) of the last."""
    ways = [columns]
    for above in total[-2::-1]:
        choices = columns + np.array([[0], [-1], [1]])
        best = (above[choices] + np.array([[0], [SLANT_COST], [SLANT_COST]])).argmin(0)
        columns = choices[best, np.arange(len(columns))]
        ways.append(columns)
    return np.array(ways[::-1])


def shape_costs(boxes: np.ndarray, height: float) -> np.ndarray:
    """What each of boxes (n, 4) costs for being wide or low, (n,)."""
    wide, tall = (boxes[:, 2:] - boxes[:, :2]).T / height
    return WIDTH_COST * np.maximum(wide - WIDTH, 0) + HEIGHT_COST * np.maximum(HEIGHT - tall, 0)


def find_runs(boxes: np.ndarray, height: float) -> list[tuple[int, int]]:
    """The runs of pieces whose size a digit can have: the first, and the one after the last."""
    runs = []
    for first in range(len(boxes)):
        for last in range(first + 1, len(boxes) + 1):
            left, top, right, bottom = join(boxes[first:last])
            gap = boxes[last - 1, 0] - boxes[first : last - 1, 2].max(initial=0)
            wide = right - left > MAX_WIDTH * height or gap > MAX_GAP * height
            if wide and last - first > 1:
                break
            if bottom - top >= SMALL * height:
                runs.append((first, last))
    return runs


def bounds(labels: np.ndarray) -> np.ndarray:
    """The boxes (n, 4) of labels 1 to n in (H, W): left, top, right, bottom."""
    found = ndimage.find_objects(labels)
    return np.array([(x.start, y.start, x.stop, y.stop) for y, x in found], int).reshape(-1, 4)


def join(boxes: np.ndarray) -> np.ndarray:
    """The box around boxes (n, 4)."""
    return np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])


PIPELINE_REGISTRY.register_pipeline(
    "number-recognition",
    NumberRecognitionPipeline,
    pt_model=AutoModelForImageClassification,
    type="image",
)
