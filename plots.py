"""Pictures of a run: how training went, which digits it confuses, and how far to trust it."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from metrics import calibration_bins


def plot_learning_curves(log_history: list[dict[str, float]], path: Path) -> None:
    """Loss and accuracy over steps, from a `TrainerState.log_history`, as a PNG at `path`."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, metric in zip(axes, ("loss", "accuracy"), strict=True):
        for key, label, marker in (
            (metric, "training (augmented batches)", ""),
            (f"eval_{metric}", "validation (averaged weights)", "o"),
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

    The colour shows the errors alone: the diagonal, near 100 %, would drown them.
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
    """The misread images, the surest first, as a PNG at `path`.

    Takes (N, 28, 28) images, (N,) true digits and (N, 10) probabilities.
    """
    predicted, top = probabilities.argmax(1), probabilities.max(1)
    wrong = np.flatnonzero(predicted != true)
    wrong = wrong[np.argsort(-top[wrong])][:most]
    figure = Figure(figsize=(10, 1.35 * max(1, -(-len(wrong) // 10))), layout="constrained")
    axes = figure.subplots(max(1, -(-len(wrong) // 10)), 10).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, index in zip(axes, wrong, strict=False):
        axis.imshow(images[index], cmap="gray")
        axis.set_title(f"{true[index]} as {predicted[index]}\n{top[index]:.0%} sure", size=8)
    figure.savefig(path, dpi=110)


def plot_calibration(true: np.ndarray, probabilities: np.ndarray, path: Path) -> None:
    """How often an answer is right against how sure it was, as a PNG at `path`.

    Takes (N,) true digits and (N, 10) probabilities. On the diagonal, 90 % sure is right in 90 % of
    cases.
    """
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axis = figure.subplots()
    sure, right, count = calibration_bins(true, probabilities)
    axis.plot([0, 1], [0, 1], color="gray", linestyle=":")
    axis.scatter(sure, right, s=20 + 60 * count / count.max())
    for x, y, n in zip(sure, right, count, strict=True):
        axis.annotate(f"{n:,}", (x, y), xytext=(0, 8), textcoords="offset points", size=7)
    axis.set(xlabel="how sure (mean top probability)", ylabel="how often right")
    axis.set(xlim=(0, 1.05), ylim=(0, 1.08))
    axis.grid(alpha=0.3)
    axis.set_title("number of images at each point", size=9)
    figure.savefig(path, dpi=110)
