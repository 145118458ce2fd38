"""The app as visitors use it in a browser."""

import asyncio
import json
import re

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image, ImageOps
from playwright.sync_api import expect

from benchmarks.common import data_url
from conftest import ROOT
from page import (
    INVITATION,
    PIXELS,
    STROKES,
    TOUCH,
    clear,
    drag,
    draw,
    expect_digit,
    expect_number,
    place,
    run_apart,
    seven,
    visit,
    write,
)
from scripts.strokes import encode
from ui.batcher import batched
from ui.reading import BUSY

HAS_YELLOW = """() => {
  const map = document.querySelector("#answer .saliency").getContext("2d");
  const { data } = map.getImageData(0, 0, 28, 28);
  return data.some((red, i) => i % 4 === 0 && red > data[i + 2] + 20);
}"""


@pytest.fixture
def page(app_url, context):
    with visit(context, app_url) as page:
        yield page


def test_ten_digits_drawn_with_a_mouse_are_read(page):
    expect(page.locator("#answer")).to_contain_text(INVITATION)
    for digit, strokes in STROKES.items():
        draw(page, strokes)
        expect_digit(page, digit)
        # The pen rests: the saliency map comes, yellow on what the model sees.
        page.wait_for_function(HAS_YELLOW)
        clear(page)


def test_numbers_are_read_digit_by_digit_and_a_tile_shows_more_of_its_digit(page):
    for number, size, gap in (("33", 100, -8), ("1234567890", 34, 6), ("407", 90, 12)):
        page.keyboard.press("Delete")
        write(page, number, size, gap)
        expect_number(page, number)
    best = page.locator("#answer .bars .best")
    for index, digit in enumerate("407"):
        page.locator("#answer .tiles button").nth(index).click()
        expect(best).to_have_attribute("data-digit", digit)
        expect(page.locator("#answer .tiles [aria-pressed=true] b")).to_have_text(digit)
    write(page, "407", 90, 12)  # over itself: new answers, the same number
    expect_number(page, "407")
    expect(best).to_have_attribute("data-digit", "7")
    page.keyboard.press("Delete")
    rows = ["42", "07", "153", "86"]
    for row, number in enumerate(rows):
        write(page, number, 30, 20, 40 + 66 * row)
    expect(page.locator("#answer .top span")).to_have_text(rows)
    expect(page.locator("#answer .top span").last).to_be_in_viewport(ratio=1)


def test_the_number_comes_while_the_pen_is_down_and_sentences_when_it_rests(page):
    page.evaluate("""() => {
        window.said = [];
        const status = document.querySelector("#answer [role=status]");
        new MutationObserver(() => said.push(status.textContent))
            .observe(status, { subtree: true, childList: true, characterData: true });
    }""")
    line = page.locator("#answer .said")
    start, *corners = place(page, [(80, 60), (200, 60), (125, 235)])
    page.mouse.move(*start)
    page.mouse.down()
    for corner in corners:  # a 1 on its side, and then a 7
        page.mouse.move(*corner, steps=10)
        page.wait_for_timeout(700)
        expect(line).to_have_css("opacity", "0")
    expect_digit(page, 7)
    assert page.evaluate("said") == []
    page.mouse.up()
    expect(line).to_have_css("opacity", "1")
    expect(line).to_contain_text("Confidence")
    assert {said[0] for said in page.evaluate("said")} == {"7"}


def test_undo_redo_and_clear_by_button_and_by_key(page):
    canvas, answer = page.locator("#sheet canvas"), page.locator("#answer")
    undo = page.get_by_role("button", name="Undo")
    clear = page.get_by_role("button", name="Clear", exact=True)
    drawings = [canvas.evaluate(PIXELS)]
    expect(undo).to_be_disabled()
    for stroke in STROKES["4"]:
        draw(page, [stroke])
        drawings.append(canvas.evaluate(PIXELS))
    press = page.keyboard.press
    keys = "Control+y 1, Control+Shift+z 2, Backspace 1, Control+y 2, Control+z 1, Control+y 2"
    for step in f"click 1, click 0, {keys}".split(", "):
        key, strokes = step.split()
        undo.click() if key == "click" else press(key)
        assert canvas.evaluate(PIXELS) == drawings[int(strokes)]
    for wipe in (clear.click, lambda: press("Delete"), lambda: press("Escape")):
        wipe()
        assert canvas.evaluate(PIXELS) == drawings[0]
        expect(answer).to_contain_text(INVITATION)
        expect(clear).to_be_disabled()
        page.get_by_role("tab", name="Read").focus()  # keys work wherever the focus is
        press("Control+z")
        assert canvas.evaluate(PIXELS) == drawings[2]
        expect_digit(page, 4)


