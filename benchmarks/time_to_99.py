"""How long training takes to reach 99% on the test set, beside the plain CNN of every tutorial.

    python -m benchmarks.time_to_99

The plain CNN is that of Keras's MNIST example, in torch: Adam, batches of 128, float32, no
augmentation. It is evaluated on the test set after each epoch and stops at the first 99%; its clock
stands still meanwhile. Ours is `python train.py` with the flags below, a schedule fixed in advance,
chosen on held-out images, and evaluated on the test set once, at its end. Both times are of
training alone, not of loading data or importing.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import HfArgumentParser

from train import keep_freed_memory
from training.arguments import has_bf16
from training.data import MnistDataset, load_splits, scale_pixels, to_tensors
from training.errors import told_by

FLAGS = (
    "--synthetic False --augment False --conv_channels 24 48 64 --dropout 0.1 "
    "--learning_rate 0.005 --num_train_epochs 1.5 --save_strategy no "
    "--distillation_share 0" + " --bf16" * has_bf16()
)
ROOT = Path(__file__).parent.parent
GOAL = 0.99
MAX_EPOCHS = 30


@dataclass
class BenchmarkArguments:
    dataset_name: str = field(
        default="ylecun/mnist", metadata={"help": "MNIST on the Hub or in a local folder."}
    )
    seeds: int = field(default=5, metadata={"help": "Runs of each."})


def plain_cnn() -> nn.Sequential:
    """Two convolutions of 32 and 64, max-pooling, flatten, dropout, dense: 34,826 parameters."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.5), nn.Linear(1600, 10)),
    )


def train_plain_cnn(training: MnistDataset, test: MnistDataset, seed: int) -> tuple[float, float]:
    """Seconds of training, and the accuracy, 0-1, of the first epoch that reaches the goal."""
    torch.manual_seed(seed)
    model = plain_cnn().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    pixel_values, labels = scale_pixels(training.images[:, None]), training.labels
    seconds = 0.0
    for _ in range(MAX_EPOCHS):
        start = time.perf_counter()
        model.train()
        for batch in torch.randperm(len(labels)).split(128):
            loss = F.cross_entropy(model(pixel_values[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        seconds += time.perf_counter() - start
        model.eval()
        with torch.inference_mode():
            predicted = model(scale_pixels(test.images[:, None])).argmax(1)
        accuracy = (predicted == test.labels).double().mean().item()
        if accuracy >= GOAL:
            break
    return seconds, accuracy


def run_train_py(dataset_name: str, seed: int) -> tuple[float, float]:
    """Seconds of training, and the accuracy, 0-1, of train.py with `FLAGS`."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, ROOT / "train.py", *FLAGS.split(), "--seed", str(seed)]
        command += ["--dataset_name", dataset_name, "--output_dir", folder, "--use_cpu"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        training = json.loads(Path(folder, "train_results.json").read_text())
        evaluation = json.loads(Path(folder, "eval_results.json").read_text())
    return training["train_runtime"], evaluation["eval_accuracy"]


def main() -> None:
    """Print the table."""
    (arguments,) = HfArgumentParser(BenchmarkArguments).parse_args_into_dataclasses()
    keep_freed_memory()
    splits = load_splits(arguments.dataset_name)
    training, test = (to_tensors(splits[name], "image", "label") for name in ("train", "test"))
    runs = {"plain CNN": [], "train.py": []}
    for seed in range(arguments.seeds):
        runs["plain CNN"].append(train_plain_cnn(training, test, seed))
        runs["train.py"].append(run_train_py(arguments.dataset_name, seed))
    print(f"python train.py {FLAGS}\n")
    print(f"| {arguments.seeds} seeds | seconds | test accuracy | at 99% |\n|---|---|---|---|")
    for name, results in runs.items():
        seconds, accuracy = np.array(results).T
        print(
            f"| {name} | {seconds.mean():.1f} ± {seconds.std(ddof=1):.1f} "
            f"| {accuracy.mean():.2%} ± {accuracy.std(ddof=1):.2%} | {(accuracy >= GOAL).sum()} |"
        )
    plain, ours = (np.mean([seconds for seconds, _ in results]) for results in runs.values())
    print(f"\nratio: {ours / plain:.2f}")


if __name__ == "__main__":
    with told_by("benchmarks.time_to_99"):
        main()
