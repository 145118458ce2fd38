"""train.py as a user runs it: it learns, writes what it should, resumes, and refuses bad input."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Image, Value
from PIL import Image as PILImage
from safetensors.torch import load_file

from conftest import ROOT, SAMPLE, SHORT_RUN, SMALL
from image_processing_mnist import MnistImageProcessor
from modeling_mnist import MnistForImageClassification
from scripts.strokes import encode
from train import main
from training.arguments import MnistTrainingArguments, parse_arguments
from training.augmentation import Augmentation
from training.data import carve_validation, load_splits, scale_pixels, to_tensors
from training.ema import EMA_FILE
from training.errors import InputError, check_flags, flag_names
from training.model_card import command_line


def test_learns_to_classify_held_out_digits(trained, digits):
    """60 steps on 630 images; with six seeds 83 to 92% of the 300 test images are right."""
    model = MnistForImageClassification.from_pretrained(trained).eval()
    processor = MnistImageProcessor.from_pretrained(trained)
    images, labels = digits
    logits = model(processor(images, return_tensors="pt")["pixel_values"]).logits
    assert (logits.argmax(1).numpy() == labels).mean() > 0.75

    history = json.loads((trained / "trainer_state.json").read_text())["log_history"]
    losses = [entry["eval_loss"] for entry in history if "eval_loss" in entry]
    assert losses[-1] < losses[0] / 2
    assert {"loss", "accuracy"} <= history[0].keys()
    assert [entry["step"] for entry in history if "eval_accuracy" in entry][:3] == [20, 40, 60]
    # From step 47 on it distils, at a rate that rises a second time, to a third of the first peak.
    rates = {entry["step"]: entry["learning_rate"] for entry in history if "learning_rate" in entry}
    assert max(rates.values()) > 2e-3 and rates[40] < 5e-4 < rates[50] < 1.1e-3


def test_writes_what_the_readme_promises_and_what_is_measured_is_what_is_saved(trained):
    """The run's figures are those of the EMA, which is saved. No local path is in any file."""
    assert not list(trained.glob("*.bin"))  # a pickle of the arguments would hold the Hub token
    for name in ("learning_curves.png", "confusion_matrix.png"):
        with PILImage.open(trained / name) as plot:
            assert plot.width > 400
    measured = json.loads((trained / "eval_results.json").read_text())
    assert json.loads((trained / "train_results.json").read_text())["train_loss"] > 0
    assert {f"eval_accuracy_{digit}" for digit in range(10)} <= measured.keys()
    assert "--dataset_name mnist --" in (trained / "README.md").read_text()
    for file in filter(Path.is_file, trained.iterdir()):
        for folder in (ROOT, trained.parent):
            assert str(folder).encode() not in file.read_bytes(), file

    rows = load_splits(str(SAMPLE))["train"].select(range(700))
    _, validation = carve_validation(to_tensors(rows, "image", "label"), 0.1, seed=42)
    model = MnistForImageClassification.from_pretrained(trained).eval()
    batch = validation.__getitems__(list(range(70)))
    loss = model(scale_pixels(batch["pixel_values"]), batch["labels"]).loss.item()
    assert measured["eval_loss"] == pytest.approx(loss, rel=1e-4)


def test_an_interrupted_run_resumes_to_the_same_weights(train, trained, tmp_path):
    """What is left is as after a kill while the newest checkpoint is saved: half of that, too."""
    output = tmp_path / "killed"
    shutil.copytree(trained / "checkpoint-54", output / "checkpoint-54")
    assert load_file(output / "checkpoint-54" / EMA_FILE)["has_teacher"]  # distillation has begun
    unfinished = shutil.copytree(trained / "checkpoint-60", output / "checkpoint-60")
    last = max(unfinished.iterdir(), key=lambda file: file.stat().st_mtime_ns)
    assert last.name == EMA_FILE
    last.unlink()
    os.truncate(unfinished / "optimizer.pt", 1000)

    train(*SHORT_RUN, "--output_dir", output, "--resume_from_checkpoint", "last")
    weights, expected = (load_file(f / "model.safetensors") for f in (output, trained))
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_a_full_disk_is_a_sentence(train, trained, tmp_path):
    flags = ("--dataset_name", SAMPLE, "--max_train_samples", 50, "--synthetic", False, *SMALL)
    flags += ("--numbers", False, "--max_steps", 1, "--save_strategy", "steps", "--save_steps", 1)
    full = train(*flags, "--output_dir", tmp_path / "full", file_size=1_000_000, status=1)
    assert re.search(r"^train.py: A checkpoint could not be written to .*", full.stderr, re.M)


def test_validation_split_is_disjoint_complete_and_seeded():
    dataset = to_tensors(load_splits(str(SAMPLE))["train"], "image", "label")
    training, validation = carve_validation(dataset, 0.1, seed=1)
    assert len(training) == 900 and len(validation) == 100
    rows = {image.numpy().tobytes() for part in (training, validation) for image in part.images}
    assert rows == {image.numpy().tobytes() for image in dataset.images}
    assert torch.equal(carve_validation(dataset, 0.1, seed=1)[1].labels, validation.labels)
    assert not torch.equal(carve_validation(dataset, 0.1, seed=2)[1].labels, validation.labels)


