"""The whole way over HTTP, with the real clients: train, push, load elsewhere, serve, go wrong.

The Hub is `hub.py`, on localhost. Each client is a process of its own.
"""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from gradio_client import Client, handle_file
from safetensors.torch import load_file

from conftest import NO_NETWORK, ROOT, SAMPLE, SMALL
from modeling_mnist import MnistForImageClassification
from scripts.serve import serve_app
from training.arguments import has_bf16

SHORT = ("--max_steps", 5, "--max_train_samples", 50, "--per_device_train_batch_size", 16, *SMALL)
PUSHED = "models/user/mnist-cnn"


@pytest.fixture(scope="module")
def push(train, tmp_path_factory):
    """`python train.py --push_to_hub`, a short run, whose exit status is as told."""

    def run(*flags, model_id="user/mnist-cnn", token=None, output=None, status=0, **environment):
        output = output or tmp_path_factory.mktemp("output") / "mnist-cnn"
        environment |= {"HF_TOKEN": token} if token else {}
        options = ("--push_to_hub", "--hub_model_id", model_id, "--disable_tqdm", True)
        done = train("--output_dir", output, *options, *SHORT, *flags, **environment)
        assert done.returncode == status, done.stdout + done.stderr
        assert status == 0 or "Traceback" not in done.stderr
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


@pytest.fixture(scope="module")
def digit(digits, tmp_path_factory) -> Path:
    """A file with a test digit, a 7."""
    path = tmp_path_factory.mktemp("digit") / "digit.png"
    digits[0][0].save(path)
    return path


def ask_app(url: str, file: Path) -> str:
    answer = Client(url, verbose=False).predict(handle_file(file), api_name="/predict")
    return answer["label"]


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


def test_round_trip(hub, python, run_code, home, output, digit, processor, tmp_path):
    """Pushed, then loaded elsewhere by name, by commit and offline: the same logits each time."""
    # The app uses the classes beside it: it never executes code from the Hub.
    log = tmp_path / "log"
    with serve_app(log, popen=python.popen, MODEL_ID="user/mnist-cnn") as (url, _):
        label = ask_app(url, digit)
    assert not list(home.rglob("modeling_mnist.py"))

    printed = run_code(LOAD, digit, "main", hub.repos[PUSHED][-1].sha)[-2:]
    assert list(home.rglob("modeling_mnist.py"))
    printed += run_code(LOAD, digit, "main", **NO_NETWORK)[-1:]
    first, *others = map(json.loads, printed)
    assert others == [first, first] and first[1] == label

    # The same file, read by the classes of this repository from the folder of the run.
    pixel_values = processor(digit, return_tensors="pt")["pixel_values"]
    logits = MnistForImageClassification.from_pretrained(output).eval()(pixel_values).logits[0]
    assert first[0] == pytest.approx(logits.tolist(), abs=1e-5)


SAVE_AGAIN = """
    import sys
    from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline
    photo, folder, *folders = sys.argv[1:]
    loaded = AutoImageProcessor.from_pretrained("user/mnist-cnn", trust_remote_code=True)
    expected = loaded(photo, return_tensors="pt")["pixel_values"]
    assert expected.any()
    loaded.save_pretrained(folder, push_to_hub=True, repo_id="user/processor", token="hf_user")
    for name in (folder, "user/processor"):
        again = AutoImageProcessor.from_pretrained(name, trust_remote_code=True)
        assert again(photo, return_tensors="pt")["pixel_values"].equal(expected)
    options = {"trust_remote_code": True}
    model = AutoModelForImageClassification.from_pretrained("user/mnist-cnn", **options)
    whole = pipeline("number-recognition", model="user/mnist-cnn", **options)
    answer = whole(photo)
    for saved, name in zip((model, whole), folders):
        saved.save_pretrained(name)
        loaded.save_pretrained(name)
        again = AutoModelForImageClassification.from_pretrained(name, **options)
        again.save_pretrained(name + "-again")
        AutoModelForImageClassification.from_pretrained(name + "-again", **options)
        assert pipeline("image-classification", model=name, **options)(photo)
    assert not hasattr(again.config.from_pretrained(folders[0]), "custom_pipelines")
    assert pipeline("number-recognition", model=folders[1], **options)(photo) == answer
"""


def test_what_was_loaded_can_be_saved_again_and_pushed(output, run_code, tmp_path):
    folders = [tmp_path / name for name in ("again", "model", "pipeline")]
    run_code(SAVE_AGAIN, ROOT / "examples" / "5-a-5-photographed.jpg", *folders)


TWO = f"""
import sys
sys.path.append({str(ROOT)!r})
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from train import main
launch = LaunchConfig(
    min_nodes=1, max_nodes=1, nproc_per_node=2, rdzv_backend="c10d", rdzv_endpoint="localhost:0",
    start_method="fork",
)
elastic_launch(launch, main)()
"""


