"""The report in a real browser: it fits a phone and a wide screen, follows the reader's colours, and runs nothing."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from stages import evaluate, report, train
from tests.browser import check_fit, check_schemes, in_browser

ROOT = Path(__file__).parents[2]
STYLE = ROOT / "stages/results/style.css"
LONG = "a carrier with a name of many words and one_word_that_no_browser_may_break_anywhere_at_all_of_its_own_accord"


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


@in_browser
def test_the_page_fits_every_width_and_logs_nothing(page: Path, tmp_path: Path) -> None:
    check_fit(page, tmp_path, pictures=5)


@in_browser
def test_page_and_pictures_follow_the_readers_colours(page: Path, tmp_path: Path) -> None:
    check_schemes(page, tmp_path)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("path", "texts", "faint"),
    [
        (STYLE, ("ink", "quiet", "model", "good", "bad", "chosen"), "baseline"),
        (ROOT / "notebooks/page/style.css", ("ink", "quiet", "blue", "orange"), None),
    ],
)
def test_texts_stand_out_from_the_paper(path: Path, texts: tuple[str, ...], faint: str | None, scheme: str) -> None:
    style = path.read_text(encoding="utf-8")
    light, dark, _print = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", light if scheme == "light" else dark))
    for paper in ("paper", "wash"):
        for text in texts:
            assert contrast(colours[text], colours[paper]) >= 4.5, (text, paper)  # WCAG 2.2, 1.4.3
        if faint:
            assert contrast(colours[faint], colours[paper]) >= 2.8  # drawn only, and beside its figures


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2.2."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
