"""The model card: what a run measured and how, as the README.md of the model's repository."""

import json
import platform
import re
from importlib.metadata import version
from pathlib import Path

import torch
from huggingface_hub import EvalResult, ModelCard, ModelCardData

TEMPLATE = Path(__file__).with_name("model_card_template.md")


def write_model_card(
    output_dir: Path,
    *,
    repo_id: str,
    dataset_name: str,
    dataset_config: str,
    split: str,
    parameters: int,
    train_images: int,
    validation_images: int,
    command: str,
    augmentation: bool,
    settings: dict[str, object],
) -> None:
    """Write README.md beside the model, from the metrics that the run left in `output_dir`.

    Args:
        output_dir: Holds train_results.json and, if the model was evaluated, eval_results.json.
        repo_id: The model's name on the Hub, user/name.
        dataset_name: The dataset's name on the Hub, or a local folder.
        dataset_config: Its configuration.
        split: What was evaluated on: "test" or "validation".
        parameters: Number of the model's parameters.
        train_images: Number of images trained on.
        validation_images: Number of images held out of the training set.
        command: That trained the model.
        augmentation: Whether images were changed at random in training.
        settings: Hyperparameters by name.
    """
    results = output_dir / "eval_results.json"
    evaluation = json.loads(results.read_text()) if results.exists() else {}
    on_hub = re.fullmatch(r"\w[\w.-]*/[\w.-]+", dataset_name) is not None
    eval_results = [
        EvalResult(
            task_type="image-classification",
            dataset_type=dataset_name,
            dataset_name="MNIST" if dataset_name == "ylecun/mnist" else dataset_name,
            dataset_config=dataset_config,
            dataset_split=split,
            metric_type=metric,
            metric_value=round(evaluation[f"eval_{metric}"], 5),
        )
        for metric in ("accuracy", "loss")
        if evaluation and on_hub
    ]
    card_data = ModelCardData(
        license="mit",
        library_name="transformers",
        pipeline_tag="image-classification",
        tags=["mnist", "handwriting", "digits", "cnn"],
        datasets=[dataset_name] if on_hub else None,
        metrics=["accuracy"],
        model_name=repo_id.split("/")[-1],
        eval_results=eval_results or None,
    )
    card = ModelCard.from_template(
        card_data,
        template_path=str(TEMPLATE),
        model_name=card_data.model_name,
        repo_id=repo_id,
        dataset_link=f"[{dataset_name}](https://huggingface.co/datasets/{dataset_name})"
        if on_hub
        else "a local dataset",
        evaluated_on="of the test set"
        if split == "test"
        else "that were held out of the training set",
        evaluation=evaluation,
        training=json.loads((output_dir / "train_results.json").read_text()),
        parameters=parameters,
        train_images=train_images,
        validation_images=validation_images,
        command=command,
        augmentation=augmentation,
        settings=settings,
        hardware=describe_hardware(),
        versions=", ".join(f"{name} {version(name)}" for name in ("torch", "transformers")),
    )
    card.save(output_dir / "README.md")


def describe_hardware() -> str:
    """The GPU's name where there is one, else the number of CPU threads in use and the CPU's."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{torch.get_num_threads()} CPU cores ({names[0] if names else platform.machine()})"
