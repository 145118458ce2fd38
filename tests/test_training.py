"""train.py as a user runs it: it learns, writes what it should, resumes, and refuses bad input."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Image, Value
from matplotlib.transforms import Affine2D
from PIL import Image as PILImage
from safetensors.torch import load_file
from scipy import ndimage

from conftest import ROOT, SAMPLE, SHORT_RUN
from image_processing_mnist import MnistImageProcessor
from modeling_mnist import MnistConfig, MnistForImageClassification
from train import main
from training.arguments import MnistTrainingArguments, parse_arguments
from training.augmentation import Augmentation, views
from training.data import MnistDataset, carve_validation, load_splits, scale_pixels, to_tensors
from training.ema import EMA_FILE, ExponentialMovingAverage
from training.errors import InputError, flag_names
from training.evaluation import confusion_matrix
from training.model_card import command_line
from training.trainer import TEACHER_WEIGHT, MnistTrainer


def test_learns_to_classify_held_out_digits(trained, digits):
    """60 steps on 630 images; the 300 test images, classified by the saved model, are the judge."""
    model = MnistForImageClassification.from_pretrained(trained).eval()
    processor = MnistImageProcessor.from_pretrained(trained)
    images, labels = digits
    logits = model(processor(images, return_tensors="pt")["pixel_values"]).logits
    assert (logits.argmax(1).numpy() == labels).mean() > 0.85

    history = json.loads((trained / "trainer_state.json").read_text())["log_history"]
    losses = [entry["eval_loss"] for entry in history if "eval_loss" in entry]
    assert losses[-1] < losses[0] / 2
    assert {"loss", "accuracy"} <= history[0].keys()
    assert [entry["step"] for entry in history if "eval_accuracy" in entry][:3] == [20, 40, 60]


def test_writes_what_the_readme_promises_and_what_is_measured_is_what_is_saved(trained):
    """The run's figures are those of the EMA, which is saved."""
    assert not list(trained.glob("*.bin"))  # a pickle of the arguments would hold the Hub token
    for name in ("learning_curves.png", "confusion_matrix.png"):
        with PILImage.open(trained / name) as plot:
            assert plot.width > 400
    results = (trained / f"{name}_results.json" for name in ("eval", "train"))
    measured, trained_by = (json.loads(file.read_text()) for file in results)
    assert trained_by["train_loss"] > 0 and 0 < measured["eval_accuracy"] <= 1
    assert {f"eval_accuracy_{digit}" for digit in range(10)} <= measured.keys()

    rows = load_splits(str(SAMPLE))["train"].select(range(700))
    _, validation = carve_validation(to_tensors(rows, "image", "label"), 0.1, seed=42)
    model = MnistForImageClassification.from_pretrained(trained).eval()
    batch = validation.__getitems__(list(range(70)))
    loss = model(scale_pixels(batch["pixel_values"]), batch["labels"]).loss.item()
    assert measured["eval_loss"] == pytest.approx(loss, rel=1e-4)


def test_killed_training_resumes_to_the_same_weights(python, train, trained, tmp_path, argv):
    """SIGKILL after the checkpoint of step 54 changes nothing in what step 60 ends with.

    Distillation has begun by then. Nor does half a checkpoint, or a disk that is full meanwhile.
    """
    output = tmp_path / "killed"
    arguments = ["--use_cpu", *SHORT_RUN, "--output_dir", output]
    process = python.popen([sys.executable, ROOT / "train.py", *arguments], cwd=tmp_path)
    while not (output / "checkpoint-54" / "ema.safetensors").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait(60)
    # As after a kill in the middle of a save: the newest checkpoint is there in part.
    unfinished = output / "checkpoint-60"
    shutil.rmtree(unfinished, ignore_errors=True)  # were it faster than the signal
    shutil.copytree(output / "checkpoint-54", unfinished)
    last = max(unfinished.iterdir(), key=lambda file: file.stat().st_mtime_ns)
    assert last.name == "ema.safetensors"
    last.unlink()
    os.truncate(unfinished / "optimizer.pt", 1000)

    argv(*arguments)
    with pytest.raises(InputError, match="holds an interrupted run"):  # nothing starts over it
        main()
    arguments += ["--resume_from_checkpoint", "last"]
    full = train(*arguments, file_size=1_000_000)  # enough for the model, not for the optimizer
    assert full.returncode == 1 and "Traceback" not in full.stderr
    assert re.search(r"^train.py: A checkpoint could not be written to .*", full.stderr, re.M)
    result = train(*arguments)
    assert result.returncode == 0, result.stderr
    weights, expected = (load_file(f / "model.safetensors") for f in (output, trained))
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_validation_split_is_disjoint_complete_and_seeded():
    dataset = to_tensors(load_splits(str(SAMPLE))["train"], "image", "label")
    training, validation = carve_validation(dataset, 0.1, seed=1)
    assert len(training) == 900 and len(validation) == 100
    rows = [{image.numpy().tobytes() for image in s.images} for s in (training, validation)]
    assert not rows[0] & rows[1]
    assert rows[0] | rows[1] == {image.numpy().tobytes() for image in dataset.images}
    assert torch.equal(carve_validation(dataset, 0.1, seed=1)[1].labels, validation.labels)
    assert not torch.equal(carve_validation(dataset, 0.1, seed=2)[1].labels, validation.labels)


