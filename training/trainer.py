"""A `Trainer` that augments batches, averages the weights, and ends with self-distillation."""

import math
import shutil
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch.optim.lr_scheduler import LRScheduler, SequentialLR
from transformers import Trainer
from transformers.modeling_outputs import ImageClassifierOutput

from pipeline_mnist import NumberRecognitionPipeline, best_path
from training.augmentation import Augmentation, views
from training.data import scale_pixels
from training.ema import ExponentialMovingAverage
from training.errors import InputError
from training.lines import Lines

HANDLER = Path(__file__).parent.parent / "deploy" / "handler.py"
TEACHER_WEIGHT = 0.8  # of its answer in the target; the rest is the label, as teachers err
DISTILLATION_LR_FACTOR = 1 / 3  # of --learning_rate: by then little is left to change


class MnistTrainer(Trainer):
    """`Trainer` on one-hot labels, whose result is the exponential moving average of the weights.

    In the last steps the average, frozen when they begin, is the teacher: its probabilities,
    averaged over views of the image, enter the target (self-distillation: Hinton et al. 2015, arXiv
    1503.02531, section 2; Furlanello et al. 2018, arXiv 1805.04770). So the network learns to give
    in one pass what otherwise takes several. The schedule of the learning rate runs a second time,
    with a lower peak.

    Args:
        args, kwargs: As for `Trainer`; its arguments are `MnistTrainingArguments`.
        augmentation: Changes each batch; None changes nothing.
    """

    def __init__(self, *args, augmentation: Augmentation | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        self.augmentation = augmentation
        self.ema = ExponentialMovingAverage(self.model, self.args.ema_decay)
        self.add_callback(self.ema)
        self.correct = self.seen = 0

    def distillation_start(self, num_training_steps: int) -> int:
        """The first step that distils, at least 1."""
        return max(1, round((1 - self.args.distillation_share) * num_training_steps))

    def create_scheduler(self, num_training_steps: int, optimizer=None) -> LRScheduler:
        """The schedule that the flags ask for, and the same once more, lower, for distillation."""
        start = self.ema.teacher_from = self.distillation_start(num_training_steps)
        first = super().create_scheduler(start, optimizer)
        if start < num_training_steps:
            self.lr_scheduler = None
            again = super().create_scheduler(num_training_steps - start, optimizer)
            again.base_lrs = [DISTILLATION_LR_FACTOR * rate for rate in again.base_lrs]
            self.lr_scheduler = SequentialLR(again.optimizer, [first, again], milestones=[start])
        return self.lr_scheduler

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        **kwargs,
    ) -> torch.Tensor | tuple[torch.Tensor, ImageClassifierOutput]:
        """Categorical cross-entropy of a batch as `MnistDataset` gives it.

        In training, images are augmented, and lines add their loss of connectionist temporal
        classification (Graves et al. 2006) per digit.
        """
        pixel_values, labels = scale_pixels(inputs["pixel_values"]), inputs["labels"]
        if not model.training:
            outputs = model(pixel_values, labels)
            return (outputs.loss, outputs) if return_outputs else outputs.loss
        if self.augmentation is not None:
            share = min(self.state.global_step / self.ema.teacher_from, 1)
            pixel_values = self.augmentation(
                pixel_values, strength=1 + share * (self.args.final_strength - 1)
            )
        lines = scale_pixels(inputs["lines"]) if "lines" in inputs else None
        targets = self.targets(pixel_values, labels)
        outputs = model(pixel_values, lines=lines)
        self.count_correct(outputs.logits, labels)
        loss = F.cross_entropy(
            outputs.logits.float(),
            targets,
            label_smoothing=self.args.label_smoothing_factor,
        )
        return loss if lines is None else loss + line_loss(outputs.line_logits, inputs)

    def targets(self, pixel_values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Labels (B, 10), with the teacher's answer to (B, 1, 28, 28) in them if it is time."""
        if self.state.global_step < self.ema.teacher_from:
            return labels
        return torch.lerp(labels, self.teacher_probabilities(pixel_values), TEACHER_WEIGHT)

    def count_correct(self, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Note how many of the digits in a batch (B, 10) are right, for the log."""
        is_digit = labels.amax(1) > 0.5  # and no tenth of each
        self.correct += ((logits.argmax(1) == labels.argmax(1)) & is_digit).sum()
        self.seen += is_digit.sum()

    @torch.no_grad()
    def teacher_probabilities(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """The teacher's probabilities (B, 10), averaged over views of (B, 1, 28, 28)."""
        with self.accelerator.autocast():
            logits = torch.stack([self.ema.teacher(view).logits for view in views(pixel_values)])
        return logits.float().softmax(-1).mean(0)

    def log(self, logs: dict[str, float], *args, **kwargs) -> None:
        """`Trainer.log`, with the accuracy on the (augmented) digits since the last log."""
        if "loss" in logs and self.seen > 0:
            logs["accuracy"] = float(self.correct / self.seen)
            self.correct = self.seen = 0
        super().log(logs, *args, **kwargs)

    def evaluation_loop(self, dataloader, *args, metric_key_prefix: str = "eval", **kwargs):
        """`Trainer.evaluation_loop` of the average; also, how many lines are wholly right, 0-1."""
        trained, self.model = self.model, self.ema.module
        try:
            output = super().evaluation_loop(
                dataloader, *args, metric_key_prefix=metric_key_prefix, **kwargs
            )
        finally:
            self.model = trained
        if (lines := dataloader.dataset.lines) is not None:
            accuracy = line_accuracy(self.ema.module, lines, self.args.device)
            output.metrics[f"{metric_key_prefix}_line_accuracy"] = accuracy
            output.metrics[f"{metric_key_prefix}_lines"] = len(lines)
        return output

    def evaluate(self, *args, **kwargs) -> dict[str, float]:
        """`Trainer.evaluate`, of the average, which is the same in every process."""
        self.ema.broadcast()
        return super().evaluate(*args, **kwargs)

    def _save_checkpoint(self, *args, **kwargs) -> None:
        try:
            super()._save_checkpoint(*args, **kwargs)
        except (OSError, SafetensorError, RuntimeError) as error:  # Python's, safetensors', torch's
            raise InputError(
                f"A checkpoint could not be written to {self.args.output_dir}: {error}\nMake room "
                f"there. --resume_from_checkpoint last goes on from the newest that is complete."
            ) from error

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        # Not `Trainer._save`, which adds a pickle of all arguments, the Hub token among them.
        if self.args.should_save:
            folder = Path(output_dir or self.args.output_dir)
            pipeline = NumberRecognitionPipeline(
                self.model, image_processor=self.processing_class, device=self.model.device
            )
            pipeline.save_pretrained(folder)
            # What an Inference Endpoint runs and installs. Its own torch is of its hardware.
            shutil.copy(HANDLER, folder)
            pins = [f"{name}=={version(name)}" for name in ("transformers", "scipy", "pillow")]
            (folder / "requirements.txt").write_text("\n".join([*pins, "torch>=2.6", ""]))

    def create_model_card(self, *args, **kwargs) -> None:
        """Nothing: `Trainer.push_to_hub` would overwrite the card that train.py writes."""


def line_loss(logits: torch.Tensor, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The mean loss per digit, from logits (B, columns, 11) of a batch as `Lines` gives it."""
    labels = inputs["line_labels"]
    lengths = (labels >= 0).sum(1)
    losses = F.ctc_loss(
        logits.float().log_softmax(-1).transpose(0, 1),
        labels.clamp(min=0),
        inputs["line_columns"],
        lengths,
        blank=logits.shape[-1] - 1,
        reduction="none",
        zero_infinity=True,  # of digits too close to each other for the columns
    )
    return (losses / lengths.clamp(min=1)).mean()


@torch.inference_mode()
def line_accuracy(model: torch.nn.Module, lines: Lines, device: torch.device) -> float:
    """The share of lines whose best path gives all of their digits, 0-1."""
    correct = 0
    for chosen in np.array_split(np.arange(len(lines)), math.ceil(len(lines) / 64)):
        batch = lines.select(chosen, np.zeros(len(chosen), int))
        logits = model.read_lines(scale_pixels(batch["lines"].to(device))).float().cpu().numpy()
        for of_line, count, labels in zip(
            logits, batch["line_columns"], batch["line_labels"].tolist(), strict=True
        ):
            found = of_line[best_path(of_line[:count])].argmax(1).tolist()
            correct += found == [label for label in labels if label >= 0]
    return correct / len(lines)
