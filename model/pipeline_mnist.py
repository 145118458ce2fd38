"""Whole numbers in handwriting, read by two networks that must agree.

    from transformers import pipeline

    read = pipeline("number-recognition", model="user/mnist-cnn", trust_remote_code=True)
    read("photo.jpg")["number"]  # "407"

One network sees a line and tells which digits stand where. The ink is divided among them; the other
network sees each digit alone. Their probabilities are multiplied.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise, product
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage
from transformers import AutoModelForImageClassification, Pipeline
from transformers.pipelines import PIPELINE_REGISTRY

IMAGE_SIZE = 28  # pixels: height and width of a framed digit
COLUMN, PADDING = 4, 8  # pixels of a line: a column of its logits, and what is added on either side
SIDES = ("xmin", "ymin", "xmax", "ymax")  # of a box
EDGE_LEVEL = 0.25  # of full ink: where a stroke ends
AROUND = np.ones((3, 3))  # a pixel and its eight neighbours
SPECK_SHARE = 0.02  # of the largest part's area: smaller parts are dirt
ONE_PART, ONE_DIGIT = 0.95, 0.99  # from this confidence on, ink in one part, or in more, is a digit
WIDEST = 1.5  # heights: no digit is so wide, and wider ink is read as a line at once
SURE_DIGIT = 0.9  # a rotated reading counts above this geometric mean of its score over digits
MIN_PARTS = 4  # ink in so many parts is more than one digit: lines, maybe rotated ones
MOST_PARTS = 150  # a page of digits has fewer, points included
ON_ITS_SIDE = "The image seems to lie on its side. Rotate it."
DIGIT_HEIGHT = 40  # pixels, as training composes lines; parts at least twice as high are reduced
# Lengths, as multiples of a part's height.
LOW = 0.45  # of the tallest part: what is lower, and covers little, is points, dashes, bits
REACH = 2.0  # to its left and right: parts whose reaches meet belong to one line
NEAR = 0.5  # a low part as near to a tall one belongs to its line, others to none
SPACE = 0.75  # between two digits: a wider gap is a space


class NumberRecognitionPipeline(Pipeline):
    """Reads the digits of an image, line by line, from left to right.

    Takes an image or a list of images: PIL images, paths or URLs of image files, or whatever else
    the image processor takes. Gives for each a dict with

    - `number`: the digits, such as "407". A digit below the confidence threshold of the model's
      configuration stands as "?", a wide gap as a space; lines are joined by newlines, and a gap
      of more than four heights ends a line. "" if the image is blank.
    - `score`: how probable it is that all of it is right, 0-1. 0 if the image is blank.
    - `digits`: each with its `label`, its `score` (the confidence, 0-1), its `line` from 0 on, and
      its `box`, `xmin`, `ymin`, `xmax` and `ymax` in pixels of the image after its EXIF rotation;
      a large image is reduced before it is read, and its boxes are as coarse as that.
    - `ignored`: the boxes of signs, points and dashes, which do not become digits.
    - `message`, where it helps: what to do.

    All of the image is classified as one digit if the lines hold at most one, if the score is below
    the threshold and so are at least half of the digits, or if one digit is more probable.
    `batch_size` has no effect: an image's lines are one batch, its digits another.
    """

    _load_processor = False
    _load_image_processor = True
    _load_feature_extractor = False
    _load_tokenizer = False

    def _sanitize_parameters(self) -> tuple[dict, dict, dict]:
        return {}, {}, {}

    def get_iterator(self, inputs, num_workers, batch_size, *parameters):
        """`Pipeline.get_iterator`, an image at a time: they have different numbers of lines."""
        return super().get_iterator(inputs, num_workers, 1, *parameters)

    def preprocess(self, image: Image.Image | str | Path) -> dict:
        """What the image processor's `find_ink` gives of an image of any kind, as a dict."""
        return self.image_processor.find_ink(image)._asdict()

    def _forward(self, image: dict) -> dict:
        (reading,) = self.read([image["pixels"]])
        on_its_side = self.is_on_its_side(image["pixels"], reading)
        return image | {"reading": reading, "on_its_side": on_its_side}

    @torch.inference_mode()
    def is_on_its_side(self, ink: np.ndarray, reading: "Reading") -> bool:
        """Whether (H, W) ink, of which the reading is in doubt, clearly has more digits rotated."""
        count = len(reading.digits)
        is_in_doubt = reading.score < self.model.config.confidence_threshold
        is_in_doubt |= len(reading.ignored) > count  # or most of it was not read
        # A number in one line, though in doubt, has its digits side by side.
        is_one_number = count > 1 and reading.digits[-1].line == 0
        if not is_in_doubt or is_one_number or len(large_parts(find_parts(ink))) < MIN_PARTS:
            return False
        rotated = self.read([np.rot90(ink, turn) for turn in (1, 3)])
        return any(len(r.digits) > max(count, 1) and r.mean_score > SURE_DIGIT for r in rotated)

    def read(self, inks: list[np.ndarray]) -> list["Reading"]:
        """Read the ink of images, (H, W) float32 0-1 each, in a batch.

        Ink that may be one digit is classified as one: the network has learned that several digits
        are a non-digit. Where it is not sure, another pass reads the lines, and a third classifies
        the digits in them.
        """
        parts = [find_parts(ink) for ink in inks]
        boxes = [large_parts(of_ink) for of_ink in parts]
        alone: dict[int, Digit] = {}

        def read_alone(indices: list[int]) -> None:
            framed = [self.image_processor.frame_ink(inks[n]) for n in indices]
            for n, pixels, found in zip(indices, framed, self.classify(framed), strict=True):
                alone[n] = Digit(found, pixels, union(boxes[n]))

        inked = [n for n in range(len(inks)) if len(boxes[n])]
        read_alone([n for n in inked if may_be_digit(boxes[n])])
        least = [ONE_PART if len(of_ink) == 1 else ONE_DIGIT for of_ink in boxes]
        rest = [n for n in inked if n not in alone or alone[n].score < least[n]]
        lines = {n: self.frame_lines(inks[n], parts[n]) for n in rest}
        self.read_lines([*chain(*lines.values())])
        several = [each for each in lines.values() if sum(len(line.crops) for line in each) > 1]
        self.classify_digits([*chain(*several)])
        readings = [self.join(lines.get(n, [])) for n in range(len(inks))]
        read_alone([n for n in rest if n not in alone and not readings[n].digits])
        for n, digit in alone.items():
            if digit.score > readings[n].mean_score:
                readings[n].digits, readings[n].score = [digit], digit.score
        return readings

    def frame_lines(self, ink: np.ndarray, parts: np.ndarray) -> list["Line"]:
        """The lines of (H, W) ink in parts, framed for the network; none if it reads none."""
        if self.model.line_network is None or ink.shape == (IMAGE_SIZE, IMAGE_SIZE):
            return []
        lines = find_lines(ink, parts)
        for line in lines:
            line.pixels, line.step = self.image_processor.frame_line(line.ink)
        return lines

    def read_lines(self, lines: list["Line"]) -> None:
        """Read lines in one batch, and divide their ink among the digits in them."""
        if not lines:
            return
        columns = [math.ceil((line.pixels.shape[1] + 2 * PADDING) / COLUMN) for line in lines]
        batch = torch.zeros(len(lines), 1, len(lines[0].pixels), COLUMN * max(columns))
        for place, line in zip(batch[:, 0], lines, strict=True):
            place[:, PADDING : PADDING + line.pixels.shape[1]] = torch.from_numpy(line.pixels)
        logits = self.model.read_lines(batch.to(self.model.device, self.model.dtype))
        for line, count, of_line in zip(lines, columns, logits.float().cpu(), strict=True):
            line.find_digits(of_line[:count].log_softmax(-1))
        self.find_overlooked(lines)
        for line in lines:
            line.divide()

    def find_overlooked(self, lines: list["Line"]) -> None:
        """Take parts for digits in which the line network finds none, if both networks allow it."""
        found = [(line, part) for line in lines for part in line.overlooked()]
        framed = [self.image_processor.frame_part(line.crop(part)) for line, part in found]
        for (line, part), alone in zip(found, self.classify(framed), strict=True):
            line.consider(part, alone)

    def classify_digits(self, lines: list["Line"]) -> None:
        """Classify the digits of lines in one batch, each alone."""
        framed = [self.image_processor.frame_part(ink) for line in lines for ink in line.crops]
        classified = zip(framed, self.classify(framed), strict=True)
        for line in lines:
            line.classified = [next(classified) for _ in line.crops]

    def classify(self, framed: list[np.ndarray]) -> np.ndarray:
        """Probabilities (n, 10) of digits (28, 28) 0-1, each alone."""
        if not framed:
            return np.zeros((0, 10), np.float32)
        pixel_values = torch.from_numpy(np.array(framed, np.float32)[:, None])
        logits = self.model(pixel_values.to(self.model.device, self.model.dtype)).logits
        return logits.float().softmax(-1).cpu().numpy()

    def join(self, lines: list["Line"]) -> "Reading":
        """The reading of lines; without digits if fewer than two are found, or if it is in doubt.

        It is if the score is below the threshold and at least half of the digits are, too.
        """
        threshold, digits, score = self.model.config.confidence_threshold, [], 1.0
        ignored = np.concatenate([np.zeros((0, 4), int), *(line.ignored for line in lines)])
        for line in lines:
            if not line.crops:  # it may hold one, after all
                score *= line.path_probability(np.zeros(0, int))
        lines = [line for line in lines if line.classified]
        for index, line in enumerate(lines):
            pixels, alone = map(np.array, zip(*line.classified, strict=True))
            agreed = line.probabilities[line.columns, :-1] * alone
            agreed /= agreed.sum(1, keepdims=True)
            # The networks err on the same digits: all of them are right as often as the geometric
            # mean of the two claims; the product claims more.
            mean = np.sqrt(agreed)
            claim = (mean.max(1) / mean.sum(1)).prod()
            claim *= line.path_probability(agreed.argmax(1))
            score *= float(claim)
            gaps = np.diff(line.boxes[:, [0, 2]].ravel())[1::2]
            spaces = np.append(False, gaps > SPACE * np.median(np.diff(line.boxes[:, 1::2])))
            digits += map(Digit, agreed, pixels, line.boxes, [index] * len(spaces), spaces)
        sure = sum(digit.score >= threshold for digit in digits)
        if len(digits) < 2 or (score < threshold and sure <= len(digits) / 2):
            digits, score = [], 0.0
        return Reading(digits, score, lines, ignored)

    def postprocess(self, found: dict) -> dict:
        """The result for one image, as the class describes it."""
        reading = found["reading"]

        def in_image(box: np.ndarray) -> dict[str, int]:
            sides = box * found["scale"] + np.tile(found["corner"], 2)
            return dict(zip(SIDES, sides.tolist(), strict=True))

        digits = [
            {
                "label": self.model.config.id2label[int(digit.probabilities.argmax())],
                "score": digit.score,
                "line": digit.line,
                "box": in_image(digit.box),
            }
            for digit in reading.digits
        ]
        result = {
            "number": self.spell(reading.digits),
            "score": reading.score,
            "digits": digits,
            "ignored": list(map(in_image, reading.ignored)),
        }
        if found["on_its_side"]:
            result |= {"number": "?", "score": 0.0, "digits": [], "message": ON_ITS_SIDE}
        return result

    def spell(self, digits: list["Digit"]) -> str:
        """Digits as text, such as "407"."""
        config, number, line = self.model.config, "", 0
        for digit in digits:
            if digit.line > line:
                number += "\n"
            elif digit.after_space:
                number += " "
            is_sure = digit.score >= config.confidence_threshold
            number += config.id2label[int(digit.probabilities.argmax())] if is_sure else "?"
            line = digit.line
        return number


