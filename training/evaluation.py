"""How well a model classifies, as numbers and as plots."""

import math
from pathlib import Path

import datasets
import evaluate
import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw
from scipy.special import softmax
from transformers import EvalPrediction

from training.errors import InputError

BINS = 15  # of confidence, as in Guo et al. 2017


class DigitAccuracy(evaluate.Metric):
    """Accuracy, overall and of each digit. Unlike a metric of the Hub's, it needs no network."""

    def _info(self) -> evaluate.MetricInfo:
        value = datasets.Value("int64")
        return evaluate.MetricInfo(
            description="Share of digits, 0-9, that are classified correctly, 0-1.",
            citation="",
            features=datasets.Features({"predictions": value, "references": value}),
        )

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, float]:
        true, correct = np.asarray(references), np.equal(predictions, references)
        per_digit = {f"accuracy_{n}": correct[true == n].mean() for n in np.unique(true)}
        return {"accuracy": correct.mean(), **per_digit}


def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Metrics of logits (N, 10) and one-hot labels (N, 10), as the `Trainer` gives them.

    `InputError` if logits are infinite or NaN.
    """
    if not np.isfinite(prediction.predictions).all():
        raise InputError("The training has diverged: logits are not finite. Lower --learning_rate.")
    true, probabilities = prediction.label_ids.argmax(1), softmax(prediction.predictions, axis=1)
    accuracy = DigitAccuracy().compute(predictions=probabilities.argmax(1), references=true)
    return accuracy | {"calibration_error": expected_calibration_error(true, probabilities)}


def expected_calibration_error(true: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean distance between confidence and accuracy over 15 bins, 0-1 (Guo et al. 2017, section 2).

    Takes (N,) true digits and (N, 10) probabilities.
    """
    confidence, correct, _ = calibration_bins(true, probabilities)
    return float(np.abs(confidence - correct).sum() / len(true))


def calibration_bins(true: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Sums (3, 15) of confidences, of correct answers and of images, in bins of confidence."""
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == true
    bins = np.minimum(confidence * BINS, BINS - 1).astype(int)
    return np.stack([np.bincount(bins, weights, BINS) for weights in (confidence, correct, None)])


def plot_evaluation(
    images: np.ndarray, true: np.ndarray, probabilities: np.ndarray, folder: Path
) -> None:
    """Draw confusion_matrix.png, calibration.png and worst_errors.png into a folder.

    Takes (N, 28, 28) uint8 images, (N,) true digits and (N, 10) probabilities.
    """
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    counts = np.bincount(true * 10 + predicted, minlength=100).reshape(10, 10)
    plot_confusion_matrix(counts, folder / "confusion_matrix.png")
    plot_calibration(calibration_bins(true, probabilities), folder / "calibration.png")
    wrong = np.flatnonzero(predicted != true)
    worst = wrong[np.argsort(-confidence[wrong])][:30]
    captions = [f"{true[n]} as {predicted[n]}\n{confidence[n]:.0%}" for n in worst]
    draw_contact_sheet(images[worst], captions, folder / "worst_errors.png")


def plot_confusion_matrix(matrix: np.ndarray, path: Path) -> None:
    """Counts (10, 10), rows true and columns predicted, as a PNG at `path`.

    The colour shows the errors alone: the diagonal, near 100%, would drown them.
    """
    errors = matrix - np.diag(matrix.diagonal())
    figure = Figure(figsize=(5.6, 5.2), dpi=110, layout="constrained")
    axis = figure.subplots()
    axis.imshow(errors, cmap="Reds", vmax=max(1, errors.max()) * 1.5)
    for true, predicted in np.argwhere(matrix):
        weight = "bold" if true == predicted else "normal"
        axis.text(predicted, true, matrix[true, predicted], ha="center", va="center", weight=weight)
    axis.set(xlabel="predicted", ylabel="true", xticks=range(10), yticks=range(10))
    axis.set_title(f"{errors.sum()} errors in {matrix.sum():,} images")
    figure.savefig(path)


def plot_calibration(bins: np.ndarray, path: Path) -> None:
    """Accuracy against confidence, from `calibration_bins`, as a PNG at `path`."""
    filled = bins[:, bins[2] > 0]
    confidence, accuracy, _ = filled / filled[2]
    figure = Figure(figsize=(4.6, 4.2), dpi=110, layout="constrained")
    axis = figure.subplots()
    axis.axline((0, 0), slope=1, color="gray", linestyle=":")  # where a calibrated model is
    axis.scatter(confidence, accuracy)
    for x, y, count in zip(confidence, accuracy, filled[2], strict=True):
        axis.annotate(f"{count:,.0f}", (x, y), xytext=(0, 8), textcoords="offset points", size=7)
    axis.set(xlabel="mean confidence", ylabel="accuracy", xlim=(0, 1.05), ylim=(0, 1.08))
    axis.grid(alpha=0.3)
    axis.set_title("number of images at each point")
    figure.savefig(path)


def plot_history(log_history: list[dict[str, float]], path: Path) -> None:
    """Loss and accuracy over steps, from a `TrainerState.log_history`, as a PNG at `path`."""
    figure = Figure(figsize=(10, 3.6), dpi=110, layout="constrained")
    scales = {"loss": "log", "accuracy": "logit"}
    for axis, (metric, scale) in zip(figure.subplots(1, 2), scales.items(), strict=True):
        for prefix, label in ("", "training (augmented batches)"), ("eval_", "validation (EMA)"):
            key = prefix + metric
            points = [(entry["step"], entry[key]) for entry in log_history if key in entry]
            if points:
                axis.plot(*zip(*points, strict=True), label=label, marker=".", markersize=3)
        axis.set(xlabel="step", ylabel=metric, yscale=scale)
        axis.yaxis.set_major_formatter("{x:g}")
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(path)


def draw_contact_sheet(images: np.ndarray, captions: list[str], path: Path) -> None:
    """All of (N, 28, 28) uint8, each above its caption of two lines, as a PNG at `path`."""
    columns, width, height = 8, 136, 152
    sheet = Image.new("L", (columns * width, max(1, math.ceil(len(images) / columns)) * height))
    pen = ImageDraw.Draw(sheet)
    for n, (image, caption) in enumerate(zip(images, captions, strict=True)):
        x, y = n % columns * width + 8, n // columns * height
        sheet.paste(Image.fromarray(image).resize((112, 112), Image.Resampling.NEAREST), (x, y))
        pen.text((x, y + 114), caption, fill=255, font_size=12)
    sheet.save(path)
