"""Lines of digits: what is composed to learn from, and how their ink is divided."""

import numpy as np
import pytest
import torch

from image_processing_mnist import frame_line
from pipeline_mnist import COLUMN, PADDING, find_lines, find_parts
from training.lines import Lines, make_lines
from training.trainer import line_loss


@pytest.fixture(scope="module")
def composed(digits, pixels) -> Lines:
    return make_lines(pixels, digits[1], 200, seed=3)


def test_lines_are_of_all_lengths_and_some_are_no_number(composed):
    lengths = (composed.labels >= 0).sum(1)
    assert composed.pixels.dtype == torch.uint8 and composed.pixels.shape[0] == 32
    assert len(composed) == 200 and composed.starts[-1] == composed.pixels.shape[1]
    assert set(composed.labels.unique().tolist()) == {-1, *range(10)}
    assert 5 <= (lengths == 0).sum() <= 35 and lengths.max() >= 11
    # A digit takes a few columns at least, or there is no path through the logits.
    assert (np.diff(composed.starts) + 2 * PADDING >= COLUMN * lengths.numpy()).all()


def test_a_batch_is_of_similar_width_and_the_same_generator_gives_it_again(composed):
    batch, again = (composed.batch(np.random.default_rng(1)) for _ in range(2))
    lines, columns = batch["lines"], batch["line_columns"]
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    assert lines.shape[1:3] == (1, 32) and lines.shape[3] == COLUMN * columns.max()
    assert len(lines) == len(columns) == len(batch["line_labels"]) > 1
    whole = composed.select(np.arange(200), np.zeros(200, int))["lines"]
    width = composed.starts[1]
    assert torch.equal(whole[0, 0, :, PADDING : PADDING + width], composed.pixels[:, :width])
    assert whole.sum() == composed.pixels.sum()


def test_the_loss_is_that_of_the_digits_in_their_order():
    logits = torch.full((1, 6, 11), -9.0)
    logits[0, range(6), [10, 3, 10, 3, 7, 10]] = 9
    inputs = {"line_columns": torch.tensor([6]), "line_labels": torch.tensor([[3, 3, 7, -1]])}
    assert line_loss(logits, inputs) < 0.01
    for other in ([3, 7, 7, -1], [-1] * 4):  # the last is no number
        assert line_loss(logits, inputs | {"line_labels": torch.tensor([other])}) > 1


def test_the_ink_is_divided_by_the_columns_and_the_rest_is_ignored():
    """Two bars that a bridge joins, a bar with a dash above it, a point, and a rule below all."""
    ink = np.zeros((120, 300), np.float32)
    for left in (20, 80, 160):
        ink[20:80, left : left + 10] = 1
    ink[48:52, 20:90] = 1  # from the first to the second
    ink[10:14, 160:175] = 1  # above the third
    ink[72:80, 130:138] = 1
    ink[92:95, 10:240] = 1
    ink[5:7, 290:292] = 1  # dirt
    (line,) = find_lines(ink, find_parts(ink))
    _, line.step = frame_line(line.ink)
    middles = (np.array([25, 85, 165]) - line.corner[0]) / line.step
    columns = np.rint((middles + PADDING) / COLUMN - 0.5).astype(int)
    seen = np.full((max(columns) + 3, 11), -9, np.float32)
    seen[:, 10] = -1
    seen[columns, 1] = 0
    line.find_digits(torch.from_numpy(seen))
    line.divide()
    boxes = [(20, 20, 55, 80), (55, 20, 90, 80), (160, 10, 175, 80)]
    # A column of the logits is ten of these pixels wide.
    np.testing.assert_allclose(line.boxes, boxes, atol=6)
    np.testing.assert_allclose(line.ignored, [(130, 72, 138, 80), (10, 92, 240, 95)], atol=1)
    assert sum(map(np.sum, line.crops)) == pytest.approx(ink[:85, :180].sum() - 64)
