"""Small convolutional networks for handwritten digits and lines of them, as a `transformers` model.

from modeling_mnist import MnistConfig, MnistForImageClassification

model = MnistForImageClassification(MnistConfig())
logits = model(pixel_values).logits  # (B, 1, 28, 28) in 0-1  ->  (B, 10)
line_logits = model.read_lines(lines)  # (B, 1, 32, W) in 0-1  ->  (B, W / 4, 11)
"""

import copy
import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import ImageClassifierOutput
from transformers.utils import can_return_tuple

IMAGE_SIZE = 28  # pixels: height and width of a digit
LINE_POOLS = ((2, 2), (2, 2), (2, 1), (2, 1))  # of the stages that read lines: rows, columns


class MnistConfig(PreTrainedConfig):
    """The sizes of `MnistForImageClassification`.

    Args:
        conv_channels: Channels of each stage, one to four. A stage halves height and width.
        hidden_size: Width of the dense layer between the flattened features and the classifier.
        dropout: Probability that dropout zeroes a feature before each of the two dense layers, 0-1.
        line_channels: Channels of each of the four stages that read lines; [] reads none.
        line_hidden_size: Channels of the layers along a line.
        confidence_threshold: Confidence (the highest probability), 0-1, below which users of the
            model report a non-digit. The network itself does not use it.
        kwargs: Everything a `PreTrainedConfig` takes. The ten labels are "0" to "9".
    """

    model_type = "mnist_cnn"

    def __init__(
        self,
        conv_channels: tuple[int, ...] = (64, 96, 96),
        hidden_size: int = 128,
        dropout: float = 0.3,
        line_channels: tuple[int, ...] = (32, 64, 96, 128),
        line_hidden_size: int = 160,
        confidence_threshold: float = 0.5,
        **kwargs,
    ):
        self.conv_channels = list(conv_channels)
        self.hidden_size = hidden_size
        self.dropout = dropout
        self.line_channels = list(line_channels)
        self.line_hidden_size = line_hidden_size
        self.confidence_threshold = confidence_threshold
        kwargs.setdefault("id2label", {digit: str(digit) for digit in range(10)})
        kwargs.setdefault("label2id", {str(digit): digit for digit in range(10)})
        super().__init__(**kwargs)

    def save_pretrained(self, save_directory: str | os.PathLike, **kwargs) -> None:
        """Save; name the number pipeline only if its code is there already."""
        config = self
        if not Path(save_directory, "pipeline_mnist.py").is_file():
            config = copy.deepcopy(self)
            vars(config).pop("custom_pipelines", None)
        super(MnistConfig, config).save_pretrained(save_directory, **kwargs)


@dataclass
class MnistOutput(ImageClassifierOutput):
    """`ImageClassifierOutput`, and of lines: `line_logits` (B, W / 4, 11)."""

    line_logits: torch.FloatTensor | None = None


class Stage(nn.Module):
    """Two 3x3 convolutions, each with batch normalisation (Ioffe & Szegedy 2015) and ReLU.

    The plan is VGG's (Simonyan & Zisserman 2015, section 2.1). Max-pooling comes right after the
    first convolution, as in airbench (Jordan 2024, arXiv 2404.00498), so that the second works on
    fewer pixels.
    """

    def __init__(self, in_channels: int, out_channels: int, pool: int | tuple[int, int] = 2):
        super().__init__()
        self.convolution1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(pool)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.convolution2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / rows, W / columns) of `pool`."""
        features = F.relu(self.norm1(self.pool(self.convolution1(features))))
        return F.relu(self.norm2(self.convolution2(features)))


class ResidualBlock(nn.Module):
    """Two convolutions along a line, around which its input passes (He et al. 2016, figure 2)."""

    def __init__(self, channels: int, size: int = 5, dropout: float = 0.1):
        super().__init__()

        def convolution() -> list[nn.Module]:
            layer = nn.Conv1d(channels, channels, size, padding=size // 2, bias=False)
            return [layer, nn.BatchNorm1d(channels)]

        self.layers = nn.Sequential(*convolution(), nn.ReLU(), nn.Dropout(dropout), *convolution())

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, channels, columns) -> the same shape."""
        return F.relu(features + self.layers(features))


