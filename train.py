"""Train a convolutional network on MNIST, evaluate it, and push it to the Hub.

    python train.py                                   the shipped model's recipe
    python train.py --train_val_split 0.1             tune: hold out 6,000 training images
    python train.py --max_train_samples 2000 --max_steps 100    a smoke run of seconds
    python train.py --do_eval --model_name_or_path model        evaluate a saved model
    python train.py --push_to_hub --hub_model_id user/mnist-cnn

The test set is looked at once, after the last step. With --train_val_split it is not looked at at
all: what is evaluated, during and after training, are the images held out of the training set.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import datasets
import evaluate
import numpy as np
import torch
from transformers import EvalPrediction, HfArgumentParser, TrainingArguments, set_seed
from transformers.trainer_utils import get_last_checkpoint

from augmentation import Augmentation
from data import NUM_LABELS, InputError, carve_validation, load_splits, to_tensors
from image_processing_mnist import MnistImageProcessor
from modeling_mnist import MnistConfig, MnistForImageClassification
from report import plot_confusion_matrix, plot_learning_curves
from trainer import MnistTrainer


@dataclass
class ModelArguments:
    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "Start from this saved model, a folder or a Hub id, not from scratch."},
    )
    dropout: float = field(default=0.3, metadata={"help": "Dropout in the dense layers, 0-1."})
    ema_decay: float = field(
        default=0.99,
        metadata={"help": "Share of the weights' moving average that each step keeps; 0: none."},
    )


@dataclass
class DataTrainingArguments:
    dataset_name: str = field(
        default="ylecun/mnist",
        metadata={"help": "A dataset on the Hub or in a local folder, with train and test splits."},
    )
    dataset_config_name: str | None = field(
        default=None, metadata={"help": "Its configuration, if it has several."}
    )
    image_column_name: str = field(default="image", metadata={"help": "The column of images."})
    label_column_name: str = field(default="label", metadata={"help": "The column of digits, 0-9."})
    train_val_split: float = field(
        default=0.0,
        metadata={
            "help": "Fraction of the training set to hold out for validation, drawn by --seed. "
            "0 trains on all of it and evaluates on the test set, once."
        },
    )
    max_train_samples: int | None = field(
        default=None, metadata={"help": "Train on the first so many images only."}
    )
    max_eval_samples: int | None = field(
        default=None, metadata={"help": "Evaluate on the first so many images only."}
    )
    augment: bool = field(
        default=True, metadata={"help": "Turn, slant, stretch, move, bend and thicken digits."}
    )


@dataclass
class MnistTrainingArguments(TrainingArguments):
    """`TrainingArguments` whose defaults are the recipe."""

    output_dir: str = field(
        default="mnist-cnn", metadata={"help": "Where the model, metrics and plots are written."}
    )
    num_train_epochs: float = field(default=20, metadata={"help": "Passes over the training set."})
    per_device_train_batch_size: int = field(default=128, metadata={"help": "Images in a step."})
    per_device_eval_batch_size: int = field(default=500, metadata={"help": "Same, evaluating."})
    learning_rate: float = field(default=3e-3, metadata={"help": "AdamW's, at its highest."})
    weight_decay: float = field(default=0.05, metadata={"help": "AdamW's."})
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "Fall after the warm-up."})
    warmup_steps: float = field(
        default=0.1, metadata={"help": "Steps of linear warm-up; below 1, a share of all steps."}
    )
    logging_steps: float = field(default=50, metadata={"help": "Steps between two log lines."})
    save_strategy: str = field(
        default="epoch", metadata={"help": "When to save a checkpoint to resume from."}
    )
    save_total_limit: int | None = field(default=1, metadata={"help": "Checkpoints to keep."})
    hub_strategy: str = field(
        default="end", metadata={"help": "When to push; 'end' pushes the finished model alone."}
    )
    report_to: str | None = field(
        default="none", metadata={"help": "Trackers to log to: tensorboard, wandb, ..."}
    )
    # Batches come finished from memory: there are no columns to drop and nothing to pin.
    remove_unused_columns: bool = False
    dataloader_pin_memory: bool = False

    def __post_init__(self):
        if not (self.do_train or self.do_eval):
            self.do_train = self.do_eval = True
        # Without this, --bf16 is refused on a machine that has only a CPU.
        self.use_cpu = self.use_cpu or not torch.accelerator.is_available()
        super().__post_init__()


class DigitAccuracy(evaluate.Metric):
    """Accuracy, overall and for each digit. Unlike a metric of the Hub's, it needs no network."""

    def _info(self) -> evaluate.MetricInfo:
        value = datasets.Value("int64")
        return evaluate.MetricInfo(
            description="Share of digits that are read right, 0-1.",
            citation="",
            inputs_description="predictions and references: digits, 0-9",
            features=datasets.Features({"predictions": value, "references": value}),
        )

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, float]:
        matrix = confusion_matrix(np.asarray(references), np.asarray(predictions))
        totals = matrix.sum(1)
        per_digit = {
            f"accuracy_{digit}": float(matrix[digit, digit] / totals[digit])
            for digit in np.flatnonzero(totals)
        }
        return {"accuracy": float(matrix.trace() / totals.sum()), **per_digit}


