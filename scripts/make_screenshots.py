"""python -m scripts.make_screenshots

Takes the screenshots of the page in docs/: a digit in the dark theme, a non-digit on a phone.
"""

from playwright.sync_api import sync_playwright

from scripts.browser import draw, launch_chromium
from scripts.serve import ROOT, serve_app
from scripts.strokes import HOUSE, TWO

SHOTS = (
    ("app-dark.png", TWO, 1080, 900, "dark"),
    ("app-phone.png", HOUSE, 360, 800, "light"),
)


def main() -> None:
    """Draw on the page, and save what it looks like."""
    with serve_app() as (url, _), sync_playwright() as playwright:
        browser = launch_chromium(playwright)
        for name, strokes, width, height, scheme in SHOTS:
            size = {"width": width, "height": height}
            with browser.new_page(viewport=size, color_scheme=scheme) as page:
                page.goto(url)
                page.locator("#sheet canvas").wait_for()
                draw(page, strokes)
                page.screenshot(path=ROOT / "docs" / name, animations="disabled")


if __name__ == "__main__":
    main()
