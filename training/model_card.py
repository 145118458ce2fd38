"""The model card: what a run measured and how, as the README.md of the model's repository."""

import platform
import re
import shlex
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import torch
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from training.arguments import DataTrainingArguments, ModelArguments
from training.trainer import MnistTrainer

TEMPLATE = Path(__file__).with_name("model_card_template.md")
MNIST = "ylecun/mnist"
SETTINGS = (
    *("num_train_epochs", "max_steps", "world_size", "per_device_train_batch_size"),
    *("gradient_accumulation_steps", "optim", "learning_rate", "lr_scheduler_type", "warmup_steps"),
    *("weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm"),
    *("label_smoothing_factor", "ema_decay", "distillation_share", "final_strength"),
    *("bf16", "fp16", "seed"),
)


def write_model_card(
    trainer: MnistTrainer,
    model_args: ModelArguments,
    data_args: DataTrainingArguments,
    training: dict[str, float],
    evaluation: dict[str, float],
) -> None:
    """Write README.md into the output folder, beside the model and its plots.

    Args:
        trainer: Has trained the model.
        model_args: Of the run.
        data_args: Of the run.
        training: Its training metrics.
        evaluation: Its evaluation metrics; empty if there was none.
    """
    output_dir = Path(trainer.args.output_dir)
    repo_id = trainer.hub_model_id or f"user/{output_dir.absolute().name}"
    base_model, dataset = model_args.model_name_or_path, data_args.dataset_name
    on_hub = dataset == MNIST or is_hub_id(dataset)
    on_test = data_args.train_val_split == 0
    eval_results = [
        EvalResult(
            task_type="image-classification",
            dataset_type=dataset,
            dataset_name="MNIST" if dataset == MNIST else dataset,
            dataset_config="mnist" if dataset == MNIST else data_args.dataset_config_name,
            dataset_split="test",
            metric_type=metric,
            metric_value=round(evaluation[f"eval_{metric}"], 5),
        )
        for metric in ("accuracy", "loss")
        # Only what anyone can compare: a whole split that the Hub knows.
        if evaluation and on_hub and on_test and data_args.max_eval_samples is None
    ]
    card_data = ModelCardData(
        license="mit",
        library_name="transformers",
        pipeline_tag="image-classification",
        tags=["mnist", "handwriting", "digits", "cnn"],
        datasets=[dataset] if on_hub else None,
        base_model=base_model if base_model and is_hub_id(base_model) else None,
        metrics=["accuracy"],
        model_name=repo_id.split("/")[-1],
        eval_results=eval_results or None,
    )
    link = f"[{dataset}](https://huggingface.co/datasets/{dataset})"
    card = ModelCard.from_template(
        card_data,
        template_path=str(TEMPLATE),
        model_name=card_data.model_name,
        repo_id=repo_id,
        base_model=base_model,
        dataset_link=link if on_hub else "a local dataset",
        evaluated_on="of the test set" if on_test else "that were held out of the training set",
        parameters=trainer.model.num_parameters(),
        train_images=len(trainer.train_dataset) - trainer.train_dataset.num_synthetic,
        synthetic_images=trainer.train_dataset.num_synthetic,
        confidence_threshold=trainer.model.config.confidence_threshold,
        command=command_line(trainer.args.world_size),
        resumed=trainer.args.resume_from_checkpoint is not None,
        hardware=describe_hardware(trainer.args.device, trainer.args.world_size),
        versions=" and ".join(f"{name} {version(name)}" for name in ("torch", "transformers")),
        settings=describe_settings(trainer),
        training=training,
        evaluation=evaluation,
    )
    card.save(output_dir / "README.md")


def command_line(processes: int) -> str:
    """The command of this run, without the Hub token and the folder of the result."""
    launcher = ["torchrun", "--nproc_per_node", str(processes)] if processes > 1 else ["python"]
    words, kept = sys.argv[1:], [*launcher, "train.py"]
    while words:
        word = words.pop(0)
        if word.partition("=")[0].replace("-", "_") not in ("__hub_token", "__output_dir"):
            kept.append(word)
        elif "=" not in word:
            words.pop(0)
    return shlex.join(kept)


def describe_settings(trainer: MnistTrainer) -> dict[str, object]:
    """Every hyperparameter of the run, by name."""
    settings = {key: getattr(trainer.args, key) for key in SETTINGS}
    del settings["max_steps" if trainer.args.max_steps < 0 else "num_train_epochs"]
    config = trainer.model.config
    settings |= {"conv_channels": config.conv_channels, "dropout": config.dropout}
    if augmentation := trainer.augmentation:
        settings |= {f"augmentation: {key}": value for key, value in asdict(augmentation).items()}
    return {key: getattr(value, "value", value) for key, value in settings.items()}


def is_hub_id(name: str) -> bool:
    """Whether a name is that of a repository on the Hub, and not of a local folder."""
    return re.fullmatch(r"\w[\w.-]*/[\w.-]+", name) is not None and not Path(name).exists()


def describe_hardware(device: torch.device, processes: int) -> str:
    """How many GPUs, or CPU cores, were in use, and their name."""
    if device.type == "cuda":
        return (
            f"{processes} GPU{'s' if processes > 1 else ''} ({torch.cuda.get_device_name(device)})"
        )
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    cores = processes * torch.get_num_threads()
    name = names[0] if names else platform.machine()
    return f"{cores} CPU core{'s' if cores > 1 else ''} ({name})"