def confusion_matrix(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Counts (10, 10) of true digits (rows) read as digits (columns), from two (N,) of 0-9."""
    pairs = np.bincount(true * NUM_LABELS + predicted, minlength=NUM_LABELS**2)
    return pairs.reshape(NUM_LABELS, NUM_LABELS)


def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Metrics from logits (N, 10) and one-hot labels (N, 10)."""
    return DigitAccuracy().compute(
        predictions=prediction.predictions.argmax(1), references=prediction.label_ids.argmax(1)
    )


def check_arguments(
    model_args: ModelArguments,
    data_args: DataTrainingArguments,
    training_args: MnistTrainingArguments,
) -> None:
    """Find what cannot work before anything is loaded.

    Raises:
        InputError: with what to do instead.
    """
    if not 0 <= data_args.train_val_split < 1:
        raise InputError("--train_val_split is a fraction: at least 0 and below 1.")
    if data_args.train_val_split == 0 and training_args.eval_strategy != "no":
        raise InputError(
            "--eval_strategy would look at the test set during training. Hold out part of the "
            "training set for that: --train_val_split 0.1."
        )
    if not training_args.do_train and model_args.model_name_or_path is None:
        raise InputError("--do_eval alone needs a model: --model_name_or_path model.")
    output = Path(training_args.output_dir)
    if output.exists() and not output.is_dir():
        raise InputError(f"--output_dir {output} is a file. Name a folder.")
    if training_args.do_train and output.is_dir() and any(output.iterdir()):
        ours = (output / "config.json").exists() or get_last_checkpoint(output) is not None
        if not ours:
            raise InputError(
                f"--output_dir {output} holds something else. Name an empty or a new folder, so "
                f"that nothing there is overwritten."
            )


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Train and evaluate as the command line says. Returns the metrics of the evaluation."""
    parser = HfArgumentParser(
        (ModelArguments, DataTrainingArguments, MnistTrainingArguments), description=__doc__
    )
    model_args, data_args, training_args = parser.parse_args_into_dataclasses(arguments)
    check_arguments(model_args, data_args, training_args)
    set_seed(training_args.seed)
    output = Path(training_args.output_dir)

    # Data
    splits = load_splits(data_args.dataset_name, data_args.dataset_config_name)
    columns = data_args.image_column_name, data_args.label_column_name

    def read(split: str, limit: int | None):
        if split not in splits:
            raise InputError(f"The dataset has no split {split!r}, only {', '.join(splits)}.")
        rows = splits[split]
        return to_tensors(rows.take(min(limit, len(rows))) if limit else rows, *columns)

    train_dataset = eval_dataset = None
    if training_args.do_train or data_args.train_val_split > 0:
        train_dataset = read("train", data_args.max_train_samples)
    if data_args.train_val_split > 0:
        train_dataset, eval_dataset = carve_validation(
            train_dataset, data_args.train_val_split, training_args.seed
        )
        if training_args.do_train and training_args.eval_strategy == "no":
            training_args.eval_strategy = "epoch"
    elif training_args.do_eval:
        eval_dataset = read("test", data_args.max_eval_samples)
    if training_args.do_train and data_args.augment:
        train_dataset.augmentation = Augmentation()

    # Model
    if model_args.model_name_or_path:
        try:
            model = MnistForImageClassification.from_pretrained(model_args.model_name_or_path)
        except OSError as error:
            raise InputError(f"--model_name_or_path cannot be loaded: {error}") from error
    else:
        model = MnistForImageClassification(MnistConfig(dropout=model_args.dropout))
    model.to(memory_format=torch.channels_last)  # faster convolutions; the same weights

    trainer = MnistTrainer(
        model=model,
        args=training_args,
        ema_decay=model_args.ema_decay,
        train_dataset=train_dataset,
        eval_dataset=eval_dataset,
        processing_class=MnistImageProcessor(),
        data_collator=lambda batch: batch,
        compute_metrics=compute_metrics,
    )

    if training_args.do_train:
        resume = training_args.resume_from_checkpoint
        resume = True if resume in ("True", "true", "last") else resume
        result = trainer.train(resume_from_checkpoint=resume)
        trainer.save_model()
        trainer.log_metrics("train", result.metrics)
        trainer.save_metrics("train", result.metrics, combined=False)
        trainer.save_state()
        plot_learning_curves(trainer.state.log_history, output / "learning_curves.png")

    metrics = {}
    if training_args.do_eval:
        prediction = trainer.predict(eval_dataset, metric_key_prefix="eval")
        metrics = prediction.metrics
        trainer.log_metrics("eval", metrics)
        trainer.save_metrics("eval", metrics, combined=False)
        true, predicted = prediction.label_ids.argmax(1), prediction.predictions.argmax(1)
        plot_confusion_matrix(confusion_matrix(true, predicted), output / "confusion_matrix.png")

    if training_args.push_to_hub:
        trainer.push_to_hub()
    return metrics


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"train.py: {error}")