def test_a_stroke_that_begins_beside_the_sheet_is_drawn_from_its_edge(page):
    box = page.locator("#sheet canvas").bounding_box()
    x = box["x"] + box["width"] / 2
    drag(page, (x, box["y"] - 15), (x, box["y"] + 0.8 * box["height"]), steps=8)
    expect_digit(page, 1)
    dark = "canvas => canvas.getContext('2d').getImageData(420, 2, 1, 1).data[0] < 50"
    assert page.locator("#sheet canvas").evaluate(dark)
    page.keyboard.press("Delete")
    for y in (box["y"] - 200, box["y"] + box["height"] + 40):  # a text far away, and a button
        drag(page, (box["x"] + 20, y), (x, box["y"] + box["height"] / 2), steps=8)
    expect(page.get_by_role("button", name="Clear", exact=True)).to_be_disabled()


def swipe(page, *points) -> None:
    """Move a finger along points of the window."""
    touch = page.context.new_cdp_session(page)
    for i, (x, y) in enumerate(points):
        event = {"type": "touchMove" if i else "touchStart", "touchPoints": [{"x": x, "y": y}]}
        touch.send("Input.dispatchTouchEvent", event)
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_a_finger_draws_also_from_beside_the_sheet_and_does_not_scroll(app_url, browser):
    with visit(browser, app_url, 360, 640, **TOUCH) as page:
        assert page.evaluate("document.documentElement.scrollHeight") > 700  # it could scroll
        for stroke in ([(80, 60), (200, 60)], [(200, 60), (125, 235)]):
            swipe(page, *place(page, np.linspace(*stroke, 11)))
        expect_digit(page, 7)
        page.keyboard.press("Delete")
        box = page.locator("#sheet canvas").bounding_box()
        x = box["x"] + box["width"] / 2
        swipe(page, *((x, y) for y in np.linspace(box["y"] - 8, box["y"] + 180, 11)))
        expect_digit(page, 1)
        assert page.evaluate("scrollY") == 0


COPY = """async (url) => {
  const file = await (await fetch(url)).blob();
  await navigator.clipboard.write([new ClipboardItem({ [file.type]: file })]);
}"""


def hand_over(page, how, content, name="7.png", kind="image/png") -> None:
    """Give a file to the page: chosen, dropped on its title, or, a PNG, pasted."""
    file = {"name": name, "mimeType": kind, "buffer": content}
    if how == "choose":
        page.locator("#sheet input[type=file]").set_input_files(file)
    elif how == "drop":
        page.locator("h1").drop({"files": file})
    else:
        page.evaluate(COPY, data_url(content))
        page.keyboard.press("Control+v")


def test_an_image_can_be_dropped_pasted_or_chosen_and_written_on(page):
    canvas, undo = page.locator("#sheet canvas"), page.get_by_role("button", name="Undo")
    blank = canvas.evaluate(PIXELS)
    for how in ("drop", "paste", "choose"):
        hand_over(page, how, encode(seven()))
        expect_digit(page, 7)
        image = canvas.evaluate(PIXELS)
        draw(page, [[(105, 60), (160, 60)], [(70, 220), (200, 220)]])  # a line under it
        assert canvas.evaluate(PIXELS) != image
        undo.click(click_count=2)
        assert canvas.evaluate(PIXELS) == image
        undo.click()
        assert canvas.evaluate(PIXELS) == blank
        expect(page.locator("#answer")).to_contain_text(INVITATION)


