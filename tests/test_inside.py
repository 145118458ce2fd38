"""Inside the network: saliency maps are faithful, the view shows what the model computes."""

import base64

import numpy as np
import pytest
import torch
from playwright.sync_api import expect

from page import STROKES, call_server, clear, draw, visit
from ui.saliency import probabilities, saliency_maps


def test_the_app_shows_what_each_layer_of_its_model_computes(app_url, model, digits, processor):
    """Against the layers, called one by one."""
    images = processor(digits[0][:5], return_tensors="pt")["pixel_values"][:, 0]
    for digit in (255 * images).byte().numpy():
        sent = base64.b64encode(digit.tobytes()).decode()
        answer = call_server(app_url, "inside", "look", sent)
        *stages, dense = (np.frombuffer(base64.b64decode(t), np.uint8) for t in answer["levels"])
        maps = torch.from_numpy(digit)[None, None] / 255
        with torch.inference_mode():
            np.testing.assert_allclose(answer["outputs"], model(maps).logits[0], atol=1e-3)
            for layer, shown in zip(model.stages, stages, strict=True):
                maps = layer(maps)
                strongest_first = maps[0, maps[0].mean((1, 2)).argsort(descending=True)]
                expected = strongest_first.flatten() / maps.max()
                np.testing.assert_allclose(shown / 255, expected, atol=0.003)
            expected = model.dense(model.flatten(maps)).relu()[0]
        np.testing.assert_allclose(dense / 255, expected / expected.max(), atol=0.003)


@pytest.mark.parametrize("seen", [None, {}, ["A"] * 1048, "é", "AAAA", "A" * 10**6])
def test_a_forged_call_gets_a_sentence(app_url, seen):
    assert "write once more" in call_server(app_url, "inside", "look", seen)["said"]


def test_marked_ink_matters_more_than_other_ink(model, digits, processor):
    """Erasing the most marked fifth of the ink costs more confidence than a random fifth."""
    pixel_values = processor(digits[0][:100], return_tensors="pt")["pixel_values"]
    maps = saliency_maps(model, pixel_values)
    np.testing.assert_allclose(maps[7:8], saliency_maps(model, pixel_values[7:8]), atol=1e-4)
    assert maps.shape == (100, 28, 28) and maps.min() >= 0 and maps.max((1, 2)) == pytest.approx(1)
    rng = np.random.default_rng(0)
    marked, random = pixel_values.clone(), pixel_values.clone()
    for row, saliency in enumerate(maps):
        ink = np.flatnonzero(pixel_values[row].numpy() > 0.1)
        share = len(ink) // 5
        marked[row].view(-1)[ink[np.argsort(-saliency.ravel()[ink])[:share]]] = 0
        random[row].view(-1)[rng.choice(ink, share, replace=False)] = 0
    before = probabilities(model, pixel_values)
    top = before.argmax(1)[:, None]
    lost = [
        np.take_along_axis(before - probabilities(model, erased), top, 1).mean()
        for erased in (marked, random)
    ]
    assert lost[0] > 1.3 * lost[1]


SHOWS_WHAT_WAS_READ = """() => {
  const [answer, inside] = ["#answer", "#inside"].map((id) => document.querySelector(id));
  const images = [answer.querySelector(".seen"), inside.querySelector(".layers canvas")];
  const outputs = [...inside.querySelectorAll("u")].map((text) => Number(text.textContent));
  const best = answer.querySelector(".best")?.dataset.digit;
  return images[0].toDataURL() === images[1].toDataURL() && outputs[best] === Math.max(...outputs)
    && inside.querySelector("p").textContent.startsWith("Strongest");
}"""
# The columns of the line's top row that are yellow: one for each digit.
MARKS = """() => {
  const canvas = document.querySelector("#inside .whole canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, 1);
  return [...data].filter((red, i) => i % 4 === 0 && red === 255 && data[i + 2] === 0).length;
}"""
FIRST_MAPS = "document.querySelectorAll('#inside .layers canvas')[1].toDataURL()"


def test_open_it_follows_what_is_written_and_closed_it_asks_nothing(app_url, context):
    with visit(context, app_url, 360, 740) as page:
        best, summary = page.locator("#answer .best"), page.locator("#inside summary")
        draw(page, STROKES["1"])
        expect(best).to_have_attribute("data-digit", "1")
        assert "read_sheet" in page.asked and "look" not in page.asked

        summary.click()
        page.wait_for_function(SHOWS_WHAT_WAS_READ)
        clear(page)
        expect(page.locator("#inside p")).to_contain_text("Write a digit")

        page.locator("#examples button").nth(5).click()  # 6-the-number-407.jpg
        expect(page.locator("#answer .top")).to_have_text("407")
        maps = set()
        for index, digit in enumerate("407"):
            page.locator("#answer .tiles button").nth(index).click()
            expect(best).to_have_attribute("data-digit", digit)
            page.wait_for_function(SHOWS_WHAT_WAS_READ)
            maps.add(page.evaluate(FIRST_MAPS))
        assert len(maps) == 3
        assert page.evaluate(MARKS) == 3

        lens = page.locator("#inside .lens")
        page.locator("#inside .layers canvas").nth(1).hover(position={"x": 40, "y": 40})
        expect(lens).to_be_visible()
        under_pointer = lens.evaluate("lens => lens.toDataURL()")
        page.locator("#inside .layers canvas").nth(1).press("ArrowLeft")
        assert lens.evaluate("lens => lens.toDataURL()") != under_pointer


def test_a_failure_is_said_and_the_next_digit_is_asked_for_again(app_url, context):
    def fail(route):
        asks = route.request.post_data_json["fn_name"] == "look"
        route.fulfill(status=500) if asks else route.continue_()

    with visit(context, app_url, 360, 740, server_fails=True) as page:
        page.locator("#inside summary").click()
        page.evaluate("scrollTo(0, 0)")
        page.route("**/component_server/**", fail)
        draw(page, STROKES["1"])
        expect(page.locator("#inside p")).to_contain_text("does not answer")
        page.unroute("**/component_server/**")
        clear(page)
        page.evaluate("scrollTo(0, 0)")
        draw(page, STROKES["7"])
        page.wait_for_function(SHOWS_WHAT_WAS_READ)
