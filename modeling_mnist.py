"""A small convolutional network for handwritten digits, as a `transformers` model.

from modeling_mnist import MnistConfig, MnistForImageClassification

model = MnistForImageClassification(MnistConfig())  # 454,602 parameters
logits = model(pixel_values).logits  # (B, 1, 28, 28) in 0-1  ->  (B, 10)
"""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import ImageClassifierOutput
from transformers.utils import can_return_tuple

IMAGE_SIZE = 28  # pixels: height and width of the input


class MnistConfig(PreTrainedConfig):
    """The sizes of `MnistForImageClassification`.

    Args:
        conv_channels: Channels of each stage, one to four. A stage halves height and width.
        hidden_size: Width of the dense layer between the flattened features and the classifier.
        dropout: Probability that dropout zeroes a feature before each of the two dense layers, 0-1.
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
        confidence_threshold: float = 0.5,
        **kwargs,
    ):
        self.conv_channels = list(conv_channels)
        self.hidden_size = hidden_size
        self.dropout = dropout
        self.confidence_threshold = confidence_threshold
        kwargs.setdefault("id2label", {digit: str(digit) for digit in range(10)})
        kwargs.setdefault("label2id", {str(digit): digit for digit in range(10)})
        super().__init__(**kwargs)


class MnistForImageClassification(PreTrainedModel):
    """Stages of two 3x3 convolutions and max-pooling, then two dense layers, each after dropout.

    The plan is VGG's (Simonyan & Zisserman 2015, section 2.1) with batch normalisation (Ioffe &
    Szegedy 2015). Each stage pools right after its first convolution, as airbench does (Jordan
    2024, arXiv 2404.00498), so that the second works on a quarter of the pixels.
    """

    config_class = MnistConfig
    main_input_name = "pixel_values"
    input_modalities = ("image",)

    def __init__(self, config: MnistConfig):
        super().__init__(config)
        layers, in_channels, side = [], 1, IMAGE_SIZE
        for out_channels in config.conv_channels:
            layers += [
                nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
                nn.MaxPool2d(2),
                nn.BatchNorm2d(out_channels),
                nn.ReLU(),
                nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(out_channels),
                nn.ReLU(),
            ]
            in_channels, side = out_channels, side // 2
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(config.dropout),
            nn.Linear(in_channels * side * side, config.hidden_size),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden_size, config.num_labels),
        )
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Weights for ReLU layers as in He et al. 2015, section 2.2, instead of N(0, 0.02)."""
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                init.zeros_(module.bias)
        else:
            super()._init_weights(module)

    @can_return_tuple
    def forward(
        self, pixel_values: torch.Tensor, labels: torch.Tensor | None = None
    ) -> ImageClassifierOutput:
        """Classify a batch of images.

        Args:
            pixel_values: (B, 1, 28, 28) float, 0 (background) to 1 (ink).
            labels: (B,) int64 class indices, or (B, 10) float one-hot or soft targets whose rows
                sum to 1. Both mean categorical cross-entropy.

        Returns:
            `loss` () if labels are given, and `logits` (B, 10), whose softmax are probabilities; a
            tuple with `return_dict=False`.

        Raises:
            ValueError: if `pixel_values` has another shape.
        """
        if pixel_values.ndim != 4 or pixel_values.shape[1:] != (1, IMAGE_SIZE, IMAGE_SIZE):
            raise ValueError(
                f"pixel_values must have the shape (batch, 1, {IMAGE_SIZE}, {IMAGE_SIZE}), "
                f"not {tuple(pixel_values.shape)}. MnistImageProcessor makes it from any image."
            )
        logits = self.head(self.features(pixel_values))
        loss = None if labels is None else F.cross_entropy(logits.float(), labels)
        return ImageClassifierOutput(loss=loss, logits=logits)


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