def test_two_processes_train_one_model_and_push_it_once(hub, run_code, tmp_path, digits, pixels):
    """By what `torchrun --nproc_per_node 2` calls, gloo on CPUs: as good as one process.

    Every file is written by one of them.
    """
    output = tmp_path / "mnist-cnn"
    printed = run_code(
        *(TWO, "--use_cpu", "--max_steps", 60, "--max_train_samples", 700, *SMALL),
        *("--per_device_train_batch_size", 32, "--output_dir", output, "--disable_tqdm", True),
        *("--push_to_hub", "--hub_model_id", "user/two"),
        HF_TOKEN="hf_user",
    )
    assert sum("Pushed: " in line for line in printed) == 1
    assert len(hub.repos["models/user/two"]) == 2  # the empty one, and the push
    results = json.loads((output / "eval_results.json").read_text())
    assert results["eval_samples"] == len(pixels)
    model = MnistForImageClassification.from_pretrained(output).eval()
    predicted = model(torch.from_numpy(pixels)[:, None] / 255).logits.argmax(1).numpy()
    assert (predicted == digits[1]).mean() == results["eval_accuracy"] > 0.85
    card = (output / "README.md").read_text()
    assert "| world_size | 2 |" in card and "| per_device_train_batch_size | 32 |" in card


def test_what_is_pushed(hub, output):
    files = hub.files(PUSHED)
    assert files.keys() == {
        *(".gitattributes", "README.md", "config.json", "model.safetensors"),
        *("preprocessor_config.json", "ink_finder.safetensors"),
        *("modeling_mnist.py", "image_processing_mnist.py"),
        *("pipeline_mnist.py", "handler.py", "requirements.txt"),
        *("train_results.json", "eval_results.json", "trainer_state.json", "run.json"),
        *("learning_curves.png", "confusion_matrix.png", "worst_errors.png", "calibration.png"),
    }
    assert files["handler.py"] == (ROOT / "deploy" / "handler.py").read_bytes()
    # No commit holds weights without all that loads them: there is one empty and one whole.
    assert len(hub.repos[PUSHED]) == 2
    assert not any(b"hf_user" in content for content in files.values())  # the token


def test_model_card(hub, output, run_code, digit):
    card = hub.files(PUSHED)["README.md"].decode()
    measured = json.loads((output / "eval_results.json").read_text())
    _, head, text = card.split("---\n", 2)
    data = yaml.safe_load(head)
    assert data["library_name"] == "transformers"
    assert data["pipeline_tag"] == "image-classification"
    assert data["datasets"] == ["ylecun/mnist"]
    (result,) = data["model-index"][0]["results"]
    dataset = {"name": "MNIST", "type": "ylecun/mnist", "config": "mnist", "split": "test"}
    assert result["dataset"] == dataset
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert values["accuracy"] == pytest.approx(measured["eval_accuracy"], abs=1e-5)
    assert values["loss"] == pytest.approx(measured["eval_loss"], abs=1e-5)
    assert "More information needed" not in card and "{{" not in card and "None" not in card
    assert "| seed | 42 |" in text and "--max_steps 5" in text

    snippets = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(snippets) == 2
    for snippet in snippets:
        assert run_code(snippet.replace("digit.png", str(digit)))


def test_evaluate_and_continue_from_the_hub(train, output, digits, pixels, tmp_path):
    """Whatever a run computes in, its figures are those of the model that it pushes, on test."""
    start = ("--model_name_or_path", "user/mnist-cnn", "--disable_tqdm", True)
    slow = ("--max_steps", 2, "--max_train_samples", 100, "--learning_rate", 1e-4)
    for name, flags in (("evaluated", ("--do_eval",)), ("tuned", slow)):
        done = train(*start, *flags, "--output_dir", tmp_path / name)
        assert done.returncode == 0, done.stderr
    folders = (output, tmp_path / "evaluated")
    pushed, loaded = (json.loads((f / "eval_results.json").read_text()) for f in folders)
    assert loaded["eval_loss"] == pytest.approx(pushed["eval_loss"], rel=1e-5)
    model = MnistForImageClassification.from_pretrained(output).eval()
    logits, labels = model(torch.from_numpy(pixels)[:, None] / 255).logits, digits[1]
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels)).item()
    assert loaded["eval_loss"] == pytest.approx(loss, rel=1e-4)
    assert loaded["eval_accuracy"] == (logits.argmax(1).numpy() == labels).mean()
    folders = (output, tmp_path / "tuned")
    before, after = (load_file(f / "model.safetensors")["classifier.weight"] for f in folders)
    assert not torch.equal(after, before)
    torch.testing.assert_close(after, before, atol=1e-3, rtol=0)


