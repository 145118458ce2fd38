"""What a training run leaves for people to look at: plots of how it went and where it errs."""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")  # draws into files: there is no screen on a server
from matplotlib import pyplot as plt


def plot_learning_curves(log_history: list[dict[str, float]], path: Path) -> None:
    """Loss and accuracy over steps, from a `TrainerState.log_history`, as a PNG at `path`."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for axis, metric in zip(axes, ("loss", "accuracy"), strict=True):
        for key, label, marker in (
            (metric, "training (augmented batches)", None),
            (f"eval_{metric}", "validation (averaged weights)", "o"),
        ):
            points = [(entry["step"], entry[key]) for entry in log_history if key in entry]
            if points:
                axis.plot(*zip(*points, strict=True), label=label, marker=marker, markersize=3)
        axis.set(xlabel="step", ylabel=metric)
        axis.grid(alpha=0.3)
        axis.legend()
    axes[0].set_yscale("log")
    axes[1].set_ylim(bottom=max(0.9, axes[1].get_ylim()[0]), top=1.0)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def plot_confusion_matrix(matrix: np.ndarray, path: Path) -> None:
    """Counts (10, 10), rows true and columns predicted, as a PNG at `path`.

    The colour shows the errors alone: the diagonal, near 100 %, would drown them.
    """
    errors = matrix * (1 - np.eye(len(matrix), dtype=matrix.dtype))
    figure, axis = plt.subplots(figsize=(5.6, 5.2), layout="constrained")
    axis.imshow(errors, cmap="Reds", vmin=0, vmax=max(1, errors.max()) * 1.5)
    for true, predicted in np.ndindex(matrix.shape):
        if matrix[true, predicted]:
            weight = "bold" if true == predicted else "normal"
            count = matrix[true, predicted]
            axis.text(predicted, true, count, ha="center", va="center", weight=weight, size=9)
    digits = range(len(matrix))
    axis.set(xlabel="predicted", ylabel="true", xticks=digits, yticks=digits)
    axis.set_title(f"{errors.sum()} errors in {matrix.sum():,} images", size=11)
    figure.savefig(path, dpi=110)
    plt.close(figure)
