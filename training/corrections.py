"""Corrections: images that visitors of the app have labelled, as training takes them.

    python train.py --corrections FOLDER_OR_HUB_ID    train on them
    python -m training.corrections FOLDER             write the folder's dataset card

The app keeps them as FOLDER/<0 to 9, or none for a non-digit>/<hash of the pixels>.png.
"""

import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from datasets import Image, load_dataset_builder
from datasets.exceptions import DatasetsError
from huggingface_hub import DatasetCard, DatasetCardData

from modeling_mnist import MnistForImageClassification
from training.data import NON_DIGIT_LABEL, NUM_LABELS, MnistDataset, scale_pixels
from training.errors import InputError
from training.model_card import is_hub_id

TEMPLATE = Path(__file__).with_name("corrections_card_template.md")
RELEASED_MODEL = Path(__file__).parent.parent / "model"  # before what is trained from scratch
SHEET_FILE = "_left_out_corrections.png"  # `Trainer` pushes no file whose name begins with _
LABELS = {str(digit): digit for digit in range(NUM_LABELS)} | {"none": NON_DIGIT_LABEL}
MAX_SHARE = 0.05  # of the training split: what visitors can change is bounded
HELD_OUT_EVERY = 10  # one correction in so many is held out
CONTRADICTED = 0.99  # confidence in another answer from which a correction is left out


@dataclass
class Corrections:
    """Corrections by what becomes of them, each part in the order of the hashes.

    Attributes:
        training: Those that may join the training split.
        held_out: A tenth, chosen by hash: the same ones as corrections are added.
        left_out: Those that the model before contradicts.
        captions: The file of each that is left out, and what the model before answers.
        record: What run.json and the model card tell.
    """

    training: MnistDataset
    held_out: MnistDataset
    left_out: MnistDataset
    captions: list[str]
    record: dict[str, object]

    def add_to(self, dataset: MnistDataset) -> None:
        """Append to a training set, at most 5% of those of its images that were not appended."""
        limit = int(MAX_SHARE * (len(dataset) - dataset.num_added))
        joining = self.training.select(torch.arange(len(self.training))[:limit])
        dataset.append(joining.images.numpy(), joining.labels.numpy())
        self.record |= {"images": len(joining), "beyond_limit": len(self.training) - len(joining)}


def load_corrections(
    name: str, before: MnistForImageClassification, trusted: bool = False
) -> Corrections:
    """Read the corrections in a folder or a dataset on the Hub, and sort them.

    Images with two labels are dropped. Where the model before has a confidence of 0.99 or more in
    another answer, a correction is left out, unless all are `trusted`.

    Raises:
        InputError: there are none that can be used.
    """
    rows, revision = read(name)
    labels_of = defaultdict(set)
    for pixels, label, _ in rows:
        labels_of[pixels.tobytes()].add(label)
    kept = sorted((name_of(p), p, *labels) for p, labels in labels_of.items() if len(labels) == 1)
    if not kept:
        raise InputError(f"All images of {name} have two labels. Delete those that are wrong.")
    names, pixels, labels = zip(*kept, strict=True)
    images = torch.frombuffer(bytearray(b"".join(pixels)), dtype=torch.uint8).view(-1, 28, 28)
    dataset = MnistDataset(images, torch.tensor([LABELS[label] for label in labels]))
    confidence, answer = classify(before, images)
    left_out = (answer != dataset.labels) & (confidence >= CONTRADICTED) & (not trusted)
    held_out = ~left_out & torch.tensor([int(name, 16) % HELD_OUT_EVERY == 0 for name in names])
    parts = [dataset.select(mask) for mask in (~left_out & ~held_out, held_out, left_out)]
    captions = [
        f"{labels[n]}/{names[n]}\nmodel: {answer[n]} ({confidence[n]:.1%})"
        for n in left_out.nonzero().flatten()
    ]
    record = {
        **({"dataset": name, "revision": revision} if revision else {}),
        "trusted": trusted,
        "two_labels": len(labels_of) - len(kept),
        "left_out": len(captions),
        "held_out": len(parts[1]),
        **accuracy(before, parts[1], "_before"),
    }
    return Corrections(*parts, captions, record)