def test_augmentation_changes_each_digit_differently_and_keeps_its_range(pixels):
    one_digit = (torch.from_numpy(pixels[0]) / 255).expand(16, 1, 28, 28).contiguous()

    def augment(strength: float) -> torch.Tensor:
        torch.manual_seed(0)
        return Augmentation()(one_digit, strength)

    changed, weaker, unchanged = map(augment, (1, 0.5, 0))
    assert changed.shape == one_digit.shape and changed.min() >= 0 and changed.max() <= 1
    assert len({image.numpy().tobytes() for image in changed}) == 16
    assert (weaker - one_digit).abs().mean() < 0.75 * (changed - one_digit).abs().mean()
    torch.testing.assert_close(unchanged, one_digit, atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Datasets that cannot be used, a folder of a finished run, and one of an interrupted run."""
    folder = tmp_path_factory.mktemp("odd")
    image, digit = encode(PILImage.new("L", (28, 28))), ClassLabel(names=list("0123456789"))

    def save(name, labels, kind=digit, columns=("image", "label"), second=image):
        images = [{"bytes": file, "path": None} for file in (image, second)]
        data = dict(zip(columns, (images, labels), strict=True))
        dataset = Dataset.from_dict(data, Features(zip(columns, (Image(), kind), strict=True)))
        for split in ("train", "test"):
            dataset.to_parquet(folder / name / f"{split}.parquet")

    save("letters", [3, 11], Value("int64"))
    save("clothes", [0, 1], ClassLabel(names=["shirt", "boot"]))
    save("columns", [3, 1], columns=("picture", "digit"))
    save("corrupted", [3, 4], second=image[:45])
    for file in ("trained/train_results.json", f"run/checkpoint-1/{EMA_FILE}"):
        (folder / file).parent.mkdir(parents=True)
        (folder / file).touch()
    return folder


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--dataset_name {odd}/columns", "no column 'image', only picture, digit"),
        ("--dataset_name {odd}/letters --image_column_name label", "not images"),
        ("--dataset_name {odd}/letters", "from 0 to 9; the column 'label' also holds 11"),
        ("--dataset_name {odd}/clothes", "from 0 to 9; the column 'label' also holds boot, shirt"),
        ("--dataset_name {odd}/corrupted", "Image 1 .* cannot be read"),
        ("", "no dataset 'ylecun/mnist' in reach.* Without network, give the folder of a local"),
        ("--dataset_name {sample} --max_train_samples 3 --train_val_split 0.1", "one part empty"),
        ("--output_dir {odd}", "holds something else"),
        ("--output_dir {odd}/run", "holds an interrupted run"),
        ("--resume_from_checkpoint last", "holds no checkpoint"),
        ("--resume_from_checkpoint {odd}", "no folder of a checkpoint"),
        ("--eval_strategy epoch", "--train_val_split 0.1"),
        ("--train_val_split 1.5", "is a fraction"),
        ("--conv_channels 8 8 8 8 8", "--conv_channels .* one to four stages"),
        ("--do_eval", "--model_name_or_path model"),
        ("--do_eval --model_name_or_path model --output_dir {odd}/trained", "a trained model"),
        ("--do_eval --dataset_name {sample} --model_name_or_path {odd}", "cannot be loaded"),
        ("--model_name_or_path /nope", "/nope: There is no such folder"),
        ("--report_to tensorboard", "--report_to: .* tensorboard to be installed"),
        (
            "--dataset_name {sample} --max_train_samples 9 --max_steps 3 --learning_rate 1e30",
            "diverged",
        ),
    ],
)
def test_bad_input_is_a_sentence_and_overwrites_nothing(odd, tmp_path, argv, arguments, sentence):
    before = sorted(odd.rglob("*"))
    words = arguments.format(odd=odd, sample=SAMPLE).split()
    argv("--use_cpu", "--output_dir", tmp_path / "output", *words)
    with pytest.raises((InputError, OSError), match=f"(?s){sentence}"):
        main()
    assert sorted(odd.rglob("*")) == before


def test_a_run_that_ended_before_its_first_checkpoint_can_be_started_again(tmp_path, argv):
    """It has removed the metrics of the run before."""
    (tmp_path / "run.json").touch()
    (tmp_path / "model.safetensors").touch()
    argv("--use_cpu", "--output_dir", tmp_path)
    assert parse_arguments("").output_dir == str(tmp_path)


def test_an_unknown_flag_is_told_before_anything_slow_is_imported():
    command = [sys.executable, "-X", "importtime", ROOT / "train.py", "--max_step", "5"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and not re.search(r"\| +(torch|transformers)$", done.stderr, re.M)
    assert done.stderr.endswith(": unknown flag; did you mean --max_steps?\n")
    for flag, meant in (("--epochs=3", "num_train_epochs"), ("--no-augmnt", "no_augment")):
        with pytest.raises(InputError, match=rf"did you mean --{meant}\?"):
            check_flags([flag])
    assert sorted(flag_names()) == sorted(f.name for f in fields(MnistTrainingArguments) if f.init)


def test_help_tells_of_the_flags_of_this_project_first_and_channels_are_split(argv, capsys):
    argv("--conv_channels", "32,64")
    with pytest.raises(SystemExit):
        parse_arguments("")
    assert "separate with spaces: 32 64\n" in capsys.readouterr().err
    argv("--help")
    with pytest.raises(SystemExit):
        parse_arguments("")
    own, inherited = capsys.readouterr().out.split("\nflags of transformers' TrainingArguments:\n")
    assert {"train_val_split", "num_train_epochs", "no_augment"} <= set(re.findall(r"--(\w+)", own))
    assert re.search(r"--no_augment, .*\n? +Leave out what --augment does\.", own)
    told = set(re.findall(r"^  --(\w+)", inherited, re.M))
    assert {"max_steps", "bf16", "push_to_hub"} <= told and "learning_rate" not in told


def test_the_command_that_is_published_names_no_folder_of_this_machine(argv, monkeypatch):
    argv("--dataset_name=../tests/", "--model_name_or_path", "user/mnist-cnn", "--seed", 1)
    monkeypatch.chdir(ROOT / "docs")
    expected = "train.py --dataset_name=tests --model_name_or_path user/mnist-cnn --seed 1"
    assert command_line(processes=1) == f"python {expected}"
