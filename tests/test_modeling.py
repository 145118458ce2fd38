"""The model: its size, its loss against an independent oracle, and what saving keeps."""

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

TINY = MnistConfig(conv_channels=(4, 8), hidden_size=8, line_channels=[2] * 4, line_hidden_size=6)


def test_has_every_named_layer_and_at_most_half_a_million_parameters_for_digits():
    model = MnistForImageClassification(MnistConfig()).eval()
    layers = {type(module).__name__ for module in model.modules()}
    assert {"Conv2d", "MaxPool2d", "Flatten", "Linear", "Dropout"} <= layers
    lines = sum(parameter.numel() for parameter in model.line_network.parameters())
    assert model.num_parameters() - lines <= 500_000 and lines <= 1_500_000
    # With the library's default of N(0, 0.02) the logits' spread would be below 0.001.
    assert 0.05 < model(torch.rand(64, 1, 28, 28)).logits.std().item() < 20


def test_one_hot_soft_and_index_labels_give_categorical_cross_entropy():
    model = MnistForImageClassification(TINY).eval()
    pixel_values, index = torch.rand(5, 1, 28, 28), torch.tensor([3, 1, 4, 1, 9])
    soft = torch.rand(5, 10).softmax(1)
    logits = model(pixel_values).logits.detach().numpy()
    assert logits.shape == (5, 10)
    for labels, target in ((index, np.eye(10)[index]), (torch.eye(10)[index],) * 2, (soft, soft)):
        expected = -(np.asarray(target) * log_softmax(logits, axis=1)).sum(1).mean()
        assert model(pixel_values, labels=labels).loss.item() == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match=r"\(batch, 1, 28, 28\), not \(1, 28, 28\)"):
        model(pixel_values[0])


def test_only_safetensors_of_this_architecture_are_loaded_and_as_float32(tmp_path):
    model = MnistForImageClassification(TINY)
    model.bfloat16().save_pretrained(tmp_path / "half")
    loaded = load_pretrained(str(tmp_path / "half"))
    assert loaded(torch.rand(1, 1, 28, 28)).logits.dtype == torch.float32

    vit = ViTForImageClassification(ViTConfig(hidden_size=12, num_hidden_layers=1))
    vit.save_pretrained(tmp_path / "other")
    with pytest.raises((ValueError, RuntimeError)):
        load_pretrained(str(tmp_path / "other"))

    model.config.save_pretrained(tmp_path / "pickle")
    torch.save(model.state_dict(), tmp_path / "pickle" / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        load_pretrained(str(tmp_path / "pickle"))


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
    floats = {name: t.dtype for name, t in load_file(weights).items() if "num_batches" not in name}
    assert set(floats.values()) == {torch.float32}
    # The code that lies beside the weights is the code of this repo, tried with the same versions.
    for file in (*ROOT.glob("*_mnist.py"), ROOT / "deploy" / "handler.py"):
        assert (ROOT / "model" / file.name).read_text() == file.read_text()
    pins, copied = ((ROOT / f / "requirements.txt").read_text().split() for f in (".", "model"))
    assert set(copied) - set(pins) == {"torch>=2.6"}