def test_batches_are_scaled_reshaped_and_one_hot():
    images = torch.arange(2 * 784, dtype=torch.uint8).view(2, 28, 28)
    dataset = MnistDataset(images, torch.tensor([3, 9]))
    dataset.append(np.zeros((1, 28, 28), np.uint8), np.array([-1]))
    batch = dataset.__getitems__([1, 0, 2])
    assert batch["pixel_values"].shape == (3, 1, 28, 28)
    pixel_values = scale_pixels(batch["pixel_values"])
    assert pixel_values.dtype == torch.float32
    assert (pixel_values.min(), pixel_values.max()) == (0, 1)
    assert torch.equal((pixel_values[0, 0] * 255).round().byte(), images[1])
    expected = torch.stack([torch.eye(10)[9], torch.eye(10)[3], torch.full((10,), 0.1)])
    torch.testing.assert_close(batch["labels"], expected)
    assert dataset.num_added == 1


@pytest.fixture(scope="module")
def one_digit(digits) -> torch.Tensor:
    """The first test digit 16 times, (16, 1, 28, 28) 0-1."""
    pixels = torch.from_numpy(np.array(digits[0][0])) / 255
    return pixels.expand(16, 1, 28, 28).contiguous()


def test_augmentation_changes_each_digit_differently_and_keeps_its_range(one_digit):
    def augment(strength: float) -> torch.Tensor:
        torch.manual_seed(0)
        return Augmentation()(one_digit, strength)

    changed, weaker, unchanged = map(augment, (1, 0.5, 0))
    assert changed.shape == one_digit.shape and changed.min() >= 0 and changed.max() <= 1
    assert len({image.numpy().tobytes() for image in changed}) == 16
    assert (weaker - one_digit).abs().mean() < 0.75 * (changed - one_digit).abs().mean()
    torch.testing.assert_close(unchanged, one_digit, atol=1e-5, rtol=0)


def moved(image: PILImage.Image, change: Affine2D) -> PILImage.Image:
    """An image whose pixels lie, from the centre, where `change` takes those of the result."""
    to_image = Affine2D().translate(-14, -14) + change + Affine2D().translate(14, 14)
    matrix = to_image.get_matrix()[:2].ravel()
    return image.transform(
        image.size, PILImage.Transform.AFFINE, matrix, PILImage.Resampling.BILINEAR
    )


@pytest.fixture(scope="module")
def with_pen(digits) -> Callable[[float], PILImage.Image]:
    """The first test digit mixed with itself eroded (-1) to dilated (1), by scipy."""
    image = digits[0][0]
    thick, thin = (
        PILImage.fromarray(pen(np.asarray(image), size=3))
        for pen in (ndimage.grey_dilation, ndimage.grey_erosion)
    )
    return lambda change: PILImage.blend(image, thick if change > 0 else thin, abs(change))


def test_augmentation_rotates_shears_and_changes_the_pen_within_its_limits(one_digit, with_pen):
    """Each is, nearly, what Pillow, scipy and matplotlib make of an amount within the limits."""

    def rotated(degrees: float) -> PILImage.Image:
        return moved(with_pen(0), Affine2D().rotate_deg(degrees))

    def sheared(amount: float) -> PILImage.Image:
        return moved(with_pen(0), Affine2D([[1, amount, 0], [0, 1, 0], [0, 0, 1]]))

    nothing = dict(rotation=0, shear=0, scale=0, shift=0, thinner=0, thicker=0, elastic=0)
    for limits, low, high, make in (
        ({"rotation": 20}, -20, 20, rotated),
        ({"shear": 0.5}, -0.5, 0.5, sheared),
        ({"thinner": 0.4, "thicker": 0.6}, -0.4, 0.6, with_pen),
    ):
        torch.manual_seed(0)
        changed = Augmentation(**nothing | limits)(one_digit)[:, 0].numpy()
        amounts = np.linspace(low, high, 81)
        made = np.array([np.asarray(make(amount)) for amount in amounts]) / 255
        distances = abs(changed[:, None] - made).mean((2, 3))
        assert distances.min(1).max() < 0.005
        assert np.ptp(amounts[distances.argmin(1)]) > 0.6 * (high - low)


