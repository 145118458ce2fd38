"""Train a convolutional network on MNIST, evaluate it, and push it to the Hub.

    python train.py                                             on all of MNIST
    python train.py --dataset_name tests/mnist --max_steps 100  see in a minute that all works
    python train.py --do_eval --model_name_or_path model --output_dir evaluation

The flags that matter first:

    --output_dir FOLDER              where the model, its metrics, plots and card go
    --train_val_split 0.1            tune: hold out images of the training set for validation
    --dataset_name FOLDER            a local copy of the data, or another dataset of the Hub
    --resume_from_checkpoint last    go on after an interruption
    --push_to_hub --hub_model_id YOUR_NAME/mnist-cnn

The model is evaluated on the test set once, after the last step; with --train_val_split on the
held-out images instead, during training as well. The other flags are those of transformers'
TrainingArguments; --help tells all. The defaults are those of the released model, but for --bf16.
"""

import ctypes
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from training.errors import InputError, check_flags, told_by

if __name__ == "__main__":  # at once: the imports that follow take seconds
    with told_by("train.py"):
        check_flags(sys.argv[1:])

import torch
from accelerate.utils import broadcast_object_list
from huggingface_hub import HfApi
from scipy.special import softmax
from transformers import TrainerCallback, set_seed
from transformers.trainer_utils import sort_checkpoints

from image_processing_mnist import MnistImageProcessor
from modeling_mnist import MnistConfig, MnistForImageClassification, load_pretrained
from training.arguments import MnistTrainingArguments, parse_arguments
from training.augmentation import Augmentation
from training.corrections import RELEASED_MODEL, SHEET_FILE, Corrections, load_corrections
from training.data import MnistDataset, carve_validation, load_splits, to_tensors
from training.evaluation import compute_metrics, draw_contact_sheet, plot_evaluation, plot_history
from training.lines import make_lines
from training.model_card import BENCHMARK_FILE, NUMBERS_FILE, save_run, write_model_card
from training.synthetic import make_images
from training.trainer import MnistTrainer

EVAL_LINES = 2000  # half of them of the digits that are evaluated on


def main() -> None:
    """Train, evaluate and push as the command line says."""
    args = parse_arguments(__doc__)
    set_seed(args.seed)
    keep_freed_memory()
    output = Path(args.output_dir)
    output.mkdir(parents=True, exist_ok=True)
    processor = load_processor(args)
    train_dataset, eval_dataset, corrections = load_data(args, processor)
    if args.push_to_hub and args.process_index == 0:
        check_hub(args)  # now, and not when minutes or hours have been spent
    model = load_model(args)
    if args.do_train:
        add_images(args, model, processor, train_dataset, eval_dataset)
    if corrections is not None:
        corrections.add_to(train_dataset)
    trainer = MnistTrainer(
        model=model,
        args=args,
        augmentation=Augmentation() if args.augment else None,
        train_dataset=train_dataset,
        eval_dataset=eval_dataset,
        processing_class=processor,
        data_collator=lambda batch: batch,
        compute_metrics=compute_metrics,
    )
    if args.do_train:
        train(trainer, corrections)
    if args.do_eval:
        evaluate(trainer)
    if args.do_train and trainer.is_world_process_zero():
        save_run(trainer, corrections and corrections.record)
        write_model_card(output)
    if args.push_to_hub:
        push(trainer)


