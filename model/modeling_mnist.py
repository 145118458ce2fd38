"""A small convolutional network for handwritten digits, as a `transformers` model.

from modeling_mnist import MnistConfig, MnistForImageClassification

model = MnistForImageClassification(MnistConfig())  # 454,602 parameters
logits = model(pixel_values).logits  # (B, 1, 28, 28) in 0-1  ->  (B, 10)
"""

import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import ImageClassifierOutput
from transformers.utils import can_return_tuple

# What `second_look` changes. Set on held-out training images, and on clothing, letters, scribbles
# and UCI's digits.
TURN = 5.0  # degrees either way
THICKER = 0.4  # how far the digit is mixed with itself dilated by one pixel, 0-1
THINNER = 0.3  # and eroded
RESIZE = 0.08  # of its size, larger and smaller


class MnistConfig(PreTrainedConfig):
    """Every size of `MnistForImageClassification`.

    Args:
        image_size: Height and width of the input, in pixels.
        num_channels: Channels of the input: 1, grey.
        conv_channels: Channels of each stage. A stage halves height and width.
        convs_per_stage: Convolutions in each stage, the first of which is followed by max-pooling.
        hidden_size: Width of the dense layer between the flattened features and the classifier.
        dropout: Probability that dropout zeroes a feature before each of the two dense layers, 0-1.
        second_look_threshold: Top score, 0-1, below which the model, outside training, looks at a
            picture again. 0: it never does.
        score_threshold: Top score, 0-1, below which a picture does not look like a digit. The model
            itself has no use for it; whoever shows its answers has. It goes with the other
            threshold: the mean of several looks has lower scores than one.
        kwargs: Everything a `PreTrainedConfig` takes. There are ten labels, "0" to "9", unless
            `id2label` or `num_labels` says otherwise.
    """

    model_type = "mnist_cnn"

    def __init__(
        self,
        image_size: int = 28,
        num_channels: int = 1,
        conv_channels: tuple[int, ...] = (64, 96, 96),
        convs_per_stage: int = 2,
        hidden_size: int = 128,
        dropout: float = 0.3,
        second_look_threshold: float = 0.999,
        score_threshold: float = 0.5,
        **kwargs,
    ):
        self.image_size = image_size
        self.num_channels = num_channels
        self.conv_channels = list(conv_channels)
        self.convs_per_stage = convs_per_stage
        self.hidden_size = hidden_size
        self.dropout = dropout
        self.second_look_threshold = second_look_threshold
        self.score_threshold = score_threshold
        if "num_labels" not in kwargs and kwargs.get("id2label") is None:
            kwargs["id2label"] = {digit: str(digit) for digit in range(10)}
            kwargs["label2id"] = {str(digit): digit for digit in range(10)}
        super().__init__(**kwargs)


def second_look(pixel_values: torch.Tensor) -> torch.Tensor:
    """The same digits as another hand might have written them, four times.

    Args:
        pixel_values: (B, 1, H, W) float, 0 (paper) to 1 (ink).

    Returns:
        (4, B, 1, H, W), the same range: turned anticlockwise, with a thicker pen; turned clockwise,
        with a thinner one; larger; and smaller.
    """
    thick = F.max_pool2d(pixel_values, kernel_size=3, stride=1, padding=1)
    thin = -F.max_pool2d(-pixel_values, kernel_size=3, stride=1, padding=1)
    thick, thin = pixel_values.lerp(thick, THICKER), pixel_values.lerp(thin, THINNER)
    pictures = torch.stack([thick, thin, pixel_values, pixel_values])
    angle = torch.deg2rad(pixel_values.new_tensor([TURN, -TURN, 0, 0]))
    size = pixel_values.new_tensor([1, 1, 1 + RESIZE, 1 - RESIZE])
    # From the view's pixels to the picture's, so that a larger digit is a smaller step.
    a, b, none = angle.cos() / size, angle.sin() / size, torch.zeros_like(size)
    matrices = torch.stack([a, -b, none, b, a, none], dim=1).unflatten(1, (2, 3))
    # One grid for each view: the batch is taken for channels, which share a grid.
    channels = pictures.flatten(1, 2)
    grid = F.affine_grid(matrices, list(channels.shape), align_corners=False)
    return F.grid_sample(channels, grid, align_corners=False).view_as(pictures)


