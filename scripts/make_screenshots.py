"""python -m scripts.make_screenshots

Takes the screenshots of the page: a number in the dark theme, a non-digit on a phone, and
what a shared link shows.
"""

from playwright.sync_api import sync_playwright

from scripts.browser import draw, draw_number, launch_chromium, open_page
from scripts.serve import ROOT, serve_app
from scripts.strokes import HOUSE


def main() -> None:
    """Write on the page, and save what it looks like."""
    with serve_app() as (url, _), sync_playwright() as playwright:
        browser = launch_chromium(playwright)
        for file, width, height, scheme in (
            ("docs/app-dark.png", 1080, 720, "dark"),
            ("docs/app-phone.png", 360, 740, "light"),
            ("ui/preview.png", 1200, 630, "light"),
        ):
            size = {"width": width, "height": height}
            with browser.new_page(viewport=size, color_scheme=scheme) as page:
                open_page(page, url)
                draw(page, HOUSE) if "phone" in file else draw_number(page)
                page.locator("#answer .verdict:not(.writing)").wait_for()  # the sentences
                page.screenshot(path=ROOT / file, animations="disabled")


if __name__ == "__main__":
    main()