@dataclass
class Digit:
    """A digit that is found.

    Attributes:
        probabilities: (10,), of both networks combined, or of the classifier alone.
        pixels: (28, 28) float32 0-1, the classifier's input.
        box: (4,) int, left, top, right and bottom in pixels of the ink.
        line: The number of its line, from 0 on.
        after_space: Whether a space is before it.
    """

    probabilities: np.ndarray
    pixels: np.ndarray
    box: np.ndarray
    line: int = 0
    after_space: bool = False

    @property
    def score(self) -> float:
        """Its confidence, 0-1."""
        return float(self.probabilities.max())


@dataclass
class Reading:
    """What is read in an image.

    Attributes:
        digits: Line by line, from left to right; none if the image is blank.
        score: How probable it is that all of them are right, 0-1.
        lines: Those with digits in them.
        ignored: (m, 4) int, boxes in pixels of the ink: signs, points and dashes.
    """

    digits: list[Digit]
    score: float
    lines: list["Line"]
    ignored: np.ndarray

    @property
    def mean_score(self) -> float:
        """The geometric mean of the score over digits, 0-1; 0 without digits."""
        return self.score ** (1 / len(self.digits)) if self.digits else 0.0


@dataclass
class Line:
    """The ink of a line, cropped, and the digits that are found in it.

    Attributes:
        ink: (h, w) float32, 0-1.
        parts: (h, w) int: its connected parts, numbered, their soft edges included; 0 elsewhere.
        corner: Where it lies in all of the ink: left and top, in pixels of that.
        size: Width and height of all of the ink.
        scale: The side of one of its pixels, in pixels of all of the ink.
        left_out: (k, 4) int, boxes in all of the ink of parts that are kept, and in no line.
        pixels: (32, W) float32 0-1, the network's input.
        step: The side of one of these, in pixels of `ink`.
        log_probabilities, probabilities: (columns, 11), of ten digits and of none.
        columns: (n,) int, those in which n digits are most probable.
        crops: n crops (h, w) of the ink, each of one digit.
        boxes: (n, 4) int, left, top, right and bottom of each in all of the ink.
        ignored: (m, 4) int, the same of the parts that belong to no digit.
        classified: Of each digit its pixels, (28, 28) 0-1, and probabilities (10,) of it alone.
    """

    ink: np.ndarray
    parts: np.ndarray
    corner: tuple[int, int]
    size: tuple[int, int]
    scale: int
    left_out: np.ndarray
    pixels: np.ndarray | None = None
    step: float = 1.0
    classified: Sequence[tuple[np.ndarray, np.ndarray]] = ()

    def find_digits(self, log_probabilities: torch.Tensor) -> None:
        """Find the digits on the best path through (columns, 11)."""
        self.log_probabilities = log_probabilities
        self.probabilities = log_probabilities.exp().numpy()
        self.columns = best_path(self.probabilities)
        self.part_boxes = boxes_of(self.parts)

    def spanned(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each part the first and the last digit whose columns it spans; first > last: none."""
        first = self.middles.searchsorted(self.part_boxes[:, 0] - COLUMN * self.step)
        return first, self.middles.searchsorted(self.part_boxes[:, 2] + COLUMN * self.step) - 1

    def overlooked(self) -> list[int]:
        """The parts that are as high as digits, but span the column of none."""
        first, last = self.spanned()
        heights = self.part_boxes[:, 3] - self.part_boxes[:, 1]
        return np.flatnonzero((first > last) & (heights >= LOW * heights.max())).tolist()

    def crop(self, part: int) -> np.ndarray:
        """The ink (h, w) of one part."""
        place = with_margin(self.part_boxes[part])
        return self.ink[place] * (self.parts[place] == part + 1)

    def consider(self, part: int, alone: np.ndarray) -> None:
        """Take a part for a digit if that is more probable than that it is none.

        Args:
            part: Its index.
            alone: (10,), the classifier's probabilities of it. What they lack to 1 counts for none.
        """
        middle = self.part_boxes[part, ::2].mean() / self.step
        column = round((middle + PADDING) / COLUMN - 0.5)
        place = self.columns.searchsorted(column)
        labels = self.probabilities[self.columns].argmax(1)
        one_more = np.insert(labels, place, alone.argmax())
        without, with_it = self.path_probability(labels), self.path_probability(one_more)
        if not len(labels):  # a line without any digit is improbable: the classifier decides
            without = with_it = 1
        if alone.max() * with_it > (1 - alone.max()) * without:
            self.columns = np.insert(self.columns, place, column)

    def divide(self) -> None:
        """Divide the ink among the digits.

        A part belongs to the digits whose columns it spans, and is cut half-way between them. One
        that is low, or spans none, belongs to the nearest digit if it stands above or below it, or
        if that has no other part.
        """
        count, boxes, middles = len(self.columns), self.part_boxes, self.middles
        nearest = ((middles[1:] + middles[:-1]) / 2).searchsorted(np.arange(self.ink.shape[1]))
        first, last = self.spanned()
        heights = boxes[:, 3] - boxes[:, 1]
        spans = (first <= last) & (heights >= LOW * heights.max())
        first[~spans], last[~spans] = 0, -1
        for part in np.flatnonzero(~spans & (count > 0)):
            left, _, right, _ = boxes[part]
            digit = nearest[(left + right) // 2]
            others = boxes[spans & (first <= digit) & (last >= digit)]
            overlap = np.minimum(others[:, 2], right) - np.maximum(others[:, 0], left)
            if not len(others) or overlap.max() > (right - left) / 2:
                first[part] = last[part] = digit
        # Numbered from 1 on; 0 is the background, and what is ignored.
        owner = 1 + nearest.clip(first[self.parts - 1], last[self.parts - 1])
        owner[self.parts == 0] = 0
        places = ndimage.find_objects(owner * (self.ink > EDGE_LEVEL), count)
        self.crops, found = [], np.zeros((count, 4), int)
        for digit, (middle, place) in enumerate(zip(middles.astype(int), places, strict=True)):
            rows, columns = place or (slice(0, 1), slice(middle, middle + 1))
            found[digit] = columns.start, rows.start, columns.stop, rows.stop
            own = with_margin(found[digit])
            self.crops.append(self.ink[own] * (owner[own] == digit + 1))
        self.boxes = self.in_ink(found)
        self.ignored = np.concatenate([self.in_ink(boxes[first > last]), self.left_out])

    @property
    def places(self) -> np.ndarray:
        """Where the digits are found, (n,) in pixels of `pixels` from the left."""
        return COLUMN * (self.columns + 0.5) - PADDING

    @property
    def middles(self) -> np.ndarray:
        """The same in pixels of `ink`."""
        return (self.places * self.step).clip(0, self.ink.shape[1] - 1)

    def in_ink(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes (n, 4) in this line as boxes in all of the ink."""
        return (boxes * self.scale + np.tile(self.corner, 2)).clip(0, np.tile(self.size, 2))

    def path_probability(self, labels: np.ndarray) -> float:
        """The probability 0-1 that the line is just these n digits, by all paths that give them."""
        columns = len(self.log_probabilities)
        loss = F.ctc_loss(
            self.log_probabilities[:, None],
            torch.from_numpy(labels)[None],
            torch.tensor([columns]),
            torch.tensor([len(labels)]),
            blank=self.log_probabilities.shape[1] - 1,
            reduction="sum",
        )
        return float((-loss).exp())


def find_parts(ink: np.ndarray) -> np.ndarray:
    """The parts of (H, W) ink, numbered from 1 on, 0 elsewhere: (H, W) int."""
    return ndimage.label(ink > EDGE_LEVEL, AROUND)[0]


def find_lines(ink: np.ndarray, parts: np.ndarray) -> list[Line]:
    """The rows of what may be digits in (H, W) ink, in these parts, from top to bottom."""
    boxes, kept = boxes_of(parts), without_specks(parts)
    if not 0 < np.count_nonzero(kept) <= MOST_PARTS:
        return []
    widths, heights = (boxes[:, 2:] - boxes[:, :2]).T
    highest, least = heights[kept].max(), LOW * heights[kept].max()
    lies_down = np.minimum(widths, highest) * heights >= least**2  # as a 0 may; a rule does not
    tall = kept & ((heights >= least) | lies_down)
    # The middle halves of tall parts, drawn out to both sides, join to lines where they meet.
    reach = np.stack([-REACH * heights, heights // 4], 1)
    low, high = (boxes[:, :2] + reach)[tall], (boxes[:, 2:] - reach)[tall]
    meet = (np.maximum(low[:, None], low) <= np.minimum(high[:, None], high)).all(-1)
    while (further := meet.astype(np.float32) @ meet > 0).sum() > meet.sum():
        meet = further  # by way of others
    firsts, line_of_tall = np.unique(meet.argmax(1), return_inverse=True)
    line_of = np.full(len(boxes), -1)
    line_of[tall] = line_of_tall
    for part in np.flatnonzero(kept & ~tall):
        left, top, right, bottom = boxes[part]
        gaps = np.maximum(boxes[:, :2] - (right, bottom), (left, top) - boxes[:, 2:]).clip(0)
        distance = np.where(tall, np.hypot(*gaps.T), np.inf)
        if distance.min() < NEAR * heights[distance.argmin()]:
            line_of[part] = line_of[distance.argmin()]
    places = np.array([boxes[line_of == n].mean(0) for n in range(len(firsts))])
    left, middle = places[:, 0], places[:, 1::2].mean(1)
    # Lines of one row, which a wide gap parts, are in order from left to right.
    order = np.argsort(middle)
    row = np.cumsum(np.diff(middle[order], prepend=0) > np.median(heights[tall]) / 2)
    lines = [
        crop_line(ink, parts, boxes, line_of == n) for n in order[np.lexsort((left[order], row))]
    ]
    lines[0].left_out = boxes[kept & (line_of < 0)]
    return lines


def crop_line(ink: np.ndarray, parts: np.ndarray, boxes: np.ndarray, own: np.ndarray) -> Line:
    """The line of some parts of (H, W) ink, at a lower resolution where they are large.

    Args:
        ink: (H, W) float32 0-1.
        parts: (H, W) int: its n parts.
        boxes: (n, 4) int, of these.
        own: (n,) bool: which of them are the line's.
    """
    box = union(boxes[own])
    scale = max(1, int((boxes[own, 3] - boxes[own, 1]).max() // DIGIT_HEIGHT))
    place, size = with_margin(box, scale), ink.shape[::-1]
    parts, ink = parts[place] * np.append(False, own)[parts[place]], ink[place].astype(np.float32)
    if scale > 1:
        padding = [(0, -side % scale) for side in parts.shape]
        shifts = list(product(range(scale), repeat=2))
        parts, most = (
            np.maximum.reduce([padded[y::scale, x::scale] for y, x in shifts])
            for padded in (np.pad(parts, padding), np.pad(ink, padding))
        )
        # The mean of each block, but a stroke thinner than a block stays one.
        ink = np.maximum(np.asarray(Image.fromarray(ink).reduce(scale)), most / 2)
    numbers = np.append(0, np.unique(parts[parts > 0]))  # a part within blocks of others is gone
    parts = numbers.searchsorted(parts)
    parts = np.where(parts, parts, ndimage.grey_dilation(parts, 3))
    corner = place[1].start, place[0].start
    return Line(ink * (parts > 0), parts, corner, size, scale, boxes[:0])


def with_margin(box: np.ndarray, margin: int = 1) -> tuple[slice, slice]:
    """The rows and columns of a box, and of so many pixels around it."""
    left, top, right, bottom = box
    return (
        slice(max(top - margin, 0), bottom + margin),
        slice(max(left - margin, 0), right + margin),
    )


def best_path(probabilities: np.ndarray) -> np.ndarray:
    """The columns of digits in (columns, 11): of each run of one digit the most probable."""
    labels = probabilities.argmax(1)
    starts = [*np.flatnonzero(np.diff(labels, prepend=-1)), len(labels)]
    return np.array(
        [
            start + probabilities[start:end, labels[start]].argmax()
            for start, end in pairwise(starts)
            if labels[start] < probabilities.shape[1] - 1
        ],
        int,
    )


def boxes_of(labels: np.ndarray) -> np.ndarray:
    """The boxes (n, 4) of labels 1 to n in (H, W): left, top, right, bottom."""
    found = ndimage.find_objects(labels)
    return np.array([(x.start, y.start, x.stop, y.stop) for y, x in found], int).reshape(-1, 4)


def without_specks(parts: np.ndarray) -> np.ndarray:
    """Which of the parts 1 to n in (H, W) are no specks, (n,) bool."""
    areas = np.bincount(parts.ravel())[1:]
    return areas > SPECK_SHARE * areas.max(initial=0)


def large_parts(parts: np.ndarray) -> np.ndarray:
    """The boxes (n, 4) of parts in (H, W), without specks."""
    return boxes_of(parts)[without_specks(parts)]


def union(boxes: np.ndarray) -> np.ndarray:
    """The box (4,) around boxes (n, 4)."""
    return np.array([*boxes[:, :2].min(0), *boxes[:, 2:].max(0)])


def may_be_digit(boxes: np.ndarray) -> bool:
    """Whether parts in these boxes (n, 4) are not more than a digit has, and no wider."""
    left, top, right, bottom = union(boxes)
    return len(boxes) < MIN_PARTS and right - left <= WIDEST * (bottom - top)


PIPELINE_REGISTRY.register_pipeline(
    "number-recognition",
    NumberRecognitionPipeline,
    pt_model=AutoModelForImageClassification,
    type="image",
)
