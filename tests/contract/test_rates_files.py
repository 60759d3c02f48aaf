"""The published file of rates when it is not what it was: a new currency, another header."""

import logging
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from polars.testing import assert_frame_equal

from stages import clean
from stages.datasets.rates import DATASET
from stages.datasets.rates.published import FILE
from stages.workspace import layout
from stages.workspace.errors import UserError
from stages.workspace.files import read_json, write_manifest
from tests.contract.conftest import SAMPLES, compose_all
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


def test_years_before_the_first_one_asked_for_are_not_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = compose_all()
    section = params["datasets"]["rates"]["clean"] | {"max_quarantined_share": 1.0}
    shutil.copytree(SAMPLES / "rates", layout.raw("rates"))
    write_manifest(layout.raw("rates"), {"files": []})
    for since, found in ((None, ["2019", "2020"]), ("2020", ["2020"])):
        params["datasets"]["rates"]["clean"] = section | {"since": since}
        Path("params.yaml").write_text(yaml.safe_dump(params))
        clean.main("rates")
        partitions = read_json(layout.clean("rates") / "manifest.json")["records"]["partitions"]
        assert [partition["name"] for partition in partitions] == found
    params["datasets"]["rates"]["clean"] = section | {"since": "2021"}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(UserError, match=r"from 2021 on\nfound   2019 … 2020"):
        clean.main("rates")


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
