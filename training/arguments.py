"""The flags of train.py, their defaults (the training configuration), and their checks."""

import sys
from argparse import (
    Action,
    ArgumentDefaultsHelpFormatter,
    ArgumentTypeError,
    RawDescriptionHelpFormatter,
)
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from transformers import HfArgumentParser, TrainingArguments
from transformers.hf_argparser import HfArg
from transformers.integrations import get_reporting_integration_callbacks
from transformers.trainer_utils import sort_checkpoints

from modeling_mnist import MnistConfig
from training.ema import EMA_FILE
from training.errors import InputError


@dataclass
class MnistTrainingArguments(TrainingArguments):
    """All flags. Their defaults are those of the released model, but for --bf16."""

    # The model
    model_name_or_path: str | None = HfArg(
        default=None, help="Start from this saved model, a folder or a Hub id, not from scratch."
    )
    image_processor_name: str | None = HfArg(
        default=None,
        help="The image processor, a folder or a Hub id: by default that of --model_name_or_path "
        "or, else, the released one. python -m training.ink_finder trains one.",
    )
    conv_channels: list[int] = HfArg(  # noqa: RUF009 (it is dataclasses.field)
        default_factory=lambda: MnistConfig().conv_channels,
        help="Channels of each stage of a new model; fewer are faster.",
    )
    line_channels: list[int] = HfArg(  # noqa: RUF009
        default_factory=lambda: MnistConfig().line_channels,
        help="The same of the four stages that read lines.",
    )
    dropout: float = HfArg(
        default=MnistConfig().dropout, help="Dropout before the dense layers of a new model."
    )
    # The data
    dataset_name: str = HfArg(
        default="ylecun/mnist",
        help="A dataset on the Hub or in a local folder, with train and test splits.",
    )
    dataset_config_name: str | None = HfArg(default=None, help="Its configuration, if several.")
    image_column_name: str = HfArg(default="image", help="The column of images.")
    label_column_name: str = HfArg(default="label", help="The column of digits, 0-9.")
    train_val_split: float = HfArg(
        default=0.0,
        help="Fraction of the training set to hold out for validation, drawn by --seed. "
        "0 trains on all of it and evaluates on the test set, once.",
    )
    max_train_samples: int | None = HfArg(default=None, help="Train on the first so many only.")
    max_eval_samples: int | None = HfArg(default=None, help="Evaluate on the first so many only.")
    synthetic: bool = HfArg(
        default=True, help="Add drawn, corrupted and cut digits, and non-digits."
    )
    numbers: bool = HfArg(
        default=True, help="Learn to read lines of digits as well, composed for that."
    )
    lines_per_image: int = HfArg(
        default=3, help="How many lines are composed for each training image."
    )
    augment: bool = HfArg(
        default=True, help="Rotate, shear, scale, shift, deform, and thin or thicken digits."
    )
    corrections: str | None = HfArg(
        default=None,
        help="Train on what visitors of the app have corrected as well: the folder in which "
        "it keeps that, or a dataset of the Hub. docs/corrections.md tells how.",
    )
    trust_corrections: bool = HfArg(
        default=False, help="Also train on those that the previous model is sure are wrong."
    )
    # Training
    output_dir: str = HfArg(default="mnist-cnn", help="Where model, metrics and plots are written.")
    num_train_epochs: float = HfArg(default=12, help="Passes over the training set.")
    per_device_train_batch_size: int = HfArg(default=128, help="Images per device and step.")
    per_device_eval_batch_size: int = HfArg(default=500, help="Images per device in evaluation.")
    learning_rate: float = HfArg(default=3e-3, help="Peak learning rate.")
    weight_decay: float = HfArg(default=0.05, help="Weight decay of AdamW.")
    lr_scheduler_type: str = HfArg(default="cosine", help="Learning rate after the warm-up.")
    warmup_steps: float = HfArg(
        default=0.1,
        help="Steps of linear warm-up, at the start, and again when distillation starts; below 1, "
        "a share of the steps.",
    )
    ema_decay: float = HfArg(
        default=0.995, help="Decay of the exponential moving average (EMA) of the weights; 0: none."
    )
    final_strength: float = HfArg(
        default=0.4, help="Share of the augmentation that is left when distillation starts, 0-1."
    )
    distillation_share: float = HfArg(
        default=0.21,
        help="Share of all steps, the last ones, in which the network learns from its own "
        "answers, averaged over views; 0: none.",
    )
    logging_steps: float = HfArg(
        default=0.01, help="Steps between two log lines; below 1, a share of all steps."
    )
    save_strategy: str = HfArg(default="epoch", help="When to save a checkpoint to resume from.")
    save_total_limit: int | None = HfArg(default=2, help="Checkpoints to keep.")
    # One push of the finished model, so that every commit on the Hub loads.
    hub_strategy: Literal["end"] = HfArg(default="end", help="When to push the model.")
    report_to: str | None = HfArg(default="none", help="Trackers: tensorboard, wandb, ...")
    # Batches come finished from memory: there are no columns to drop and nothing to pin. Without
    # numbers a line network may be unused: only then need several processes search for that.
    remove_unused_columns: bool = False
    dataloader_pin_memory: bool = False
    ddp_find_unused_parameters: bool | None = False

    def __post_init__(self):
        if not (self.do_train or self.do_eval):
            self.do_train = self.do_eval = True
        if self.train_val_split > 0 and self.eval_strategy == "no":
            self.eval_strategy = "epoch"
        if not self.numbers:
            self.ddp_find_unused_parameters = True
        # Without this, --bf16 is refused on a machine that has only a CPU.
        self.use_cpu = self.use_cpu or not torch.accelerator.is_available()
        super().__post_init__()


