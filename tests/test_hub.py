"""The whole way over HTTP, with the real clients: train, push, load elsewhere, serve, go wrong.

The Hub is `hub.py`, on localhost. Each client is a process of its own. Those that load the model
have an empty HF_HOME and run in an empty folder, where nothing of this repository can be imported.
"""

import json
import re
import sys
import textwrap
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from gradio_client import Client, handle_file
from safetensors.torch import load_file

from conftest import ONLINE, ROOT, SAMPLE, SMALL
from hub import add_repo
from image_processing_mnist import MnistImageProcessor
from modeling_mnist import MnistForImageClassification
from scripts.serve import serve_app
from training.arguments import has_bf16

SHORT = (
    *("--max_steps", "5", "--max_train_samples", "200", "--per_device_train_batch_size", "32"),
    *("--disable_tqdm", "True"),
)


@pytest.fixture(scope="module")
def push(train_online, tmp_path_factory):
    """`python train.py --push_to_hub`, a short run, whose exit status is as told."""

    def run(*arguments, model_id="user/mnist-cnn", token=None, output=None, status=0):
        output = output or tmp_path_factory.mktemp("output") / "mnist-cnn"
        flags = ("--push_to_hub", "--hub_model_id", model_id, "--output_dir", output, *SHORT)
        done = train_online(*flags, *arguments, **({"HF_TOKEN": token} if token else {}))
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def output(push, tmp_path_factory) -> Path:
    """The folder of a run in bfloat16 that was pushed to user/mnist-cnn, the token as a flag."""
    folder = tmp_path_factory.mktemp("run") / "mnist-cnn"
    done = push("--bf16", "--hub-token", "hf_user", output=folder)
    assert "Pushed: " in done.stdout
    assert ("CPU has no bfloat16" in done.stderr) == (not has_bf16())
    return folder


@pytest.fixture
def faults(hub):
    """Makes the Hub fail: `faults(commit=[503])` answers the next commit with a 503."""

    def plan(**statuses: list[int]) -> None:
        urllib.request.urlopen(f"{hub}/_faults", data=json.dumps(statuses).encode())

    yield plan
    plan()


@pytest.fixture(scope="module")
def digit(digits, tmp_path_factory) -> Path:
    """A file with a test digit."""
    path = tmp_path_factory.mktemp("digit") / "digit.png"
    digits[0][0].save(path)
    return path


def commits(root: Path, repo: str) -> list[str]:
    return (root / repo / "log").read_text().splitlines()


LOAD = """
    import json, sys
    from transformers import (
        AutoConfig, AutoImageProcessor, AutoModelForImageClassification, pipeline
    )
    name, path, *revisions = "user/mnist-cnn", *sys.argv[1:]
    for revision in revisions:
        options = {"trust_remote_code": True, "revision": revision}
        processor = AutoImageProcessor.from_pretrained(name, **options)
        model = AutoModelForImageClassification.from_pretrained(name, **options)
        assert AutoConfig.from_pretrained(name, **options).id2label[7] == "7"
        logits = model.eval()(processor(path, return_tensors="pt")["pixel_values"]).logits
        scores = pipeline("image-classification", model=name, **options)(path, top_k=10)
        assert {score["label"] for score in scores} == set("0123456789")
        print(json.dumps([logits[0].tolist(), scores[0]["label"]]))
"""


def test_round_trip(hub, root, client, output, digit, tmp_path):
    """Pushed, then loaded elsewhere by name, by commit and offline: the same logits each time."""
    script = tmp_path / "load.py"
    script.write_text(textwrap.dedent(LOAD))
    sha = (root / "models/user/mnist-cnn/main").resolve().name
    home = tmp_path / "home"
    online = client(sys.executable, script, digit, "main", sha, home=home)
    offline = client(sys.executable, script, digit, "main", home=home, HF_HUB_OFFLINE="1")
    printed = [*online.stdout.splitlines()[-2:], offline.stdout.splitlines()[-1]]
    answers = list(map(json.loads, printed))
    assert answers[0] == answers[1] == answers[2]

    # The same file, read by the classes of this repository from the folder of the run.
    pixel_values = MnistImageProcessor()(digit, return_tensors="pt")["pixel_values"]
    logits = MnistForImageClassification.from_pretrained(output).eval()(pixel_values).logits[0]
    assert answers[0][0] == pytest.approx(logits.tolist(), abs=1e-5)

    # The app uses the classes beside it: it never executes code from the Hub.
    environment = {"MODEL_ID": "user/mnist-cnn", "HF_ENDPOINT": hub, **ONLINE}
    with serve_app(tmp_path / "log", HF_HOME=str(tmp_path / "app"), **environment) as (url, _):
        answer = Client(url, verbose=False).predict(handle_file(digit), api_name="/predict")
    assert answer["label"] == answers[0][1]
    assert not list((tmp_path / "app").rglob("modeling_mnist.py"))


