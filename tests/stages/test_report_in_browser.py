"""The report in a real browser: it fits a phone and a wide screen, follows the reader's colours, and runs nothing."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stages import evaluate, report, train

ROOT = Path(__file__).parents[2]
STYLE = ROOT / "stages/results/style.css"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
LONG = "a carrier with a name of many words and one_word_that_no_browser_may_break_anywhere_at_all_of_its_own_accord"
WIDTHS = (390, 768, 1600)
PROBE = """<!doctype html><title>probe</title>FRAMES<pre id="told"></pre><script>
onload = () => {
  const told = [...document.querySelectorAll('iframe')].map(frame => {
    const page = frame.contentDocument, root = page.documentElement;
    const boxes = [...page.querySelectorAll('p, h1, h2, h3, figure, nav, .scroll, .tiles, li')];
    return {
      width: frame.clientWidth, needs: root.scrollWidth,
      beyond: boxes.filter(box => box.getBoundingClientRect().right > frame.clientWidth + 1)
        .map(box => box.outerHTML.slice(0, 80)),
      pictures: [...page.querySelectorAll('svg.plot')].filter(svg => svg.getBoundingClientRect().width > 200).length,
      line: getComputedStyle(page.querySelector('polyline.model')).stroke,
      paper: getComputedStyle(page.body).backgroundColor,
      ink: getComputedStyle(page.body).color,
    };
  });
  document.getElementById('told').textContent = JSON.stringify(told);
};
</script>"""


@pytest.fixture(scope="module")
def page(planted: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with long names in it."""
    root = tmp_path_factory.mktemp("browser")
    rows = planted.rows(n=3000)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        planted.write(rows, "binary", classes=["on time", LONG], evaluate={"segments": ["carrier"]})
        train.main(planted.dataset)
        evaluate.main(planted.dataset)
        clean = {"records": dict.fromkeys(("rows_published", "rows_in", "rows_clean", "labelled"), 3000)}
        clean["records"]["rows_quarantined"] = 0
        Path("metrics/trial/clean.json").write_text(json.dumps({**clean, "unlabelled": {LONG: 5}, "failures": {}}))
        report.main(planted.dataset)
    return root / "reports/trial/results.html"


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


@in_browser
def test_the_page_fits_every_width_and_logs_nothing(page: Path, tmp_path: Path) -> None:
    told, log = browse(page, tmp_path)
    assert [view["width"] for view in told] == list(WIDTHS)
    for view in told:
        assert view["needs"] <= view["width"], view
        assert view["beyond"] == []
        assert view["pictures"] >= 5
    assert "CONSOLE" not in log


@in_browser
def test_page_and_pictures_follow_the_readers_colours(page: Path, tmp_path: Path) -> None:
    dark, light = (browse(page, tmp_path, f"--blink-settings=preferredColorScheme={k}")[0][0] for k in (0, 1))
    assert dark["line"] != light["line"]
    assert brightness(dark["paper"]) < 60 < 200 < brightness(light["paper"])
    assert brightness(light["ink"]) < 80 < 180 < brightness(dark["ink"])


def brightness(colour: str) -> float:
    red, green, blue = map(int, re.findall(r"\d+", colour)[:3])
    return (red + green + blue) / 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_the_paper(scheme: str) -> None:
    style = STYLE.read_text(encoding="utf-8")
    light, dark, _print = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", light if scheme == "light" else dark))
    for paper in ("paper", "wash"):
        for text in ("ink", "quiet", "model", "good", "bad", "chosen"):
            assert contrast(colours[text], colours[paper]) >= 4.5, (text, paper)  # WCAG 2.2, 1.4.3
        assert contrast(colours["baseline"], colours[paper]) >= 2.8  # drawn only, and beside its figures


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2.2."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
