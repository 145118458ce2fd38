"""The benchmark's images are what they are called, and its table holds."""

import sys

import numpy as np
import pytest
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.backend.context import set_start_method
from scipy import ndimage
from skimage.morphology import skeletonize

from benchmarks.images import pen_drawing, photograph, tablet_drawing
from benchmarks.mnist_c import CORRUPTIONS
from benchmarks.robustness import digit_rows, frame, main, measure
from conftest import ROOT, SAMPLE

# What moves the digit, or leaves little of it, is measured below.
MOVED = {"motion_blur", "shear", "scale", "rotate", "translate", "stripe", "canny_edges"}


@pytest.fixture(scope="module")
def ten(digits, pixels) -> np.ndarray:
    """One sample of each digit, (10, 28, 28) uint8."""
    return np.stack([pixels[np.flatnonzero(digits[1] == n)[0]] for n in range(10)])


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_changes_the_digit_which_is_still_that_digit(name, ten):
    before = ten.copy()
    corrupted, again = (
        np.stack([CORRUPTIONS[name](digit, np.random.default_rng(7)) for digit in ten])
        for _ in range(2)
    )
    assert corrupted.shape == (10, 28, 28) and corrupted.dtype == np.uint8
    assert (ten == before).all() and (corrupted == again).all()
    assert (corrupted != ten).any((1, 2)).all()
    if name not in MOVED:
        likeness = np.corrcoef(corrupted.reshape(10, -1), ten.reshape(10, -1))[:10, 10:]
        assert (likeness.argmax(1) == range(10)).mean() >= 0.9
        assert likeness.diagonal().min() > 0.4


def test_corruptions_that_move_the_digit_move_it_as_far_as_they_say(ten):
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:28, :28] - 13.5
    blob = np.uint8(255 * np.exp(-((columns + 4) ** 2 / 9 + rows**2 / 4) / 2))

    def moments(x):
        mass = x / x.sum()
        centre = np.array([(mass * rows).sum(), (mass * columns).sum()])
        return centre, np.sqrt((mass * (columns - centre[1]) ** 2).sum())

    centre, width = moments(blob)
    for seed in range(8):
        moved, _ = moments(CORRUPTIONS["translate"](blob, np.random.default_rng(seed)))
        assert np.abs(moved - centre) == pytest.approx([3, 3], abs=0.1)
    _, shrunk = moments(CORRUPTIONS["scale"](blob, rng))
    assert shrunk / width == pytest.approx(0.7, abs=0.02)
    rotated, _ = moments(CORRUPTIONS["rotate"](blob, rng))
    assert np.abs(rotated) == pytest.approx([4 * np.sin(0.4), 4 * np.cos(0.4)], abs=0.1)
    trail, longer = moments(CORRUPTIONS["motion_blur"](blob, rng))
    assert trail[1] > centre[1] + 1 and longer > width
    sheared, _ = moments(CORRUPTIONS["shear"](np.roll(blob, 6, 0), rng))
    assert abs(sheared[1] - centre[1]) == pytest.approx(6 * np.tan(0.4), abs=0.3)
    for digit in ten:
        striped = CORRUPTIONS["stripe"](digit, rng)
        assert (striped[:, 7:21] == digit[:, 7:21]).all()
        assert (striped[:, :7] == 255 - digit[:, :7]).all()
        edges = CORRUPTIONS["canny_edges"](digit, rng)
        assert set(np.unique(edges)) == {0, 255}
        # Outlines lie where brightness changes, as it does less within a stroke.
        slope = ndimage.gaussian_gradient_magnitude(digit / 255, 1)
        assert slope[edges > 0].mean() > 1.2 * slope[digit > 127].mean()


