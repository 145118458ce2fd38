"""What README.md says is true, and what is required is pinned."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import fields
from importlib.metadata import packages_distributions

import pytest
from huggingface_hub import RepoCard, SpaceCardData
from PIL import Image, ImageSequence

from conftest import ROOT
from train import main
from training.arguments import MnistTrainingArguments
from training.model_card import write_model_card

README = (ROOT / "README.md").read_text()
MEASURED = json.loads((ROOT / "model" / "eval_results.json").read_text())
PINS = dict(
    re.findall(r"^([\w-]+)(?:\[\w+\])?==([\w.]+)", (ROOT / "requirements.txt").read_text(), re.M)
)


def test_front_matter_is_a_space_that_builds():
    card = SpaceCardData(**RepoCard(README).data.to_dict())
    assert card.sdk == "gradio" and (ROOT / card.app_file).is_file()
    assert card.sdk_version == PINS["gradio"]  # or the Space's build fails
    assert len(card.short_description) <= 60
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {card.colorFrom, card.colorTo} <= colours


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned(name):
    for line in (ROOT / name).read_text().splitlines():
        assert re.match(r"#|-r requirements.txt$|[\w-]+(\[\w+\])?==[\w.]+( #|$)", line), line


def test_what_the_code_imports_is_required_and_nothing_else():
    names, packages = set(), packages_distributions()
    for file in (*ROOT.glob("*.py"), *ROOT.glob("ui/*.py"), *ROOT.glob("training/*.py")):
        names.update(re.findall(r"^ *(?:import|from) (\w+)", file.read_text(), re.M))
    assert {packages[name][0] for name in names & packages.keys()} == PINS.keys()


def test_the_video_is_short_and_light():
    file = ROOT / "docs" / "demo.webp"
    with Image.open(file) as video:
        milliseconds = sum(frame.info["duration"] for frame in ImageSequence.all_frames(video))
    assert milliseconds < 45_000 and file.stat().st_size <= 10**6


@pytest.mark.parametrize("page", ["README", "docs/results", "docs/performance", "docs/corrections"])
def test_every_link_to_a_file_leads_somewhere(page):
    file = ROOT / f"{page}.md"
    links = re.findall(r"\]\((?!http|#)([^)]+)\)", file.read_text())
    assert links
    assert [link for link in links if not file.parent.joinpath(link).exists()] == []


def test_its_first_snippet_reads_what_it_says(run_code):
    assert f"pip install torch=={PINS['torch']} " in README
    snippet = re.search(r"```python\n(.*?)```", README, re.S)[1]
    printed = run_code(snippet, cwd=ROOT)[-2:]
    for line, comment in zip(printed, re.findall(r"#(.*?[47]')", snippet), strict=True):
        assert line.startswith(comment.strip())


def test_is_short():
    assert len(README.splitlines()) <= 150 and len(README.split()) <= 1700


def measured_rows() -> Iterator[tuple[str, str]]:
    """What README.md calls a figure of the released model, and the figure."""
    yield "MNIST test, accuracy", f"{MEASURED['eval_accuracy']:.2%}"
    yield "MNIST test, loss (cross-entropy)", f"{MEASURED['eval_loss']:.4f}"
    yield "MNIST test, expected calibration error", f"{MEASURED['eval_calibration_error']:.2%}"
    for row in (ROOT / "model" / "benchmark.md").read_text().splitlines()[2:]:
        name, _, accuracy, _, _, taken, _, _, seeds = row[2:-2].split(" | ")
        yield name, f"{accuracy} | {seeds}"
        yield f"{name}, taken for a digit (confidence >= 0.5)", f"{taken} | {seeds}"
    for row in (ROOT / "model" / "numbers.md").read_text().splitlines()[2:]:
        name, _, right, *_, seeds = row[2:-2].split(" | ")
        yield f"numbers, {name}, wholly right", f"{right} | {seeds}"


def test_its_figures_are_those_that_were_measured_of_the_released_model():
    shown = dict(re.findall(r"^\| ([^|]+) \| ([\d.]+%? \|[^|]*) \| (?:yes|no)", README, re.M))
    measured = dict(measured_rows())
    assert len(shown) > 11 and {name for name in measured if "MNIST test" in name} <= shown.keys()
    # Of the loss and the calibration, the other seeds' are in no file.
    assert all(figure.startswith(measured[name]) for name, figure in shown.items())
    assert shown["MNIST test, accuracy"] == measured["MNIST"]


def test_its_results_are_those_of_the_defaults_of_today():
    """The released model is what the documented command trains, and docs/ have its figures."""
    run = json.loads((ROOT / "model" / "run.json").read_text())
    results = (ROOT / "docs" / "results.md").read_text()
    for field in fields(MnistTrainingArguments):
        if re.search("^(learning_rate|ema_|distillation_|final_|num_train_)", field.name):
            assert run["settings"][field.name] == field.default
    assert run["command"].removesuffix(" --disable_tqdm True") in results
    assert f"accuracy {MEASURED['eval_accuracy']:.2%}" in results
    assert f"loss (cross-entropy) {MEASURED['eval_loss']:.4f}" in results


def test_the_card_is_what_the_commands_write(tmp_path):
    folder = shutil.copytree(ROOT / "model", tmp_path / "model")
    (folder / "README.md").unlink()
    write_model_card(folder)
    assert (folder / "README.md").read_text() == (ROOT / "model" / "README.md").read_text()


def test_every_documented_flag_exists(argv, capsys):
    argv("--help")
    with pytest.raises(SystemExit, match="0"):
        main()
    exist = set(re.findall(r"--([a-z_0-9]+)", capsys.readouterr().out))
    training = README.split("## Train\n")[1].split("\n## ")[0]
    documented = set(re.findall(r"(?<![\w-])--([a-z_0-9]+)", training))
    assert {"bf16", "push_to_hub", "train_val_split"} <= documented
    assert documented <= exist | {"nproc_per_node"}  # torchrun's
