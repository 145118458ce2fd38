"""Training on corrections: what joins, what does not, what is told; and the dataset card."""

import json
import math
import re
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import load_dataset
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from conftest import SAMPLE
from modeling_mnist import MnistForImageClassification
from train import main
from training.corrections import RELEASED_MODEL, SHEET_FILE, load_corrections, write_dataset_card
from training.data import MnistDataset
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


def probabilities(model_path: Path, images: list[np.ndarray]) -> np.ndarray:
    """(N, 10), by the way that the README documents."""
    model = MnistForImageClassification.from_pretrained(model_path).eval()
    pixel_values = torch.from_numpy(np.stack(images))[:, None] / 255
    return model(pixel_values).logits.softmax(1).detach().numpy()


@pytest.fixture(scope="module")
def corrected(digits) -> list[tuple[np.ndarray, int | str]]:
    """40 digits with their labels, 20 with wrong ones, 20 images of noise as non-digits."""
    rng = np.random.default_rng(0)
    images = [np.array(image) for image in digits[0][:60]]
    labels = np.where(np.arange(60) < 40, digits[1][:60], (digits[1][:60] + 1) % 10)
    noise = rng.integers(0, 256, (20, 28, 28), np.uint8)
    return [*zip(images, map(int, labels), strict=True), *((image, "none") for image in noise)]


@pytest.fixture(scope="module")
def folder(corrected, tmp_path_factory) -> Path:
    """The same as a folder, and the first two, on another day, also under another label."""
    folder = tmp_path_factory.mktemp("corrections")
    for image, label in corrected:
        keep(folder, image, label)
    for image, _ in corrected[:2]:
        keep(folder, image, "none", day="2026-11-02")
    return folder


@pytest.fixture(scope="module")
def expected(corrected) -> dict[str, list[tuple[np.ndarray, int | str]]]:
    """What should become of those with one label, by the words of the documentation."""
    sorted_ = {"left_out": [], "held_out": [], "training": []}
    found = probabilities(RELEASED_MODEL, [image for image, _ in corrected])
    for (image, label), row in list(zip(corrected, found, strict=True))[2:]:
        wrong = str(row.argmax()) != str(label) and row.max() >= 0.99
        tenth = int(sha256(image.tobytes()).hexdigest()[:16], 16) % 10 == 0
        sorted_["left_out" if wrong else "held_out" if tenth else "training"].append((image, label))
    return sorted_


def contents(dataset: MnistDataset, last: int = 0) -> set[tuple[bytes, int]]:
    """All of it, or the last so many."""
    pairs = zip(dataset.images[-last:], dataset.labels[-last:], strict=True)
    return {(image.numpy().tobytes(), int(label)) for image, label in pairs}


def numbered(corrections: list[tuple[np.ndarray, int | str]]) -> set[tuple[bytes, int]]:
    return {(image.tobytes(), -1 if label == "none" else label) for image, label in corrections}


def test_each_correction_is_trained_on_held_out_or_left_out(folder, model, expected, corrected):
    corrections = load_corrections(str(folder), model)
    assert len(expected["left_out"]) > 15 and len(expected["held_out"]) > 4
    for part, content in expected.items():
        assert contents(getattr(corrections, part)) == numbered(content)
    trusted = load_corrections(str(folder), model, trusted=True)
    assert len(trusted.left_out) == 0 and trusted.record["two_labels"] == 2
    assert contents(trusted.training) | contents(trusted.held_out) == numbered(corrected[2:])


def test_they_are_at_most_a_twentieth_of_the_training_split(folder, model):
    corrections = load_corrections(str(folder), model)
    dataset = MnistDataset(torch.zeros(390, 28, 28, dtype=torch.uint8), torch.zeros(390).long())
    dataset.append(np.zeros((1000, 28, 28), np.uint8), np.zeros(1000, np.int64))  # synthetic
    corrections.add_to(dataset)
    assert len(dataset) == 390 + 1000 + 19 and corrections.record["images"] == 19
    assert contents(dataset, last=19) <= contents(corrections.training)


@pytest.fixture(scope="module")
def run(folder, hub, train, tmp_path_factory) -> tuple[Path, str, str]:
    """Card written, pushed, trained on from the Hub: output folder, revision, what was printed."""
    write_dataset_card(str(folder))
    output = tmp_path_factory.mktemp("output") / "mnist-cnn"
    revision = hub.add("datasets/user/corrections", folder).sha
    result = train(
        *("--dataset_name", SAMPLE, "--corrections", "user/corrections", "--output_dir", output),
        *("--conv_channels", 24, 48, "--max_steps", 10, "--disable_tqdm", True),
        *("--do_train", "--synthetic", False, "--numbers", False),  # quicker
    )
    assert result.returncode == 0, result.stderr
    return output, revision, result.stdout


