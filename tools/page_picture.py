"""Take the picture of the page that docs/serving.md shows, in a real browser and a server that answers now.

Usage   python -m tools.page_picture [URL]     where `make serve` answers; by default http://127.0.0.1:8000
Writes  docs/images/serve.png

Nothing repeats it by itself: letters differ between machines, so its bytes do.
"""

from __future__ import annotations

import io
import shutil

from PIL import Image
from playwright.sync_api import Error, sync_playwright

from stages.workspace.errors import UserError, run_stage
from stages.workspace.files import whole_file
from tools.pictures import IMAGES

PICTURE = IMAGES / "serve.png"
PATH, WIDTH, HEIGHT = "/models/nycflights?example=10", 1180, 860
COLOURS = 160


def main(url: str = "http://127.0.0.1:8000") -> None:
    """Take the picture."""
    browser_path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
            page.goto(f"{url}{PATH}")
            taken = page.screenshot()
            browser.close()
        except Error as error:
            raise UserError(f"a page at {url}, and a Chromium", str(error).splitlines()[0], "`make serve`") from None
    picture = Image.open(io.BytesIO(taken)).convert("RGB").quantize(COLOURS)
    with whole_file(PICTURE) as aside:
        picture.save(aside, format="PNG", optimize=True)


if __name__ == "__main__":
    run_stage(main)
