"""The published file of rates when it is not what it was: a new currency, another header."""

import logging
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from stages import clean
from stages.datasets.rates import DATASET
from stages.datasets.rates.published import FILE
from stages.workspace.errors import UserError
from tests.contract.test_rates import MEMBER, published_file


def rewritten(raw: Path, change: Callable[[str], str]) -> Path:
    """The last days of the file, changed, in a raw folder."""
    with zipfile.ZipFile(published_file()) as archive:
        text = "".join(archive.read(MEMBER).decode().splitlines(keepends=True)[:30])
    raw.mkdir()
    with zipfile.ZipFile(raw / FILE, "w") as archive:
        archive.writestr(MEMBER, change(text))
    return raw


def test_a_new_currency_is_told_of_and_changes_nothing(tmp_path, caplog):
    def add(text: str) -> str:
        head, *rows = text.splitlines()
        return "\n".join([f"{head}XEU,", *(f"{row}1.5," for row in rows)]) + "\n"

    raw = rewritten(tmp_path / "new", add)
    with caplog.at_level(logging.INFO):
        rows = clean.read_partition(DATASET.records, raw, "2026")
    assert "unknown columns ignored: XEU" in caplog.text
    before = clean.read_partition(DATASET.records, rewritten(tmp_path / "old", str), "2026")
    assert_frame_equal(DATASET.records.parse(rows), DATASET.records.parse(before))
    assert "unknown" not in caplog.text.replace("unknown columns ignored: XEU", "")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace(",USD", ",USX"), "no column USD among"),
        (lambda _: "", "an empty file"),
        (lambda text: text.replace(",JPY", ",USD"), "columns that stand twice in the header: USD"),
    ],
)
def test_another_header_is_refused_with_the_column(tmp_path, change, told):
    raw = rewritten(tmp_path / "raw", change)
    with pytest.raises(UserError, match=r"rates \(.*\) as published") as error:
        clean.read_partition(DATASET.records, raw, "2026")
    assert told in str(error.value.found)
