"""Corrections: what a click on the page keeps, and what the server refuses."""

import base64
import re
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import httpx
import numpy as np
import pytest
from datasets import load_dataset
from PIL import Image
from playwright.sync_api import expect

from conftest import ROOT
from page import PHONE, call_server, run_apart, visit
from scripts.serve import serve_app
from ui.corrections import PER_HOUR, PER_LABEL, PER_SESSION, CorrectionStore

SEEN = """() => {
  const canvas = document.querySelector("#answer .seen");
  const levels = canvas.getContext("2d").getImageData(0, 0, 28, 28).data;
  return [...levels].filter((_, i) => i % 4 === 0);
}"""


def image(number: int) -> bytes:
    """784 pixels, others for each number."""
    return np.random.default_rng(number).bytes(784)


def path(folder: Path, label: str, pixels: bytes) -> Path:
    return folder / label / f"{sha256(pixels).hexdigest()[:16]}.png"


def sent(label: object, pixels: bytes, session: object = "s") -> dict:
    return {"label": label, "seen": base64.b64encode(pixels).decode(), "session": session}


def wait_for(file: Path) -> None:
    for _ in range(1200):
        if file.exists():
            return
        time.sleep(0.05)
    pytest.fail(f"{file} did not come within a minute")


@pytest.fixture
def corrections(model, tmp_path) -> CorrectionStore:
    return CorrectionStore(tmp_path / "kept", model, "user/mnist-cnn")


def keep(corrections: CorrectionStore, *all_sent: object) -> list[str]:
    async def send() -> list[str]:
        return [await corrections(one) for one in all_sent]

    return run_apart(send())


@pytest.fixture(scope="module")
def app(python, tmp_path_factory):
    """The address of an app that keeps corrections, and their folder."""
    folder = tmp_path_factory.mktemp("app") / "corrections"
    with serve_app(popen=python.popen, CORRECTIONS_DIR=str(folder)) as (url, _):
        yield url, folder


def show(page, number: int) -> bytes:
    """Put an example on the sheet -> the pixels that the page then shows."""
    before = page.evaluate(SEEN)
    page.locator("#examples button").nth(number).click()
    for _ in range(600):
        if page.evaluate(SEEN) != before:
            break
        page.clock.run_for(10)  # the sheet paces its calls; all together less than ten seconds
        page.wait_for_timeout(50)
    return bytes(page.evaluate(SEEN))


def button(page, label: str):
    name = "Not a digit" if label == "none" else re.compile(rf"^This is an? {label}\b")
    return page.get_by_role("button", name=name)


@pytest.mark.parametrize("label, name, screen", [("8", "an 8", {}), ("none", "not a digit", PHONE)])
def test_a_click_is_kept_after_ten_seconds_and_can_be_changed(app, browser, label, name, screen):
    url, folder = app
    with visit(browser, url, time_stands=True, **screen) as page:
        expect(page.locator("#answer")).to_contain_text("That keeps the 28x28 image")
        for value in (*"0123456789", "none"):
            expect(button(page, value)).to_be_disabled()
        pixels = show(page, 1)
        best = page.locator("#answer .bars .best").get_attribute("data-digit")
        status = page.get_by_role("status")
        button(page, label).click()
        expect(status.get_by_text(f"To be saved as {name} in ten")).to_be_in_viewport()
        expect(page.get_by_role("button", name="Undo the correction")).to_be_in_viewport()
        assert "correct" not in page.asked
        page.clock.fast_forward(10_000)
        expect(status.get_by_text(f"Saved as {name}.")).to_be_in_viewport()
        expect(button(page, label)).to_have_attribute("aria-pressed", "true")
        with Image.open(path(folder, label, pixels)) as kept:
            assert kept.tobytes() == pixels and kept.info["answer"] == best
            assert kept.info["model"] == "model" and 0.5 < float(kept.info["confidence"]) <= 1
            assert re.fullmatch(r"\d{4}-\d\d-\d\d", kept.info["day"])

        button(page, "6").click()  # a change of mind
        page.clock.fast_forward(10_000)
        expect(status.get_by_text("Saved as a 6.")).to_be_visible()
        expect(page.locator("#answer .bars [aria-pressed=true]")).to_have_count(1)
        assert path(folder, "6", pixels).exists() and not path(folder, label, pixels).exists()
        assert page.asked.count("correct") == 2


def test_undone_in_time_nothing_is_sent_and_the_next_correction_sends_the_one_before(app, browser):
    url, folder = app
    with visit(browser, url, time_stands=True) as page:
        status = page.get_by_role("status")
        undo = page.get_by_role("button", name="Undo the correction")
        undone = show(page, 0)
        button(page, "6").press("Enter")
        undo.press("Enter")
        expect(status.get_by_text("Nothing was saved")).to_be_visible()
        expect(button(page, "6")).to_be_focused()
        page.clock.fast_forward(60_000)

        first = show(page, 3)
        button(page, "5").click()
        button(page, "0").click()  # a change of mind
        assert "correct" not in page.asked
        second = show(page, 4)
        expect(status.get_by_text("Another digit is to be saved as a 0")).to_be_visible()
        button(page, "9").click()
        wait_for(path(folder, "0", first))
        undo.click()
        page.goto("about:blank")
        assert page.asked.count("correct") == 1
    for label, pixels in (("6", undone), ("5", first), ("9", second)):
        assert not path(folder, label, pixels).exists()