class MnistForImageClassification(PreTrainedModel):
    """Stages of 3x3 convolutions and max-pooling, then flatten, dense, dropout and a classifier.

    The plan is VGG's (Simonyan & Zisserman 2015, section 2.1) with batch normalisation (Ioffe &
    Szegedy 2015). Each stage pools right after its first convolution, as airbench does (Jordan
    2024, arXiv 2404.00498): here that trains more than twice as fast as pooling at the stage's end.
    The model gives logits; probabilities are their softmax.

    Outside training it looks again, with `second_look`, at a picture that it is not sure of; its
    probabilities are then the mean of those of all looks. Such test-time augmentation (Krizhevsky
    et al. 2012, section 4.1) is wanted for digits that are hard to read and for what is no digit:
    most of what seems one at first sight does not keep seeming the same one.
    """

    config_class = MnistConfig
    main_input_name = "pixel_values"
    input_modalities = ("image",)

    def __init__(self, config: MnistConfig):
        super().__init__(config)
        layers, in_channels, side = [], config.num_channels, config.image_size
        for out_channels in config.conv_channels:
            for index in range(config.convs_per_stage):
                layers.append(nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False))
                if index == 0:
                    layers.append(nn.MaxPool2d(2))
                layers += [nn.BatchNorm2d(out_channels), nn.ReLU()]
                in_channels = out_channels
            side //= 2
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
            pixel_values: (B, 1, 28, 28) float, 0 (paper) to 1 (ink).
            labels: (B,) int64 class indices, or (B, 10) float one-hot or soft targets whose rows
                sum to 1. Both mean categorical cross-entropy.

        Returns:
            `loss` () if labels are given, and `logits` (B, 10); a tuple with `return_dict=False`.
            Where it looked again the logits are log probabilities, where it did not they have the
            scale that training gave them: compare their softmax, not the logits themselves.

        Raises:
            ValueError: if `pixel_values` has another shape.
        """
        expected = (self.config.num_channels, self.config.image_size, self.config.image_size)
        if pixel_values.ndim != 4 or tuple(pixel_values.shape[1:]) != expected:
            raise ValueError(
                f"pixel_values must have the shape (batch, {', '.join(map(str, expected))}), "
                f"not {tuple(pixel_values.shape)}. MnistImageProcessor makes it from any image."
            )
        logits = self.head(self.features(pixel_values))
        if not self.training:
            unsure = logits.softmax(-1).amax(-1) < self.config.second_look_threshold
            if unsure.any():
                views = second_look(pixel_values[unsure])
                again = self.head(self.features(views.flatten(0, 1))).unflatten(0, views.shape[:2])
                looks = torch.cat([logits[unsure][None], again]).log_softmax(-1)
                log_mean = looks.logsumexp(0) - math.log(len(looks))
                logits = logits.index_put((unsure,), log_mean)
        loss = None if labels is None else F.cross_entropy(logits.float(), labels)
        return ImageClassifierOutput(loss=loss, logits=logits)


def load_pretrained(name_or_path: str) -> MnistForImageClassification:
    """`from_pretrained`, from safetensors alone, which refuses the model of another architecture.

    Transformers itself would fill such a model with random weights, and only warn.

    Args:
        name_or_path: A model on the Hub, or a folder.

    Raises:
        ValueError, OSError, RuntimeError: there is no such model, or it is another one.
    """
    model, info = MnistForImageClassification.from_pretrained(
        name_or_path, use_safetensors=True, output_loading_info=True
    )
    if info["missing_keys"]:
        raise ValueError(f"{name_or_path} is not a {MnistForImageClassification.__name__}.")
    return model.to(memory_format=torch.channels_last)  # faster convolutions; the same weights


MnistConfig.register_for_auto_class()
MnistForImageClassification.register_for_auto_class("AutoModelForImageClassification")