def test_a_blank_image_is_called_so_and_the_pen_is_seen_on_and_beside_it(page):
    canvas = page.locator("#sheet canvas")
    luminance = "(canvas, x) => canvas.getContext('2d').getImageData(x, 280, 1, 1).data[1]"
    half = Image.new("RGB", (900, 600), (240, 240, 240))
    half.paste((40, 42, 50), (450, 0, 900, 600))
    for image, digit in (
        (Image.new("RGB", (900, 700), (210, 205, 190)), 4),
        (Image.new("RGB", (300, 700), (40, 42, 50)), 4),  # a dark one, with room beside it
        (half, None),
    ):
        hand_over(page, "drop", encode(image))
        if digit:
            expect(page.locator("#answer")).to_contain_text("This image is blank")
            draw(page, STROKES["4"])
            expect_digit(page, 4)
            page.get_by_role("button", name="Undo").click(click_count=2)
        expect(page.get_by_role("button", name="Clear", exact=True)).to_be_enabled()
        for x in (120, 520, 720):
            before = canvas.evaluate(luminance, x)
            draw(page, [[(x / 2 - 70, 100), (x / 2 - 70, 180)]])
            assert abs(canvas.evaluate(luminance, x) - before) > 150
    chalk = Image.new("RGBA", (900, 600))  # transparent
    chalk.paste("white", (100, 200, 150, 400))
    hand_over(page, "drop", encode(chalk))
    expect_digit(page, 1)
    assert canvas.evaluate(luminance, 120) > canvas.evaluate(luminance, 520) + 150


def test_a_photograph_is_turned_by_its_exif_and_sent_small_and_60_megapixels_are_read(page):
    sizes = []
    page.on("request", lambda request: sizes.append(len(request.post_data or "")))
    photo = ImageOps.expand(seven(190, 60), (0, 60), 190).resize((2400, 3840))
    noise = np.random.default_rng(0).normal(0, 6, (3840, 2400))
    photo = Image.fromarray(np.uint8((np.asarray(photo) + noise).clip(0, 255)))
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    turned = encode(photo.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif)
    large = encode(seven(190, 60).resize((9000, 6700)), "JPEG")
    for content in (turned, large):
        hand_over(page, "choose", content, "7.jpg", "image/jpeg")
        expect_digit(page, 7)
        clear(page)
    assert 1000 < max(sizes) < 150_000


def test_files_that_are_no_images_get_a_sentence_and_then_the_answer_comes_back(page):
    draw(page, STROKES["2"])
    expect_digit(page, 2)
    for name, content in {
        "broken.png": b"\x89PNG\r\n\x1a\n" + bytes(50),
        "photo.heic": b"\0\0\0\x18ftypheic" + bytes(100),
        "letter.pdf": b"%PDF-1.7\n%%EOF",
    }.items():
        hand_over(page, "choose", content, name, "application/octet-stream")
        expect(page.locator("#answer .error")).to_contain_text("not an image that can be read. Use")
    expect_digit(page, 2)


def test_the_answer_to_an_earlier_input_never_comes_late(page):
    page.route("**/component_server/", lambda route: None)  # holds it
    with page.expect_request("**/component_server/"):
        draw(page, STROKES["3"])
    page.keyboard.press("Delete")
    hand_over(page, "drop", encode(seven()))
    page.evaluate("""() => new MutationObserver(() =>
        (window.shown ??= []).push(document.querySelector("#answer .top").textContent)
    ).observe(document.querySelector("#answer"), { subtree: true, childList: true })""")
    page.unroute("**/component_server/")
    expect_digit(page, 7)
    assert set(page.evaluate("shown")) <= {"", "7"}


def test_the_server_fails_and_comes_back(app_url, context):
    server, error = "**/component_server/", "#answer .error"
    with visit(context, app_url, server_fails=True) as page:
        page.route(server, lambda route: route.abort())
        draw(page, STROKES["4"])
        expect(page.locator(error)).to_contain_text("stays here")
        page.unroute(server)
        expect_digit(page, 4)  # without another stroke
        page.route(server, lambda route: route.fulfill(status=500))
        draw(page, [[(60, 260), (70, 260)]])
        expect(page.locator(error)).to_contain_text("stays here")
        page.route(server, lambda route: route.fulfill(json=BUSY | {"text": "<b>1</b>"}))
        expect(page.locator(error)).to_contain_text("Too many")
        expect(page.locator("#answer .top")).to_have_text("<b>1</b>")  # never HTML
        page.unroute(server)
        expect_digit(page, 4)


def test_who_finds_a_hundred_waiting_is_told_so_and_the_hundred_get_their_own_answers():
    async def ask_at_once() -> list[dict]:
        ask = batched(lambda numbers: [{"double": 2 * n} for n in numbers], {"busy": True})
        return await asyncio.gather(*map(ask, range(130)))

    answers = run_apart(ask_at_once())
    assert answers[:100] == [{"double": 2 * number} for number in range(100)]
    assert all(answer["busy"] for answer in answers[100:])