def test_two_processes_train_one_model_and_push_it_once(root, client, tmp_path, digits):
    """`torchrun`, gloo on CPUs: as good as one process, and every file written by one of them."""
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    output = tmp_path / "mnist-cnn"
    result = client(
        *(*torchrun, ROOT / "train.py", "--use_cpu", "--max_steps", "60", *SMALL),
        *("--per_device_train_batch_size", "64", "--output_dir", output, "--disable_tqdm", "True"),
        *("--push_to_hub", "--hub_model_id", "user/two"),
        token="hf_user",
    )
    assert result.stdout.count("Pushed: ") == 1
    assert len(commits(root, "models/user/two")) == 2  # the empty one, and the push
    results = json.loads((output / "eval_results.json").read_text())
    images, labels = digits
    assert results["eval_samples"] == len(images)
    pixel_values = np.stack([np.asarray(image) for image in images])[:, None] / np.float32(255)
    model = MnistForImageClassification.from_pretrained(output).eval()
    predicted = model(torch.from_numpy(pixel_values)).logits.argmax(1).numpy()
    assert (predicted == labels).mean() == results["eval_accuracy"] > 0.85
    card = (output / "README.md").read_text()
    assert "| world_size | 2 |" in card and "| per_device_train_batch_size | 64 |" in card


def test_what_is_pushed(root, output):
    repo = root / "models/user/mnist-cnn"
    assert {path.name for path in (repo / "main").iterdir()} == {
        *(".gitattributes", "README.md", "config.json", "model.safetensors"),
        *("preprocessor_config.json", "modeling_mnist.py", "image_processing_mnist.py"),
        *("pipeline_mnist.py", "handler.py", "requirements.txt"),
        *("train_results.json", "eval_results.json", "trainer_state.json", "run.json"),
        *("learning_curves.png", "confusion_matrix.png", "worst_errors.png", "calibration.png"),
    }
    handler = (repo / "main" / "handler.py").read_text()
    assert handler == (ROOT / "training" / "handler.py").read_text()
    # No commit holds weights without all that loads them: there is one empty and one whole.
    assert len(commits(root, "models/user/mnist-cnn")) == 2
    for path in (repo / "main").iterdir():
        assert b"hf_user" not in path.read_bytes()  # the token


def test_model_card(root, output, client, digit, tmp_path):
    card = (root / "models/user/mnist-cnn/main/README.md").read_text()
    measured = json.loads((output / "eval_results.json").read_text())
    _, head, text = card.split("---\n", 2)
    data = yaml.safe_load(head)
    assert data["library_name"] == "transformers"
    assert data["pipeline_tag"] == "image-classification"
    assert data["datasets"] == ["ylecun/mnist"]
    (result,) = data["model-index"][0]["results"]
    assert result["dataset"] == {
        "name": "MNIST", "type": "ylecun/mnist", "config": "mnist", "split": "test"
    }  # fmt: skip
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert values["accuracy"] == pytest.approx(measured["eval_accuracy"], abs=1e-5)
    assert values["loss"] == pytest.approx(measured["eval_loss"], abs=1e-5)
    assert "More information needed" not in card and "{{" not in card and "None" not in card
    assert "| seed | 42 |" in text and "--max_steps 5" in text

    snippets = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(snippets) == 2
    scripts = [tmp_path / "first.py", tmp_path / "second.py"]
    for script, snippet in zip(scripts, snippets, strict=True):
        script.write_text(snippet.replace("digit.png", str(digit)) + "\nprint('end')\n")
    run_each = "import runpy, sys; [runpy.run_path(path) for path in sys.argv[1:]]"
    printed = client(sys.executable, "-c", run_each, *scripts).stdout.split("end\n")
    assert printed[0].strip() and printed[1].strip() and len(printed) == 3


def test_evaluate_and_continue_from_the_hub(train_online, output, tmp_path):
    """Whatever a run computes in, its figures are those of the model that it pushes."""
    start = ("--model_name_or_path", "user/mnist-cnn", "--disable_tqdm", "True")
    done = train_online(*start, "--do_eval", "--output_dir", tmp_path / "evaluated")
    assert done.returncode == 0, done.stderr
    folders = (output, tmp_path / "evaluated")
    pushed, loaded = (json.loads((f / "eval_results.json").read_text()) for f in folders)
    assert loaded["eval_loss"] == pytest.approx(pushed["eval_loss"], rel=1e-5)

    slow = ("--max_steps", "2", "--max_train_samples", "200", "--learning_rate", "1e-4")
    done = train_online(*start, *slow, "--output_dir", tmp_path / "tuned")
    assert done.returncode == 0, done.stderr
    folders = (output, tmp_path / "tuned")
    before, after = (load_file(f / "model.safetensors")["head.5.weight"] for f in folders)
    assert not torch.equal(after, before)
    torch.testing.assert_close(after, before, atol=1e-3, rtol=0)