def keep_freed_memory() -> None:
    """Tell glibc to keep the memory that a step frees for the next one; docs/performance.md.

    Without it the kernel maps and clears tens of megabytes at each step of training on a CPU.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    # Bytes, above what a step allocates: M_MMAP_THRESHOLD, which may refuse, and M_TRIM_THRESHOLD.
    if hasattr(libc, "mallopt") and libc.mallopt(-3, 2**30):
        libc.mallopt(-1, 2**30)


def load_data(
    args: MnistTrainingArguments, processor: MnistImageProcessor
) -> tuple[MnistDataset | None, MnistDataset | None, Corrections | None]:
    """What to train on, what to evaluate on (the validation split or test), and corrections."""
    with args.main_process_first(desc="the dataset"):
        splits = load_splits(args.dataset_name, args.dataset_config_name)

    def read(split: str, limit: int | None) -> MnistDataset:
        if split not in splits:
            raise InputError(f"The dataset has no split {split!r}, only {', '.join(splits)}.")
        rows = splits[split].select(range(len(splits[split]))[:limit])
        return to_tensors(rows, args.image_column_name, args.label_column_name, processor)

    training = evaluation = corrections = None
    if args.do_train or args.train_val_split > 0:
        training = read("train", args.max_train_samples)
    if args.train_val_split > 0:
        training, evaluation = carve_validation(training, args.train_val_split, args.seed)
    elif args.do_eval:
        evaluation = read("test", args.max_eval_samples)
    if args.corrections is not None:
        # Judged by the previous model: that which training starts from or, else, the released one.
        before = load_saved(args.model_name_or_path or str(RELEASED_MODEL)).to(args.device)
        with args.main_process_first(desc="the corrections"):
            corrections = load_corrections(args.corrections, before, args.trust_corrections)
    return training, evaluation, corrections


def load_model(args: MnistTrainingArguments) -> MnistForImageClassification:
    """A new model, or the saved one that --model_name_or_path names."""
    if args.model_name_or_path is not None:
        return load_saved(args.model_name_or_path)
    config = MnistConfig(
        conv_channels=args.conv_channels,
        dropout=args.dropout,
        line_channels=args.line_channels if args.numbers else [],
    )
    return MnistForImageClassification(config).to(memory_format=torch.channels_last)


def load_processor(args: MnistTrainingArguments) -> MnistImageProcessor:
    """The image processor that the flags name, with its ink finder."""
    name = args.image_processor_name or args.model_name_or_path or str(RELEASED_MODEL)
    try:
        return MnistImageProcessor.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise InputError(f"The image processor {name} cannot be loaded: {error}") from error


def load_saved(name_or_path: str) -> MnistForImageClassification:
    """`load_pretrained`, with an `InputError` that says which model."""
    try:
        return load_pretrained(name_or_path)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"The model {name_or_path} cannot be loaded: {error}") from error


def train(trainer: MnistTrainer, corrections: Corrections | None) -> None:
    """Train, and leave the model, its metrics and its learning curves in the output folder."""
    output, resume = Path(trainer.args.output_dir), trainer.args.resume_from_checkpoint
    is_first = trainer.is_world_process_zero()
    if corrections is not None:
        trainer.log_metrics("corrections", corrections.record)
    if is_first:
        trainer.add_callback(ClearEarlierRun)
    metrics = trainer.train(resume_from_checkpoint=resume).metrics
    trainer.save_model(_internal_call=True)  # or it would push at once, without card and plots
    trainer.log_metrics("train", metrics)
    trainer.save_metrics("train", metrics, combined=False)
    trainer.save_state()
    if is_first:
        plot_history(trainer.state.log_history, output / "learning_curves.png")
    if is_first and corrections is not None:
        corrections.evaluate(trainer.ema.module, "eval_corrections_accuracy")
        trainer.log_metrics("corrections", corrections.record)
        if corrections.captions:
            images, path = corrections.left_out.images.numpy(), output / SHEET_FILE
            draw_contact_sheet(images, corrections.captions, path)
            print(f"Left out, as the previous model is sure that they are wrong: {path}")


def check_hub(args: MnistTrainingArguments) -> None:
    """Create the repository to push to; `InputError` if it cannot be written."""
    try:
        hub = HfApi(token=args.hub_token)
        name = args.hub_model_id or Path(args.output_dir).absolute().name
        repo = hub.create_repo(name, private=args.hub_private_repo, exist_ok=True)
        hub.auth_check(repo.repo_id, write=True)
    # Errors of the network, of HTTP and of names have no type in common.
    except Exception as error:
        raise InputError(
            f"The Hub refused, so nothing was trained. `hf auth login` with a token that may "
            f"write to --hub_model_id may help. Its answer: {error}"
        ) from error


def add_images(
    args: MnistTrainingArguments,
    model: MnistForImageClassification,
    processor: MnistImageProcessor,
    training: MnistDataset,
    evaluation: MnistDataset | None,
) -> None:
    """Add lines to what is trained and evaluated on, and synthetic images to the first."""
    images, labels = training.images.numpy(), training.labels.numpy()

    def made(what: str, make: Callable, *inputs) -> object:
        """Make it in the first process, and give it to all."""
        if is_first := args.process_index == 0:
            print(f"Making {what}, which can take minutes.", flush=True)
        return broadcast_object_list([make(*inputs) if is_first else None])[0]

    if args.numbers and model.line_network is not None:
        count = args.lines_per_image * len(images)
        inputs = images, labels, count, args.seed
        training.lines = made(f"{count:,} lines of digits", make_lines, *inputs)
        if evaluation is not None:
            count = min(EVAL_LINES, len(evaluation))
            inputs = evaluation.images.numpy(), evaluation.labels.numpy(), count, args.seed + 1
            evaluation.lines = made(f"{count:,} held-out lines", make_lines, *inputs)
    if args.synthetic:
        inputs = images, labels, args.seed, processor
        training.append(*made("synthetic images", make_images, *inputs))


class ClearEarlierRun(TrainerCallback):
    """Clears the output folder when nothing stands in the way of the first step any more."""

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        clear(Path(args.output_dir), args.resume_from_checkpoint)


def clear(output: Path, resume: str | None) -> None:
    """Remove earlier runs' results and checkpoints, but for those that this run goes on from."""
    for checkpoint in reversed(sort_checkpoints(output)):
        if resume is not None and Path(checkpoint).samefile(resume):
            break
        shutil.rmtree(checkpoint)
    plots = ("confusion_matrix.png", "calibration.png", "worst_errors.png")
    results = ("train_results.json", "eval_results.json", BENCHMARK_FILE, NUMBERS_FILE)
    for name in (*plots, *results, SHEET_FILE):
        (output / name).unlink(missing_ok=True)


