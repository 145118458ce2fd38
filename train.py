"""Train a convolutional network on MNIST, evaluate it, and push it to the Hub.

    python train.py --bf16                                      the recipe of the shipped model
    python train.py --max_train_samples 2000 --max_steps 100    see in seconds that all works
    python train.py --do_eval --model_name_or_path model        evaluate a saved model

The flags that matter first:

    --output_dir FOLDER              where the model, its metrics, plots and card go
    --train_val_split 0.1            tune: hold out images of the training set for validation
    --dataset_name FOLDER            a local copy of the data, or another dataset of the Hub
    --resume_from_checkpoint last    go on after an interruption
    --push_to_hub --hub_model_id user/mnist-cnn

The test set is looked at once, after the last step. With --train_val_split it is not looked at at
all: what is evaluated, during and after training, are the images held out of the training set.

All flags of transformers' TrainingArguments work as well; the defaults are the recipe.
"""

import re
import shlex
import sys
from argparse import ArgumentDefaultsHelpFormatter, RawDescriptionHelpFormatter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from httpx2 import HTTPError  # what huggingface_hub is built on
from huggingface_hub.errors import (
    HFValidationError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
)
from scipy.special import softmax
from transformers import HfArgumentParser, TrainingArguments, set_seed
from transformers.trainer_utils import get_last_checkpoint

from augmentation import Augmentation
from data import InputError, MnistDataset, carve_validation, load_splits, to_tensors
from image_processing_mnist import MnistImageProcessor
from metrics import compute_metrics, confusion_matrix
from model_card import write_model_card
from modeling_mnist import MnistConfig, MnistForImageClassification
from plots import (
    plot_calibration,
    plot_confusion_matrix,
    plot_learning_curves,
    plot_worst_errors,
)
from trainer import MnistTrainer

LAST = ("last", "True", "true")  # --resume_from_checkpoint last


class HelpFormatter(ArgumentDefaultsHelpFormatter, RawDescriptionHelpFormatter):
    """Shows defaults, and leaves the lines of the description as they are."""


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
    num_train_epochs: float = field(default=30, metadata={"help": "Passes over the training set."})
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
    if training_args.push_to_hub and not training_args.do_train:
        raise InputError(
            "--push_to_hub pushes what a run has trained. To push a folder that is there already: "
            "hf upload user/mnist-cnn path/to/folder"
        )
    if training_args.push_to_hub and training_args.hub_strategy != "end":
        raise InputError(
            "The model is pushed once, when it is finished, so that every commit on the Hub loads: "
            "leave out --hub_strategy."
        )
    check_output_dir(Path(training_args.output_dir), training_args)


def check_output_dir(output: Path, training_args: MnistTrainingArguments) -> None:
    """See to it that training overwrites nothing but the model of a finished run of its own.

    Raises:
        InputError: with what to do instead.
    """
    if output.exists() and not output.is_dir():
        raise InputError(f"--output_dir {output} is a file. Name a folder.")
    resume = training_args.resume_from_checkpoint
    checkpoint = get_last_checkpoint(output) if output.is_dir() else None
    if resume in LAST and checkpoint is None:
        raise InputError(f"--output_dir {output} holds no checkpoint to resume from.")
    if resume not in (None, *LAST) and not Path(resume, "trainer_state.json").is_file():
        raise InputError(f"--resume_from_checkpoint {resume} is no folder of a checkpoint.")
    if not training_args.do_train or resume or not output.is_dir() or not any(output.iterdir()):
        return
    if (output / "model.safetensors").exists():
        return
    if checkpoint is not None:
        raise InputError(
            f"--output_dir {output} holds an interrupted run. Go on with it by adding "
            f"--resume_from_checkpoint last, or name another folder."
        )
    raise InputError(
        f"--output_dir {output} holds something else. Name an empty or a new folder, so that "
        f"nothing there is overwritten."
    )


def load_data(
    data_args: DataTrainingArguments, training_args: MnistTrainingArguments
) -> tuple[MnistDataset | None, MnistDataset | None]:
    """What to train on and what to evaluate on: the validation split if there is one, or test."""
    splits = load_splits(data_args.dataset_name, data_args.dataset_config_name)

    def read(split: str, limit: int | None) -> MnistDataset:
        if split not in splits:
            raise InputError(f"The dataset has no split {split!r}, only {', '.join(splits)}.")
        rows = splits[split].take(min(limit or len(splits[split]), len(splits[split])))
        return to_tensors(rows, data_args.image_column_name, data_args.label_column_name)

    training = evaluation = None
    if training_args.do_train or data_args.train_val_split > 0:
        training = read("train", data_args.max_train_samples)
    if data_args.train_val_split > 0:
        training, evaluation = carve_validation(
            training, data_args.train_val_split, training_args.seed
        )
    elif training_args.do_eval:
        evaluation = read("test", data_args.max_eval_samples)
    if training and data_args.augment:
        training.augmentation, training.seed = Augmentation(), training_args.seed
    return training, evaluation