def test_a_refusal_stays_in_sight_and_the_app_reads_on(app, browser):
    url, folder = app
    folder.mkdir(exist_ok=True)
    (folder / "3").write_text("where the images of label 3 should lie")
    with visit(browser, url, time_stands=True) as page:
        show(page, 0)
        button(page, "3").click()
        pixels = show(page, 6)
        button(page, "none").click()
        refusal = page.get_by_role("alert")
        expect(refusal).to_contain_text("Not saved as a 3: The server cannot save")
        page.clock.fast_forward(10_000)
        wait_for(path(folder, "none", pixels))
        show(page, 1)
        expect(page.locator("#answer .bars .best")).to_have_attribute("data-digit", "2")
        expect(refusal).to_contain_text("Not saved as a 3")
    (folder / "3").unlink()


def test_of_a_number_the_chosen_digit_is_kept_and_a_page_left_earlier_sends_it_along(app, browser):
    url, folder = app
    with visit(browser, url, time_stands=True) as page:
        first = show(page, 5)  # 6-the-number-407.jpg
        page.locator("#answer .tiles button[aria-pressed=false]").first.click()
        other = bytes(page.evaluate(SEEN))
        button(page, "6").click()
        page.goto("about:blank")
        wait_for(path(folder, "6", other))
    assert other != first and not path(folder, "6", first).exists()


def test_off_nothing_is_asked_and_no_file_is_written(app_url, browser, home):
    def files() -> tuple[dict, set]:
        return {file: file.lstat().st_mtime_ns for file in home.rglob("*")}, set(ROOT.iterdir())

    before = files()
    with visit(browser, app_url, time_stands=True) as page:
        show(page, 1)
        page.locator("#answer .bars li").nth(7).click()
        page.clock.fast_forward(60_000)
        expect(page.locator("#answer button")).to_have_count(0)
        expect(page.locator("#answer")).not_to_contain_text(re.compile("keep|wrong", re.I))
        page.goto("about:blank")
        assert "correct" not in page.asked
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        call_server(app_url, "answer", "correct", sent("7", image(0)))
    assert files() == before


def test_fifty_visitors_at_once(app):
    url, folder = app

    def send(number: int) -> object:
        return call_server(url, "answer", "correct", sent("4", image(number), f"{number}"))

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(send, range(50))) == {""}
    kept = {file: Image.open(file).tobytes() for file in folder.glob("4/*")}
    assert kept == {path(folder, "4", image(number)): image(number) for number in range(50)}
    kept_file = f"{url}/gradio_api/file={path(folder, '4', image(0))}"
    assert httpx.get(kept_file, timeout=60).status_code == 403


FORGED = [None, 7, [], {}, [["label", "7"]], {"label": "7"}]
FORGED += [
    *(sent(label, image(0)) for label in (7, "10", "", "../7", "7\0", None, ["7"])),
    *(sent("7", pixels) for pixels in (b"", image(0)[:-1], image(0) + b"1", bytes(784))),
    *(sent("7", image(0), session) for session in (None, ["s"], "s" * 100)),
    *(sent("7", b"") | {"seen": seen} for seen in (None, [0] * 784, "é" * 1048, "A" * 10**6)),
]


def test_what_is_forged_is_refused(app, corrections):
    url, folder = app
    before = set(folder.rglob("*"))
    for data in FORGED:
        answer = call_server(url, "answer", "correct", data)
        assert answer == "It did not arrive whole. Please click once more.", data
    assert set(folder.rglob("*")) == before
    keep(corrections, *FORGED)
    assert not [*corrections.times, *corrections.sessions, *corrections.folder.iterdir()]


def test_corrections_are_bounded(corrections):
    answers = keep(corrections, *(sent("7", image(n)) for n in range(PER_SESSION + 1)))
    assert answers[:-1] == [""] * PER_SESSION and "A visit can send 20 corrections" in answers[-1]
    answers = keep(corrections, *(sent("2", image(n), f"{n}") for n in range(PER_HOUR)))
    left = PER_HOUR - PER_SESSION
    assert answers[:left] == [""] * left and all("Too many" in a for a in answers[left:])
    assert len([*corrections.folder.glob("*/*")]) == PER_HOUR
    corrections.times.clear()  # hours later
    for number in range(PER_LABEL):
        (corrections.folder / "7" / f"{number}.png").touch()
    (answer,) = keep(corrections, sent("7", image(PER_HOUR), "another"))
    assert answer == "There are 9,000 images of this label already. Thank you."


def test_a_session_replaces_its_own_label_and_no_other_session_s(corrections):
    first, second = (path(corrections.folder, label, image(0)) for label in "71")
    assert keep(corrections, sent("7", image(0)), sent("1", image(0), "another")) == ["", ""]
    assert first.exists() and second.exists()
    assert keep(corrections, sent("1", image(0))) == [""]  # as the other session says
    assert not first.exists() and second.exists()
    third = path(corrections.folder, "2", image(0))
    keep(corrections, sent("2", image(0)), sent("2", image(0), "agrees"), sent("3", image(0)))
    assert third.exists()


def test_the_folder_loads_as_a_data_set(corrections):
    """Whole images with their labels; what a process that was killed has left is no part of it."""
    labels = {"7": image(0), "none": image(1), "2": image(2)}
    keep(corrections, *(sent(label, pixels) for label, pixels in labels.items()))
    corrections.aside.write_bytes(path(corrections.folder, "2", image(2)).read_bytes()[:50])
    options = {"drop_labels": False, "split": "train"}
    kept = load_dataset("imagefolder", data_dir=str(corrections.folder), **options)
    names = kept.features["label"].names
    assert {names[row["label"]]: row["image"].tobytes() for row in kept} == labels