def test_views_are_rotated_and_scaled_with_a_thinner_or_thicker_pen(one_digit, with_pen):
    """Each view against Pillow's, scipy's and matplotlib's way of making it."""
    expected = (
        with_pen(0),
        moved(with_pen(0.4), Affine2D().rotate_deg(5).scale(1 / 1.08)),
        moved(with_pen(-0.3), Affine2D().rotate_deg(-5).scale(1 / 0.92)),
    )
    for view, other in zip(views(one_digit)[:, 0, 0].numpy(), expected, strict=True):
        np.testing.assert_allclose(view, np.asarray(other) / 255, atol=0.01)


def test_ema_follows_the_weights_by_its_decay():
    """Against the recurrence written out, with its warm-up; decay 0 is the weights themselves."""
    for decay in (0.0, 0.15):
        model = torch.nn.Linear(1, 1, bias=False)
        ema = ExponentialMovingAverage(model, decay)
        expected = None
        for step in range(4):
            torch.nn.init.constant_(model.weight, step + 1.0)
            ema.on_optimizer_step(None, None, None, model=model)
            kept = min(decay, (1 + step) / (10 + step))
            expected = step + 1.0 if step == 0 else kept * expected + (1 - kept) * (step + 1.0)
        assert ema.module.weight.item() == pytest.approx(expected)


