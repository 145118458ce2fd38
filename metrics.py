"""How well a model reads, in numbers: accuracy, confusion and calibration."""

import datasets
import evaluate
import numpy as np
from scipy.special import softmax
from transformers import EvalPrediction


class DigitAccuracy(evaluate.Metric):
    """Accuracy, overall and for each digit. Unlike a metric of the Hub's, it needs no network."""

    def _info(self) -> evaluate.MetricInfo:
        value = datasets.Value("int64")
        return evaluate.MetricInfo(
            description="Share of digits that are read right, 0-1.",
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
    """Metrics from logits (N, 10) and one-hot labels (N, 10), as the `Trainer` gives them."""
    true, logits = prediction.label_ids.argmax(1), prediction.predictions
    accuracy = DigitAccuracy().compute(predictions=logits.argmax(1), references=true)
    return accuracy | {
        "calibration_error": expected_calibration_error(true, softmax(logits, axis=1))
    }


def confusion_matrix(true: np.ndarray, predicted: np.ndarray, num_labels: int = 10) -> np.ndarray:
    """Counts (10, 10) of true digits (rows) read as digits (columns), from two (N,) of 0-9."""
    pairs = np.bincount(true * num_labels + predicted, minlength=num_labels**2)
    return pairs.reshape(num_labels, num_labels)


def expected_calibration_error(true: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean distance between sureness and accuracy over 15 bins, 0-1 (Guo et al. 2017, section 2).

    Takes (N,) true digits and (N, 10) probabilities.
    """
    sure, right, count = calibration_bins(true, probabilities)
    return float((np.abs(sure - right) * count).sum() / count.sum())


def calibration_bins(
    true: np.ndarray, probabilities: np.ndarray, bins: int = 15
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean top probability, accuracy and number of images in each bin that is not empty."""
    top = probabilities.max(1)
    right = probabilities.argmax(1) == true
    index = np.minimum((top * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    filled = count > 0
    mean_top = np.bincount(index, top, bins)[filled] / count[filled]
    accuracy = np.bincount(index, right, bins)[filled] / count[filled]
    return mean_top, accuracy, count[filled]
