"""The flags of train.py, their defaults (the training configuration), and their checks."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import TrainingArguments

from modeling_mnist import MnistConfig
from training.ema import EMA_FILE
from training.errors import InputError

LAST = ("last", "True", "true")  # --resume_from_checkpoint last; transformers also takes True


@dataclass
class ModelArguments:
    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "Start from this saved model, a folder or a Hub id, not from scratch."},
    )
    conv_channels: list[int] = field(
        default_factory=lambda: MnistConfig().conv_channels,
        metadata={"help": "Channels of each stage of a new model; fewer are faster."},
    )
    dropout: float = field(
        default=MnistConfig().dropout,
        metadata={"help": "Dropout before the dense layers of a new model."},
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
    synthetic: bool = field(
        default=True,
        metadata={"help": "Add drawn digits, corrupted digits and non-digits to training."},
    )
    augment: bool = field(
        default=True,
        metadata={"help": "Rotate, shear, scale, shift, deform, and thin or thicken digits."},
    )
    corrections: str | None = field(
        default=None,
        metadata={
            "help": "Train on what visitors of the app have corrected as well: the folder in which "
            "it keeps that, or a dataset of the Hub. docs/corrections.md tells how."
        },
    )
    trust_corrections: bool = field(
        default=False,
        metadata={"help": "Take also those that the model before is sure are wrong."},
    )


@dataclass
class MnistTrainingArguments(TrainingArguments):
    """`TrainingArguments` whose defaults are the training configuration."""

    output_dir: str = field(
        default="mnist-cnn", metadata={"help": "Where the model, metrics and plots are written."}
    )
    num_train_epochs: float = field(default=16, metadata={"help": "Passes over the training set."})
    per_device_train_batch_size: int = field(
        default=128, metadata={"help": "Images per device and step."}
    )
    per_device_eval_batch_size: int = field(
        default=500, metadata={"help": "Images per device in evaluation."}
    )
    learning_rate: float = field(default=3e-3, metadata={"help": "Peak learning rate."})
    weight_decay: float = field(default=0.05, metadata={"help": "Weight decay of AdamW."})
    lr_scheduler_type: str = field(
        default="cosine", metadata={"help": "Learning rate schedule after the warm-up."}
    )
    warmup_steps: float = field(
        default=0.1, metadata={"help": "Steps of linear warm-up; below 1, a share of all steps."}
    )
    ema_decay: float = field(
        default=0.995,
        metadata={"help": "Decay of the exponential moving average (EMA) of the weights; 0: none."},
    )
    final_strength: float = field(
        default=0.4,
        metadata={"help": "Share of the augmentation that is left when distillation starts, 0-1."},
    )
    distillation_share: float = field(
        default=0.21,
        metadata={
            "help": "Share of all steps, the last ones, in which the network learns from its own "
            "answers, averaged over views; 0: none."
        },
    )
    logging_steps: float = field(
        default=0.01,
        metadata={"help": "Steps between two log lines; below 1, a share of all steps."},
    )
    save_strategy: str = field(
        default="epoch", metadata={"help": "When to save a checkpoint to resume from."}
    )
    save_total_limit: int | None = field(default=2, metadata={"help": "Checkpoints to keep."})
    hub_strategy: str = field(
        default="end", metadata={"help": "When to push; 'end' pushes the finished model alone."}
    )
    report_to: str | None = field(
        default="none", metadata={"help": "Trackers to log to: tensorboard, wandb, ..."}
    )
    # Batches come finished from memory: there are no columns to drop and nothing to pin. And every
    # parameter is used, so that several processes need not search for those that are not.
    remove_unused_columns: bool = False
    dataloader_pin_memory: bool = False
    ddp_find_unused_parameters: bool | None = False

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
    if not 0 <= training_args.final_strength <= 1:
        raise InputError("--final_strength is at least 0 and at most 1.")
    for name, value in (
        ("dropout", model_args.dropout),
        ("ema_decay", training_args.ema_decay),
        ("train_val_split", data_args.train_val_split),
        ("distillation_share", training_args.distillation_share),
    ):
        if not 0 <= value < 1:
            raise InputError(f"--{name} is a fraction: at least 0 and below 1.")
    if min(model_args.conv_channels) < 1 or len(model_args.conv_channels) > 4:
        raise InputError("--conv_channels are whole numbers from 1, for one to four stages.")
    limits = (data_args.max_train_samples, data_args.max_eval_samples)
    if any(limit is not None and limit < 1 for limit in limits):
        raise InputError("--max_train_samples and --max_eval_samples are at least 1.")
    if data_args.train_val_split > 0 and data_args.max_eval_samples is not None:
        raise InputError(
            "--max_eval_samples limits the test set, which is not used with --train_val_split. "
            "Choose a smaller fraction instead."
        )
    if data_args.train_val_split == 0 and training_args.eval_strategy != "no":
        raise InputError(
            "--eval_strategy would evaluate on the test set during training. Hold out part of the "
            "training set for that: --train_val_split 0.1."
        )
    if (
        training_args.lr_scheduler_type == "reduce_lr_on_plateau"
        and training_args.distillation_share
    ):
        raise InputError(
            "--lr_scheduler_type reduce_lr_on_plateau has no end after which distillation could "
            "start: add --distillation_share 0."
        )
    if not training_args.do_train and model_args.model_name_or_path is None:
        raise InputError("--do_eval alone needs a model: --model_name_or_path model.")
    if data_args.corrections is not None and not training_args.do_train:
        raise InputError("--corrections are trained on, which --do_eval alone does not.")
    if data_args.trust_corrections and data_args.corrections is None:
        raise InputError("--trust_corrections needs some: --corrections FOLDER_OR_HUB_ID.")
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


def check_output_dir(training_args: MnistTrainingArguments, model_name_or_path: str | None) -> None:
    """Refuse an output folder in which a run would overwrite anything but a finished one.

    Raises:
        InputError: with what to do instead.
    """
    output, resume = Path(training_args.output_dir), training_args.resume_from_checkpoint
    if output.exists() and not output.is_dir():
        raise InputError(f"--output_dir {output} is a file. Name a folder.")
    if resume is not None and Path(resume).resolve().parent == output.resolve():
        return
    if not output.is_dir() or not any(output.iterdir()):
        return
    trained, evaluated = output / "train_results.json", output / "eval_results.json"
    if not training_args.do_train:
        own = model_name_or_path is not None and Path(model_name_or_path) == output
        if trained.exists() and not own:
            raise InputError(
                f"--output_dir {output} holds the results of a training run. Name another folder "
                f"for those of {model_name_or_path}."
            )
        return
    if (trained.exists() or evaluated.exists()) and (output / "model.safetensors").exists():
        return
    if last_checkpoint(output) is not None:
        raise InputError(
            f"--output_dir {output} holds an interrupted run. Go on with it by adding "
            f"--resume_from_checkpoint last, or name another folder."
        )
    raise InputError(
        f"--output_dir {output} holds something else. Name an empty or a new folder, so that "
        f"nothing there is overwritten."
    )


def find_checkpoint(resume_from_checkpoint: str | None, output_dir: str) -> str | None:
    """The folder that --resume_from_checkpoint means, or None.

    Raises:
        InputError: it holds no complete checkpoint.
    """
    if resume_from_checkpoint is None:
        return None
    if resume_from_checkpoint in LAST:
        checkpoint = last_checkpoint(Path(output_dir))
        if checkpoint is None:
            raise InputError(f"--output_dir {output_dir} holds no checkpoint to resume from.")
        return str(checkpoint)
    if not is_complete(Path(resume_from_checkpoint)):
        raise InputError(
            f"--resume_from_checkpoint {resume_from_checkpoint} is no folder of a checkpoint."
        )
    return resume_from_checkpoint


def is_complete(checkpoint: Path) -> bool:
    """Whether saving a checkpoint came to its end."""
    return (checkpoint / EMA_FILE).is_file()


def checkpoints(output: Path) -> list[Path]:
    """The numbered checkpoints in a folder, oldest first, complete or not."""
    numbered = [path for path in output.glob("checkpoint-*") if path.name[11:].isdecimal()]
    return sorted(numbered, key=lambda path: int(path.name[11:]))


def last_checkpoint(output: Path) -> Path | None:
    """The newest complete checkpoint in a folder."""
    return next(filter(is_complete, reversed(checkpoints(output))), None)