class HelpFormatter(ArgumentDefaultsHelpFormatter, RawDescriptionHelpFormatter):
    """Shows defaults, and leaves the lines of the description as they are."""


def whole_number(text: str) -> int:
    """One of several, as the command line gives them."""
    if "," in text:
        raise ArgumentTypeError(f"separate with spaces: {text.replace(',', ' ')}")
    return int(text)


class FlagParser(HfArgumentParser):
    """Its help tells of the flags that are explained here first, then of the inherited ones."""

    @cached_property
    def inherited(self):
        return self.add_argument_group("flags of transformers' TrainingArguments")

    def add_argument(self, *names: str, **options) -> Action:
        """As argparse's; called for each field, and for the --no_ twin of some."""
        field = names[0].lstrip("-").removeprefix("no_")
        explained = field in MnistTrainingArguments.__annotations__ and "help" in options
        if names[0].startswith("--no_"):
            options["help"] = f"Leave out what --{field} does."
        if options.get("nargs") == "+" and options["type"] is int:
            options["type"] = whole_number
        group = super() if explained or names[0] == "-h" else self.inherited
        return group.add_argument(*names, **options)


def parse_arguments(description: str) -> MnistTrainingArguments:
    """The command line's flags; `InputError` if they cannot work."""
    parser = FlagParser(
        MnistTrainingArguments,
        usage="python train.py [--flag value ...]",
        description=description,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    try:
        (args,) = parser.parse_args_into_dataclasses()
    except ValueError as error:  # flags that do not go together
        raise InputError(str(error)) from error
    check_arguments(args)
    args.resume_from_checkpoint = find_checkpoint(args)
    check_output_dir(args)
    if args.bf16 and args.use_cpu and not has_bf16():
        print("This CPU has no bfloat16: without --bf16 training is faster.", file=sys.stderr)
    return args


def has_bf16() -> bool:
    """Whether the CPU has instructions for bfloat16 (x86: AVX-512 BF16 or AMX; ARM: BF16)."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def check_arguments(args: MnistTrainingArguments) -> None:
    """Raise `InputError` where flags cannot work, before anything is loaded."""
    for name in ("model_name_or_path", "image_processor_name"):
        value = getattr(args, name) or ""
        if value.startswith(("/", ".")) and not Path(value).exists():
            raise InputError(f"--{name} {value}: There is no such folder.")
    if not 0 <= args.final_strength <= 1:
        raise InputError("--final_strength is at least 0 and at most 1.")
    for name in ("dropout", "train_val_split", "ema_decay", "distillation_share"):
        if not 0 <= getattr(args, name) < 1:
            raise InputError(f"--{name} is a fraction: at least 0 and below 1.")
    if min(args.conv_channels) < 1 or len(args.conv_channels) > 4:
        raise InputError("--conv_channels are whole numbers from 1, for one to four stages.")
    if min(args.line_channels) < 1 or len(args.line_channels) != 4:
        raise InputError("--line_channels are four whole numbers from 1.")
    if args.lines_per_image < 1:
        raise InputError("--lines_per_image is at least 1. For none: --numbers False.")
    if not 0 <= args.seed < 2**32:
        raise InputError("--seed is a whole number from 0 to 4294967295.")
    if any(n is not None and n < 1 for n in (args.max_train_samples, args.max_eval_samples)):
        raise InputError("--max_train_samples and --max_eval_samples are at least 1.")
    if args.train_val_split > 0 and args.max_eval_samples is not None:
        raise InputError("--max_eval_samples limits the test set. Choose a smaller fraction.")
    if args.train_val_split == 0 and args.eval_strategy != "no":
        raise InputError("--eval_strategy needs held-out images: add --train_val_split 0.1.")
    if args.lr_scheduler_type == "reduce_lr_on_plateau" and args.distillation_share > 0:
        raise InputError("--lr_scheduler_type reduce_lr_on_plateau needs --distillation_share 0.")
    if args.trust_corrections and args.corrections is None:
        raise InputError("--trust_corrections needs some: --corrections FOLDER_OR_HUB_ID.")
    if args.do_train and max(args.num_train_epochs, args.max_steps) <= 0:
        raise InputError("--num_train_epochs and --max_steps leave no step to train.")
    check_trackers(args)
    if args.do_train:
        return
    if args.model_name_or_path is None:
        raise InputError("--do_eval alone needs a model: --model_name_or_path model.")
    if args.corrections is not None:
        raise InputError("--corrections are trained on, which --do_eval alone does not.")
    if args.push_to_hub:
        raise InputError("--push_to_hub needs training. To push a folder: hf upload ID FOLDER")


def check_trackers(args: TrainingArguments) -> None:
    """Raise `InputError` for a tracker that is not installed: the `Trainer` finds out late."""
    try:
        for tracker in get_reporting_integration_callbacks(args.report_to):
            tracker()
    except (RuntimeError, ValueError) as error:
        raise InputError(f"--report_to: {error}") from error


def find_checkpoint(args: MnistTrainingArguments) -> str | None:
    """The folder that --resume_from_checkpoint means, or None; `InputError` if it is incomplete."""
    output, resume = args.output_dir, args.resume_from_checkpoint
    if resume in ("last", "True", "true"):  # transformers also takes True
        checkpoints = complete_checkpoints(output)
        if not checkpoints:
            raise InputError(f"--output_dir {output} holds no checkpoint to resume from.")
        return checkpoints[-1]
    if resume is not None and not Path(resume, EMA_FILE).is_file():
        raise InputError(f"--resume_from_checkpoint {resume} is no folder of a checkpoint.")
    return resume


def check_output_dir(args: MnistTrainingArguments) -> None:
    """Raise `InputError` where a run would overwrite anything but a finished one."""
    output, resume = Path(args.output_dir), args.resume_from_checkpoint
    if output.exists() and not output.is_dir():
        raise InputError(f"--output_dir {output} is a file. Name a folder.")
    is_trained = (output / "train_results.json").exists()
    if not args.do_train:
        if is_trained:  # its card tells of the evaluation that it was trained with
            raise InputError(f"--output_dir {output} holds a trained model. Name another folder.")
        return
    goes_on = resume is not None and Path(resume).resolve().parent == output.resolve()
    is_empty = not output.is_dir() or not any(output.iterdir())
    if goes_on or is_empty or (is_trained and (output / "model.safetensors").exists()):
        return
    if complete_checkpoints(output):
        raise InputError(
            f"--output_dir {output} holds an interrupted run. Go on with it by adding "
            f"--resume_from_checkpoint last, or name another folder."
        )
    if not (output / "run.json").exists():  # as a run leaves it that ends before its first save
        raise InputError(f"--output_dir {output} holds something else. Name a new or empty folder.")


def complete_checkpoints(output: str | Path) -> list[str]:
    """The checkpoints in a folder that were saved to their end, oldest first."""
    return [path for path in sort_checkpoints(output) if Path(path, EMA_FILE).is_file()]
