"""Training on corrections: what joins, what does not, what is told; and the dataset card."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from conftest import SAMPLE, flags
from modeling_mnist import MnistForImageClassification
from train import main
from training.corrections import RELEASED_MODEL, SHEET_FILE, load_corrections, write_dataset_card
from training.errors import InputError


def keep(folder: Path, pixels: np.ndarray, label: int | str, day: str = "2026-11-26") -> Path:
    """Write a correction as the app does."""
    path = folder / str(label) / f"{sha256(pixels.tobytes()).hexdigest()[:16]}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = PngInfo()
    for key, value in {"answer": "2", "confidence": "0.7", "model": "a/b", "day": day}.items():
        text.add_text(key, value)
    Image.fromarray(pixels).save(path, pnginfo=text)
    return path


def probabilities(model_path: Path, images: np.ndarray) -> np.ndarray:
    """(N, 10), of (N, 28, 28) uint8."""
    model = MnistForImageClassification.from_pretrained(model_path).eval()
    return model(torch.from_numpy(images)[:, None] / 255).logits.softmax(1).detach().numpy()


@pytest.fixture(scope="module")
def corrected(digits, pixels) -> tuple[np.ndarray, np.ndarray]:
    """40 digits with their labels, 20 with wrong ones, 20 images of noise as non-digits (-1)."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    labels = np.where(np.arange(60) < 40, digits[1][:60], (digits[1][:60] + 1) % 10)
    return np.concatenate([pixels[:60], noise]), np.append(labels, [-1] * 20)


@pytest.fixture(scope="module")
def folder(corrected, tmp_path_factory) -> Path:
    """The same as a folder, and the first two, on another day, also under another label."""
    folder = tmp_path_factory.mktemp("corrections")
    for image, label in zip(*corrected, strict=True):
        keep(folder, image, "none" if label < 0 else label)
    for image in corrected[0][:2]:
        keep(folder, image, "none", day="2026-11-02")
    return folder


@pytest.fixture(scope="module")
def expected(corrected) -> dict[str, np.ndarray]:
    """Which should become what, (80,) bool, by the words of the documentation."""
    images, labels = corrected
    found = probabilities(RELEASED_MODEL, images)
    left_out = (found.argmax(1) != labels) & (found.max(1) >= 0.99)
    hashes = [sha256(image.tobytes()).hexdigest()[:16] for image in images]
    held_out = ~left_out & [int(name, 16) % 10 == 0 for name in hashes]
    parts = {"left_out": left_out, "held_out": held_out, "training": ~left_out & ~held_out}
    has_one_label = np.arange(80) >= 2
    return {part: chosen & has_one_label for part, chosen in parts.items()}


def pairs(images: np.ndarray | torch.Tensor, labels: np.ndarray | torch.Tensor) -> set:
    return {(bytes(i), int(n)) for i, n in zip(np.asarray(images), labels, strict=True)}


def test_each_correction_is_trained_on_held_out_or_left_out(folder, model, expected, corrected):
    corrections = load_corrections(str(folder), model)
    assert expected["left_out"].sum() > 15 and expected["held_out"].sum() > 4
    images, labels = corrected
    for part, chosen in expected.items():
        dataset = getattr(corrections, part)
        assert pairs(dataset.images, dataset.labels) == pairs(images[chosen], labels[chosen])
    trusted = load_corrections(str(folder), model, trusted=True)
    assert len(trusted.left_out) == 0 and len(trusted.training) + len(trusted.held_out) == 78


def test_a_run_tells_what_it_took_and_changed(folder, corrected, expected, hub, train, tmp_path):
    """Card written, pushed, trained on from the Hub: at most a twentieth of the training split."""
    write_dataset_card(str(folder))
    card = (folder / "README.md").read_text()
    assert "| not a digit (`none`) | 22 |" in card
    assert "from 2026-11-02 to 2026-11-26, with the answers of a/b" in card
    revision = hub.add("datasets/user/corrections", folder).sha
    output = tmp_path / "mnist-cnn"
    run = flags("--max_train_samples 390 --max_steps 10 --corrections user/corrections --do_train")
    run += flags("--conv_channels 8 --synthetic False --numbers False --disable_tqdm True")
    done = train("--dataset_name", SAMPLE, *run, "--output_dir", output)
    told = json.loads((output / "run.json").read_text())
    images, labels = (array[expected["held_out"]] for array in corrected)
    accuracy = []
    for path in (RELEASED_MODEL, output):
        found = probabilities(path, images)
        accuracy.append(np.where(labels < 0, found.max(1) < 0.5, found.argmax(1) == labels).mean())
    assert told["corrections"] == {
        "dataset": "user/corrections",
        "revision": revision,
        "two_labels": 2,
        "left_out": expected["left_out"].sum(),
        "held_out": len(labels),
        "images": 19,
        "beyond_limit": expected["training"].sum() - 19,
        "eval_corrections_accuracy_before": pytest.approx(accuracy[0]),
        "eval_corrections_accuracy": pytest.approx(accuracy[1]),
    }
    assert told["train_images"] == 390 and "eval_corrections_accuracy  " in done.stdout
    card = (output / "README.md").read_text()
    assert "19 corrections" in card and revision in card
    assert "- user/corrections\n" in card.split("---")[1]
    with Image.open(output / SHEET_FILE) as sheet:
        assert np.asarray(sheet)[-30:].any()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--corrections {odd}/nowhere", "not be loaded: .* Name the folder .*CORRECTIONS_DIR"),
        ("--corrections {odd}/large", r"large/7/\w+.png .* is 29x28, mode L\). Delete it"),
        ("--corrections {odd}/letter", "its label is A, not 0 to 9 or none"),
        ("--corrections {odd}/torn", r"cannot be read. Delete it: .*torn/7/a.png"),
        ("--corrections {odd}/both", "All images of .*both have two labels"),
        ("--trust_corrections", "--corrections FOLDER_OR_HUB_ID"),
    ],
)
def test_bad_corrections_are_a_sentence(tmp_path, argv, arguments, sentence):
    blank = np.zeros((28, 28), np.uint8)
    keep(tmp_path / "large", np.zeros((28, 29), np.uint8), 7)
    keep(tmp_path / "letter", blank, "A")
    whole = keep(tmp_path / "torn", blank, 7)
    (whole.parent / "a.png").write_bytes(whole.read_bytes()[:40])
    for label in (1, 2):
        keep(tmp_path / "both", blank, label)
    words = arguments.format(odd=tmp_path).split()
    argv("--use_cpu", "--output_dir", tmp_path / "output", "--dataset_name", SAMPLE, *words)
    with pytest.raises(InputError, match=sentence):
        main()
