"""The whole way over HTTP, with the real clients: train, push, load elsewhere, serve, go wrong.

The Hub is `hub.py`, on localhost. Each client is a process of its own.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest
import torch
from gradio_client import Client, handle_file
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from conftest import NO_NETWORK, ROOT, SAMPLE, SMALL, flags
from modeling_mnist import MnistForImageClassification
from scripts.serve import serve_app

SHORT = ("--max_steps", 5, "--max_train_samples", 50, "--per_device_train_batch_size", 16, *SMALL)
PUSHED = "models/user/mnist-cnn"
ALL_FILES = """
    .gitattributes README.md config.json model.safetensors
    preprocessor_config.json ink_finder.safetensors
    modeling_mnist.py image_processing_mnist.py pipeline_mnist.py handler.py requirements.txt
    train_results.json eval_results.json trainer_state.json run.json
    learning_curves.png confusion_matrix.png worst_errors.png calibration.png
"""
DIGIT = ROOT / "examples" / "1-a-4-from-MNIST.png"


@pytest.fixture(scope="module")
def push(train):
    """`python train.py --push_to_hub`, a short run."""

    def run(output, *flags, model_id="user/mnist-cnn", HF_TOKEN="hf_user", **options):
        push = ("--push_to_hub", "--hub_model_id", model_id, "--disable_tqdm", True)
        return train("--output_dir", output, *push, *SHORT, *flags, HF_TOKEN=HF_TOKEN, **options)

    return run


@pytest.fixture(scope="module")
def output(push, tmp_path_factory) -> Path:
    """The folder of a run in bfloat16 that was pushed to user/mnist-cnn, the token as a flag."""
    folder = tmp_path_factory.mktemp("run") / "mnist-cnn"
    done = push(folder, "--bf16", "--hub-token", "hf_user", HF_TOKEN="")
    assert "Pushed: " in done.stdout
    return folder


def ask_app(url: str) -> str:
    return Client(url, verbose=False).predict(handle_file(DIGIT), api_name="/predict")["label"]


LOAD = """
    import json, sys
    from transformers import pipeline
    classify = pipeline("image-classification", model="user/mnist-cnn", trust_remote_code=True)
    print(json.dumps({score["label"]: score["score"] for score in classify(sys.argv[1], top_k=10)}))
"""


def test_round_trip(python, run_code, home, output, processor, tmp_path):
    """Pushed, then loaded elsewhere, online and offline: the same scores each time."""
    # The app uses the classes beside it: it never executes code from the Hub.
    with serve_app(tmp_path / "log", popen=python.popen, MODEL_ID="user/mnist-cnn") as (url, _):
        label = ask_app(url)
    assert not list(home.rglob("modeling_mnist.py"))

    online, offline = (run_code(LOAD, DIGIT, **variables)[-1] for variables in ({}, NO_NETWORK))
    assert list(home.rglob("modeling_mnist.py"))
    scores = json.loads(online)
    assert offline == online and max(scores, key=scores.get) == label

    # The same file, read by the classes of this repository from the folder of the run.
    pixel_values = processor(DIGIT, return_tensors="pt")["pixel_values"]
    model = MnistForImageClassification.from_pretrained(output).eval()
    own = model(pixel_values).logits[0].softmax(0)
    assert scores == pytest.approx({str(n): own[n].item() for n in range(10)}, abs=1e-5)


SAVE_AGAIN = """
    import sys
    from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline
    photo, folder, *folders = sys.argv[1:]
    loaded = AutoImageProcessor.from_pretrained("user/mnist-cnn", trust_remote_code=True)
    expected = loaded(photo, return_tensors="pt")["pixel_values"]
    loaded.save_pretrained(folder, push_to_hub=True, repo_id="user/processor", token="hf_user")
    again = AutoImageProcessor.from_pretrained("user/processor", trust_remote_code=True)
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
    run = flags("--use_cpu --max_steps 60 --max_train_samples 700 --per_device_train_batch_size 32")
    run += flags("--disable_tqdm True --push_to_hub --hub_model_id user/two")
    printed = run_code(TWO, *run, *SMALL, "--output_dir", output, HF_TOKEN="hf_user")
    assert sum("Pushed: " in line for line in printed) == 1
    assert len(hub.repos["models/user/two"]) == 2  # the empty one, and the push
    results = json.loads((output / "eval_results.json").read_text())
    model = MnistForImageClassification.from_pretrained(output).eval()
    predicted = model(torch.from_numpy(pixels)[:, None] / 255).logits.argmax(1).numpy()
    assert (predicted == digits[1]).mean() == results["eval_accuracy"] > 0.75
    card = (output / "README.md").read_text()
    assert "| world_size | 2 |" in card and "| per_device_train_batch_size | 32 |" in card


def test_what_is_pushed(hub, output, run_code):
    """Files, without the token, and among them a card whose figures and snippets are true."""
    # No commit holds weights without all that loads them: there is one empty and one whole.
    assert len(hub.repos[PUSHED]) == 2
    files = hub.files(PUSHED)
    assert files.keys() == set(ALL_FILES.split())
    assert not any(b"hf_user" in content for content in files.values())

    card = files["README.md"].decode()
    measured = json.loads((output / "eval_results.json").read_text())
    data = ModelCard(card).data
    assert data.pipeline_tag == "image-classification" and data.datasets == ["ylecun/mnist"]
    values = {result.metric_type: result.metric_value for result in data.eval_results}
    assert values["accuracy"] == pytest.approx(measured["eval_accuracy"], abs=1e-5)
    assert values["loss"] == pytest.approx(measured["eval_loss"], abs=1e-5)
    assert "{{" not in card and "None" not in card
    assert "| seed | 42 |" in card and "--max_steps 5" in card
    snippets = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(snippets) == 2
    for snippet in snippets:
        assert run_code(snippet.replace("digit.png", str(DIGIT)))


