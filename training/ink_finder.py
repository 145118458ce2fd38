"""Train the ink finder, which an image processor brings along as a tokenizer does its vocabulary.

    python -m training.ink_finder                        an hour on two CPU cores
    python -m training.ink_finder --max_steps 20         see that it works
    python train.py --image_processor_name ink-finder    then train a model that uses it

It learns from simulated images (training/photographs.py), made while it trains. The result is an
image processor in --output_dir. Other flags are those of transformers' TrainingArguments.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from transformers import HfArgumentParser, Trainer, TrainingArguments, set_seed

from image_processing_mnist import InkFinder, MnistImageProcessor
from training.arguments import check_trackers, find_checkpoint
from training.data import load_splits, scale_pixels, to_tensors
from training.ema import ExponentialMovingAverage
from training.errors import InputError, told_by
from training.glyphs import Glyph, make_glyphs
from training.photographs import photograph

DICE_WEIGHT = 0.5  # beside the cross-entropy, which thin strokes hardly change
DICE_SMOOTHING = 30  # pixels: below, a mark is too small for its share to matter


@dataclass
class InkFinderArguments(TrainingArguments):
    """`TrainingArguments` with the defaults of the released ink finder."""

    output_dir: str = field(default="ink-finder", metadata={"help": "Where the processor goes."})
    dataset_name: str = field(
        default="ylecun/mnist", metadata={"help": "MNIST on the Hub or in a local folder."}
    )
    num_glyphs: int = field(
        default=20_000, metadata={"help": "How many characters it learns from."}
    )
    num_eval_images: int = field(default=1000, metadata={"help": "Held-out images at the end."})
    ema_decay: float = field(default=0.999, metadata={"help": "Decay of the weights' average."})
    max_steps: int = 12_000
    per_device_train_batch_size: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    warmup_steps: int = 100
    lr_scheduler_type: str = "cosine"
    max_grad_norm: float = 2.0
    logging_steps: int = 100
    save_steps: int = 1000
    save_total_limit: int = 2
    dataloader_num_workers: int = 1
    dataloader_pin_memory: bool = False
    label_names: list[str] = field(default_factory=lambda: ["labels"])
    remove_unused_columns: bool = False
    prediction_loss_only: bool = True
    report_to: str = "none"


@dataclass
class Photographs(torch.utils.data.Dataset):
    """Simulated images, each made when it is asked for: image i of a seed is always the same."""

    glyphs: list[Glyph]
    count: int
    seed: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        image, marks = photograph(self.glyphs, np.random.default_rng((self.seed, index)))
        return {"pixel_values": image.transpose(2, 0, 1).copy(), "labels": marks}


class InkTrainer(Trainer):
    """`Trainer` on pixels: the cross-entropy of each, and the Dice loss (Milletari et al. 2016)."""

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        pixel_values = scale_pixels(inputs["pixel_values"])
        logits = model(pixel_values.contiguous(memory_format=torch.channels_last)).float()
        marks = scale_pixels(inputs["labels"])
        loss = F.binary_cross_entropy_with_logits(logits, marks)
        found = logits.sigmoid()
        both, either = (found * marks).sum((2, 3)), (found + marks).sum((2, 3))
        dice = (2 * both + DICE_SMOOTHING) / (either + DICE_SMOOTHING)
        loss = loss + DICE_WEIGHT * (1 - dice.mean())
        return (loss, {"logits": logits}) if return_outputs else loss


def main() -> None:
    """Train as the command line says, and save an image processor."""
    try:
        (args,) = HfArgumentParser(InkFinderArguments).parse_args_into_dataclasses()
    except ValueError as error:  # flags that do not go together
        raise InputError(str(error)) from error
    if args.max_steps < 1:
        raise InputError("--max_steps must be at least 1: there are as many images as it needs.")
    check_trackers(args)
    args.resume_from_checkpoint = find_checkpoint(args)
    set_seed(args.seed)
    if args.device.type == "cpu":  # beside the processes that make images
        torch.set_num_threads(max(1, torch.get_num_threads() - args.dataloader_num_workers))
    splits = load_splits(args.dataset_name)
    if "train" not in splits:
        raise InputError(f"The dataset has no split 'train', only {', '.join(splits)}.")
    mnist = to_tensors(splits["train"], "image", "label")
    print(f"Making {args.num_glyphs:,} characters.", flush=True)
    glyphs = make_glyphs(mnist.images.numpy(), args.num_glyphs, args.seed)
    held_out = max(1, len(glyphs) // 10)
    batch = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    trainer = InkTrainer(
        model=InkFinder(),
        args=args,
        train_dataset=Photographs(glyphs[held_out:], args.max_steps * batch, args.seed),
        eval_dataset=Photographs(glyphs[:held_out], args.num_eval_images, args.seed + 1),
    )
    trainer.add_callback(ExponentialMovingAverage(trainer.model, args.ema_decay))
    trainer.train(resume_from_checkpoint=args.resume_from_checkpoint)
    if trainer.is_world_process_zero():
        finder = trainer.accelerator.unwrap_model(trainer.model)
        MnistImageProcessor(ink_finder=finder).save_pretrained(args.output_dir)
    metrics = trainer.evaluate()
    trainer.log_metrics("eval", metrics)
    trainer.save_metrics("eval", metrics)


if __name__ == "__main__":
    with told_by("training.ink_finder"):
        main()
