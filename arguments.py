"""The flags of train.py, their defaults, which are the recipe, and what cannot go together."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import TrainerState

from data import InputError

LAST = ("last", "True", "true")  # --resume_from_checkpoint last


@dataclass
class ModelArguments:
    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "Start from this saved model, a folder or a Hub id, not from scratch."},
    )
    conv_channels: list[int] = field(
        default_factory=lambda: [64, 96, 96],
        metadata={"help": "Channels of each stage of a new model; fewer are faster."},
    )
    dropout: float = field(
        default=0.3, metadata={"help": "Dropout in the dense layers of a new model."}
    )
    second_look_threshold: float = field(
        default=0.999,
        metadata={"help": "Top score below which a new model, trained, looks again; 0: never."},
    )
    score_threshold: float = field(
        default=0.5,
        metadata={"help": "Top score below which a new model's users say: this is no digit."},
    )
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
    synthetic: bool = field(
        default=True,
        metadata={"help": "Add drawn digits, damaged digits and what is no digit to training."},
    )
    augment: bool = field(
        default=True, metadata={"help": "Turn, slant, stretch, move, bend and thicken digits."}
    )
    final_strength: float = field(
        default=0.4,
        metadata={"help": "Share of that augmentation that is left when training ends, 0-1."},
    )


@dataclass
class MnistTrainingArguments(TrainingArguments):
    """`TrainingArguments` whose defaults are the recipe."""

    output_dir: str = field(
        default="mnist-cnn", metadata={"help": "Where the model, metrics and plots are written."}
    )
    num_train_epochs: float = field(default=16, metadata={"help": "Passes over the training set."})
    per_device_train_batch_size: int = field(default=128, metadata={"help": "Images in a step."})
    per_device_eval_batch_size: int = field(default=500, metadata={"help": "Same, evaluating."})
    learning_rate: float = field(default=3e-3, metadata={"help": "AdamW's, at its highest."})
    weight_decay: float = field(default=0.05, metadata={"help": "AdamW's."})
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "Fall after the warm-up."})
    warmup_steps: float = field(
        default=0.1, metadata={"help": "Steps of linear warm-up; below 1, a share of all steps."}
    )
    logging_steps: float = field(
        default=0.01,
        metadata={"help": "Steps between two log lines; below 1, a share of all steps."},
    )
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
    for name in ("score_threshold", "second_look_threshold"):
        if not 0 <= getattr(model_args, name) <= 1:
            raise InputError(f"--{name} is at least 0 and at most 1.")
    if not 0 <= model_args.dropout < 1 or not 0 <= model_args.ema_decay < 1:
        raise InputError("--dropout and --ema_decay are at least 0 and below 1.")
    if not 0 <= data_args.final_strength <= 1:
        raise InputError("--final_strength is at least 0 and at most 1.")
    if min(model_args.conv_channels) < 1 or len(model_args.conv_channels) > 4:
        raise InputError("--conv_channels are whole numbers from 1, for one to four stages.")
    limits = (data_args.max_train_samples, data_args.max_eval_samples)
    if any(limit is not None and limit < 1 for limit in limits):
        raise InputError("--max_train_samples and --max_eval_samples are at least 1.")
    if not 0 <= data_args.train_val_split < 1:
        raise InputError("--train_val_split is a fraction: at least 0 and below 1.")
    if data_args.train_val_split == 0 and training_args.eval_strategy != "no":
        raise InputError(
            "--eval_strategy would look at the test set during training. Hold out part of the "
            "training set for that: --train_val_split 0.1."
        )
    if data_args.augment and training_args.dataloader_persistent_workers:
        raise InputError(
            "--dataloader_persistent_workers: augmentation gets weaker from epoch to epoch, of "
            "which loader processes learn only when they start. Leave it out, or --augment False."
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
    output = Path(training_args.output_dir)
    check_output_dir(output, training_args, model_args.model_name_or_path)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--output_dir {output} is no folder that can be made: {error}") from error


def is_complete(checkpoint: Path) -> bool:
    """Whether saving a checkpoint came to its end: `Trainer` writes its state last."""
    try:
        return bool(TrainerState.load_from_json(checkpoint / TRAINER_STATE_NAME))
    except (OSError, ValueError, TypeError):
        return False


def checkpoints(output: Path) -> list[Path]:
    """The numbered checkpoints in a folder, oldest first; one that a person has renamed is none."""
    numbered = [path for path in output.glob("checkpoint-*") if path.name[11:].isdecimal()]
    return sorted(numbered, key=lambda path: int(path.name[11:]))


def last_checkpoint(output: Path) -> Path | None:
    """The newest complete checkpoint in a folder."""
    return next(filter(is_complete, reversed(checkpoints(output))), None)


def check_output_dir(
    output: Path, training_args: MnistTrainingArguments, model_name_or_path: str | None
) -> None:
    """Find the last checkpoint, and overwrite nothing but a finished run of the same kind.

    Raises:
        InputError: with what to do instead.
    """
    resume = training_args.resume_from_checkpoint
    checkpoint = last_checkpoint(output)
    if resume in LAST and checkpoint is None:
        raise InputError(f"--output_dir {output} holds no checkpoint to resume from.")
    if resume not in (None, *LAST) and not is_complete(Path(resume)):
        raise InputError(f"--resume_from_checkpoint {resume} is no folder of a checkpoint.")
    if resume in LAST:
        resume = training_args.resume_from_checkpoint = str(checkpoint)
    goes_on_here = resume is not None and Path(resume).resolve().parent == output.resolve()
    if goes_on_here or not output.is_dir() or not any(output.iterdir()):
        return
    ours = (output / "train_results.json").exists() or (output / "eval_results.json").exists()
    if not training_args.do_train:
        own = model_name_or_path is not None and Path(model_name_or_path) == output
        if (output / "train_results.json").exists() and not own:
            raise InputError(
                f"--output_dir {output} holds the results of a training run. Name another folder "
                f"for those of {model_name_or_path}."
            )
        return
    if ours and (output / "model.safetensors").exists():
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
