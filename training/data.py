"""MNIST as tensors: checked, decoded once, and fetched a whole batch at a time."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from datasets import ClassLabel, Dataset, DatasetDict, Image, load_dataset
from datasets.exceptions import DatasetsError

from image_processing_mnist import MnistImageProcessor
from training.errors import InputError
from training.lines import Lines

NUM_LABELS = 10
NON_DIGIT_LABEL = -1


@dataclass
class MnistDataset(torch.utils.data.Dataset):
    """Labelled images in memory, which a data loader fetches batch-wise.

    The loader calls `__getitems__` once a batch, so that nothing is done per image in Python; its
    collate function has nothing left to do.

    Attributes:
        images: (N, 28, 28) uint8, 0 (background) to 255 (ink).
        labels: (N,) int64, 0-9, or -1 for a non-digit.
        num_added: How many of the images, the last ones, `append` has added.
        lines: Lines of digits, of which each batch of images brings a batch along.
    """

    images: torch.Tensor
    labels: torch.Tensor
    num_added: int = 0
    lines: Lines | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, indices: list[int]) -> dict[str, torch.Tensor]:
        """`pixel_values` (B, 1, 28, 28) uint8, `labels` (B, 10) float32, and a batch of lines.

        Labels are one-hot, but for non-digits, of which each digit is a tenth. The indices, which
        the sampler has drawn, decide which lines they are.
        """
        labels = self.labels[indices]
        one_hot = F.one_hot(labels.clamp(min=0), NUM_LABELS).float()
        one_hot[labels == NON_DIGIT_LABEL] = 1 / NUM_LABELS
        lines = self.lines.batch(np.random.default_rng(indices)) if self.lines else {}
        return {"pixel_values": self.images[indices].unsqueeze(1), "labels": one_hot} | lines

    def append(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Add other images (M, 28, 28) uint8 with labels (M,)."""
        self.images = torch.cat([self.images, torch.from_numpy(images)])
        self.labels = torch.cat([self.labels, torch.from_numpy(labels)])
        self.num_added += len(images)

    def select(self, indices: torch.Tensor) -> "MnistDataset":
        """The images at these indices (M,), or where a mask (N,) is true."""
        return MnistDataset(self.images[indices], self.labels[indices])


def scale_pixels(pixel_values: torch.Tensor) -> torch.Tensor:
    """uint8 0-255 -> float32 0-1, as the network takes them."""
    return pixel_values.float() / 255


def load_splits(dataset_name: str, dataset_config_name: str | None = None) -> DatasetDict:
    """`load_dataset`, with an `InputError` that says what to do."""
    try:
        return load_dataset(dataset_name, dataset_config_name)
    # No network, no such dataset or configuration, no data files, corrupted ones, a script.
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        raise InputError(
            f"There is no dataset {dataset_name!r} in reach that can be loaded. Without network, "
            f"give the folder of a local copy: --dataset_name path/to/mnist (one with train and "
            f"test files, such as `hf download ylecun/mnist --repo-type dataset --local-dir "
            f"path/to/mnist` makes where there is network).\nThe cause: {error}"
        ) from error


def to_tensors(
    split: Dataset,
    image_column: str,
    label_column: str,
    processor: MnistImageProcessor | None = None,
) -> MnistDataset:
    """Decode a split, with an `InputError` if it is no set of images of digits.

    28x28 grey images are taken as they are. The processor frames any others, so that a folder of
    drawings or photographs serves as well.
    """
    for column, kind in ((image_column, "image"), (label_column, "label")):
        if column not in split.column_names:
            raise InputError(
                f"The dataset has no column {column!r}, only {', '.join(split.column_names)}. "
                f"Name the right one with --{kind}_column_name."
            )
    if not isinstance(split.features[image_column], Image):
        raise InputError(
            f"The column {image_column!r} holds {split.features[image_column]}, not images. "
            f"Name the right one with --image_column_name."
        )
    if len(split) == 0:
        raise InputError("The dataset holds no images.")
    labels = read_labels(split, label_column)
    images = []
    processor = processor or MnistImageProcessor()
    try:
        for image in split[image_column]:
            if image.mode != "L" or image.size != (28, 28):
                image = processor(image)["pixel_values"][0][0] * 255 + 0.5
            images.append(np.uint8(image))
    except (OSError, ValueError, SyntaxError, AttributeError) as error:  # no image, too
        raise InputError(f"Image {len(images)} (from 0) cannot be read: {error}") from error
    return MnistDataset(torch.from_numpy(np.stack(images)), torch.tensor(labels))


def read_labels(split: Dataset, label_column: str) -> list[int]:
    """The digits 0-9 of a split; `InputError` if a label is something else, or missing."""
    labels = split[label_column][:]
    if isinstance(split.features[label_column], ClassLabel):
        # Labels are class numbers, which mean digits only by the classes' names. -1 is no class.
        names = dict(enumerate(split.features[label_column].names))
        labels = [names.get(number) for number in labels]
    wrong = sorted({str(label) for label in labels} - set("0123456789"))
    if wrong:
        raise InputError(
            f"Labels must be whole numbers from 0 to 9; the column {label_column!r} also holds "
            f"{', '.join(wrong[:5])}{' and more' if len(wrong) > 5 else ''}."
        )
    return [int(label) for label in labels]


def carve_validation(
    dataset: MnistDataset, fraction: float, seed: int
) -> tuple[MnistDataset, MnistDataset]:
    """Split off a random `fraction` (0-1), the same for the same seed: (training, validation)."""
    size = round(len(dataset) * fraction)
    if not 0 < size < len(dataset):
        raise InputError(
            f"--train_val_split {fraction} of {len(dataset)} images leaves one part empty."
        )
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))
    return dataset.select(order[size:]), dataset.select(order[:size])