def load_model(model_args: ModelArguments) -> MnistForImageClassification:
    """A new model, or the saved one that --model_name_or_path names."""
    if model_args.model_name_or_path is None:
        model = MnistForImageClassification(MnistConfig(dropout=model_args.dropout))
    else:
        try:
            model = MnistForImageClassification.from_pretrained(model_args.model_name_or_path)
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(f"--model_name_or_path cannot be loaded: {error}") from error
    return model.to(memory_format=torch.channels_last)  # faster convolutions; the same weights


def main(arguments: list[str] | None = None) -> None:
    """Train and evaluate as the command line says."""
    parser = HfArgumentParser(
        (ModelArguments, DataTrainingArguments, MnistTrainingArguments),
        usage="python train.py [--flag value ...]",
        description=__doc__,
        formatter_class=HelpFormatter,
    )
    model_args, data_args, training_args = parser.parse_args_into_dataclasses(arguments)
    check_arguments(model_args, data_args, training_args)
    if data_args.train_val_split > 0 and training_args.eval_strategy == "no":
        training_args.eval_strategy = "epoch"
    set_seed(training_args.seed)
    output = Path(training_args.output_dir)

    train_dataset, eval_dataset = load_data(data_args, training_args)
    model = load_model(model_args)
    with hub_errors("The Hub refused, so nothing was trained"):
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
        result = trainer.train(resume_from_checkpoint=resume in LAST or resume)
        trainer.save_model()
        trainer.log_metrics("train", result.metrics)
        trainer.save_metrics("train", result.metrics, combined=False)
        trainer.save_state()
        plot_learning_curves(trainer.state.log_history, output / "learning_curves.png")

    if training_args.do_eval:
        prediction = trainer.predict(eval_dataset, metric_key_prefix="eval")
        metrics = prediction.metrics | {"eval_samples": len(eval_dataset)}
        trainer.log_metrics("eval", metrics)
        trainer.save_metrics("eval", metrics, combined=False)
        true, probabilities = prediction.label_ids.argmax(1), softmax(prediction.predictions, 1)
        matrix = confusion_matrix(true, probabilities.argmax(1))
        plot_confusion_matrix(matrix, output / "confusion_matrix.png")
        plot_worst_errors(eval_dataset.images, true, probabilities, output / "worst_errors.png")
        plot_calibration(true, probabilities, output / "calibration.png")

    if training_args.do_train:
        write_model_card(
            output,
            repo_id=trainer.hub_model_id or f"user/{output.name}",
            dataset_name=data_args.dataset_name,
            dataset_config=data_args.dataset_config_name or "mnist",
            split="validation" if data_args.train_val_split > 0 else "test",
            parameters=trainer.model.num_parameters(),
            train_images=len(train_dataset),
            validation_images=len(eval_dataset) if data_args.train_val_split > 0 else 0,
            command=command_line(arguments),
            augmentation=data_args.augment,
            settings=describe_settings(model_args, data_args, training_args),
        )
    if training_args.push_to_hub:
        later = f"hf upload {trainer.hub_model_id} {output} . --exclude 'checkpoint-*'"
        with hub_errors(
            f"The model is safe in {output}, but the push failed. Push it with: {later}"
        ):
            print(f"Pushed: {trainer.push_to_hub().commit_url}")


@contextmanager
def hub_errors(sentence: str) -> Iterator[None]:
    """Within, what the Hub's client raises becomes an `InputError` with this sentence."""
    try:
        yield
    except LocalTokenNotFoundError as error:
        raise InputError(f"{sentence}. There is no token: run `hf auth login` first.") from error
    except (HTTPError, OfflineModeIsEnabled, HFValidationError) as error:
        raise InputError(f"{sentence}. The Hub's answer: {error}") from error


def command_line(arguments: list[str] | None) -> str:
    """The command of this run, without the Hub token and the folder of the result."""
    words = sys.argv[1:] if arguments is None else arguments
    command = shlex.join(["python", "train.py", *words])
    return re.sub(r" --(hub_token|output_dir)[= ]\S+", "", command)


def describe_settings(
    model_args: ModelArguments,
    data_args: DataTrainingArguments,
    training_args: MnistTrainingArguments,
) -> dict[str, object]:
    """Every hyperparameter of the run by name, for the model card."""
    keys = """num_train_epochs max_steps per_device_train_batch_size gradient_accumulation_steps
        optim learning_rate lr_scheduler_type warmup_steps weight_decay adam_beta1 adam_beta2
        adam_epsilon max_grad_norm label_smoothing_factor bf16 fp16 seed"""
    settings = {key: getattr(training_args, key) for key in keys.split()}
    del settings["max_steps" if training_args.max_steps < 0 else "num_train_epochs"]
    if data_args.augment:
        settings |= {f"augmentation: {k}": v for k, v in asdict(Augmentation()).items()}
    return {key: getattr(value, "value", value) for key, value in settings.items()} | {
        "dropout": model_args.dropout,
        "ema_decay": model_args.ema_decay,
    }


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"train.py: {error}")
    except KeyboardInterrupt:
        sys.exit("train.py: Interrupted. To go on, add --resume_from_checkpoint last.")