class LineNetwork(nn.Module):
    """Tells of every fourth column of a line which digit is there, or none.

    The plan is that of CRNN (Shi et al. 2015, arXiv 1507.05717), with convolutions along the line
    in place of its recurrent layers.
    """

    def __init__(self, config: MnistConfig):
        super().__init__()
        channels, hidden = [1, *config.line_channels], config.line_hidden_size
        self.stages = nn.Sequential(
            *(Stage(*pair, pool) for pair, pool in zip(pairwise(channels), LINE_POOLS, strict=True))
        )
        # The two rows that are left become one.
        self.join = nn.Conv2d(channels[-1], hidden, (2, 3), padding=(0, 1), bias=False)
        self.norm = nn.BatchNorm2d(hidden)
        self.context = nn.Sequential(*(ResidualBlock(hidden) for _ in range(3)))
        self.dropout = nn.Dropout(0.2)
        self.classifier = nn.Conv1d(hidden, config.num_labels + 1, 1)

    def forward(self, lines: torch.Tensor) -> torch.Tensor:
        """(B, 1, 32, W) -> (B, W / 4, 11)."""
        features = F.relu(self.norm(self.join(self.stages(lines))))
        return self.classifier(self.dropout(self.context(features[:, :, 0]))).transpose(1, 2)


class MnistForImageClassification(PreTrainedModel):
    """Classifies digits: stages, then two dense layers, each after dropout. Reads lines of them."""

    config_class = MnistConfig
    main_input_name = "pixel_values"
    input_modalities = ("image",)

    def __init__(self, config: MnistConfig):
        super().__init__(config)
        channels = [1, *config.conv_channels]
        self.stages = nn.Sequential(*(Stage(*pair) for pair in pairwise(channels)))
        side = IMAGE_SIZE >> len(config.conv_channels)
        self.flatten = nn.Flatten()
        self.dense = nn.Linear(channels[-1] * side * side, config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.line_network = LineNetwork(config) if config.line_channels else None
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Weights for ReLU layers as in He et al. 2015, section 2.2, instead of N(0, 0.02)."""
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear)):
            init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                init.zeros_(module.bias)
        else:
            super()._init_weights(module)

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.Tensor,
        labels: torch.Tensor | None = None,
        lines: torch.Tensor | None = None,
    ) -> MnistOutput:
        """Classify a batch of images.

        Args:
            pixel_values: (B, 1, 28, 28) float, 0 (background) to 1 (ink).
            labels: (B,) int64 class indices, or (B, 10) float one-hot or soft targets whose rows
                sum to 1. Either way the loss is categorical cross-entropy.
            lines: As `read_lines` takes them; training sends both through one call.

        Returns:
            `loss` () if labels are given, `logits` (B, 10), whose softmax are probabilities, and
            `line_logits` if lines are given; a tuple with `return_dict=False`.

        Raises:
            ValueError: if `pixel_values` has another shape.
        """
        if pixel_values.ndim != 4 or pixel_values.shape[1:] != (1, IMAGE_SIZE, IMAGE_SIZE):
            raise ValueError(
                f"pixel_values must have the shape (batch, 1, {IMAGE_SIZE}, {IMAGE_SIZE}), "
                f"not {tuple(pixel_values.shape)}. MnistImageProcessor makes it from any image."
            )
        features = self.dropout(self.flatten(self.stages(pixel_values)))
        logits = self.classifier(self.dropout(F.relu(self.dense(features))))
        loss = None if labels is None else F.cross_entropy(logits.float(), labels)
        line_logits = None if lines is None else self.read_lines(lines)
        return MnistOutput(loss=loss, logits=logits, line_logits=line_logits)

    def read_lines(self, lines: torch.Tensor) -> torch.Tensor:
        """Read a batch of lines.

        Args:
            lines: (B, 1, 32, W) float, 0 (background) to 1 (ink).

        Returns:
            Logits (B, W / 4, 11): of each fourth column, which digit is there, and, last, none.
            A run of one digit counts once; between two equal digits there is a column of none
            (connectionist temporal classification, Graves et al. 2006).
        """
        return self.line_network(lines)


def load_pretrained(name_or_path: str) -> MnistForImageClassification:
    """`from_pretrained` in float32, from safetensors alone, and only of this architecture.

    Args:
        name_or_path: A model on the Hub, or a folder.

    Raises:
        ValueError, OSError, RuntimeError: there is no such model, or it is another one.
    """
    model, info = MnistForImageClassification.from_pretrained(
        name_or_path, dtype=torch.float32, use_safetensors=True, output_loading_info=True
    )
    if info["missing_keys"]:  # transformers leaves them random, and only warns
        raise ValueError(f"{name_or_path} is not a {MnistForImageClassification.__name__}.")
    return model.to(memory_format=torch.channels_last)  # faster convolutions; the same weights


MnistConfig.register_for_auto_class()
MnistForImageClassification.register_for_auto_class("AutoModelForImageClassification")