def test_a_run_tells_what_it_took_and_what_that_changed(run, expected):
    output, revision, printed = run
    told = json.loads((output / "run.json").read_text())
    held_out = [image for image, _ in expected["held_out"]]
    accuracy = []
    for path in (RELEASED_MODEL, output):
        rows = probabilities(path, held_out)
        answers = zip(rows, (label for _, label in expected["held_out"]), strict=True)
        right = [r.max() < 0.5 if label == "none" else r.argmax() == label for r, label in answers]
        accuracy.append(np.mean(right))
    assert told["corrections"] == {
        "dataset": "user/corrections",
        "revision": revision,
        "two_labels": 2,
        "left_out": len(expected["left_out"]),
        "held_out": len(held_out),
        "images": min(50, len(expected["training"])),
        "beyond_limit": max(0, len(expected["training"]) - 50),
        "eval_corrections_accuracy_before": pytest.approx(accuracy[0]),
        "eval_corrections_accuracy": pytest.approx(accuracy[1]),
    }
    assert told["train_images"] == 1000 and told["synthetic_images"] == 0
    assert re.findall(r"eval_corrections_accuracy\w* +=", printed) == [
        "eval_corrections_accuracy_before =",
        "eval_corrections_accuracy        =",
        "eval_corrections_accuracy_before =",
    ]
    card = (output / "README.md").read_text()
    assert f"{told['corrections']['images']} corrections" in card and revision in card
    assert "- user/corrections\n" in card.split("---")[1]
    with Image.open(output / SHEET_FILE) as sheet:
        cells = math.ceil(len(expected["left_out"]) / 8)
        assert sheet.height % cells == 0 and np.asarray(sheet)[-30:].any()


def test_the_dataset_card_makes_one_label_load_as_a_label(run, folder, tmp_path):
    card = (folder / "README.md").read_text()
    assert "the 28x28 image shown above, the label, the model's answer, its confidence" in card
    assert "| not a digit (`none`) | 22 |" in card
    assert "from 2026-11-02 to 2026-11-26, with the answers of a/b" in card
    keep(tmp_path, np.zeros((28, 28), np.uint8), 7)
    (tmp_path / "README.md").write_text(card)
    split = load_dataset(str(tmp_path), split="train")
    assert split.features["label"].names == ["7"] and len(split) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--corrections {odd}/nowhere", "not be loaded: .* Name the folder .*CORRECTIONS_DIR"),
        ("--corrections {odd}/empty", "could not be loaded: .* once it holds some"),
        ("--corrections {odd}/large", r"large/7/\w+.png .* is 29x28, mode L\). Delete it"),
        ("--corrections {odd}/colour", "is 28x28, mode RGB"),
        ("--corrections {odd}/letter", "its label is A, not 0 to 9 or none"),
        ("--corrections {odd}/torn", r"cannot be read. Delete it: .*torn/7/a.png"),
        ("--corrections {odd}/both", "All images of .*both have two labels"),
        ("--corrections {odd}/both --do_eval --model_name_or_path model", "trained on"),
        ("--trust_corrections", "--corrections FOLDER_OR_HUB_ID"),
    ],
)
def test_bad_corrections_are_a_sentence(tmp_path, argv, arguments, sentence):
    (tmp_path / "empty").mkdir()
    keep(tmp_path / "large", np.zeros((28, 29), np.uint8), 7)
    keep(tmp_path / "colour", np.zeros((28, 28, 3), np.uint8), 7)
    keep(tmp_path / "letter", np.zeros((28, 28), np.uint8), "A")
    whole = keep(tmp_path / "torn", np.zeros((28, 28), np.uint8), 7)
    (whole.parent / "a.png").write_bytes(whole.read_bytes()[:40])
    for label in (1, 2):
        keep(tmp_path / "both", np.zeros((28, 28), np.uint8), label)
    words = arguments.format(odd=tmp_path).split()
    argv("--use_cpu", "--output_dir", tmp_path / "output", "--dataset_name", SAMPLE, *words)
    with pytest.raises(InputError) as raised:
        main()
    assert re.search(sentence, str(raised.value))
