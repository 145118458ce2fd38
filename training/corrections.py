"""Corrections: images that visitors of the app have labelled, as training takes them.

    python train.py --corrections FOLDER_OR_HUB_ID    train on them
    python -m training.corrections FOLDER             write the folder's dataset card

The app keeps them as FOLDER/<0 to 9, or none for a non-digit>/<hash of the pixels>.png.
"""

from argparse import ArgumentParser
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch
from datasets import ClassLabel, Image, load_dataset_builder
from datasets.exceptions import DatasetsError
from huggingface_hub import DatasetCard, DatasetCardData
from transformers import PreTrainedModel

from training.data import NON_DIGIT_LABEL, NUM_LABELS, MnistDataset, scale_pixels
from training.errors import InputError, told_by

TEMPLATE = Path(__file__).with_name("corrections_card_template.md")
RELEASED_MODEL = Path(__file__).parent.parent / "model"  # judges where training starts from scratch
SHEET_FILE = "_left_out_corrections.png"  # `Trainer` pushes no file whose name begins with _
LABELS = {str(digit): digit for digit in range(NUM_LABELS)} | {"none": NON_DIGIT_LABEL}
MAX_SHARE = 0.05  # of the training split: what visitors can change is bounded
HELD_OUT_EVERY = 10  # one correction in so many is held out
CONTRADICTED = 0.99  # confidence in another answer from which a correction is left out


@dataclass
class Corrections:
    """Corrections by what becomes of them, in the order of their hashes."""

    training: MnistDataset
    held_out: MnistDataset
    left_out: MnistDataset
    captions: list[str]  # of those left out: the file, and the previous model's answer
    record: dict[str, object]  # what run.json and the model card tell

    def add_to(self, dataset: MnistDataset) -> None:
        """Append to a training set, at most 5% of those of its images that were not appended."""
        limit = int(MAX_SHARE * (len(dataset) - dataset.num_added))
        images, labels = self.training.images[:limit], self.training.labels[:limit]
        dataset.append(images.numpy(), labels.numpy())
        self.record |= {"images": len(images), "beyond_limit": len(self.training) - len(images)}

    def evaluate(self, model: PreTrainedModel, metric: str) -> None:
        """Record the accuracy, 0-1, on the held-out ones, if there are any, under this name.

        A non-digit is classified correctly where the confidence is below the model's threshold.
        """
        if len(self.held_out) > 0:
            confidence, answer = predict_all(model, self.held_out.images)
            unsure, labels = confidence < model.config.confidence_threshold, self.held_out.labels
            correct = torch.where(labels == NON_DIGIT_LABEL, unsure, answer == labels)
            self.record[metric] = correct.double().mean().item()


def load_corrections(name: str, before: PreTrainedModel, trusted: bool = False) -> Corrections:
    """Read the corrections in a folder or a dataset on the Hub, and sort them.

    Images with two labels are dropped. Where the previous model has a confidence of 0.99 or more in
    another answer, a correction is left out, unless all are `trusted`. `InputError` if none remain.
    """
    rows, revision = read(name)
    labelled = {(pixels, label) for pixels, label, _ in rows}
    num_labels = Counter(pixels for pixels, _ in labelled)
    kept = sorted((name_of(p), p, label) for p, label in labelled if num_labels[p] == 1)
    if not kept:
        raise InputError(f"All images of {name} have two labels. Delete those that are wrong.")
    hashes, pixels, labels = zip(*kept, strict=True)
    images = torch.frombuffer(bytearray(b"".join(pixels)), dtype=torch.uint8).view(-1, 28, 28)
    dataset = MnistDataset(images, torch.tensor([LABELS[label] for label in labels]))
    confidence, answer = predict_all(before, images)
    left_out = (answer != dataset.labels) & (confidence >= CONTRADICTED)
    if trusted:
        left_out[:] = False
    held_out = ~left_out & torch.tensor([int(h, 16) % HELD_OUT_EVERY == 0 for h in hashes])
    parts = [dataset.select(mask) for mask in (~left_out & ~held_out, held_out, left_out)]
    captions = [
        f"{labels[n]}/{hashes[n]}\nmodel: {answer[n]} ({confidence[n]:.1%})"
        for n in left_out.nonzero().flatten()
    ]
    record = {"dataset": name, "revision": revision} if revision else {}
    record |= {"held_out": len(parts[1]), "left_out": len(captions)}
    record["two_labels"] = len(num_labels) - len(kept)
    corrections = Corrections(*parts, captions, record)
    corrections.evaluate(before, "eval_corrections_accuracy_before")
    return corrections


