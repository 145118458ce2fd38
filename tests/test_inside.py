"""Inside the network: saliency maps are faithful, the view shows what the model computes."""

import base64

import gradio as gr
import numpy as np
import pytest
import torch
from playwright.sync_api import expect

from modeling_mnist import MnistConfig, MnistForImageClassification
from page import INVITATION, STROKES, call_server, draw, visit
from ui.components import Inside
from ui.saliency import probabilities, saliency_maps, trace


def check(model, digit: np.ndarray, answer: dict) -> None:
    """The answer for a digit (28, 28) uint8 against the model's layers, called one by one."""
    maps = torch.from_numpy(digit)[None, None] / 255
    *sheets, dense_levels = (
        np.frombuffer(base64.b64decode(text), np.uint8) / 255 for text in answer["levels"]
    )
    with torch.inference_mode():
        np.testing.assert_allclose(answer["outputs"], model(maps).logits[0], atol=1e-3)
        for index, sheet in enumerate(sheets):
            maps = model.stages[index](maps)
            stage = maps[0, maps[0].mean((1, 2)).argsort(descending=True)]
            stage = stage / stage.max().clamp(min=1e-12)
            np.testing.assert_allclose(sheet.reshape(stage.shape), stage, atol=0.003)
        dense = model.dense(model.flatten(maps)).relu()[0]
    assert len(sheets) == len(model.config.conv_channels)
    np.testing.assert_allclose(dense_levels, dense / dense.max().clamp(min=1e-12), atol=0.003)


def test_the_app_shows_what_each_layer_of_its_model_computes(app_url, model, digits, processor):
    images = processor(digits[0][:5], return_tensors="pt")["pixel_values"][:, 0]
    for digit in (255 * images).byte().numpy():
        sent = base64.b64encode(digit.tobytes()).decode()
        check(model, digit, call_server(app_url, "inside", "look", sent))


def test_any_number_of_stages_and_digits_at_once():
    torch.manual_seed(0)
    model = MnistForImageClassification(MnistConfig((4, 6), hidden_size=9)).eval()
    rng = np.random.default_rng(0)
    digits = rng.integers(0, 256, (3, 28, 28), np.uint8)
    digits[1] = 0
    for digit, answer in zip(digits, trace(model, digits), strict=True):
        check(model, digit, answer)


