"""How well a model classifies, as numbers and as plots."""

from pathlib import Path

import datasets
import evaluate
import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw
from scipy.special import softmax
from transformers import EvalPrediction


class DigitAccuracy(evaluate.Metric):
    """Accuracy, overall and of each digit. Unlike a metric of the Hub's, it needs no network."""

    def _info(self) -> evaluate.MetricInfo:
        value = datasets.Value("int64")
        return evaluate.MetricInfo(
            description="Share of digits that are classified correctly, 0-1.",
            citation="",
            inputs_description="predictions and references: digits, 0-9",
            features=datasets.Features({"predictions": value, "references": value}),
        )

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, float]:
        matrix = confusion_matrix(np.asarray(references), np.asarray(predictions))
        totals = matrix.sum(1)
        per_digit = {
            f"accuracy_{digit}": float(matrix[digit, digit] / totals[digit])
            for digit in np.flatnonzero(totals)
        }
        return {"accuracy": float(matrix.trace() / totals.sum()), **per_digit}


def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Metrics of logits (N, 10) and one-hot labels (N, 10), as the `Trainer` gives them."""
    true, logits = prediction.label_ids.argmax(1), prediction.predictions
    accuracy = DigitAccuracy().compute(predictions=logits.argmax(1), references=true)
    return accuracy | {
        "calibration_error": expected_calibration_error(true, softmax(logits, axis=1))
    }


def confusion_matrix(true: np.ndarray, predicted: np.ndarray, num_labels: int = 10) -> np.ndarray:
    """Counts (10, 10) of true digits (rows) by predicted ones (columns), from two (N,) of 0-9."""
    pairs = np.bincount(true * num_labels + predicted, minlength=num_labels**2)
    return pairs.reshape(num_labels, num_labels)


def expected_calibration_error(true: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean distance between confidence and accuracy over 15 bins, 0-1 (Guo et al. 2017, section 2).

    Takes (N,) true digits and (N, 10) probabilities.
    """
    confidence, accuracy, count = calibration_bins(true, probabilities)
    return float((np.abs(confidence - accuracy) * count).sum() / count.sum())


def calibration_bins(
    true: np.ndarray, probabilities: np.ndarray, bins: int = 15
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean confidence, accuracy and number of images in each bin that is not empty."""
    confidence = probabilities.max(1)
    correct = probabilities.argmax(1) == true
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    filled = count > 0
    mean_confidence = np.bincount(index, confidence, bins)[filled] / count[filled]
    accuracy = np.bincount(index, correct, bins)[filled] / count[filled]
    return mean_confidence, accuracy, count[filled]


def plot_learning_curves(log_history: list[dict[str, float]], path: Path) -> None:
    """Loss and accuracy over steps, from a `TrainerState.log_history`, as a PNG at `path`."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, metric in zip(axes, ("loss", "accuracy"), strict=True):
        for key, label, marker in (
            (metric, "training (augmented batches)", ""),
            (f"eval_{metric}", "validation (EMA)", "o"),
        ):
            points = [(entry["step"], entry[key]) for entry in log_history if key in entry]
            if points:
                axis.plot(*zip(*points, strict=True), label=label, marker=marker, markersize=3)
        axis.set(xlabel="step", ylabel=metric)
        axis.grid(alpha=0.3)
        axis.legend()
    axes[0].set_yscale("log")
    final = [entry["accuracy"] for entry in log_history if "accuracy" in entry][-1:]
    axes[1].set_ylim(bottom=0.9 if final > [0.95] else None, top=1.0)
    figure.savefig(path, dpi=110)


def plot_confusion_matrix(matrix: np.ndarray, path: Path) -> None:
    """Counts (10, 10), rows true and columns predicted, as a PNG at `path`.

    The colour shows the errors alone: the diagonal, near 100%, would drown them.
    """
    errors = matrix * (1 - np.eye(len(matrix), dtype=matrix.dtype))
    figure = Figure(figsize=(5.6, 5.2), layout="constrained")
    axis = figure.subplots()
    axis.imshow(errors, cmap="Reds", vmin=0, vmax=max(1, errors.max()) * 1.5)
    for true, predicted in np.ndindex(matrix.shape):
        if count := matrix[true, predicted]:
            weight = "bold" if true == predicted else "normal"
            axis.text(predicted, true, count, ha="center", va="center", weight=weight, size=9)
    digits = range(len(matrix))
    axis.set(xlabel="predicted", ylabel="true", xticks=digits, yticks=digits)
    axis.set_title(f"{errors.sum()} errors in {matrix.sum():,} images", size=11)
    figure.savefig(path, dpi=110)


def plot_worst_errors(
    images: np.ndarray, true: np.ndarray, probabilities: np.ndarray, path: Path, most: int = 30
) -> None:
    """The misclassified images, the most confident first, as a PNG at `path`.

    Takes (N, 28, 28) images, (N,) true digits and (N, 10) probabilities.
    """
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    wrong = np.flatnonzero(predicted != true)
    wrong = wrong[np.argsort(-confidence[wrong])][:most]
    rows = max(1, -(-len(wrong) // 10))
    figure = Figure(figsize=(10, 1.35 * rows), layout="constrained")
    axes = figure.subplots(rows, 10).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, index in zip(axes, wrong, strict=False):
        axis.imshow(images[index], cmap="gray")
        axis.set_title(f"{true[index]} as {predicted[index]}\n{confidence[index]:.0%}", size=8)
    figure.savefig(path, dpi=110)


def draw_contact_sheet(images: np.ndarray, captions: list[str], path: Path) -> None:
    """All of (N, 28, 28) uint8, each above its caption of two lines, as a PNG at `path`."""
    columns, width, height = 8, 128, 120
    sheet = Image.new("L", (columns * width, -(-len(images) // columns) * height))
    pen = ImageDraw.Draw(sheet)
    for n, (image, caption) in enumerate(zip(images, captions, strict=True)):
        x, y = n % columns * width, n // columns * height
        sheet.paste(Image.fromarray(image).resize((84, 84)), (x + (width - 84) // 2, y))
        pen.text((x + 4, y + 88), caption, 255)
    sheet.save(path)


def plot_calibration(true: np.ndarray, probabilities: np.ndarray, path: Path) -> None:
    """Accuracy against confidence, as a PNG at `path`; a calibrated model is on the diagonal.

    Takes (N,) true digits and (N, 10) probabilities.
    """
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axis = figure.subplots()
    confidence, accuracy, count = calibration_bins(true, probabilities)
    axis.plot([0, 1], [0, 1], color="gray", linestyle=":")
    axis.scatter(confidence, accuracy, s=20 + 60 * count / count.max())
    for x, y, n in zip(confidence, accuracy, count, strict=True):
        axis.annotate(f"{n:,}", (x, y), xytext=(0, 8), textcoords="offset points", size=7)
    axis.set(xlabel="mean confidence", ylabel="accuracy", xlim=(0, 1.05), ylim=(0, 1.08))
    axis.grid(alpha=0.3)
    axis.set_title("number of images at each point", size=9)
    figure.savefig(path, dpi=110)
