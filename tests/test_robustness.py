"""The benchmark's images are what they are called, and its table holds."""

import numpy as np
import pytest

from benchmarks.mnist_c import CORRUPTIONS
from benchmarks.robustness import main
from conftest import ROOT, SAMPLE

# What moves the digit, or leaves little of it.
MOVED = {"motion_blur", "shear", "scale", "rotate", "translate", "stripe", "canny_edges"}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_changes_the_digit_which_is_still_that_digit(name, digits, pixels):
    ten = pixels[[np.flatnonzero(digits[1] == n)[0] for n in range(10)]]  # one of each
    corrupted = np.stack([CORRUPTIONS[name](digit, np.random.default_rng(7)) for digit in ten])
    assert corrupted.shape == (10, 28, 28) and corrupted.dtype == np.uint8
    assert (corrupted != ten).any((1, 2)).all()
    if name not in MOVED:
        likeness = np.corrcoef(corrupted.reshape(10, -1), ten.reshape(10, -1))[:10, 10:]
        assert (likeness.argmax(1) == range(10)).mean() >= 0.9
        assert likeness.diagonal().min() > 0.4


def test_the_table(tmp_path, argv, monkeypatch, capsys):
    angles = np.linspace(0, 2 * np.pi, 8)
    zero = [*np.stack([50 + 50 * np.sin(angles), 50 + 50 * np.cos(angles)], axis=1).ravel(), 0]
    ones = [[number, 100, *[50] * 12, 100 - number, 0, 1] for number in range(10)]  # leaning
    four = [0, 100, *[50] * 14, 4]  # not in the table
    np.savetxt(tmp_path / "pendigits.tes", [four] * 5 + ones + [zero] * 10, "%d", ",")
    options = "--pen_digits_file", tmp_path / "pendigits.tes", "--other_seeds", "model"
    argv("--dataset_name", SAMPLE, "--max_samples", 20, "--train_val_split", 0.1, *options)
    monkeypatch.chdir(ROOT)
    main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    names, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    table = {row[0]: dict(zip(names, row, strict=True)) for row in rows}

    def percent(name: str, column: str = "accuracy") -> float:
        return float(table[name][column].rstrip("%"))

    assert all(row["count"] == "20" for row in table.values())
    assert percent("MNIST") >= 95
    assert percent("drawing, pen 6-20") >= 90
    assert percent("UCI pen digits 0, 1, 2, 3, 6, 8") >= 95
    mean = np.mean([percent(f"re-implemented MNIST-C, {name}") for name in CORRUPTIONS])
    assert percent("re-implemented MNIST-C, mean of the fifteen") == pytest.approx(mean, abs=0.01)
    assert 50 < percent("scribbles", "AUROC") <= 100
    for row in table.values():  # of the same model twice
        assert row["2 seeds"] == f"{(row['accuracy'] or row['confidence >= 0.5'])[:-1]} ± 0.00%"