REFUSED = [  # the token, the name, and what is said
    (None, "user/refused", "nothing was trained. `hf auth login`"),
    ("hf_wrong", "user/refused", r"\b401\b"),
    ("hf_other", "user/refused", r"\b403\b"),
    ("hf_read", "user/refused", r"\b403\b"),
    ("hf_user", "a/b/c", "a/b/c"),
]


def test_a_push_that_cannot_work_is_found_before_training(push, tmp_path):
    options = {"output": tmp_path / "output", "status": 1}
    for token, model_id, sentence in REFUSED:
        done = push("--dataset_name", SAMPLE, model_id=model_id, token=token, **options)
        assert re.search(f"^train.py: (.|\n)*{sentence}", done.stderr, re.M), done.stderr
    done = push("--dataset_name", SAMPLE, token="hf_user", **options, **NO_NETWORK)
    assert re.search("^train.py: .* nothing was", done.stderr, re.M)
    assert not (options["output"] / "model.safetensors").exists()


def test_second_push_updates_and_a_dataset_of_the_same_name_is_left_alone(hub, push):
    hub.add("datasets/user/digits", SAMPLE)
    for seed in (3, 7):
        push("--seed", seed, model_id="user/digits", token="hf_user")
    assert len(hub.repos["models/user/digits"]) == 3  # the empty one, and one for each push
    assert b"| seed | 7 |" in hub.files("models/user/digits")["README.md"]
    assert len(hub.repos["datasets/user/digits"]) == 2


@pytest.mark.parametrize("status", [503, 0])  # 0: the connection is dropped
def test_interrupted_push_keeps_the_model_and_the_printed_command_pushes_it(
    hub, hf, push, tmp_path, status
):
    folder, repo = tmp_path / "mnist-cnn", f"user/interrupted-{status}"
    hub.faults = [status]
    done = push(model_id=repo, token="hf_user", output=folder, status=1)
    assert hub.faults == []
    assert "model.safetensors" not in hub.files(f"models/{repo}")  # no half-pushed state
    command = re.search(r"^hf upload user/interrupted.*$", done.stderr, re.MULTILINE)[0]
    hf(command, HF_TOKEN="hf_user")
    pushed = hub.files(f"models/{repo}")
    for name in ("model.safetensors", "README.md", "modeling_mnist.py"):
        assert pushed[name] == (folder / name).read_bytes()
    assert not [name for name in pushed if name.startswith("checkpoint-")]


def test_space_deploys_with_the_documented_command(hub, hf, python, digit, tmp_path):
    """Uploaded, downloaded into an empty folder, and started there as a Space is."""
    readme = (ROOT / "README.md").read_text()
    command = re.search(r"^hf upload YOUR_NAME/.*--repo-type space.*$", readme, re.MULTILINE)[0]
    command = command.replace("YOUR_NAME", "user")
    hf(command, cwd=ROOT, HF_TOKEN="hf_user")
    repo = command.split()[2]
    # The Hub's own, which it begins a Space with, is left as it is.
    assert b"*.safetensors filter=lfs" in hub.files(f"spaces/{repo}")[".gitattributes"]
    space = tmp_path / "space"
    hf(f"hf download {repo} --repo-type space --local-dir {space}")
    names = {path.name for path in space.iterdir()}
    assert {"app.py", "README.md", "requirements.txt", "model"} <= names
    assert not names & {"tests", ".git", ".ci", ".venv", "mnist-cnn", "__pycache__"}

    home = {"HF_HOME": str(tmp_path / "home")}  # where nothing has been downloaded
    with serve_app(tmp_path / "log", space, python.popen, **home) as (url, _):
        assert ask_app(url, digit) == "7"


def test_the_dockerfile_serves_the_app_as_a_docker_space_does(python, digit, tmp_path):
    """By its commands: what it copies suffices, as user 1000, on port 7860 of every address."""
    lines = (ROOT / "deploy" / "Dockerfile").read_text().splitlines()
    assert len(lines) <= 15
    commands = [line.partition(" ") for line in lines if not line.startswith("#")]
    for name, _, rest in commands:
        *sources, target = rest.split()
        for source in sources if name == "COPY" else ():
            copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
            copy(ROOT / source, tmp_path / target)
    run = {name: rest for name, _, rest in commands}
    assert run["FROM"] == "python:3.11-slim" and run["USER"] == "user"
    assert ("RUN", " ", "useradd --create-home --uid 1000 user") in commands
    assert ("RUN", " ", "pip install --no-cache-dir -r requirements.txt") in commands
    assert json.loads(run["CMD"]) == ["python", "app.py"]
    environment = dict(word.split("=") for word in run["ENV"].split())
    assert environment.pop("GRADIO_SERVER_PORT") == "7860"
    with serve_app(tmp_path / "log", tmp_path, python.popen, **environment) as (url, _):
        assert ask_app(url.replace("127.0.0.1", "127.0.0.2"), digit) == "7"