def read(name: str) -> tuple[list[tuple[np.ndarray, str, dict]], str | None]:
    """All images (28, 28) uint8, each with label and PNG text, and the Hub's revision of them.

    Raises:
        InputError: they are not there, not as the app keeps them, or none.
    """
    folder = {"path": "imagefolder", "data_dir": name, "drop_labels": False}
    is_folder = Path(name).is_dir()
    if not is_folder and not is_hub_id(name):
        raise InputError(
            f"{name} is neither a folder nor a dataset on the Hub. Name the folder in which the "
            f"app keeps corrections (CORRECTIONS_DIR), a copy of it, or a dataset's id."
        )
    if is_folder and not any(Path(name).glob("*/*.png")):
        raise InputError(f"{name} holds no corrections (such as 7/<hash>.png). Collect some first.")
    try:
        builder = load_dataset_builder(**(folder if is_folder else {"path": name}))
        builder.download_and_prepare()
        split = builder.as_dataset(split="train")
    except (DatasetsError, OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"The corrections {name} could not be loaded: {error}. Without network, name a folder."
        ) from error
    classes = getattr(split.features.get("label"), "names", None)
    if classes is None or not isinstance(split.features.get("image"), Image):
        raise InputError(
            f"{name} has no images with labels. Before a folder of corrections is pushed, it "
            f"needs its card: python -m training.corrections FOLDER"
        )
    labels = [classes[n] if n in range(len(classes)) else str(n) for n in split["label"]]
    if wrong := sorted(set(labels) - LABELS.keys()):
        raise InputError(
            f"{name} has images labelled {', '.join(wrong[:5])}. Each lies in a folder that is "
            f"named 0 to 9 or none: move or delete the others."
        )
    rows = []
    for index, label in enumerate(labels):
        try:
            image = split[index]["image"]
        except (OSError, ValueError, SyntaxError) as error:
            raise InputError(f"An image of {name} cannot be read. Delete it: {error}") from error
        if image.mode != "L" or image.size != (28, 28):
            raise InputError(
                f"Image {index} (from 0) of {name}, {getattr(image, 'filename', '')}, has "
                f"{image.width}x{image.height} pixels of mode {image.mode}. Corrections have 28x28 "
                f"of mode L, as the app writes them: delete it."
            )
        rows.append((np.asarray(image), label, image.info))
    return rows, None if is_folder else builder.hash


def name_of(pixels: bytes) -> str:
    """The name of an image's file, without suffix, from its 784 pixels."""
    return sha256(pixels).hexdigest()[:16]


@torch.no_grad()
def classify(
    model: MnistForImageClassification, images: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, 28, 28) uint8 -> confidence (N,) 0-1 and answer (N,) 0-9, on the CPU."""
    batches = [scale_pixels(batch[:, None].to(model.device)) for batch in images.split(500)]
    logits = torch.cat([model.eval()(batch).logits for batch in batches])
    return logits.float().softmax(1).cpu().max(1)


def accuracy(
    model: MnistForImageClassification, dataset: MnistDataset, when: str = ""
) -> dict[str, float]:
    """`eval_corrections_accuracy`, 0-1; of no images {}.

    A non-digit is classified correctly where the confidence is below the model's threshold.
    """
    confidence, answer = classify(model, dataset.images)
    unsure = confidence < model.config.confidence_threshold
    correct = torch.where(dataset.labels == NON_DIGIT_LABEL, unsure, answer == dataset.labels)
    share = correct.double().mean().item()
    return {f"eval_corrections_accuracy{when}": share} if len(dataset) else {}


def write_dataset_card(folder: str) -> None:
    """Write README.md into a folder of corrections, for who pushes it to the Hub."""
    rows, _ = read(folder)
    told = {key: sorted({info.get(key, "?") for *_, info in rows}) for key in ("day", "model")}
    card_data = DatasetCardData(
        pretty_name="Corrections of handwritten digits",
        task_categories=["image-classification"],
        tags=["mnist", "handwriting", "digits"],
        configs=[{"config_name": "default", "data_dir": ".", "drop_labels": False}],
    )
    counts = sorted(Counter(label for _, label, _ in rows).items())
    card = DatasetCard.from_template(card_data, str(TEMPLATE), counts=counts, **told)
    card.save(Path(folder, "README.md"))


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("python -m training.corrections FOLDER writes the dataset card of a folder.")
    try:
        write_dataset_card(sys.argv[1])
    except (InputError, OSError) as error:
        sys.exit(f"training.corrections: {error}")