def test_evaluate_and_continue_from_the_hub(train, output, digits, pixels, tmp_path):
    """Whatever a run computes in, its figures are those of the model that it pushes, on test."""
    start = ("--model_name_or_path", "user/mnist-cnn", "--disable_tqdm", True, "--output_dir")
    slow = ("--max_steps", 2, "--max_train_samples", 100, "--learning_rate", 1e-4)
    train(*start, tmp_path / "evaluated", "--do_eval")
    train(*start, tmp_path / "tuned", "--do_train", *slow)
    model = MnistForImageClassification.from_pretrained(output).eval()
    images, labels = torch.from_numpy(pixels)[:, None] / 255, torch.from_numpy(digits[1])
    loss = model(images, labels).loss.item()
    for folder in (output, tmp_path / "evaluated"):
        measured = json.loads((folder / "eval_results.json").read_text())
        assert measured["eval_loss"] == pytest.approx(loss, rel=1e-4)
    tuned = load_file(tmp_path / "tuned" / "model.safetensors")["classifier.weight"]
    assert not torch.equal(tuned, model.classifier.weight)
    torch.testing.assert_close(tuned, model.classifier.weight.detach(), atol=1e-3, rtol=0)


def test_a_push_that_cannot_work_is_found_before_training(push, tmp_path):
    for token, extra, sentence in (
        ("", {}, "nothing was trained. `hf auth login`"),
        ("hf_wrong", {}, r"\b401\b"),
        ("hf_read", {}, r"\b403\b"),
        ("hf_user", NO_NETWORK, "nothing was"),
    ):
        run = push(tmp_path / "output", "--dataset_name", SAMPLE, HF_TOKEN=token, status=1, **extra)
        assert re.search(f"^train.py: (.|\n)*{sentence}", run.stderr, re.M), run.stderr
    assert not (tmp_path / "output" / "model.safetensors").exists()


def test_an_interrupted_push_can_be_repeated_and_the_next_one_updates(hub, hf, push, tmp_path):
    """The printed command pushes what was not. A dataset of the same name is left alone."""
    folder, name, repo = tmp_path / "mnist-cnn", "user/digits", "models/user/digits"
    dataset = hub.add(f"datasets/{name}", SAMPLE)
    hub.failures = 1
    done = push(folder, "--seed", 3, model_id=name, status=1)
    assert hub.failures == 0 and hub.files(repo).keys() == {".gitattributes"}
    command = re.search(r"^hf upload user/digits.*$", done.stderr, re.MULTILINE)[0]
    hf(command, HF_TOKEN="hf_user")
    pushed = hub.files(repo)
    for file in ("model.safetensors", "README.md", "modeling_mnist.py"):
        assert pushed[file] == (folder / file).read_bytes()
    assert not [file for file in pushed if file.startswith("checkpoint-")]

    push(folder, "--seed", 7, model_id=name)
    assert b"| seed | 7 |" in hub.files(repo)["README.md"]
    assert len(hub.repos[repo]) == 3  # the empty one, and one for each push
    assert hub.repos[f"datasets/{name}"][-1] == dataset


def test_space_deploys_with_the_documented_command(hub, hf, python, tmp_path):
    """Uploaded, downloaded into an empty folder, and started there as a Space is."""
    readme = (ROOT / "README.md").read_text()
    command = re.search(r"^hf upload YOUR_NAME/.*--repo-type space.*$", readme, re.MULTILINE)[0]
    ignored = re.findall("^/(.*)/$", (ROOT / ".gitignore").read_text(), re.M)
    assert all(f'--exclude "{folder}/*"' in command for folder in ignored)  # what runs leave
    command = command.replace("YOUR_NAME", "user")
    hf(command, cwd=ROOT, HF_TOKEN="hf_user")
    repo = command.split()[2]
    # The Hub's own, which it begins a Space with, is left as it is.
    assert b"*.safetensors filter=lfs" in hub.files(f"spaces/{repo}")[".gitattributes"]
    space, docker = tmp_path / "space", tmp_path / "docker"
    hf(f"hf download {repo} --repo-type space --local-dir {space}")
    names = {path.name for path in space.iterdir()}
    assert not names & {"tests", ".git", ".ci", ".venv", "__pycache__"}

    # With no more than the Dockerfile copies, as it starts: a Docker Space has no other files.
    dockerfile = (space / "deploy" / "Dockerfile").read_text()
    docker.mkdir()
    for words in re.findall("^COPY (.*)", dockerfile, re.M):
        *sources, target = words.split()
        subprocess.run(["cp", "-r", *sources, docker / target], cwd=space, check=True)
    assert dockerfile.endswith('\nCMD ["python", "app.py"]\n')
    variables = re.search("^ENV (.*)", dockerfile, re.M)[1]
    environment = dict(word.split("=") for word in variables.split())
    assert environment.pop("GRADIO_SERVER_PORT") == "7860"
    environment["HF_HOME"] = str(tmp_path / "home")  # where nothing has been downloaded
    with serve_app(tmp_path / "log", docker, python.popen, **environment) as (url, _):
        assert ask_app(url.replace("127.0.0.1", "127.0.0.2")) == "4"
