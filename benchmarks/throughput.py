"""How much of a bare PyTorch loop's speed the `Trainer` keeps, on a CPU.

Both train the same network on the same images with the same augmentation and optimizer, in
channels_last and, where the CPU has it, bfloat16; the loop does nothing else. They take turns, each
a few times.
"""

import time
from tempfile import TemporaryDirectory

import numpy as np
import torch
import torch.nn.functional as F
from transformers import TrainerCallback

from benchmarks.common import DATASET, parse, print_head, print_row
from train import keep_freed_memory, load_model
from training.arguments import MnistTrainingArguments, has_bf16
from training.augmentation import Augmentation
from training.data import MnistDataset, load_splits, scale_pixels, to_tensors
from training.errors import told_by
from training.trainer import MnistTrainer

WARM_UP = 5  # steps before the clock starts
BATCH = 256  # images in a step


class Clock(TrainerCallback):
    """Notes when the last step of the warm-up and when the last step of all ends."""

    def on_step_end(self, args, state, control, **kwargs):
        self.end = time.perf_counter()
        if state.global_step == WARM_UP:
            self.start = self.end


def bare_loop(dataset: MnistDataset, steps: int) -> float:
    """Images a second of a loop over tensors in memory."""
    model, augment = load_model(MnistTrainingArguments()).train(), Augmentation()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    images, labels = dataset.images, F.one_hot(dataset.labels).float()
    order = torch.randperm(len(images)).split(BATCH)
    for step, batch in enumerate(order[: WARM_UP + steps]):
        if step == WARM_UP:
            start = time.perf_counter()
        pixel_values = augment(scale_pixels(images[batch][:, None]))
        with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16()):
            loss = model(pixel_values, labels[batch]).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return BATCH * steps / (time.perf_counter() - start)


def with_trainer(dataset: MnistDataset, steps: int) -> float:
    """Images a second of train.py's `Trainer`, with its EMA and all."""
    clock = Clock()
    with TemporaryDirectory() as folder:
        quiet = {"save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True}
        batch = {"per_device_train_batch_size": BATCH, "max_steps": WARM_UP + steps}
        arguments = MnistTrainingArguments(
            output_dir=folder, use_cpu=True, bf16=has_bf16(), distillation_share=0, **batch, **quiet
        )
        parts = {"augmentation": Augmentation(), "data_collator": lambda batch: batch}
        model = load_model(arguments)
        MnistTrainer(model, arguments, train_dataset=dataset, callbacks=[clock], **parts).train()
    return BATCH * steps / (clock.end - clock.start)


def main() -> None:
    """Print the ratio."""
    turns, steps = (5, "how often each is timed"), (60, "of 256 images in a turn")
    options = parse(__doc__, dataset_name=DATASET, turns=turns, steps=steps)
    keep_freed_memory()
    dataset = to_tensors(load_splits(options.dataset_name)["train"], "image", "label")
    kinds = {"bare loop": bare_loop, "Trainer": with_trainer}
    pairs = [[run(dataset, options.steps) for run in kinds.values()] for _ in range(options.turns)]
    ratios = np.array([trainer / bare for bare, trainer in pairs])
    print_head(f"batch {BATCH}, {torch.get_num_threads()} threads", "images a second")
    for name, speed in zip(kinds, np.median(pairs, axis=0), strict=True):
        print_row(name, f"{speed:,.0f}")
    print(f"\nratio: {ratios.mean():.2f} ± {ratios.std(ddof=1):.2f}")


if __name__ == "__main__":
    with told_by("benchmarks.throughput"):
        main()
