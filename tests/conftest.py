"""What the tests share: the sample of MNIST, a training run, the Hub, a running app, a browser."""

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from textwrap import dedent
from types import SimpleNamespace

# Nothing here may need, or wait for, a network, or find what a person has downloaded before, or
# their token.
os.environ.pop("HF_TOKEN", None)
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HOME"] = mkdtemp()
os.environ["OMP_NUM_THREADS"] = "1"  # tests run two at a time

import numpy as np
import pytest
from datasets import load_dataset
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from hub import Hub, serve
from image_processing_mnist import MnistImageProcessor
from modeling_mnist import MnistForImageClassification, load_pretrained
from scripts.browser import launch_chromium
from scripts.serve import serve_app
from warm import warm_python

expect.set_options(timeout=60_000)  # milliseconds: a busy machine is slow, not wrong

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "tests" / "mnist"


flags = str.split
SMALL = flags("--conv_channels 24 48 64 --line_channels 8 16 24 32 --lines_per_image 1")
SHORT = flags("""
    --max_train_samples 700 --train_val_split 0.1 --max_steps 60 --per_device_train_batch_size 64
    --eval_strategy steps --eval_steps 20 --logging_steps 10 --save_strategy steps --save_steps 54
""")
SHORT_RUN = ("--dataset_name", SAMPLE, *SHORT, *SMALL)
ONLINE = {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}  # for processes that use hub.py
NO_NETWORK = {"HTTP_PROXY": "http://127.0.0.1:9"}  # nothing listens there
LONGEST = ("test_hub", "test_app", "test_corrections", "test_training", "test_ink_finder")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files start first: then both processes end at about the same time."""
    items.sort(key=lambda item: [*LONGEST, item.path.stem].index(item.path.stem))


@pytest.fixture(scope="session")
def digits() -> tuple[list, np.ndarray]:
    """The sample's 300 test images, as PIL, and their labels (300,)."""
    split = load_dataset(str(SAMPLE), split="test")
    return list(split["image"]), np.array(split["label"])


@pytest.fixture(scope="session")
def pixels(digits) -> np.ndarray:
    """The same images, (300, 28, 28) uint8."""
    return np.stack([np.asarray(image) for image in digits[0]])


@pytest.fixture(scope="session")
def processor() -> MnistImageProcessor:
    """The released one."""
    return MnistImageProcessor.from_pretrained(ROOT / "model")


@pytest.fixture(scope="session")
def model() -> MnistForImageClassification:
    """The released one."""
    return load_pretrained(str(ROOT / "model")).eval()


@pytest.fixture(scope="session")
def hub() -> Iterator[Hub]:
    """It has ylecun/mnist: the sample under tests/."""
    with serve({"hf_user": "user", "hf_read": "user:read"}) as hub:
        hub.add("datasets/ylecun/mnist", SAMPLE)
        yield hub


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> Path:
    """Where all is that the user of the Hub has, and that programs keep for them."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def python(hub, home) -> SimpleNamespace:
    """Runs scripts, as a user of the Hub."""
    folders = dict.fromkeys(("HOME", "HF_HOME", "XDG_CACHE_HOME", "TMPDIR"), str(home))
    return warm_python(HF_ENDPOINT=hub.url, **folders, **ONLINE)


@pytest.fixture(scope="session")
def run_code(python, tmp_path_factory) -> Callable[..., list[str]]:
    """Runs Python code where nothing of this repository can be imported -> the lines it prints."""

    def run(code: str, *arguments: str | Path, **options) -> list[str]:
        script = tmp_path_factory.mktemp("code") / "script.py"
        script.write_text(dedent(code))
        return python.run(script, *arguments, **options).stdout.splitlines()

    return run


@pytest.fixture
def argv(monkeypatch) -> Callable[..., None]:
    """Sets the command line of this process."""
    return lambda *words: monkeypatch.setattr(sys, "argv", ["train.py", *map(str, words)])


@pytest.fixture(scope="session")
def train(python) -> Callable:
    """Runs `python train.py` with these arguments."""
    return partial(python.run, ROOT / "train.py", "--use_cpu")


@pytest.fixture(scope="session")
def trained(train, tmp_path_factory) -> Path:
    """The output folder of a short but real training run on the sample."""
    output = tmp_path_factory.mktemp("trained") / "mnist-cnn"
    train(*SHORT_RUN, "--output_dir", output)
    return output


@pytest.fixture(scope="session")
def hf(python) -> Callable[..., None]:
    """Runs a command line of `hf`, in an empty folder unless told otherwise."""

    def run(command: str, cwd: Path | None = None, **environment: str) -> None:
        name, *words = shlex.split(command)
        assert name == "hf"
        python.run(Path(sys.executable).with_name(name), *words, cwd=cwd, **environment)

    return run


@pytest.fixture(scope="session")
def app_url(python) -> Iterator[str]:
    """The address of the app, started as `python app.py` with the shipped model."""
    with serve_app(popen=python.popen) as (url, _):
        yield url


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium, as the system has it; without it the test is skipped, in CI it fails."""
    with sync_playwright() as playwright:
        try:
            chromium = launch_chromium(playwright)
        except FileNotFoundError as error:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
        yield chromium


@pytest.fixture(scope="session")
def context(browser) -> BrowserContext:
    """Somebody who comes again: the browser need not fetch and compile the page's scripts anew."""
    return browser.new_context(permissions=["clipboard-read", "clipboard-write"])