def test_one_pixel_sees_as_much_of_the_input_as_its_caption_says():
    torch.manual_seed(0)
    model = MnistForImageClassification(MnistConfig((8, 8, 8))).eval()
    with gr.Blocks():
        stages = Inside(model).props["stages"]
    for number, stage in enumerate(stages, 1):
        pixel_values = torch.rand(200, 1, 28, 28, requires_grad=True)
        maps = model.stages[:number](pixel_values)
        assert maps.shape[1:] == (stage["count"], stage["side"], stage["side"])
        middle = maps[:, :, stage["side"] // 2, stage["side"] // 2]
        (gradient,) = torch.autograd.grad(middle.sum(), pixel_values)
        assert gradient.abs().sum((0, 1, 2)).count_nonzero() == stage["field"]


@pytest.mark.parametrize("seen", [None, 7, {}, ["A"] * 1048, "é", "AAAA", "A" * 10**6])
def test_a_forged_call_gets_a_sentence(app_url, seen):
    assert "write once more" in call_server(app_url, "inside", "look", seen)["line"]


@pytest.fixture(scope="module")
def pixel_values(digits, processor) -> torch.Tensor:
    """(100, 1, 28, 28)"""
    return processor(digits[0][:100], return_tensors="pt")["pixel_values"]


def test_maps_of_a_batch_are_those_of_each_image(model, pixel_values):
    maps = saliency_maps(model, pixel_values[:5])
    assert maps.shape == (5, 28, 28) and maps.min() >= 0
    np.testing.assert_allclose(maps.max((1, 2)), 1, rtol=1e-6)
    alone = np.concatenate([saliency_maps(model, image) for image in pixel_values[:5].split(1)])
    np.testing.assert_allclose(maps, alone, atol=1e-4)
    assert all(weight.grad is None for weight in model.parameters())


def test_marked_ink_matters_more_than_other_ink(model, pixel_values):
    """Erasing the most marked fifth of the ink costs more confidence than a random fifth."""
    rng = np.random.default_rng(0)
    erased = {"marked": pixel_values.clone(), "random": pixel_values.clone()}
    for row, saliency in enumerate(saliency_maps(model, pixel_values)):
        ink = np.flatnonzero(pixel_values[row].numpy() > 0.1)
        share = len(ink) // 5
        marked = ink[np.argsort(-saliency.ravel()[ink])[:share]]
        erased["marked"][row].view(-1)[torch.from_numpy(marked)] = 0
        chosen = torch.from_numpy(rng.choice(ink, share, replace=False))
        erased["random"][row].view(-1)[chosen] = 0
    before = probabilities(model, pixel_values)
    top = before.argmax(1)[:, None]
    marked, random = (
        np.take_along_axis(before - probabilities(model, images), top, 1).mean()
        for images in erased.values()
    )
    assert marked > 1.3 * random


SHOWS_WHAT_WAS_READ = """() => {
  const [answer, inside] = ["#answer", "#inside"].map((id) => document.querySelector(id));
  const images = [answer.querySelector(".seen"), inside.querySelector(".layers canvas")];
  const outputs = [...inside.querySelectorAll("u")].map((text) => Number(text.textContent));
  const best = answer.querySelector(".best")?.dataset.digit;
  return images[0].toDataURL() === images[1].toDataURL() && outputs[best] === Math.max(...outputs)
    && inside.querySelector("p").textContent.startsWith("Strongest");
}"""


@pytest.fixture
def page(app_url, context):
    with visit(context, app_url, 360, 740) as page:
        yield page


def clear(page) -> None:
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(page.locator("#answer .verdict")).to_contain_text(INVITATION)
    page.evaluate("scrollTo(0, 0)")


PLACE = "document.querySelector('#sheet canvas').getBoundingClientRect().top + scrollY"


def test_it_follows_what_is_written_while_open_and_asks_nothing_closed(page):
    inside, best = page.locator("#inside"), page.locator("#answer .best")
    line, summary = inside.locator("p"), inside.locator("summary")
    draw(page, STROKES["1"])
    expect(best).to_have_attribute("data-digit", "1")
    assert "read_sheet" in page.asked and "look" not in page.asked

    place = page.evaluate(PLACE)
    summary.click()
    page.wait_for_function(SHOWS_WHAT_WAS_READ)
    assert page.evaluate(PLACE) == place
    clear(page)
    expect(line).to_contain_text("Write a digit")
    draw(page, STROKES["7"])
    expect(best).to_have_attribute("data-digit", "7")
    page.wait_for_function(SHOWS_WHAT_WAS_READ)

    summary.click()
    asked = page.asked.count("look")
    clear(page)
    draw(page, STROKES["1"])
    expect(best).to_have_attribute("data-digit", "1")
    assert page.asked.count("look") == asked
    summary.click()  # it catches up
    page.wait_for_function(SHOWS_WHAT_WAS_READ)


TILE_IS_INSIDE = """(index) => {
  const tile = `#answer .tiles button:nth-child(${index + 1}) canvas`;
  const find = (name) => document.querySelector(name).toDataURL();
  const [shown, traced] = [tile, "#inside .layers canvas"].map(find);
  return shown === traced;
}"""
MAPS = "document.querySelectorAll('#inside .layers canvas')[1].toDataURL()"


YELLOW = """() => {
  const canvas = document.querySelector("#inside .whole canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, 1);
  return [...data].filter((red, i) => i % 4 === 0 && red === 255 && data[i + 2] === 0).length;
}"""


def test_of_a_number_it_shows_the_line_with_a_mark_at_each_digit_and_the_chosen_digit(page):
    summary, tiles = page.locator("#inside summary"), page.locator("#answer .tiles button")
    best, whole = page.locator("#answer .best"), page.locator("#inside .whole")
    page.locator("#examples button").nth(5).click()  # 6-the-number-407.jpg
    expect(page.locator("#answer .top")).to_have_text("407")
    summary.click()
    expect(whole).to_be_visible()
    assert page.evaluate(YELLOW) == 3
    maps = set()
    for index, digit in enumerate("407"):
        tiles.nth(index).click()
        expect(best).to_have_attribute("data-digit", digit)
        page.wait_for_function(TILE_IS_INSIDE, arg=index)
        page.wait_for_function(SHOWS_WHAT_WAS_READ)
        maps.add(page.evaluate(MAPS))
    assert len(maps) == 3  # and so do the layers
    page.locator("#examples button").first.click()
    expect(page.locator("#answer .top")).to_have_text("4")
    expect(whole).to_be_hidden()


LENS_SHOWS = """([layer, map]) => {
  const [[lens], layers] = ["#inside .lens", "#inside .layers canvas"]
    .map((name) => [...document.querySelectorAll(name)]);
  const [side, columns] = [14, 8];
  const place = [map % columns, Math.floor(map / columns)].map((n) => n * (side + 1));
  const copy = Object.assign(document.createElement("canvas"), { width: 112, height: 112 });
  const context = copy.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(layers[layer], ...place, side, side, 0, 0, 112, 112);
  return !lens.hidden && lens.toDataURL() === copy.toDataURL();
}"""


def test_a_map_is_enlarged_under_the_pointer_and_by_key(page):
    draw(page, STROKES["7"])
    page.locator("#inside summary").click()
    page.wait_for_function(SHOWS_WHAT_WAS_READ)
    maps, lens = page.locator("#inside .layers canvas").nth(1), page.locator("#inside .lens")
    box = maps.bounding_box()
    maps.hover(position={"x": box["width"] * 2.5 / 8, "y": box["height"] * 1.5 / 8})
    page.wait_for_function(LENS_SHOWS, arg=[1, 10])
    page.locator("#inside summary").hover()
    expect(lens).to_be_hidden()
    maps.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(LENS_SHOWS, arg=[1, 11])
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    expect(lens).to_be_visible()


@pytest.mark.parametrize("failure", [{"status": 500}, None], ids=["status 500", "no connection"])
def test_a_failure_is_said_and_the_next_digit_is_asked_for_again(app_url, context, failure):
    def fail(route):
        if route.request.post_data_json["fn_name"] != "look":
            route.continue_()
        elif failure:
            route.fulfill(**failure)
        else:
            route.abort()

    with visit(context, app_url, 360, 740, server_fails=True) as page:
        line = page.locator("#inside p")
        page.locator("#inside summary").click()
        expect(line).to_contain_text("Write a digit")
        page.evaluate("scrollTo(0, 0)")
        page.route("**/component_server/**", fail)
        draw(page, STROKES["1"])
        expect(line).to_contain_text("does not answer")
        page.unroute("**/component_server/**")
        clear(page)
        draw(page, STROKES["7"])
        page.wait_for_function(SHOWS_WHAT_WAS_READ)