def evaluate(trainer: MnistTrainer) -> None:
    """Evaluate, and leave the metrics and plots in the output folder."""
    prediction = trainer.predict(trainer.eval_dataset, metric_key_prefix="eval")
    metrics = prediction.metrics | {"eval_samples": len(trainer.eval_dataset)}
    output = Path(trainer.args.output_dir)
    trainer.log_metrics("eval", metrics)
    trainer.save_metrics("eval", metrics, combined=False)
    if trainer.is_world_process_zero():
        true, probabilities = prediction.label_ids.argmax(1), softmax(prediction.predictions, 1)
        plot_evaluation(trainer.eval_dataset.images.numpy(), true, probabilities, output)


def push(trainer: MnistTrainer) -> None:
    """Push what was trained; if that fails, say how to do it later."""
    output = trainer.args.output_dir
    try:
        commit = trainer.push_to_hub()
        if commit is not None:  # in the first of several processes
            print(f"Pushed: {commit.commit_url}")
    # Whatever has gone wrong, and much can, the model is on disk.
    except Exception as error:
        raise InputError(
            f"The push failed: {error}\nThe model is safe in {output}. Push it later with\n"
            f"hf upload {trainer.hub_model_id} {shlex.quote(output)} . --exclude 'checkpoint-*' "
            f"--exclude '_*'"
        ) from error


if __name__ == "__main__":
    try:
        with told_by("train.py"):
            main()
    except KeyboardInterrupt:
        sys.exit("train.py: Interrupted. If there is a checkpoint: --resume_from_checkpoint last.")
