"""Whole numbers in handwriting, read by two networks that must agree.

    from transformers import pipeline

    read = pipeline("number-recognition", model="user/mnist-cnn", trust_remote_code=True)
    read("photo.jpg")["number"]  # "407"

One network sees a line and tells which digits stand where. The ink is divided among them; the other
network sees each digit alone. Their probabilities are multiplied.
"""

import math
from dataclasses import dataclass
from itertools import chain, islice, pairwise
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
SPECK_SHARE = 0.02  # of the largest part's area: smaller parts are dirt
ONE_DIGIT = 0.95  # confidence of all ink as one digit from which it is one
SURE_DIGIT = 0.9  # mean share of the score for each digit, if a rotated image is read
MIN_PARTS = 4  # of an image that is rotated if it is in doubt
MOST_PARTS = 150  # a page of digits has fewer, points included
# Lengths, as multiples of a part's height.
LOW = 0.45  # of the tallest part: what is lower is points, dashes, bits of a digit
REACH = 2.0  # to its left and right: a part as near belongs to the same line
NEAR = 0.5  # a low part as near to a tall one belongs to its line; others are dirt
SPACE = 0.75  # between two digits: a wider gap is a space


class NumberRecognitionPipeline(Pipeline):
    """Reads the digits of an image, line by line, from left to right.

    Takes an image or a list of images: PIL images, paths or URLs of image files, or whatever else
    the image processor takes. Gives for each a dict with

    - `number`: the digits, such as "407". A digit below the confidence threshold of the model's
      configuration stands as "?", a wide gap as a space; lines are joined by newlines. "" if the
      image is blank.
    - `score`: how probable it is that all of it is right, 0-1. 0 if the image is blank.
    - `digits`: each with its `label`, its `score` (the confidence, 0-1), its `line` from 0 on, and
      its `box`, `xmin`, `ymin`, `xmax` and `ymax` in pixels of the image after its EXIF rotation.
    - `ignored`: the boxes of signs, points and dashes, which do not become digits.
    - `message`, where it helps: what to do.

    Where no more than one digit is found, or where the score and half of the digits are in doubt,
    all of the image is classified as one digit. The lines of an image are one batch already, and so
    are its digits, so that `batch_size` changes nothing.
    """

    _load_processor = False
    _load_image_processor = True
    _load_feature_extractor = False
    _load_tokenizer = False

    def _sanitize_parameters(self) -> tuple[dict, dict, dict]:
        return {}, {}, {}

    def get_iterator(self, inputs, num_workers, batch_size, *parameters):
        """`Pipeline.get_iterator`, an image at a time: images differ in how many lines."""
        return super().get_iterator(inputs, num_workers, 1, *parameters)

    def preprocess(self, image: Image.Image | str | Path) -> dict:
        """The ink of an image of any kind that the image processor takes, and all of it as a digit.

        Returns:
            `ink`, `corner` and `scale`, as the image processor's `find_ink` gives them; `whole`,
            (28, 28) float32 0-1, framed as one digit.
        """
        ink, corner, scale = self.image_processor.find_ink(image)
        whole = self.image_processor.frame_ink(ink)
        return {"ink": ink, "corner": corner, "scale": scale, "whole": whole}

    def _forward(self, image: dict) -> dict:
        (found,) = self.read([image])
        is_in_doubt = found["score"] < self.model.config.confidence_threshold
        # A number in one line, though in doubt, has its digits side by side.
        is_one_number = len({digit.line for digit in found["digits"]}) == 1 < len(found["digits"])
        if is_in_doubt and not is_one_number and self.is_on_its_side(image):
            found["message"] = "The image seems to lie on its side. Rotate it."
        return found | {key: image[key] for key in ("corner", "scale")}

    def is_on_its_side(self, image: dict) -> bool:
        """Whether an image of several parts is read if it is rotated by 90 degrees either way."""
        if ndimage.label(image["ink"] > EDGE_LEVEL)[1] < MIN_PARTS:
            return False
        rotated = self.read([image | {"ink": np.rot90(image["ink"], turn)} for turn in (1, 3)])
        return any(
            len(found["digits"]) > 1 and found["score"] ** (1 / len(found["digits"])) > SURE_DIGIT
            for found in rotated
        )

    def read(self, images: list[dict]) -> list[dict]:
        """Read images, as `preprocess` gives them, in a batch.

        Each is classified as one digit: the network has learned that two are none. Where it is not
        sure, another pass reads the lines, and a third classifies the digits in them.

        Returns:
            For each, `digits`, each a `Digit`, none if the image is blank; `score`, 0-1; and
            `ignored`, boxes (m, 4) in pixels of the ink.
        """
        wholes = self.classify([image["whole"] for image in images])
        lines = [
            self.find_lines(image["ink"]) if alone.max() < ONE_DIGIT else []
            for image, alone in zip(images, wholes, strict=True)
        ]
        flat = list(chain(*lines))
        for line, log_probabilities in zip(flat, self.read_lines(flat), strict=True):
            line.divide(log_probabilities)
        framed = [self.image_processor.frame_part(ink) for line in flat for ink in line.digits]
        classified = zip(framed, self.classify(framed), strict=True)
        for line in flat:
            line.classified = list(islice(classified, len(line.digits)))
        return list(map(self.answer, images, wholes, lines))

    def find_lines(self, ink: np.ndarray) -> list["Line"]:
        """The lines of (H, W) ink, framed for the network; none if it reads none."""
        if self.model.line_network is None or ink.shape == (IMAGE_SIZE, IMAGE_SIZE):
            return []
        lines = find_lines(ink)
        for line in lines:
            line.pixels, line.step = self.image_processor.frame_line(line.ink)
        return lines

    def answer(self, image: dict, whole: np.ndarray, lines: list["Line"]) -> dict:
        """What `read` gives for one image, of its probabilities as one digit, and of its lines."""
        threshold, digits, score = self.model.config.confidence_threshold, [], 1.0
        for number, line in enumerate(lines):
            if not line.classified:
                continue
            pixels, alone = map(np.array, zip(*line.classified, strict=True))
            agreed = line.probabilities[line.columns, :-1] * alone
            agreed /= agreed.sum(1, keepdims=True)
            score *= float(agreed.max(1).prod()) * line.path_probability(agreed.argmax(1))
            gaps = np.diff(line.boxes[:, [0, 2]].ravel())[1::2]
            spaces = np.append(False, gaps > SPACE * np.median(np.diff(line.boxes[:, 1::2])))
            digits += map(Digit, agreed, pixels, line.boxes, [number] * len(spaces), spaces)
        sure = [digit.probabilities.max() >= threshold for digit in digits]
        if len(digits) < 2 or (score < threshold and np.mean(sure) <= 0.5):
            box = box_of(image["ink"] > EDGE_LEVEL)
            digits = [Digit(whole, image["whole"], np.array(box), 0, False)] if box else []
            score = float(whole.max()) if digits else 0.0
        ignored = [np.zeros((0, 4), int), *(line.ignored for line in lines)]
        return {"digits": digits, "score": score, "ignored": np.concatenate(ignored)}

    def classify(self, framed: list[np.ndarray]) -> np.ndarray:
        """Probabilities (n, 10) of digits (28, 28) 0-1, each alone."""
        if not framed:
            return np.zeros((0, 10), np.float32)
        pixel_values = torch.from_numpy(np.array(framed, np.float32)[:, None])
        logits = self.model(pixel_values.to(self.model.device, self.model.dtype)).logits
        return logits.float().softmax(-1).cpu().numpy()

    def read_lines(self, lines: list["Line"]) -> list[torch.Tensor]:
        """Of each line, log probabilities (columns, 11) of ten digits and of none."""
        if not lines:
            return []
        columns = [math.ceil((line.pixels.shape[1] + 2 * PADDING) / COLUMN) for line in lines]
        batch = torch.zeros(len(lines), 1, len(lines[0].pixels), COLUMN * max(columns))
        for place, line in zip(batch[:, 0], lines, strict=True):
            place[:, PADDING : PADDING + line.pixels.shape[1]] = torch.from_numpy(line.pixels)
        logits = self.model.read_lines(batch.to(self.model.device, self.model.dtype))
        logits = logits.float().log_softmax(-1).cpu()
        return [of_line[:count] for of_line, count in zip(logits, columns, strict=True)]

    def postprocess(self, found: dict) -> dict:
        """The result for one image, as the class describes it."""

        def in_image(box: np.ndarray) -> dict[str, int]:
            sides = box * found["scale"] + np.tile(found["corner"], 2)
            return dict(zip(SIDES, sides.tolist(), strict=True))

        digits = [
            {
                "label": self.model.config.id2label[int(digit.probabilities.argmax())],
                "score": float(digit.probabilities.max()),
                "line": digit.line,
                "box": in_image(digit.box),
            }
            for digit in found["digits"]
        ]
        number = "?" if "message" in found else self.spell(found["digits"])
        result = {"number": number, "score": found["score"], "digits": digits}
        result["ignored"] = list(map(in_image, found["ignored"]))
        return result | {key: found[key] for key in ("message",) if key in found}

    def spell(self, digits: list["Digit"]) -> str:
        """Digits as text, such as "407"."""
        config, number, line = self.model.config, "", 0
        for digit in digits:
            if digit.line > line:
                number += "\n"
            elif digit.after_space:
                number += " "
            is_sure = digit.probabilities.max() >= config.confidence_threshold
            number += config.id2label[int(digit.probabilities.argmax())] if is_sure else "?"
            line = digit.line
        return number