def read(name: str) -> tuple[list[tuple[bytes, str, dict]], str | None]:
    """The 784 pixels, label and PNG text of all images, and the Hub's revision of them.

    `InputError` if there are none, or not such as the app keeps.
    """
    is_folder = Path(name).is_dir()
    source = {"path": "imagefolder", "data_dir": name, "drop_labels": False}
    try:
        builder = load_dataset_builder(**source if is_folder else {"path": name})
        builder.download_and_prepare()
        split = builder.as_dataset(split="train")
    except (DatasetsError, OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"The corrections {name} could not be loaded: {error}. Name the folder in which the "
            f"app keeps corrections (CORRECTIONS_DIR), once it holds some, or a dataset of the Hub."
        ) from error
    image_kind, label_kind = (split.features.get(column) for column in ("image", "label"))
    if not isinstance(image_kind, Image) or not isinstance(label_kind, ClassLabel):
        raise InputError(
            f"{name} has no images with labels. Before a folder of corrections is pushed, it "
            f"needs its card: python -m training.corrections FOLDER"
        )
    rows, labels = [], dict(enumerate(label_kind.names))
    for index, number in enumerate(split["label"]):
        label = labels.get(number)
        try:
            image = split[index]["image"]
        except (OSError, ValueError, SyntaxError) as error:
            raise InputError(f"An image of {name} cannot be read. Delete it: {error}") from error
        if label not in LABELS or image.mode != "L" or image.size != (28, 28):
            raise InputError(
                f"{getattr(image, 'filename', '') or f'Image {index} (from 0)'} of {name} is no "
                f"correction: its label is {label}, not 0 to 9 or none, or it is not 28x28 and "
                f"grey (it is {image.width}x{image.height}, mode {image.mode}). Delete it."
            )
        rows.append((image.tobytes(), label, image.info))
    return rows, None if is_folder else builder.hash


def name_of(pixels: bytes) -> str:
    """The name of an image's file, without suffix, from its 784 pixels."""
    return sha256(pixels).hexdigest()[:16]


@torch.no_grad()
def predict_all(model: PreTrainedModel, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, 28, 28) uint8 -> confidence (N,) 0-1 and answer (N,) 0-9, on the CPU."""
    batches = [scale_pixels(batch[:, None].to(model.device)) for batch in images.split(500)]
    logits = torch.cat([model.eval()(batch).logits for batch in batches])
    return logits.float().softmax(1).cpu().max(1)


def write_dataset_card(folder: str) -> None:
    """Write README.md into a folder of corrections, for who pushes it to the Hub."""
    if not Path(folder).is_dir():
        raise InputError(f"{folder} is no folder. Name the one that CORRECTIONS_DIR names.")
    rows, _ = read(folder)
    told = {key: sorted({info.get(key, "?") for *_, info in rows}) for key in ("day", "model")}
    counts = sorted(Counter(label for _, label, _ in rows).items())
    card = DatasetCard.from_template(DatasetCardData(), str(TEMPLATE), counts=counts, **told)
    card.save(Path(folder, "README.md"))


if __name__ == "__main__":
    parser = ArgumentParser(description="Write the dataset card of a folder of corrections.")
    parser.add_argument("folder")
    with told_by("training.corrections"):
        write_dataset_card(parser.parse_args().folder)
