"""What README.md says is true: its front matter, commands, flags, files and pins."""

import ast
import json
import re
import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest
from huggingface_hub import RepoCard, SpaceCardData

from conftest import ROOT

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
    for file in ROOT.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                imported.add(node.module.split(".")[0])
            elif isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
    packages = packages_distributions()
    assert {packages[name][0] for name in imported & packages.keys()} == PINS.keys()


def test_every_link_to_a_file_leads_somewhere():
    links = re.findall(r"\]\((?!http|#)([^)]+)\)", README)
    assert len(links) > 5
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_its_figures_are_those_that_were_measured_of_the_shipped_model():
    measured = json.loads((ROOT / "model" / "eval_results.json").read_text())
    calibration_error = 100 * measured["eval_calibration_error"]
    for figure in (
        f"| accuracy | {100 * measured['eval_accuracy']:.2f} % |",
        f"| loss (cross-entropy) | {measured['eval_loss']:.4f} |",
        f"| expected calibration error, 15 bins | {calibration_error:.2f} % |",
    ):
        assert figure in README
    benchmark = (ROOT / "model" / "benchmark.md").read_text().splitlines()
    assert set(benchmark) <= set((ROOT / "model" / "README.md").read_text().splitlines())
    shown = README.split("| pictures |")[1].split("\n\n")[0].splitlines()[2:]
    assert len(shown) > 15
    without_blank = {row.rpartition(" | ")[0] + " |" for row in benchmark}  # its last column
    assert [row for row in shown if row not in without_blank] == []


@pytest.fixture(scope="module")
def help_text() -> str:
    command = [sys.executable, ROOT / "train.py", "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_every_documented_flag_exists(help_text):
    training = README.split("## Train it")[1].split("\n## ")[0]
    training = re.sub(r"--(nproc_per_node|nnodes)\b", "", training)  # torchrun's
    documented = set(re.findall(r"(?<![\w-])--([a-z_0-9]+)", training))
    assert {"bf16", "push_to_hub", "train_val_split"} <= documented
    assert documented <= set(re.findall(r"--([a-z_0-9]+)", help_text))
