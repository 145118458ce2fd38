"""Train a convolutional network on MNIST, evaluate it, and push it to the Hub.

    python train.py                                             on all of MNIST
    python train.py --max_train_samples 2000 --max_steps 100    see in seconds that all works
    python train.py --do_eval --model_name_or_path model --output_dir evaluation

The flags that matter first:

    --output_dir FOLDER              where the model, its metrics, plots and card go
    --train_val_split 0.1            tune: hold out images of the training set for validation
    --dataset_name FOLDER            a local copy of the data, or another dataset of the Hub
    --resume_from_checkpoint last    go on after an interruption
    --push_to_hub --hub_model_id user/mnist-cnn

The model is evaluated on the test set once, after the last step. With --train_val_split it is
evaluated, during and after training, on the images held out of the training set, and not on the
test set.

All flags of transformers' TrainingArguments work as well; the defaults are those of the released
model.
"""

import shlex
import shutil
import sys
from argparse import ArgumentDefaultsHelpFormatter, RawDescriptionHelpFormatter
from pathlib import Path

import torch
from accelerate.utils import broadcast_object_list
from scipy.special import softmax
from transformers import HfArgumentParser, set_seed
from transformers.trainer_utils import PredictionOutput

from image_processing_mnist import MnistImageProcessor
from modeling_mnist import MnistConfig, MnistForImageClassification, load_pretrained
from training.allocator import keep_freed_memory
from training.arguments import (
    DataTrainingArguments,
    MnistTrainingArguments,
    ModelArguments,
    check_arguments,
    check_output_dir,
    checkpoints,
    find_checkpoint,
)
from training.augmentation import Augmentation
from training.corrections import RELEASED_MODEL, SHEET_FILE, Corrections, load_corrections
from training.data import MnistDataset, carve_validation, load_splits, to_tensors
from training.errors import InputError, writing_to
from training.evaluation import (
    compute_metrics,
    confusion_matrix,
    draw_contact_sheet,
    plot_calibration,
    plot_confusion_matrix,
    plot_learning_curves,
    plot_worst_errors,
)
from training.model_card import BENCHMARK_FILE, save_run, write_model_card
from training.synthetic import make_images
from training.trainer import MnistTrainer


class HelpFormatter(ArgumentDefaultsHelpFormatter, RawDescriptionHelpFormatter):
    """Shows defaults, and leaves the lines of the description as they are."""


def main() -> None:
    """Train, evaluate and push as the command line says."""
    model_args, data_args, training_args = parse_arguments()
    set_seed(training_args.seed)
    keep_freed_memory()
    output = Path(training_args.output_dir)
    output.mkdir(parents=True, exist_ok=True)
    corrections = read_corrections(model_args, data_args, training_args)
    train_dataset, eval_dataset = load_data(data_args, training_args, corrections)
    trainer = MnistTrainer(
        model=load_model(model_args),
        args=training_args,
        augmentation=Augmentation() if data_args.augment else None,
        train_dataset=train_dataset,
        eval_dataset=eval_dataset,
        processing_class=MnistImageProcessor(),
        data_collator=lambda batch: batch,
        compute_metrics=compute_metrics,
    )
    is_first = trainer.is_world_process_zero()
    if corrections is not None:
        trainer.log_metrics("corrections", corrections.record)
    if training_args.do_train:
        resume = training_args.resume_from_checkpoint
        if is_first:
            clear(output, resume)
        metrics = trainer.train(resume_from_checkpoint=resume).metrics
        with writing_to(output):
            save_training(trainer, metrics)
            if corrections is not None and is_first:
                save_corrections(trainer, corrections)
    if training_args.do_eval:
        prediction = trainer.predict(eval_dataset, metric_key_prefix="eval")
        with writing_to(output):
            save_evaluation(trainer, prediction)
    if training_args.do_train and is_first:
        with writing_to(output):
            save_run(trainer, model_args, data_args, corrections and corrections.record)
            write_model_card(output)
    if training_args.push_to_hub:
        push(trainer, output)


def parse_arguments() -> tuple[ModelArguments, DataTrainingArguments, MnistTrainingArguments]:
    """The flags, checked, and completed where one follows from another.

    Raises:
        InputError: they cannot work.
    """
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
    training_args.resume_from_checkpoint = find_checkpoint(
        training_args.resume_from_checkpoint, training_args.output_dir
    )
    check_output_dir(training_args, model_args.model_name_or_path)
    if data_args.train_val_split > 0 and training_args.eval_strategy == "no":
        training_args.eval_strategy = "epoch"
    if training_args.bf16 and training_args.use_cpu and not has_bf16():
        print(
            "train.py: This CPU has no bfloat16, so that --bf16 makes training many times slower. "
            "Leave it out.",
            file=sys.stderr,
        )
    return model_args, data_args, training_args


