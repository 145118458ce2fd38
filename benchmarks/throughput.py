"""How much of a bare PyTorch loop's speed the `Trainer` keeps, on a CPU.

Both train the same network on the same images with the same augmentation and optimizer, in
channels_last and, where the CPU has it, bfloat16; the loop does nothing else. They take turns, each
a few times.
"""

from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.common import DATASET, load_mnist, parse, print_head, print_row
from train import keep_freed_memory, load_model
from training.arguments import MnistTrainingArguments, has_bf16
from training.augmentation import Augmentation
from training.data import MnistDataset, scale_pixels
from training.errors import told_by
from training.trainer import MnistTrainer

WARM_UP = 5  # steps before the clock starts
BATCH = 256  # images in a step


def bare_loop(dataset: MnistDataset, steps: int) -> list[float]:
    """When each batch is fetched, in seconds, by a loop over tensors in memory."""
    model, augment = load_model(MnistTrainingArguments()).train(), Augmentation()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    images, labels = dataset.images, F.one_hot(dataset.labels).float()
    times = []
    for batch in torch.randperm(len(images)).split(BATCH)[:steps]:
        times.append(perf_counter())
        pixel_values = augment(scale_pixels(images[batch][:, None]))
        with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16()):
            loss = model(pixel_values, labels[batch]).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return times


def with_trainer(dataset: MnistDataset, steps: int) -> list[float]:
    """The same by train.py's `Trainer`, with its EMA and all; it fetches one batch ahead."""
    times = []
    quiet = {"save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True}
    flags = {"use_cpu": True, "bf16": has_bf16(), "distillation_share": 0, "max_steps": steps}
    with TemporaryDirectory() as folder:
        arguments = MnistTrainingArguments(
            output_dir=folder, per_device_train_batch_size=BATCH, **flags, **quiet
        )
        MnistTrainer(
            load_model(arguments),
            arguments,
            augmentation=Augmentation(),
            train_dataset=dataset,
            data_collator=lambda batch: times.append(perf_counter()) or batch,
        ).train()
    return times


def main() -> None:
    turns, steps = (5, "how often each is timed"), (60, "of 256 images in a turn")
    options = parse(__doc__, dataset_name=DATASET, turns=turns, steps=steps)
    keep_freed_memory()
    dataset, steps = load_mnist(options.dataset_name, "train"), options.steps

    def speed(train) -> float:
        times = train(dataset, WARM_UP + steps + 1)
        return BATCH * steps / (times[WARM_UP + steps] - times[WARM_UP])

    pairs = np.array([[speed(bare_loop), speed(with_trainer)] for _ in range(options.turns)])
    ratios = pairs[:, 1] / pairs[:, 0]
    print_head(f"batch {BATCH}, {torch.get_num_threads()} threads", "images a second")
    for name, images in zip(("bare loop", "Trainer"), np.median(pairs, axis=0), strict=True):
        print_row(name, f"{images:,.0f}")
    print(f"\nratio: {ratios.mean():.2f} ± {ratios.std(ddof=1):.2f}")


if __name__ == "__main__":
    with told_by("benchmarks.throughput"):
        main()
