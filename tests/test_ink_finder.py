"""The ink finder: what it learns from, that it learns, and that it is saved with the processor."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from transformers import AutoImageProcessor

from benchmarks.sheets import KINDS, empty
from conftest import ROOT, SAMPLE
from image_processing_mnist import InkFinder, MnistImageProcessor
from training.glyphs import make_glyphs
from training.ink_finder import main
from training.photographs import SIZE, photograph


def test_photographs_vary_and_their_marks_are_where_the_ink_is(pixels):
    """Ink and its surroundings differ, on average, in nearly all images that are not blank."""
    glyphs = make_glyphs(pixels, count=60, seed=7)
    made = [photograph(glyphs, np.random.default_rng((3, n))) for n in range(120)]
    assert len({image.tobytes() for image, _ in made}) == len(made)
    stands_out = []
    for image, marks in made:
        assert image.shape == (SIZE, SIZE, 3) and marks.shape == (2, SIZE, SIZE)
        assert image.dtype == marks.dtype == np.uint8
        inside = marks[0] > 200
        around = distance_transform_edt(marks.max(0) < 50)
        around = (around > 2) & (distance_transform_edt(~inside) < 8)
        if inside.sum() > 30 and around.sum() > 30:
            contrast = image[inside].mean(0) - image[around].mean(0)
            stands_out.append(np.abs(contrast).max() > 2)
    assert 60 < len(stands_out) < 115 and np.mean(stands_out) > 0.85


def test_it_learns_from_scratch_is_saved_and_resumes(argv, tmp_path):
    """Short but real runs: more steps find marks better, on images that none has seen."""
    flags = ("--dataset_name", SAMPLE, "--num_glyphs", 200, "--num_eval_images", 64)
    flags += ("--per_device_train_batch_size", 16, "--save_steps", 40, "--use_cpu")

    def train(output: Path, steps: int, *more) -> float:
        argv(*flags, "--output_dir", output, "--max_steps", steps, *more)
        main()
        return json.loads((output / "eval_results.json").read_text())["eval_loss"]

    first = train(tmp_path / "first", 5)
    output = tmp_path / "ink-finder"
    longer = train(output, 45)
    assert longer < 0.9 * first
    weights = (output / InkFinder.FILE).read_bytes()
    assert AutoImageProcessor.from_pretrained(output, trust_remote_code=True).ink_finder is not None
    resumed = train(output, 45, "--resume_from_checkpoint", output / "checkpoint-40")
    assert resumed == pytest.approx(longer, rel=1e-3)
    assert (output / InkFinder.FILE).read_bytes() == weights


@pytest.mark.parametrize("kind", KINDS)
def test_digits_on_sheets_of_each_kind_are_read(kind, digits, pixels, model, processor):
    sheets = [KINDS[kind](p, np.random.default_rng((7, n))) for n, p in enumerate(pixels[:24])]
    logits = model(processor(sheets, return_tensors="pt")["pixel_values"]).logits
    assert (logits.argmax(1).numpy() == digits[1][:24]).sum() >= 22


def test_empty_sheets_are_blank(processor):
    sheets = [empty(None, np.random.default_rng((7, n))) for n in range(40)]
    pixel_values = processor(sheets, return_tensors="np")["pixel_values"]
    assert pixel_values.any((1, 2, 3)).sum() <= 3


def test_without_its_file_or_with_a_damaged_one_a_processor_says_so(tmp_path):
    folder = shutil.copytree(ROOT / "model", tmp_path / "model")
    file = folder / InkFinder.FILE
    file.write_bytes(file.read_bytes()[:100_000])
    with pytest.raises(OSError, match=f"{InkFinder.FILE} that can be loaded"):
        MnistImageProcessor.from_pretrained(folder)
    file.unlink()
    with pytest.raises(OSError, match=f"does not appear to have a file named {InkFinder.FILE}"):
        MnistImageProcessor.from_pretrained(folder)
    photo = KINDS["dim light"](np.zeros((28, 28), np.uint8), np.random.default_rng(0))
    for use in (lambda new: new.save_pretrained(tmp_path / "saved"), lambda new: new(photo)):
        with pytest.raises(ValueError, match="from_pretrained"):
            use(MnistImageProcessor())