REFUSED = [  # the token, the name, and what is said
    (None, "user/refused", "nothing was trained. `hf auth login`"),
    ("hf_wrong", "user/refused", r"\b401\b"),
    ("hf_other", "user/refused", r"\b403\b"),
    ("hf_read", "user/refused", r"\b403\b"),
    ("hf_user", "a/b/c", "a/b/c"),
]


def test_a_push_that_cannot_work_is_found_before_training(client, push, tmp_path):
    options = {"output": tmp_path / "output", "status": 1}
    for token, model_id, sentence in REFUSED:
        done = push("--dataset_name", SAMPLE, model_id=model_id, token=token, **options)
        assert "Traceback" not in done.stderr
        assert re.search(f"^train.py: (.|\n)*{sentence}", done.stderr, re.M), done.stderr
    done = client(
        *(sys.executable, ROOT / "train.py", "--use_cpu", "--dataset_name", SAMPLE, *SHORT),
        *("--push_to_hub", "--hub_model_id", "user/mnist-cnn", "--output_dir", options["output"]),
        token="hf_user", endpoint="http://127.0.0.1:9", check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert re.search("^train.py: .* nothing was", done.stderr, re.M)
    assert not (options["output"] / "model.safetensors").exists()


def test_second_push_updates_and_a_dataset_of_the_same_name_is_left_alone(root, push):
    add_repo(root, "dataset", "user/digits", SAMPLE)
    for seed in ("3", "7"):
        push("--seed", seed, model_id="user/digits", token="hf_user")
    assert len(commits(root, "models/user/digits")) == 3  # the empty one, and one for each push
    assert "| seed | 7 |" in (root / "models/user/digits/main/README.md").read_text()
    assert len(commits(root, "datasets/user/digits")) == 2


@pytest.mark.parametrize("fault", [{"commit": [503]}, {"lfs_put": [403]}, {"commit": [0]}])
def test_interrupted_push_keeps_the_model_and_the_printed_command_pushes_it(
    root, client, push, faults, tmp_path, fault
):
    repo = "models/user/interrupted-" + "-".join(fault) + str(*fault.values())[1:-1]
    # Weights that the Hub has seen before would not be uploaded at all: each case has its seed.
    seed = str(next(iter(fault.values()))[0])
    faults(**fault)
    folder = tmp_path / "mnist-cnn"
    options = {"model_id": repo.removeprefix("models/"), "token": "hf_user", "output": folder}
    done = push("--seed", seed, status=1, **options)
    assert "Traceback" not in done.stderr
    assert not (root / repo / "main/model.safetensors").exists()  # no half-pushed state
    command = re.search(r"^hf upload user/interrupted.*$", done.stderr, re.MULTILINE)[0]
    client("bash", "-c", command, token="hf_user")
    for name in ("model.safetensors", "README.md", "modeling_mnist.py"):
        assert (root / repo / "main" / name).read_bytes() == (folder / name).read_bytes()
    assert not list((root / repo / "main").glob("checkpoint-*"))


def test_space_deploys_with_the_documented_command(root, client, digit, tmp_path):
    """Uploaded, downloaded into an empty folder, and started there as a Space is."""
    readme = (ROOT / "README.md").read_text()
    command = re.search(r"^hf upload user/.*--repo-type space.*$", readme, re.MULTILINE)[0]
    client("bash", "-c", command, token="hf_user", cwd=ROOT)
    repo = command.split()[2]
    attributes = (root / "spaces" / repo / "main" / ".gitattributes").read_text()
    assert "*.safetensors filter=lfs" in attributes  # the Hub's own, which it begins a Space with
    download = f"hf download {repo} --repo-type space --local-dir {tmp_path}/space"
    client("bash", "-c", download)
    space = tmp_path / "space"
    names = {path.name for path in space.iterdir()}
    assert {"app.py", "README.md", "requirements.txt", "model"} <= names
    assert not names & {"tests", ".git", ".ci", ".venv", "mnist-cnn", "__pycache__"}

    with serve_app(tmp_path / "log", space, HF_HOME=str(tmp_path / "home")) as (url, _):
        answer = Client(url, verbose=False).predict(handle_file(digit), api_name="/predict")
    assert answer["label"] == "7"
