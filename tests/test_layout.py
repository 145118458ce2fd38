"""The repository's layout: who may import whom, and what the root holds."""

import ast
from pathlib import Path

import pytest

from conftest import ROOT

PUSHED = {"image_processing_mnist", "modeling_mnist", "pipeline_mnist"}
DOORS = PUSHED | {"app", "train"}
EVERYONE = {"tests", "benchmarks", "scripts", "ui", "training", *DOORS}
# What each may import of the repository. Tests import each other by their bare names.
ALLOWED = {
    **dict.fromkeys(PUSHED, frozenset()),
    "app": PUSHED | {"ui"},
    "ui": PUSHED | {"ui"},
    "train": PUSHED | {"training"},
    "training": PUSHED | {"training"},
    "scripts": PUSHED | {"scripts", "training"},
    "benchmarks": EVERYONE - {"tests"},
    "tests": EVERYONE,
}
FILES = [
    file
    for file in sorted(ROOT.rglob("*.py"))
    if file.relative_to(ROOT).parts[0].removesuffix(".py") in EVERYONE
]


def imported(file: Path) -> set[str]:
    """The first names of the absolute imports anywhere in a file, and "." for a relative one."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            names.add("." if node.level else node.module.split(".")[0])
        elif isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_only_what_it_may(file):
    owner = file.relative_to(ROOT).parts[0].removesuffix(".py")
    assert imported(file) & (EVERYONE | {"."}) <= ALLOWED[owner]


def test_the_root_holds_what_people_open():
    assert {file.stem for file in ROOT.glob("*.py")} <= DOORS


def test_folders_need_no_init_files():
    assert list(ROOT.glob("[a-z]*/**/__init__.py")) == []
