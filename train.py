"""Train a convolutional network on MNIST, evaluate it, and push it to the Hub.

    python train.py                                             the recipe, on all of MNIST
    python train.py --max_train_samples 2000 --max_steps 100    see in seconds that all works
    python train.py --do_eval --model_name_or_path model --output_dir evaluation

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

import ctypes
import errno
import shlex
import shutil
import sys
from argparse import ArgumentDefaultsHelpFormatter, RawDescriptionHelpFormatter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate.utils import broadcast_object_list
from httpx2 import HTTPError  # what huggingface_hub is built on
from huggingface_hub.errors import (
    HFValidationError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
)
from scipy.special import softmax
from transformers import HfArgumentParser, set_seed

from arguments import (
    DataTrainingArguments,
    MnistTrainingArguments,
    ModelArguments,
    check_arguments,
    checkpoints,
)
from augmentation import Augmentation
from data import InputError, MnistDataset, carve_validation, load_splits, to_tensors
from image_processing_mnist import MnistImageProcessor
from metrics import compute_metrics, confusion_matrix
from model_card import write_model_card
from modeling_mnist import MnistConfig, MnistForImageClassification, load_pretrained
from plots import (
    plot_calibration,
    plot_confusion_matrix,
    plot_learning_curves,
    plot_worst_errors,
)
from synthetic import make_pictures
from trainer import MnistTrainer

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # as in glibc's malloc.h


class HelpFormatter(ArgumentDefaultsHelpFormatter, RawDescriptionHelpFormatter):
    """Shows defaults, and leaves the lines of the description as they are."""


def keep_freed_memory() -> None:
    """Tell glibc to keep what a batch frees for the next one: a fifth faster training on CPUs."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_TRIM_THRESHOLD, 2**30)
        libc.mallopt(M_MMAP_THRESHOLD, 2**30)


def has_bf16() -> bool:
    """Whether the CPU computes in bfloat16 itself, as far as torch's oneDNN can tell."""
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def load_data(
    data_args: DataTrainingArguments, training_args: MnistTrainingArguments
) -> tuple[MnistDataset | None, MnistDataset | None]:
    """What to train on and what to evaluate on: the validation split if there is one, or test."""
    with training_args.main_process_first(desc="the dataset"):
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
    if training_args.do_train and data_args.synthetic:
        made = None
        if training_args.process_index == 0:
            images, labels = training.images.numpy(), training.labels.numpy()
            made = make_pictures(images, labels, training_args.seed)
        training.append(*broadcast_object_list([made])[0])
    if training and data_args.augment:
        training.augmentation = Augmentation(final_strength=data_args.final_strength)
        training.seed = training_args.seed
    # Processes that load batches, and pinned memory, can only serve data that is on the CPU.
    on_cpu = training_args.dataloader_num_workers > 0 or training_args.dataloader_pin_memory
    if training and not on_cpu:
        training.to(training_args.device)
    return training, evaluation


def load_model(model_args: ModelArguments) -> MnistForImageClassification:
    """A new model, or the saved one that --model_name_or_path names."""
    if model_args.model_name_or_path is None:
        config = MnistConfig(
            conv_channels=model_args.conv_channels,
            dropout=model_args.dropout,
            second_look_threshold=model_args.second_look_threshold,
            score_threshold=model_args.score_threshold,
        )
        model = MnistForImageClassification(config).to(memory_format=torch.channels_last)
    else:
        try:
            model = load_pretrained(model_args.model_name_or_path)
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(f"--model_name_or_path cannot be loaded: {error}") from error
    return model


