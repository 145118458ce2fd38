"""How much of a bare PyTorch loop's speed the `Trainer` keeps, on a CPU.

    python -m benchmarks.throughput

Both train the same network on the same images with the same augmentation and optimizer, in
channels_last and, where the CPU has it, bfloat16; the loop does nothing else. They take turns, each
a few times.
"""

import time
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory

import numpy as np
import torch
import torch.nn.functional as F
from transformers import HfArgumentParser, TrainerCallback

from train import keep_freed_memory, load_model
from training.arguments import MnistTrainingArguments, has_bf16
from training.augmentation import Augmentation
from training.data import MnistDataset, load_splits, scale_pixels, to_tensors
from training.errors import told_by
from training.trainer import MnistTrainer

WARM_UP = 5  # steps before the clock starts


@dataclass
class BenchmarkArguments:
    dataset_name: str = field(
        default="ylecun/mnist", metadata={"help": "MNIST on the Hub or in a local folder."}
    )
    batch_size: int = field(default=256, metadata={"help": "Images in a step."})
    steps: int = field(default=60, metadata={"help": "Steps that are timed in a turn."})
    turns: int = field(default=5, metadata={"help": "How often each is timed."})


def bare_loop(dataset: MnistDataset, batch_size: int, steps: int) -> float:
    """Images a second of a loop over tensors in memory."""
    model = load_model(MnistTrainingArguments()).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    augment = Augmentation()
    images, labels = dataset.images, F.one_hot(dataset.labels).float()
    order = torch.randperm(len(images)).split(batch_size)
    for step in range(WARM_UP + steps):
        if step == WARM_UP:
            start = time.perf_counter()
        batch = order[step]
        pixel_values = augment(scale_pixels(images[batch][:, None]))
        with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16()):
            loss = model(pixel_values, labels[batch]).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return batch_size * steps / (time.perf_counter() - start)


class Clock(TrainerCallback):
    """Notes when the last step of the warm-up and when the last step of all ends."""

    def on_step_end(self, args, state, control, **kwargs):
        self.end = time.perf_counter()
        if state.global_step == WARM_UP:
            self.start = self.end


def with_trainer(dataset: MnistDataset, batch_size: int, steps: int) -> float:
    """Images a second of train.py's `Trainer`, with its EMA and all."""
    clock = Clock()
    with TemporaryDirectory() as folder:
        arguments = MnistTrainingArguments(
            output_dir=folder,
            max_steps=WARM_UP + steps,
            per_device_train_batch_size=batch_size,
            bf16=has_bf16(),
            use_cpu=True,
            save_strategy="no",
            disable_tqdm=True,
            logging_strategy="no",
            distillation_share=0,
        )
        MnistTrainer(
            model=load_model(arguments),
            args=arguments,
            augmentation=Augmentation(),
            train_dataset=dataset,
            data_collator=lambda batch: batch,
            callbacks=[clock],
        ).train()
    return batch_size * steps / (clock.end - clock.start)


def main() -> None:
    """Print the ratio."""
    (arguments,) = HfArgumentParser(BenchmarkArguments).parse_args_into_dataclasses()
    keep_freed_memory()
    dataset = to_tensors(load_splits(arguments.dataset_name)["train"], "image", "label")
    size, steps = arguments.batch_size, arguments.steps
    pairs = [
        (bare_loop(dataset, size, steps), with_trainer(dataset, size, steps))
        for _ in range(arguments.turns)
    ]
    bare, trainer = np.median(pairs, axis=0)
    ratios = [b / a for a, b in pairs]
    print(f"| batch {size}, {torch.get_num_threads()} threads | images a second |")
    print(f"|---|---|\n| bare loop | {bare:,.0f} |\n| Trainer | {trainer:,.0f} |")
    print(f"\nratio: {np.mean(ratios):.2f} ± {np.std(ratios, ddof=1):.2f}")


if __name__ == "__main__":
    with told_by("benchmarks.throughput"):
        main()