def test_drawings_and_photographs_are_as_large_and_as_dark_as_they_say(ten):
    for seed, digit in enumerate(ten):
        drawing = pen_drawing(digit, np.random.default_rng(seed), (8, 8))
        top, bottom = drawing.getbbox()[1::2]
        assert drawing.size == (280, 280) and 58 <= bottom - top <= 222
        # A disc of the pen's width fits into the stroke, and hardly a larger one anywhere but where
        # strokes meet.
        depth = ndimage.distance_transform_edt(np.asarray(drawing) > 127)
        assert 3.5 <= np.median(depth[skeletonize(depth > 0)]) <= 5
        photo = photograph(drawing, np.random.default_rng(seed))
        assert photo.mode == "RGB" and 200 <= max(photo.size) <= 640
        grey = np.asarray(photo.convert("L"))
        assert np.quantile(grey, 0.002) < 0.8 * np.median(grey)


def test_a_way_of_the_pen_is_drawn_upright_and_as_wide_as_it_says():
    x, y = [0, 0, 0, 0, 0, 40, 70, 100], [100, 75, 50, 25, 0, 0, 0, 0]  # an L
    drawing = tablet_drawing(np.stack([x, y], axis=1), 0.5, np.random.default_rng(0))
    left, top, right, bottom = drawing.getbbox()
    ink = np.asarray(drawing)[top:bottom, left:right] > 127
    assert ink[-3].mean() > 0.9 and ink[:, 3].mean() > 0.9
    assert not ink[3, ink.shape[1] // 2 :].any()
    assert 0.5 < (right - left) / (bottom - top) < 0.7  # of its middle line, without the pen


def test_figures_of_a_row():
    answers = np.zeros((4, 10))
    answers[range(4), [1, 2, 3, 3]] = [1, 0.9, 0.5, 0.25]
    figures = measure(answers, np.array([1, 2, 0, 3]), None, [0.5, 0.9])
    assert figures["accuracy"] == 0.75
    assert (figures["confidence >= 0.5"], figures["confidence >= 0.9"]) == (0.75, 0.5)
    # Of the 2 x 4 pairs of a digit and another image, the digit's is higher in 6, and ties in 1.
    figures = measure(answers, None, np.array([0.95, 0.9]), [0.9])
    assert figures["AUROC"] == pytest.approx((3 + 2.5) / 8)
    assert "accuracy" not in figures


@pytest.mark.filterwarnings("ignore:`fork` start method")
def test_the_number_of_processes_does_not_change_the_images(ten, processor):
    row = next(row for row in digit_rows(ten, np.arange(10)) if "ruled" in row.name)
    set_start_method("fork")  # other processes would import all anew
    alone, together = (frame(row, 4, processor, num_proc) for num_proc in (1, 2))
    get_reusable_executor().shutdown()
    assert (alone == together).all() and alone.any()


def test_the_table(tmp_path, monkeypatch, capsys):
    command = ["benchmarks.robustness", "--dataset_name", SAMPLE, "--max_samples", 20]
    command += ["--train_val_split", 0.1, "--output", tmp_path / "table.md"]
    command += ["--save_errors", tmp_path / "errors"]
    angles = np.linspace(0, 2 * np.pi, 8)
    zero = [*np.stack([50 + 50 * np.sin(angles), 50 + 50 * np.cos(angles)], axis=1).ravel(), 0]
    ones = [[number, 100, *[50] * 12, 100 - number, 0, 1] for number in range(10)]  # leaning
    four = [0, 100, *[50] * 14, 4]  # not in the table
    np.savetxt(tmp_path / "pendigits.tes", [four] * 5 + ones + [zero] * 10, "%d", ",")
    command += ["--pen_digits_file", tmp_path / "pendigits.tes"]
    monkeypatch.setattr(sys, "argv", list(map(str, command)))
    monkeypatch.chdir(ROOT)
    main()
    lines = (tmp_path / "table.md").read_text().splitlines()
    printed = capsys.readouterr().out.splitlines()
    assert lines == [line for line in printed if line.startswith("|")]
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
    assert (tmp_path / "errors" / "re_implemented_MNIST_C_stripe.png").is_file()