def main() -> None:
    """Train and evaluate as the command line says."""
    parser = HfArgumentParser(
        (ModelArguments, DataTrainingArguments, MnistTrainingArguments),
        usage="python train.py [--flag value ...]",
        description=__doc__,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    try:
        model_args, data_args, training_args = parser.parse_args_into_dataclasses()
    except ValueError as error:  # flags that do not go together
        raise InputError(str(error)) from error
    check_arguments(model_args, data_args, training_args)
    if data_args.train_val_split > 0 and training_args.eval_strategy == "no":
        training_args.eval_strategy = "epoch"
    if training_args.bf16 and training_args.use_cpu and not has_bf16():
        print(
            "train.py: This CPU has no bfloat16, so that --bf16 makes training many times slower. "
            "Leave it out.",
            file=sys.stderr,
        )
    set_seed(training_args.seed)
    keep_freed_memory()
    output = Path(training_args.output_dir)

    train_dataset, eval_dataset = load_data(data_args, training_args)
    try:
        trainer = MnistTrainer(
            model=load_model(model_args),
            args=training_args,
            ema_decay=model_args.ema_decay,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            processing_class=MnistImageProcessor(),
            data_collator=lambda batch: batch,
            compute_metrics=compute_metrics,
        )
    except (HTTPError, OfflineModeIsEnabled, HFValidationError, LocalTokenNotFoundError) as error:
        raise InputError(
            f"The Hub refused, so nothing was trained. `hf auth login` with a token that may write "
            f"to --hub_model_id may help. Its answer: {error}"
        ) from error

    with writing_to(output):
        run(trainer, model_args, data_args)
    if training_args.push_to_hub:
        push(trainer, output)


def run(
    trainer: MnistTrainer, model_args: ModelArguments, data_args: DataTrainingArguments
) -> None:
    """Train and evaluate, and leave model, metrics, plots and card in the output folder."""
    args, eval_dataset, output = trainer.args, trainer.eval_dataset, Path(trainer.args.output_dir)
    is_first = trainer.is_world_process_zero()
    train_metrics, eval_metrics = {}, {}
    if args.do_train:
        if is_first and args.resume_from_checkpoint is None:
            forget_last_run(output)
        train_metrics = trainer.train(resume_from_checkpoint=args.resume_from_checkpoint).metrics
        trainer.save_model(_internal_call=True)  # or it would push at once, without card and plots
        trainer.log_metrics("train", train_metrics)
        trainer.save_metrics("train", train_metrics, combined=False)
        trainer.save_state()
        if is_first:
            plot_learning_curves(trainer.state.log_history, output / "learning_curves.png")

    if args.do_eval:
        prediction = trainer.predict(eval_dataset, metric_key_prefix="eval")
        eval_metrics = prediction.metrics | {"eval_samples": len(eval_dataset)}
        trainer.log_metrics("eval", eval_metrics)
        trainer.save_metrics("eval", eval_metrics, combined=False)
        if is_first:
            true, probabilities = prediction.label_ids.argmax(1), softmax(prediction.predictions, 1)
            matrix = confusion_matrix(true, probabilities.argmax(1))
            plot_confusion_matrix(matrix, output / "confusion_matrix.png")
            plot_worst_errors(eval_dataset.images, true, probabilities, output / "worst_errors.png")
            plot_calibration(true, probabilities, output / "calibration.png")

    if args.do_train and is_first:
        write_model_card(trainer, model_args, data_args, train_metrics, eval_metrics)


def forget_last_run(output: Path) -> None:
    """Remove what would make an interruption look like the finished run that was here before."""
    for checkpoint in checkpoints(output):
        shutil.rmtree(checkpoint)
    for name in ("train_results.json", "eval_results.json"):
        (output / name).unlink(missing_ok=True)


@contextmanager
def writing_to(output: Path) -> Iterator[None]:
    """Make a full disk, and whatever else keeps files from being written, a sentence.

    Raises:
        InputError: in place of that error.
    """
    try:
        yield
    except Exception as error:
        # safetensors and torch.save tell of the disk only in their texts.
        texts = ("os error", "PytorchStreamWriter", "unexpected pos")
        number = error.errno if isinstance(error, OSError) else None
        if number not in DISK_ERRORS and not any(text in str(error) for text in texts):
            raise
        raise InputError(
            f"Files could not be written to {output}: {error}\nMake room there. Checkpoints that "
            f"were complete still are: --resume_from_checkpoint last goes on from the newest."
        ) from error


def push(trainer: MnistTrainer, output: Path) -> None:
    """Push what was trained; if that fails, say how to do it later."""
    try:
        commit = trainer.push_to_hub()
        if commit is not None:  # in the first of several processes
            print(f"Pushed: {commit.commit_url}")
    # Whatever has gone wrong, and much can, the model is on disk.
    except Exception as error:
        folder = shlex.quote(str(output))
        raise InputError(
            f"The push failed: {error}\nThe model is safe in {output}. Push it later with\n"
            f"hf upload {trainer.hub_model_id} {folder} . --exclude 'checkpoint-*' --exclude '_*'"
        ) from error


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"train.py: {error}")
    except KeyboardInterrupt:
        sys.exit("train.py: Interrupted. To go on, add --resume_from_checkpoint last.")
