"""What README.md says is true: its front matter, commands, flags, files and pins."""

import ast
import json
import re
import shutil
import sys
from dataclasses import fields
from importlib.metadata import packages_distributions
from tempfile import NamedTemporaryFile

import pytest
from huggingface_hub import RepoCard, SpaceCardData
from PIL import Image

from conftest import ROOT
from train import main
from training.arguments import MnistTrainingArguments
from training.model_card import write_model_card

README = (ROOT / "README.md").read_text()
PINS = dict(
    re.findall(r"^([\w-]+)(?:\[\w+\])?==([\w.]+)", (ROOT / "requirements.txt").read_text(), re.M)
)


def test_front_matter_is_a_space_that_builds():
    data = RepoCard(README).data.to_dict()
    card = SpaceCardData(**data)
    assert card.sdk == "gradio"
    assert card.sdk_version == PINS["gradio"]  # or the Space's build fails
    assert (ROOT / card.app_file).is_file()
    assert card.datasets == ["ylecun/mnist"]
    assert len(data["short_description"]) <= 60
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {data["colorFrom"], data["colorTo"]} <= colours


def test_every_requirement_is_pinned():
    for name in ("requirements.txt", "requirements-dev.txt"):
        for line in (ROOT / name).read_text().splitlines():
            assert re.match(r"#|-r requirements.txt$|[\w-]+(\[\w+\])?==[\w.]+( #|$)", line), line


def test_what_the_code_imports_is_required_and_nothing_else():
    imported = set()
    for file in (*ROOT.glob("*.py"), *ROOT.glob("ui/*.py"), *ROOT.glob("training/*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                imported.add(node.module.split(".")[0])
            elif isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
    packages = packages_distributions()
    assert {packages[name][0] for name in imported & packages.keys()} == PINS.keys()


def test_the_video_is_short_and_light():
    video = ROOT / "docs" / "demo.webp"
    seconds = 0
    with Image.open(video) as opened:
        for frame in range(opened.n_frames):
            opened.seek(frame)
            opened.load()
            seconds += opened.info["duration"] / 1000
    assert seconds < 45 and video.stat().st_size <= 10**6


@pytest.mark.parametrize(
    "page",
    ["README.md", *(f"docs/{name}.md" for name in ("results", "performance", "corrections"))],
)
def test_every_link_to_a_file_leads_somewhere(page):
    links = re.findall(r"\]\((?!http|#)([^)]+)\)", (ROOT / page).read_text())
    assert links
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []


def test_its_first_snippet_reads_what_it_says(python):
    assert f"pip install torch=={PINS['torch']} " in README
    snippet = re.search(r"```python\n(.*?)```", README, re.S)[1]
    with NamedTemporaryFile("w", suffix=".py") as file:
        file.write(snippet)
        file.flush()
        done = python.run(file.name, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    digit, number = done.stdout.splitlines()[-2:]
    for printed, comment in zip((digit, number), re.findall(r"#(.*?[47]')", snippet), strict=True):
        assert printed.startswith(comment.strip())


def test_is_short():
    assert len(README.splitlines()) <= 150 and len(README.split()) <= 1700


def test_its_figures_are_those_that_were_measured_of_the_released_model():
    measured = json.loads((ROOT / "model" / "eval_results.json").read_text())
    for figure in (
        f"| MNIST test, accuracy | {measured['eval_accuracy']:.2%} |",
        f"| MNIST test, loss (cross-entropy) | {measured['eval_loss']:.4f} |",
        f"| MNIST test, expected calibration error | {measured['eval_calibration_error']:.2%} |",
    ):
        assert figure in README
    rows = (ROOT / "model" / "benchmark.md").read_text().splitlines()[2:]
    cells = [row.removeprefix("| ").split(" | ") for row in rows]
    accuracy, taken_for_digits = ({row[0]: row[column] for row in cells} for column in (2, 5))
    rows = (ROOT / "model" / "numbers.md").read_text().splitlines()[2:]
    wholly_right = {row[0]: row[2] for row in (row[2:].split(" | ") for row in rows)}
    shown = dict(re.findall(r"^\| ([^|]+) \| ([\d.]+%) \| (?:yes|no)", README, re.M))
    assert len(shown) > 8
    for name, figure in shown.items():
        if name.startswith("MNIST test"):
            continue
        if name.startswith("numbers, "):
            kind = name.removeprefix("numbers, ").removesuffix(", wholly right")
            assert figure == wholly_right[kind]
            continue
        kind, non_digits = re.subn(r", taken for a digit \(confidence >= 0.5\)$", "", name)
        assert figure == (taken_for_digits if non_digits else accuracy)[kind], name


def test_its_results_are_those_of_the_defaults_of_today():
    """The released model is what the documented command trains, and docs/ have its figures."""
    settings = json.loads((ROOT / "model" / "run.json").read_text())["settings"]
    results = (ROOT / "docs" / "results.md").read_text()
    defaults = {field.name: field.default for field in fields(MnistTrainingArguments)}
    flags = {
        "learning_rate",
        "ema_decay",
        "distillation_share",
        "final_strength",
        "num_train_epochs",
    }
    assert {name: settings[name] for name in flags} == {name: defaults[name] for name in flags}
    command = json.loads((ROOT / "model" / "run.json").read_text())["command"]
    assert command.removesuffix(" --disable_tqdm True") in results
    measured = json.loads((ROOT / "model" / "eval_results.json").read_text())
    assert f"accuracy {measured['eval_accuracy']:.2%}" in results
    assert f"loss (cross-entropy) {measured['eval_loss']:.4f}" in results


def test_the_card_is_what_the_commands_write(tmp_path):
    folder = shutil.copytree(ROOT / "model", tmp_path / "model")
    (folder / "README.md").unlink()
    write_model_card(folder)
    written = (ROOT / "model" / "README.md").read_text()
    assert (folder / "README.md").read_text() == written
    for table in ("benchmark.md", "numbers.md"):
        assert (ROOT / "model" / table).read_text().strip() in written
    # Whatever it is rendered from is in it: another figure would change it.
    results = json.loads((folder / "eval_results.json").read_text())
    results["eval_accuracy"] = 0.5
    (folder / "eval_results.json").write_text(json.dumps(results))
    write_model_card(folder)
    assert "| accuracy | 50.00% |" in (folder / "README.md").read_text()


def test_every_documented_flag_exists(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train.py", "--help"])
    with pytest.raises(SystemExit, match="0"):
        main()
    help_text = capsys.readouterr().out
    training = README.split("## Train\n")[1].split("\n## ")[0]
    training = re.sub(r"--(nproc_per_node|nnodes)\b", "", training)  # torchrun's
    documented = set(re.findall(r"(?<![\w-])--([a-z_0-9]+)", training))
    assert {"bf16", "push_to_hub", "train_val_split"} <= documented
    assert documented <= set(re.findall(r"--([a-z_0-9]+)", help_text))
