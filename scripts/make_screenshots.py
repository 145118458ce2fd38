"""python -m scripts.make_screenshots

Takes the screenshots of the page in docs/: a number in the dark theme, a non-digit on a phone, and
what a shared link shows.
"""

from playwright.sync_api import Page, sync_playwright

from scripts.browser import draw, launch_chromium
from scripts.serve import ROOT, serve_app
from scripts.strokes import FOUR, HOUSE, SEVEN, ZERO

NUMBER = (FOUR, ZERO, SEVEN)


def main() -> None:
    """Write on the page, and save what it looks like."""
    with serve_app() as (url, _), sync_playwright() as playwright:
        browser = launch_chromium(playwright)

        def open_page(width: int, height: int, scheme: str) -> Page:
            size = {"width": width, "height": height}
            page = browser.new_page(viewport=size, color_scheme=scheme)
            page.goto(url)
            page.locator("#sheet canvas").wait_for()
            return page

        with open_page(1080, 720, "dark") as page:
            for place, digit in enumerate(NUMBER):
                draw(page, digit, left=7 + 40 * place, side=55)
            page.screenshot(path=ROOT / "docs" / "app-dark.png", animations="disabled")
        with open_page(360, 740, "light") as page:
            draw(page, HOUSE)
            page.screenshot(path=ROOT / "docs" / "app-phone.png", animations="disabled")
        with open_page(1200, 630, "light") as page:
            for place, digit in enumerate(NUMBER):
                draw(page, digit, left=7 + 40 * place, side=55)
            page.screenshot(path=ROOT / "ui" / "preview.png", animations="disabled")


if __name__ == "__main__":
    main()