def has_bf16() -> bool:
    """Whether the CPU has instructions for bfloat16 (x86: AVX-512 BF16 or AMX; ARM: BF16)."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def read_corrections(
    model_args: ModelArguments,
    data_args: DataTrainingArguments,
    training_args: MnistTrainingArguments,
) -> Corrections | None:
    """What visitors have corrected, judged by the model before, or None without --corrections.

    The model before is the one that training starts from; from scratch, the released one.
    """
    if data_args.corrections is None:
        return None
    name = model_args.model_name_or_path or str(RELEASED_MODEL)
    before = load_model(ModelArguments(model_name_or_path=name)).to(training_args.device)
    with training_args.main_process_first(desc="the corrections"):
        return load_corrections(data_args.corrections, before, data_args.trust_corrections)


def load_data(
    data_args: DataTrainingArguments,
    training_args: MnistTrainingArguments,
    corrections: Corrections | None = None,
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
            made = make_images(images, labels, training_args.seed)
        training.append(*broadcast_object_list([made])[0])
    if corrections is not None:
        corrections.add_to(training)
    # Processes that load batches, and pinned memory, can only serve data that is on the CPU.
    on_cpu = training_args.dataloader_num_workers > 0 or training_args.dataloader_pin_memory
    if training and not on_cpu:
        training.to(training_args.device)
    return training, evaluation


def load_model(model_args: ModelArguments) -> MnistForImageClassification:
    """A new model, or the saved one that --model_name_or_path names."""
    if model_args.model_name_or_path is None:
        config = MnistConfig(conv_channels=model_args.conv_channels, dropout=model_args.dropout)
        return MnistForImageClassification(config).to(memory_format=torch.channels_last)
    try:
        return load_pretrained(model_args.model_name_or_path)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"--model_name_or_path cannot be loaded: {error}") from error


def clear(output: Path, resume: str | None) -> None:
    """Remove what would make an interruption of this run look like an earlier run's end.

    That is, checkpoints but those that the run goes on from, and results.
    """
    for checkpoint in reversed(checkpoints(output)):
        if resume is not None and checkpoint.samefile(resume):
            break
        shutil.rmtree(checkpoint)
    for name in ("train_results.json", "eval_results.json", BENCHMARK_FILE, SHEET_FILE):
        (output / name).unlink(missing_ok=True)


def save_training(trainer: MnistTrainer, metrics: dict[str, float]) -> None:
    """Leave the model, its metrics and its learning curves in the output folder."""
    trainer.save_model(_internal_call=True)  # or it would push at once, without card and plots
    trainer.log_metrics("train", metrics)
    trainer.save_metrics("train", metrics, combined=False)
    trainer.save_state()
    if trainer.is_world_process_zero():
        path = Path(trainer.args.output_dir, "learning_curves.png")
        plot_learning_curves(trainer.state.log_history, path)


def save_corrections(trainer: MnistTrainer, corrections: Corrections) -> None:
    """Leave what was left out in the output folder, and tell the accuracy on what was held out."""
    corrections.evaluate(trainer.model, "eval_corrections_accuracy")
    trainer.log_metrics("corrections", corrections.record)
    if corrections.captions:
        path = Path(trainer.args.output_dir, SHEET_FILE)
        draw_contact_sheet(corrections.left_out.images.numpy(), corrections.captions, path)
        print(f"Corrections of which the model before is sure that they are wrong: {path}")


def save_evaluation(trainer: MnistTrainer, prediction: PredictionOutput) -> None:
    """Leave the evaluation's metrics and plots in the output folder."""
    metrics = prediction.metrics | {"eval_samples": len(trainer.eval_dataset)}
    trainer.log_metrics("eval", metrics)
    trainer.save_metrics("eval", metrics, combined=False)
    if trainer.is_world_process_zero():
        output = Path(trainer.args.output_dir)
        true, probabilities = prediction.label_ids.argmax(1), softmax(prediction.predictions, 1)
        matrix = confusion_matrix(true, probabilities.argmax(1))
        plot_confusion_matrix(matrix, output / "confusion_matrix.png")
        images = trainer.eval_dataset.images.numpy()
        plot_worst_errors(images, true, probabilities, output / "worst_errors.png")
        plot_calibration(true, probabilities, output / "calibration.png")


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
    except (InputError, OSError) as error:  # an OSError says what could not be read or written
        sys.exit(f"train.py: {error}")
    except KeyboardInterrupt:
        sys.exit("train.py: Interrupted. To go on, add --resume_from_checkpoint last.")