def test_examples_are_read_as_their_names_say(page):
    for example in page.locator("#examples img").all():
        shows = r"Example: (an? [0-9]|the number 407|a house)\b.*"
        digits = re.sub(r"\D", "", re.fullmatch(shows, example.get_attribute("alt"))[1])
        example.click()
        if len(digits) == 1:
            expect_digit(page, digits)
        elif digits:
            expect_number(page, digits)
    line = page.locator("#answer .said")
    expect(line).to_contain_text("does not look like a digit.\nWrite only digits")
    guess = re.search(r"Best guess: \d \((\d+)%", line.inner_text())
    assert not guess or int(guess[1]) >= 30


MOVES = """() => {
  window.moves = new Set();
  (function look() {
    for (const name of ["#sheet canvas", "#answer .bars", "#examples", "html"])
      moves.add(name + document.querySelector(name).getBoundingClientRect().top);
    requestAnimationFrame(look);
  })();
}"""
SCREENS = (
    (1280, 800, {}),
    (360, 740, TOUCH),
    (740, 360, TOUCH),  # held sideways
    (640, 400, {"device_scale_factor": 2}),  # enlarged to 200%
)


@pytest.mark.parametrize("width, height, options", SCREENS)
def test_on_every_screen_nothing_moves(app_url, browser, width, height, options):
    """Sheet and answer are seen together."""
    with visit(browser, app_url, width, height, **options) as page:
        sheet, answer = page.locator("#sheet canvas"), page.locator("#answer .verdict")
        box, beside = sheet.bounding_box(), answer.bounding_box()
        assert box["height"] <= 0.7 * height
        assert (beside["x"] >= box["x"] + box["width"]) == (width >= 640)
        expect(page.locator("#sheet .hint span")).to_be_visible(visible="has_touch" not in options)
        for seen in ("#sheet canvas", "#sheet .tools", "#answer .verdict", "#answer .tiles"):
            expect(page.locator(seen)).to_be_in_viewport(ratio=1)
        if height > width:
            expect(page.locator("#answer .images")).to_be_in_viewport(ratio=1)
        page.evaluate("addEventListener('scrollend', () => (window.scrolled = scrollY))")
        swipe(page, *((beside["x"] + 50, beside["y"] + 70 - 5 * step) for step in range(14)))
        page.wait_for_function("window.scrolled > 30")

        page.evaluate(MOVES)
        write(page, "407", 90, 12)
        expect_number(page, "407")
        for _ in range(4):
            page.keyboard.press("Control+z")
        expect(page.locator("#answer .tiles button")).to_have_count(0)
        expect(page.locator("#answer .said")).to_have_css("opacity", "1")
        assert len(page.evaluate("[...moves]")) == 4

        page.locator("#examples button").last.click()  # scrolls down to it
        page.locator("#examples button").first.click()
        expect_digit(page, 4)
        expect(sheet).to_be_in_viewport(ratio=1)

        page.get_by_role("tab", name="About the model").click()
        expect(page.get_by_role("button", name="Details")).to_be_visible()
        assert height < width or page.evaluate("document.body.scrollHeight") <= 3 * height


def share(page, how) -> str:
    """Choose one of what the menu offers -> what the clipboard holds then."""
    page.get_by_role("button", name="Share").click()
    page.get_by_role("button", name=how).click()
    expect(page.locator("#share [role=status]")).not_to_have_text("")
    page.keyboard.press("Escape")
    return page.evaluate("navigator.clipboard.readText()")


def test_what_is_written_is_copied_saved_and_linked_to(page, app_url, context):
    write(page, "42", 110, 15)
    expect_number(page, "42")
    assert share(page, "Copy what") == "42"
    with page.expect_download() as download:
        share(page, "Save")
    with Image.open(download.value.path()) as saved:
        ink = np.asarray(saved.convert("L")) < 128
        assert saved.size == (840, 700) and ink[:560].any() and ink[560:].any()
    link = share(page, "Copy a link")
    assert link.startswith(f"{app_url}/#strokes=") and len(link) < 4100
    with visit(context, link) as other:
        expect_number(other, "42")
    with visit(context, link[:-6]) as other:  # it was cut
        expect(other.locator("#answer")).to_contain_text("This link is not whole")
        other.locator("#examples button").first.click()
        other.get_by_role("button", name="Share").click()  # an image is too much for a link
        expect(other.locator("#share button:visible")).to_have_count(2)


