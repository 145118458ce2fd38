"""The model card: the README.md of a model's folder, rendered from the other files in it.

    write_model_card("model")

Nothing in the card is typed by hand, and rendering it again gives the same text.
"""

import json
import os
import platform
import re
import shlex
from argparse import ArgumentParser
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import torch
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from modeling_mnist import MnistConfig
from training.arguments import MnistTrainingArguments
from training.trainer import TEACHER_WEIGHT, MnistTrainer

TEMPLATE = Path(__file__).with_name("model_card_template.md")
RUN_FILE = "run.json"  # what the card tells of a run, beside its metrics
BENCHMARK_FILE = "benchmark.md"  # the table of benchmarks.robustness, if it has run
NUMBERS_FILE = "numbers.md"  # the same of benchmarks.whole_numbers
MNIST = "ylecun/mnist"
SETTINGS = [
    "num_train_epochs",
    "max_steps",
    "world_size",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "optim",
    "learning_rate",
    "lr_scheduler_type",
    "warmup_steps",
    "weight_decay",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "max_grad_norm",
    "label_smoothing_factor",
    "ema_decay",
    "distillation_share",
    "final_strength",
    "bf16",
    "fp16",
    "seed",
]


def save_run(trainer: MnistTrainer, corrections: dict[str, object] | None) -> None:
    """Write what the card tells of a run, and of its corrections, into its folder, as JSON."""
    args, dataset = trainer.args, trainer.train_dataset
    run = {
        "repo_id": trainer.hub_model_id or f"user/{Path(args.output_dir).absolute().name}",
        "command": command_line(args.world_size),
        "base_model": without_folders(args.model_name_or_path or "") or None,
        "dataset": args.dataset_name if is_hub_id(args.dataset_name) else None,
        "dataset_config": args.dataset_config_name,
        "evaluated_on": "held-out training" if args.train_val_split else "test",
        "evaluated_on_all": args.max_eval_samples is None,
        "train_images": len(dataset) - dataset.num_added,
        "synthetic_images": dataset.num_added - (corrections["images"] if corrections else 0),
        "corrections": corrections,
        "parameters": trainer.model.num_parameters(),
        "lines": dataset.lines and len(dataset.lines),
        "resumed": args.resume_from_checkpoint is not None,
        "hardware": describe_hardware(args),
        "versions": {name: version(name) for name in ("torch", "transformers")},
        "settings": describe_settings(trainer),
    }
    Path(args.output_dir, RUN_FILE).write_text(json.dumps(run, indent=2) + "\n")


def write_model_card(folder: str | Path) -> None:
    """Render the card of a model that train.py has trained, from the files beside it.

    Args:
        folder: Holds config.json, run.json and train_results.json, and, where the model was
            evaluated, eval_results.json, benchmark.md and numbers.md.
    """
    folder = Path(folder)
    run, training = (json.loads((folder / f).read_text()) for f in (RUN_FILE, "train_results.json"))
    evaluated = folder / "eval_results.json"
    tables = [folder / file for file in (BENCHMARK_FILE, NUMBERS_FILE)]
    benchmark, numbers = (file.read_text().strip() if file.exists() else None for file in tables)
    evaluation = json.loads(evaluated.read_text()) if evaluated.exists() else {}
    config = MnistConfig.from_pretrained(folder)
    dataset, base_model = run["dataset"], run["base_model"]
    corrected = run.get("corrections") or {}
    # Only what anyone can compare: a whole split that the Hub knows.
    is_comparable = dataset and run["evaluated_on"] == "test" and run["evaluated_on_all"]
    eval_results = [
        EvalResult(
            task_type="image-classification",
            dataset_type=dataset,
            dataset_name="MNIST" if dataset == MNIST else dataset,
            dataset_config="mnist" if dataset == MNIST else run["dataset_config"],
            dataset_split="test",
            metric_type=metric,
            metric_value=round(evaluation[f"eval_{metric}"], 5),
        )
        for metric in ("accuracy", "loss")
        if evaluation and is_comparable
    ]
    card_data = ModelCardData(
        license="mit",
        library_name="transformers",
        pipeline_tag="image-classification",
        tags=["mnist", "handwriting", "digits", "cnn"],
        datasets=list(filter(None, (dataset, corrected.get("dataset")))) or None,
        base_model=base_model if base_model and is_hub_id(base_model) else None,
        metrics=["accuracy"],
        model_name=run["repo_id"].split("/")[-1],
        eval_results=eval_results or None,
    )
    card = ModelCard.from_template(
        card_data,
        template_path=str(TEMPLATE),
        **run,
        model_name=card_data.model_name,
        teacher_weight=TEACHER_WEIGHT,
        line_accuracy=evaluation.get("eval_line_accuracy"),
        reads_numbers=bool(config.line_channels),
        confidence_threshold=config.confidence_threshold,
        training=training,
        evaluation=evaluation,
        benchmark=benchmark,
        numbers=numbers,
    )
    card.save(folder / "README.md")


def command_line(processes: int) -> str:
    """The command of this run, without the Hub token, the folder of the result, local paths."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--hub_token", "--hub-token")
    parser.add_argument("--output_dir", "--output-dir")
    _, flags = parser.parse_known_args()
    launcher = ["torchrun", "--nproc_per_node", str(processes)] if processes > 1 else ["python"]
    return shlex.join([*launcher, "train.py", *map(without_folders, flags)])


def without_folders(word: str) -> str:
    """Of a local path, also after an equals sign, the last name: the rest is nobody's business."""
    flag, equals, value = word.rpartition("=")
    is_path = os.path.isabs(value) or os.path.exists(value)
    return flag + equals + Path(value).absolute().name if is_path else word


def describe_settings(trainer: MnistTrainer) -> dict[str, object]:
    """The hyperparameters that flags and the model's configuration set, by name."""
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


def describe_hardware(args: MnistTrainingArguments) -> str:
    """The name of the GPUs, or of the CPU, and how many were in use."""
    if args.device.type == "cuda":
        return f"{torch.cuda.get_device_name(args.device)} (GPUs: {args.world_size})"
    name = torch.cpu.get_capabilities().get("cpu_name", platform.machine())
    return f"{name} (CPU cores: {args.world_size * torch.get_num_threads()})"
