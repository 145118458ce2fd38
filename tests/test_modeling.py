"""The model: its size, its loss against an independent oracle, and what saving keeps."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file
from scipy.special import log_softmax
from transformers import ViTConfig, ViTForImageClassification, pipeline

from benchmarks.images import scribble
from conftest import ROOT
from modeling_mnist import MnistConfig, MnistForImageClassification, load_pretrained

TINY = MnistConfig(
    conv_channels=(4, 8), hidden_size=16, line_channels=(2, 3, 4, 5), line_hidden_size=6
)


def test_has_every_named_layer_and_at_most_half_a_million_parameters_for_digits():
    model = MnistForImageClassification(MnistConfig())
    layers = {type(module).__name__ for module in model.modules()}
    assert {"Conv2d", "MaxPool2d", "Flatten", "Linear", "Dropout"} <= layers
    lines = sum(parameter.numel() for parameter in model.line_network.parameters())
    assert model.num_parameters() - lines <= 500_000 and lines <= 1_500_000
    assert MnistForImageClassification(MnistConfig(line_channels=())).line_network is None


def test_a_line_gives_logits_of_each_fourth_column_whatever_is_far_from_it():
    model = MnistForImageClassification(TINY).eval()
    line = torch.rand(2, 1, 32, 200)
    logits = model.read_lines(line)
    assert logits.shape == (2, 50, 11)
    assert torch.equal(model(torch.rand(2, 1, 28, 28), lines=line).line_logits, logits)
    longer = model.read_lines(torch.cat([line, torch.rand(2, 1, 32, 200)], dim=3))
    torch.testing.assert_close(longer[:, :30], logits[:, :30], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("config", [MnistConfig(), TINY])
def test_one_hot_soft_and_index_labels_give_categorical_cross_entropy(config):
    model = MnistForImageClassification(config).eval()
    pixel_values, index = torch.rand(5, 1, 28, 28), torch.tensor([3, 1, 4, 1, 9])
    soft = torch.rand(5, 10).softmax(1)
    logits = model(pixel_values).logits.detach().numpy()
    assert logits.shape == (5, 10)
    for labels, target in ((index, np.eye(10)[index]), (torch.eye(10)[index],) * 2, (soft, soft)):
        expected = -(np.asarray(target) * log_softmax(logits, axis=1)).sum(1).mean()
        assert model(pixel_values, labels=labels).loss.item() == pytest.approx(expected, rel=1e-5)


def test_does_the_same_for_every_image_whatever_else_is_in_the_batch(digits, model):
    """The logits of an image are those that it has alone: clear or not, nothing else is done."""
    pixels = np.stack([np.asarray(image) for image in digits[0][:20]])[:, None] / np.float32(255)
    pixel_values = torch.cat([torch.from_numpy(pixels), torch.rand(20, 1, 28, 28)])
    calls = []
    with model.classifier.register_forward_hook(lambda *_: calls.append(1)):
        together = model(pixel_values).logits
    assert len(calls) == 1
    alone = torch.cat([model(image[None]).logits for image in pixel_values])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_initial_activations_neither_vanish_nor_explode():
    # With the library's default of N(0, 0.02) the logits' spread would be below 0.001.
    logits = MnistForImageClassification(MnistConfig()).eval()(torch.rand(64, 1, 28, 28)).logits
    assert 0.05 < logits.std().item() < 20


def test_wrong_shape_is_refused_with_a_sentence():
    with pytest.raises(ValueError, match=r"\(batch, 1, 28, 28\), not \(1, 28, 28\)"):
        MnistForImageClassification(TINY)(torch.rand(1, 28, 28))


def test_model_of_another_architecture_is_refused(tmp_path):
    vit = ViTForImageClassification(ViTConfig(hidden_size=12, num_hidden_layers=1))
    vit.save_pretrained(tmp_path)
    with pytest.raises((ValueError, RuntimeError)):
        load_pretrained(str(tmp_path))


def test_a_model_saved_in_half_precision_classifies(tmp_path):
    MnistForImageClassification(TINY).bfloat16().save_pretrained(tmp_path)
    assert load_pretrained(str(tmp_path))(torch.rand(1, 1, 28, 28)).logits.dtype == torch.float32


def test_pickled_weights_are_refused(tmp_path):
    model = MnistForImageClassification(TINY)
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        load_pretrained(str(tmp_path))


def test_released_model_doubts_a_blank_image_and_scribbles_in_the_plain_pipeline(model, processor):
    """Scribbles of the benchmark, drawn by other code than those of training."""
    classify = pipeline("image-classification", model=model, image_processor=processor)
    blank = classify(Image.new("L", (280, 280), 255), top_k=10)
    assert len(blank) == 10 and blank[0]["score"] < model.config.confidence_threshold
    scribbles = [ImageOps.invert(scribble(np.random.default_rng(seed))) for seed in range(40)]
    confidence = np.array([answer[0]["score"] for answer in classify(scribbles, top_k=1)])
    assert (confidence < model.config.confidence_threshold).mean() >= 0.85


def test_shipped_model_is_float32_safetensors_of_at_most_eight_megabytes():
    weights = ROOT / "model" / "model.safetensors"
    assert weights.stat().st_size <= 8_000_000
    tensors = load_file(weights)
    floats = {name: t.dtype for name, t in tensors.items() if "num_batches" not in name}
    assert set(floats.values()) == {torch.float32}
    # The code that lies beside the weights is the code of this repo, tried with the same versions.
    pushed = ("modeling_mnist.py", "image_processing_mnist.py", "pipeline_mnist.py")
    for file in (*pushed, "deploy/handler.py"):
        copy = ROOT / "model" / Path(file).name
        assert copy.read_text() == (ROOT / file).read_text()
    pins, copied = ((ROOT / f / "requirements.txt").read_text().split() for f in (".", "model"))
    assert set(copied) - set(pins) == {"torch>=2.6"}