class WatchedTrainer(MnistTrainer):
    """Counts what the teacher is asked, and notes the learning rate of each step."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.taught, self.rates, self.strengths, self.teachers = [], [], [], set()
        self.augmentation = self.note_strength

    def note_strength(self, pixel_values, strength):
        self.strengths.append(strength)
        return pixel_values

    def teacher_probabilities(self, pixel_values):
        self.taught.append(self.state.global_step)
        self.teachers.add(self.ema.teacher.dense.weight.sum().item())
        return super().teacher_probabilities(pixel_values)

    def training_step(self, *args):
        self.rates.append(self.optimizer.param_groups[0]["lr"])
        return super().training_step(*args)


def test_the_last_steps_distil_at_the_final_strength_and_a_rate_that_rises_again(tmp_path):
    dataset = to_tensors(load_splits(str(SAMPLE))["test"], "image", "label")
    arguments = MnistTrainingArguments(
        output_dir=str(tmp_path), use_cpu=True, max_steps=40, save_strategy="no",
        distillation_share=0.5, final_strength=0.2, per_device_train_batch_size=8,
    )  # fmt: skip
    trainer = WatchedTrainer(
        model=MnistForImageClassification(MnistConfig(conv_channels=[4])),
        args=arguments, train_dataset=dataset, data_collator=lambda batch: batch,
    )  # fmt: skip
    trainer.train()
    assert trainer.taught == list(range(20, 40)) and len(trainer.teachers) == 1
    expected = [1 - 0.8 * min(step / 20, 1) for step in range(40)]
    assert trainer.strengths == pytest.approx(expected)
    first, again = trainer.rates[:20], trainer.rates[20:]
    assert max(first) == pytest.approx(3e-3) and max(again) == pytest.approx(1e-3)
    assert first[19] < 1e-4 and again[19] < 1e-4 and again[2] > 5e-4


def test_the_target_leans_on_the_teachers_mean_over_views(one_digit, tmp_path):
    dataset = MnistDataset((one_digit[:, 0] * 255).byte(), torch.full((16,), 7))
    arguments = MnistTrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    model = MnistForImageClassification(MnistConfig(conv_channels=[4], dropout=0))
    trainer = MnistTrainer(model=model, args=arguments, train_dataset=dataset)
    trainer.state.global_step = trainer.ema.teacher_from = 7
    with torch.no_grad():
        teacher = trainer.ema.module
        answers = [teacher(view).logits.softmax(1) for view in views(one_digit)]
        label = torch.eye(10)[7]
        target = TEACHER_WEIGHT * torch.stack(answers).mean(0) + (1 - TEACHER_WEIGHT) * label
        logits = model.train()(one_digit).logits
        expected = -(target * logits.log_softmax(1)).sum(1).mean()
        actual = trainer.compute_loss(model, dataset.__getitems__(list(range(16))))
    torch.testing.assert_close(actual, expected)


def test_confusion_matrix_counts_true_by_predicted():
    matrix = confusion_matrix(np.array([3, 3, 9]), np.array([3, 5, 9]))
    assert matrix[3, 3] == matrix[3, 5] == matrix[9, 9] == 1 and matrix.sum() == 3


@pytest.fixture(scope="module")
def odd_datasets(tmp_path_factory):
    """Datasets that cannot be used, a folder of a finished run, and a checkpoint of another."""
    folder = tmp_path_factory.mktemp("odd")
    image, digit = PILImage.new("L", (28, 28)), ClassLabel(names=list("0123456789"))

    def save(name, labels, kind=digit, columns=("image", "label"), second=image):
        data = dict(zip(columns, ([image, second], labels), strict=True))
        features = Features(zip(columns, (Image(), kind), strict=True))
        for split in ("train", "test"):
            dataset = Dataset.from_dict(data, features=features)
            dataset.to_parquet(folder / name / f"{split}.parquet")

    save("letters", [3, 11], Value("int64"))
    save("columns", [3, 1], columns=("picture", "digit"))
    save("clothes", [0, 1], ClassLabel(names=["shirt", "boot"]))
    save("nameless", [3, -1])
    save("none", [3, 4], second=None)
    for split in ("train", "test"):
        whole, corrupted = (folder / "corrupted" / split / digit / "a.png" for digit in "34")
        whole.parent.mkdir(parents=True)
        image.save(whole)
        corrupted.parent.mkdir()
        corrupted.write_bytes(whole.read_bytes()[:45])
    (folder / "trained").mkdir()
    (folder / "trained" / "train_results.json").touch()
    checkpoint = folder / "run" / "checkpoint-1"
    checkpoint.mkdir(parents=True)
    (checkpoint / EMA_FILE).touch()
    return folder


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--dataset_name {odd}/columns", "no column 'image', only picture, digit"),
        ("--dataset_name {odd}/letters --image_column_name label", "not images"),
        ("--dataset_name {odd}/letters", "from 0 to 9; the column 'label' also holds 11"),
        ("--dataset_name {odd}/clothes", "from 0 to 9; the column 'label' also holds boot, shirt"),
        ("--dataset_name {odd}/nameless", "from 0 to 9; the column 'label' also holds None"),
        ("--dataset_name {odd}/corrupted", "Image 1 .* cannot be read"),
        ("--dataset_name {odd}/none --do_train", "Image 1 .* cannot be read"),
        ("", "no dataset 'ylecun/mnist' in reach.* Without network, give the folder of a local"),
        ("--dataset_name {odd}/nowhere", "no dataset .* in reach.* --dataset_name path/to/mnist"),
        ("--dataset_name {odd}/letters --output_dir {odd}", "holds something else"),
        ("--output_dir {odd}/letters/train.parquet", "is a file. Name a folder"),
        ("--output_dir {odd}/letters/train.parquet/a", "Not a directory: .*train.parquet"),
        ("--resume_from_checkpoint last", "holds no checkpoint"),
        ("--resume_from_checkpoint {odd}/run/checkpoint-1 --output_dir {odd}", "something else"),
        ("--resume_from_checkpoint {odd}", "no folder of a checkpoint"),
        ("--eval_strategy epoch", "--train_val_split 0.1"),
        ("--train_val_split 1.5", "is a fraction"),
        ("--train_val_split 0.1 --max_eval_samples 5", "Choose a smaller fraction"),
        ("--do_eval", "--model_name_or_path model"),
        ("--do_eval --model_name_or_path model --output_dir {odd}/trained", "a trained model"),
        ("--model_name_or_path /nope", "/nope: There is no such folder"),
        ("--seed -1", "--seed is a whole number from 0"),
        ("--dropout 2", "--dropout"),
        ("--distillation_share 1", "--distillation_share is a fraction"),
        (
            "--lr_scheduler_type reduce_lr_on_plateau --eval_strategy epoch --train_val_split 0.1",
            "--distillation_share 0",
        ),
        ("--final_strength 2", "--final_strength is"),
        ("--conv_channels 8 8 8 8 8", "--conv_channels .* one to four stages"),
        ("--dataset_name {sample} --max_train_samples 3 --train_val_split 0.1", "one part empty"),
        ("--do_eval --dataset_name {sample} --model_name_or_path {odd}", "cannot be loaded"),
    ],
)
def test_bad_input_is_a_sentence_and_overwrites_nothing(
    odd_datasets, tmp_path, argv, arguments, sentence
):
    before = sorted(odd_datasets.rglob("*"))
    words = arguments.format(odd=odd_datasets, sample=SAMPLE).split()
    argv("--use_cpu", "--output_dir", tmp_path / "output", *words)
    with pytest.raises((InputError, OSError)) as raised:
        main()
    assert re.search(sentence, str(raised.value).replace("\n", " "))
    assert sorted(odd_datasets.rglob("*")) == before


def test_a_run_that_ended_before_its_first_checkpoint_can_be_started_again(tmp_path, argv):
    """It has removed the metrics of the run before."""
    (tmp_path / "run.json").touch()
    (tmp_path / "model.safetensors").touch()
    argv("--use_cpu", "--output_dir", tmp_path)
    assert parse_arguments("").output_dir == str(tmp_path)


def test_a_dataset_that_is_not_in_reach_is_a_sentence_and_no_traceback(train):
    result = train("--dataset_name", "user/nowhere")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    sentence = r"^train.py: .*'user/nowhere'.* Without network, give the"
    assert re.search(sentence, result.stderr, re.M)


MEANT = {"--max_step": "max_steps", "--epochs=3": "num_train_epochs", "--no-augmnt": "no_augment"}


@pytest.mark.parametrize(("flag", "meant"), MEANT.items())
def test_an_unknown_flag_is_told_before_anything_slow_is_imported(flag, meant):
    command = [sys.executable, "-X", "importtime", ROOT / "train.py", flag, "5"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and not re.search(r"\| +(torch|transformers)$", done.stderr, re.M)
    assert done.stderr.endswith(f": unknown flag; did you mean --{meant}?\n")


def test_the_flags_that_are_known_early_are_those_that_there_are():
    own = list(MnistTrainingArguments.__annotations__)
    assert flag_names()[: len(own)] == own
    assert sorted(flag_names()) == sorted(f.name for f in fields(MnistTrainingArguments) if f.init)


def test_channels_with_commas_are_told_to_be_separated_with_spaces(argv, capsys):
    argv("--conv_channels", "32,64")
    with pytest.raises(SystemExit):
        parse_arguments("")
    told = "--conv_channels/--conv-channels: separate with spaces: 32 64\n"
    assert told in capsys.readouterr().err


def test_help_tells_of_the_flags_of_this_project_first(argv, capsys):
    argv("--help")
    with pytest.raises(SystemExit):
        parse_arguments("")
    own, inherited = capsys.readouterr().out.split("\nflags of transformers' TrainingArguments:\n")
    assert {"train_val_split", "num_train_epochs", "no_augment"} <= set(re.findall(r"--(\w+)", own))
    assert re.search(r"--no_augment, .*\n? +Leave out what --augment does\.", own)
    told = set(re.findall(r"^  --(\w+)", inherited, re.M))
    assert {"max_steps", "bf16", "push_to_hub"} <= told and "learning_rate" not in told


def test_no_folder_of_this_machine_is_published(trained, argv, monkeypatch):
    for file in filter(Path.is_file, trained.iterdir()):
        assert str(ROOT).encode() not in file.read_bytes(), file
        assert str(trained.parent).encode() not in file.read_bytes(), file
    assert "--dataset_name mnist --" in (trained / "README.md").read_text()
    argv("--dataset_name=../tests/", "--model_name_or_path", "user/mnist-cnn", "--seed", 1)
    monkeypatch.chdir(ROOT / "docs")
    expected = "train.py --dataset_name=tests --model_name_or_path user/mnist-cnn --seed 1"
    assert command_line(processes=1) == f"python {expected}"


RUN_MODULE = f"""
import runpy, sys
sys.path.insert(0, {str(ROOT)!r})
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("name", ["robustness", "whole_numbers"])
def test_a_benchmark_without_data_is_a_sentence(python, tmp_path, name):
    (tmp_path / "run.py").write_text(RUN_MODULE)
    done = python.run(tmp_path / "run.py", f"benchmarks.{name}", "--dataset_name", "/nope")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"benchmarks.{name}: There is no dataset '/nope' in reach" in done.stderr