@dataclass
class Digit:
    """A digit that is found.

    Attributes:
        probabilities: (10,), on which both networks agree.
        pixels: (28, 28) float32 0-1, as the network sees it that sees it alone.
        box: (4,) int, left, top, right and bottom in pixels of the ink.
        line: The number of its line, from 0 on.
        after_space: Whether a space is before it.
    """

    probabilities: np.ndarray
    pixels: np.ndarray
    box: np.ndarray
    line: int
    after_space: bool


@dataclass
class Line:
    """The ink of a line, cropped, and the digits that are found in it.

    Attributes:
        ink: (h, w) float32, 0-1.
        parts: (h, w) int: its connected parts, numbered, their soft edges included; 0 elsewhere.
        corner: Where it lies in all of the ink: left and top, in pixels.
        pixels: (32, W) float32 0-1, as the network takes it, whose pixels are `step` of these.
        log_probabilities, probabilities: (columns, 11), of ten digits and of none.
        columns: (n,) int, those in which n digits are most probable.
        digits: n crops (h, w) of the ink, each of one digit.
        boxes: (n, 4) int, left, top, right and bottom of each in all of the ink.
        ignored: (m, 4) int, the same of the parts that belong to no digit.
        classified: Of each digit its pixels, (28, 28) 0-1, and probabilities (10,) of it alone.
    """

    ink: np.ndarray
    parts: np.ndarray
    corner: tuple[int, int]
    pixels: np.ndarray | None = None
    step: float = 1.0

    def divide(self, log_probabilities: torch.Tensor) -> None:
        """Find the digits on the best path, and divide the ink among them.

        A part belongs to the digits whose columns it spans, and is cut half-way between them. One
        that is low, or spans none, belongs to the nearest digit if it stands above or below it.
        """
        self.log_probabilities = log_probabilities
        self.probabilities = log_probabilities.exp().numpy()
        self.columns = best_path(self.probabilities)
        count, boxes = len(self.columns), bounds(self.parts)
        middles = (COLUMN * (self.columns + 0.5) - PADDING) * self.step
        nearest = ((middles[1:] + middles[:-1]) / 2).searchsorted(np.arange(self.ink.shape[1]))
        first = middles.searchsorted(boxes[:, 0] - COLUMN * self.step)
        last = middles.searchsorted(boxes[:, 2] + COLUMN * self.step) - 1
        heights = boxes[:, 3] - boxes[:, 1]
        spans = (first <= last) & (heights >= LOW * heights.max())
        first[~spans], last[~spans] = 0, -1
        for part in np.flatnonzero(~spans) if count else ():
            left, _, right, _ = boxes[part]
            digit = nearest[(left + right) // 2]
            others = boxes[spans & (first <= digit) & (last >= digit)]
            overlap = np.minimum(others[:, 2], right) - np.maximum(others[:, 0], left)
            if overlap.max(initial=right - left if not len(others) else 0) > (right - left) / 2:
                first[part] = last[part] = digit
        corner = np.tile(self.corner, 2)
        self.ignored = boxes[first > last] + corner
        owner = nearest.clip(first[self.parts - 1], last[self.parts - 1])  # -1 where it is ignored
        owner[self.parts == 0] = -1
        self.digits, self.boxes = [], np.zeros((count, 4), int)
        for digit, middle in enumerate(middles.astype(int)):
            own = owner == digit
            box = box_of(own & (self.ink > EDGE_LEVEL))
            left, top, right, bottom = box or (middle, 0, middle + 1, 1)
            around = slice(max(top - 1, 0), bottom + 1), slice(max(left - 1, 0), right + 1)
            self.digits.append(self.ink[around] * own[around])
            self.boxes[digit] = np.add(corner, (left, top, right, bottom))

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


def find_lines(ink: np.ndarray) -> list[Line]:
    """The rows of what may be digits in (H, W) ink, from top to bottom."""
    parts, count = ndimage.label(ink > EDGE_LEVEL, np.ones((3, 3)))
    if not 0 < count <= MOST_PARTS:
        return []
    boxes, areas = bounds(parts), np.bincount(parts.ravel())[1:]
    heights, kept = boxes[:, 3] - boxes[:, 1], areas > SPECK_SHARE * areas.max()
    tall = kept & (heights >= LOW * heights[kept].max())
    # The middles of tall parts, drawn out to both sides, join to lines.
    bands = np.zeros(ink.shape, np.uint8)
    for (left, top, right, bottom), height in zip(boxes[tall], heights[tall], strict=True):
        reach, quarter = round(REACH * height), height // 4
        bands[top + quarter : bottom - quarter, max(left - reach, 0) : right + reach] = 1
    bands, _ = ndimage.label(bands)
    x, y = (boxes[:, :2] + boxes[:, 2:]).T // 2
    line_of = np.where(tall, bands[y, x], 0)
    for part in np.flatnonzero(kept & ~tall):
        left, top, right, bottom = boxes[part]
        gaps = np.maximum(boxes[:, :2] - (right, bottom), (left, top) - boxes[:, 2:]).clip(0)
        distance = np.where(tall, np.hypot(*gaps.T), np.inf)
        if distance.min() < NEAR * heights[distance.argmin()]:
            line_of[part] = line_of[distance.argmin()]
    numbers = [n for n in np.unique(line_of) if n]
    numbers.sort(key=lambda n: y[line_of == n].mean())
    return [crop_line(ink, np.isin(parts, 1 + np.flatnonzero(line_of == n))) for n in numbers]


def crop_line(ink: np.ndarray, own: np.ndarray) -> Line:
    """The line of what is its own, (H, W) bool, of (H, W) ink."""
    left, top, right, bottom = box_of(own)
    place = slice(max(top - 1, 0), bottom + 1), slice(max(left - 1, 0), right + 1)
    parts, _ = ndimage.label(own[place], np.ones((3, 3)))
    parts = np.where(parts, parts, ndimage.grey_dilation(parts, 3))
    corner = place[1].start, place[0].start
    return Line((ink[place] * (parts > 0)).astype(np.float32), parts, corner)


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


def bounds(labels: np.ndarray) -> np.ndarray:
    """The boxes (n, 4) of labels 1 to n in (H, W): left, top, right, bottom."""
    found = ndimage.find_objects(labels)
    return np.array([(x.start, y.start, x.stop, y.stop) for y, x in found], int).reshape(-1, 4)


def box_of(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    """The box of what is true in (H, W) bool, None if nothing is; faster than `bounds`."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) if len(rows) else None


PIPELINE_REGISTRY.register_pipeline(
    "number-recognition",
    NumberRecognitionPipeline,
    pt_model=AutoModelForImageClassification,
    type="image",
)