def test_on_the_first_visit_the_sheet_writes_a_7_until_it_is_touched(app_url, browser):
    with browser.new_context() as context:
        context.add_init_script("delete Navigator.prototype.webdriver")
        with visit(context, app_url) as page:
            expect_digit(page, 7)
            expect(page.locator("#answer .said")).to_have_text(re.compile("This is an example"))
            draw(page, STROKES["3"])
            expect_digit(page, 3)
        with visit(context, app_url) as page:  # again
            page.wait_for_timeout(1000)
            expect(page.locator("#sheet .hint")).to_be_visible()


def test_games(page):
    status = page.locator("#play [role=status]")
    page.get_by_role("button", name="Write a number").click()
    for before, after in ("", r"\. Streak: 1"), (r"\. Streak: 1", r"\. Streak: 2"):
        expect(status).to_have_text(re.compile(rf"^Write \d+{before}$"))
        number = re.search(r"\d+", status.inner_text())[0]
        write(page, number, 60, 12)
        expect(status).to_have_text(re.compile(rf"^{number} in .* s.*{after}$"))
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Fool it").click()
    expect(page.locator("#sheet .hint")).to_be_visible()
    target = re.search(r"Write an? (\d)", status.inner_text())[1]
    draw(page, STROKES[target])
    expect(status).to_have_text(re.compile(f"It reads your {target}"))
    page.keyboard.press("Delete")
    other = "3" if target != "3" else "7"
    draw(page, STROKES[other])
    expect(status).to_have_text(re.compile(f"took your {target} for {other}"))


def check(page, scheme: str) -> None:
    """Nothing shuts people out, by the rules of axe; in the dark theme by those of colours."""
    # Chromium focuses regions that scroll by itself; Gradio puts a nameless button around plots.
    options = {"rules": {"scrollable-region-focusable": {"enabled": False}}}
    if scheme == "dark":  # where the elements are the same, and the other rules take long
        options = {"runOnly": ["color-contrast", "link-in-text-block"]}
    results = Axe().run(page, {"exclude": [[".plot button"]]}, options)
    assert not results.response["violations"], results.generate_report()


RING = """document.activeElement.tagName
  + getComputedStyle(document.activeElement).outline.replace(/rgb.*\\)/, "")"""
COLOURS = "element => getComputedStyle(element).color + getComputedStyle(element).backgroundColor"


def test_for_everyone_and_the_same_in_both_themes(app_url, browser):
    accuracy = json.loads((ROOT / "model" / "eval_results.json").read_text())["eval_accuracy"]
    drawings = set()
    for scheme in ("light", "dark"):
        with visit(browser, app_url, color_scheme=scheme) as page:
            background = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (background == "rgb(255, 255, 255)") == (scheme == "light")
            check(page, scheme)
            write(page, "407", 90, 12)
            expect_number(page, "407")
            drawings.add(page.locator("#sheet canvas").evaluate(PIXELS))
            expect(page.locator("#answer .said")).to_have_css("opacity", "1")
            check(page, scheme)
            four = re.compile("4, (more than )?[0-9.]+ percent")
            expect(page.locator("#answer").get_by_role("button", name=four)).to_have_count(1)
            page.locator("#answer .tiles button").first.click()
            expect(page.get_by_role("listitem").filter(has_text=four)).to_have_count(1)
            sheet = page.get_by_role("application", name="Write a digit or a number")
            expect(sheet).to_be_visible()

            rings = set()
            page.get_by_role("tab", name="Read").focus()
            for _ in range(22):
                page.keyboard.press("Tab")
                rings.add(page.evaluate(RING))
            rings = {ring for ring in rings if not ring.startswith("BODY")}  # between two rounds
            assert rings == {f"{tag} solid 3px" for tag in ("A", "BUTTON", "CANVAS", "SUMMARY")}

            page.get_by_role("tab", name="About the model").click()
            expect(page.locator("body")).to_contain_text(f"{accuracy:.2%}")
            page.get_by_role("button", name="Details").click()
            expect(page.locator(".plot img")).to_have_count(4)
            check(page, scheme)

            page.emulate_media(forced_colors="active")
            expect(page.locator("#answer .best i")).not_to_have_css("background-image", "none")
            for one in "#answer .tiles [aria-pressed={}]", "[role=tab][aria-selected={}]":
                states = [page.locator(one.format(is_on)).first for is_on in ("true", "false")]
                assert states[0].evaluate(COLOURS) != states[1].evaluate(COLOURS)
    assert len(drawings) == 1
