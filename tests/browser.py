"""A page in a real browser: what it is like at several widths, and where its letters lie."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
WIDTHS = (390, 768, 1600)
PROBE = """<!doctype html><title>probe</title>FRAMES<pre id="told"></pre><script>
onload = () => setTimeout(() => {  // virtual time: what a page draws after it has loaded is there by now
  const told = [...document.querySelectorAll('iframe')].map(frame => {
    const page = frame.contentDocument, root = page.documentElement;
    const marks = [...page.querySelectorAll('svg')].flatMap(svg => {
      const words = [...svg.querySelectorAll('text')].map(text => [text.textContent, text.getBoundingClientRect()])
        .filter(([said, box]) => said.trim() && box.width);
      return words.flatMap(([one, a], k) => words.slice(k + 1)
        .filter(([, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
          && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2)
        .map(([other]) => `${one} | ${other}`));
    });
    const boxes = [...page.querySelectorAll('p, h1, h2, h3, figure, nav, .scroll, .tiles, li')];
    return {
      width: frame.clientWidth, needs: root.scrollWidth,
      beyond: boxes.filter(box => box.getBoundingClientRect().right > frame.clientWidth + 1)
        .map(box => box.outerHTML.slice(0, 80)),
      overprinted: marks,
      cut: [...page.querySelectorAll('section > div')].filter(box => box.scrollWidth > box.clientWidth + 1)
        .map(box => box.id),
      charts: page.querySelectorAll('section > div svg.marks').length,
      headings: [...page.querySelectorAll('h1')].map(heading => heading.textContent),
      said: [...page.querySelectorAll('p, svg text')].map(one => one.textContent).join('\\n'),
      pictures: [...page.querySelectorAll('svg:not(.strip)')]
        .filter(svg => svg.getBoundingClientRect().width > 200).length,
      line: getComputedStyle(page.querySelector('svg polyline, svg path[style*=stroke]') ?? page.body).stroke,
      paper: getComputedStyle(page.body).backgroundColor,
      ink: getComputedStyle(page.body).color,
    };
  });
  document.getElementById('told').textContent = JSON.stringify(told);
}, 2000);
</script>"""


def browse(page: Path, folder: Path, *flags: str) -> tuple[list[dict[str, Any]], str]:
    """What the page is like at each of `WIDTHS`, and what the browser logged."""
    frames = "".join(f'<iframe src="{page.as_uri()}" style="width:{width}px;height:900px;border:0"></iframe>'
                     for width in WIDTHS)  # fmt: skip
    probe = folder / "probe.html"
    probe.write_text(PROBE.replace("FRAMES", frames))
    done = subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
            "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=20000",
            *flags, "--dump-dom", probe.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    found = re.search(r'<pre id="told">(.+?)</pre>', done.stdout)
    assert found, done.stderr
    return json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")), done.stderr


def brightness(colour: str) -> float:
    """0 is black, 255 white."""
    red, green, blue = map(int, re.findall(r"\d+", colour)[:3])
    return (red + green + blue) / 3


def check_fit(page: Path, folder: Path, pictures: int) -> None:
    """The page fits every width, no label lies on another, so many pictures are drawn, and nothing is logged."""
    told, log = browse(page, folder)
    assert [view["width"] for view in told] == list(WIDTHS)
    for view in told:
        assert view["needs"] <= view["width"], view
        assert view["beyond"] == []
        assert view["overprinted"] == []
        assert view["pictures"] >= pictures
    assert "CONSOLE" not in log


def check_schemes(page: Path, folder: Path) -> None:
    """Page and pictures follow the reader's colours."""
    dark, light = (browse(page, folder, f"--blink-settings=preferredColorScheme={k}")[0][0] for k in (0, 1))
    assert dark["line"] != light["line"]
    assert brightness(dark["paper"]) < 60 < 200 < brightness(light["paper"])
    assert brightness(light["ink"]) < 80 < 180 < brightness(dark["ink"])
