"""How long training takes to reach 99% on the test set, beside the plain CNN of every tutorial.

The plain CNN is that of Keras's MNIST example, in torch: Adam, batches of 128, float32, no
augmentation. It stops at the first epoch with 99% on the test set. Ours is `python train.py` with
the flags below, a schedule fixed in advance, chosen on held-out images, and evaluated once. Both
times are of training alone.
"""

import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.common import DATASET, load_mnist, parse, print_head, print_row, run_train_py
from train import keep_freed_memory
from training.arguments import has_bf16
from training.data import MnistDataset, scale_pixels
from training.errors import told_by

FLAGS = (
    "--synthetic False --augment False --conv_channels 24 48 64 --dropout 0.1 "
    "--learning_rate 0.005 --num_train_epochs 1.5 --save_strategy no "
    "--distillation_share 0" + " --bf16" * has_bf16()
)
GOAL = 0.99


def train_plain_cnn(training: MnistDataset, test: MnistDataset, seed: int) -> tuple[float, float]:
    """Seconds of training, and the accuracy, 0-1, of the first epoch that reaches the goal."""
    torch.manual_seed(seed)
    model = nn.Sequential(  # 34,826 parameters
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.5), nn.Linear(1600, 10)),
    ).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    pixel_values, labels = scale_pixels(training.images[:, None]), training.labels
    seconds = 0.0
    for _ in range(30):  # epochs, at most
        start = time.perf_counter()
        model.train()
        for batch in torch.randperm(len(labels)).split(128):
            loss = F.cross_entropy(model(pixel_values[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        seconds += time.perf_counter() - start
        with torch.inference_mode():
            predicted = model.eval()(scale_pixels(test.images[:, None])).argmax(1)
        accuracy = (predicted == test.labels).double().mean().item()
        if accuracy >= GOAL:
            break
    return seconds, accuracy


def train_ours(dataset_name: str, seed: int) -> tuple[float, float]:
    """Seconds of training, and the accuracy, 0-1, of train.py with `FLAGS`."""
    with TemporaryDirectory() as folder:
        run_train_py(f"{FLAGS} --use_cpu", dataset_name, seed, output_dir=folder)
        files = [Path(folder, f"{name}_results.json") for name in ("train", "eval")]
        training, evaluation = (json.loads(file.read_text()) for file in files)
    return training["train_runtime"], evaluation["eval_accuracy"]


def main() -> None:
    options = parse(__doc__, dataset_name=DATASET, seeds=(5, "runs of each"))
    keep_freed_memory()
    splits = [load_mnist(options.dataset_name, split) for split in ("train", "test")]
    runs = {"plain CNN": [], "train.py": []}
    for seed in range(options.seeds):
        runs["plain CNN"].append(train_plain_cnn(*splits, seed))
        runs["train.py"].append(train_ours(options.dataset_name, seed))
    print(f"python train.py {FLAGS}\n")
    print_head(f"{options.seeds} seeds", "seconds", "test accuracy", "at 99%")
    for name, results in runs.items():
        (seconds, accuracy), (by, about) = np.mean(results, 0), np.std(results, 0, ddof=1)
        reached = sum(accuracy >= GOAL for _, accuracy in results)
        print_row(name, f"{seconds:.1f} ± {by:.1f}", f"{accuracy:.2%} ± {about:.2%}", reached)
    plain, ours = (np.mean(results, 0)[0] for results in runs.values())
    print(f"\nratio: {ours / plain:.2f}")


if __name__ == "__main__":
    with told_by("benchmarks.time_to_99"):
        main()
