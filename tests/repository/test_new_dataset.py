"""What `make new-dataset` makes of a CSV: guesses that a person would make, and plain words where there are none."""

import csv
import gzip
import hashlib
import random
from pathlib import Path

import pytest
import yaml

from stages.records.contract import UNIT_SUFFIXES
from stages.workspace.errors import UserError
from tools import draft, new_dataset
from tools.draft import guess
from tools.new_dataset import PRESETS, files_of, made_up, main, read_rows

ROOT = Path(__file__).parents[2]
HEADER = ["ID", "Patient Name", "record", "Blood Pressure (mmHg)", "sex", "visit", "Ward 7", "Δ", "class"]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CSV as people have them, in a workspace without datasets."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params").mkdir()
    (tmp_path / "params/config.yaml").write_text("defaults:\n  - dataset@datasets.digits: digits\n  - _self_\n")
    draw = random.Random(3)
    with Path("own.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(HEADER)
        for n in range(200):
            pressure = draw.gauss(120, 15)
            rows.writerow([
                n + 1, f"Name {n}", draw.choice("ABC"), f"{pressure:.1f}" if n % 9 else "NA", draw.choice("mf"),
                f"2020-01-{n % 28 + 1:02}", draw.choice([1, 2]), f"{draw.random() - 0.5:.3f}",
                "sick" if pressure > 120 else "well",
            ])  # fmt: skip
    return Path("own.csv")


def test_columns_are_numbers_or_categories_with_tidy_names_and_what_tells_rows_apart_is_left_out(own: Path) -> None:
    found = guess("own", "binary", read_rows(own), "class")
    assert found.left_out == ("ID", "Patient Name", "visit")
    assert [(column.name, column.kind, column.published) for column in found.columns] == [
        ("record_3", "categorical", "record"),
        ("blood_pressure_mm_hg", "numeric", "Blood Pressure (mmHg)"),
        ("sex", "categorical", ""),
        ("ward_7", "numeric", "Ward 7"),
        ("column", "numeric", "Δ"),
    ]
    assert [column.nullable for column in found.columns] == [False, True, False, False, False]
    assert found.classes == ("sick", "well")


def test_units_are_those_that_a_name_ends_in() -> None:
    columns = guess("made", "regression", made_up("regression"), "outcome").columns
    assert {column.name: column.unit for column in columns} == {"age_years": "years", "width_mm": "", "region": ""}


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (18, 90, (0, 170)),
        (-0.5, 0.5, (-2, 2)),
        (-0.4, 0.4, (-1.2, 1.2)),
        (3, 3, (0, 6)),
        (1e6, 3e6, (0, 5_000_000)),
        (0.01, 0.03, (0.0, 0.05)),
    ],
)
def test_ranges_reach_as_far_again_as_what_was_seen_and_not_below_zero_without_need(low, high, wanted) -> None:
    assert draft._range(low, high) == wanted


def test_presets_follow_the_task_and_the_number_of_rows(own: Path) -> None:
    for few, rows in ((True, 200), (False, 1200)):
        frame = made_up("multiclass")
        frame = frame.head(rows) if few else frame.vstack(frame)
        text = new_dataset.params_text(guess("own", "multiclass", frame, "outcome"), Path("sources/own.csv"), b"")
        chosen = {key: value for line in yaml.safe_load(text)["defaults"][:-1] for key, value in line.items()}
        assert chosen["/model@model"] == ("boosting_few" if few else "boosting_small")
        assert chosen["/evaluate@evaluate"] == chosen["/promote@promote"] == "multiclass"


def test_a_column_of_written_texts_is_a_text_and_words_are_what_is_learnt(own: Path) -> None:
    draw, words = random.Random(5), ["it", "is", "a", "good", "bad", "chair", "that", "does", "not", "break\nand"]
    with own.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["Review", "title", "verdict"])
        for n in range(100):
            rows.writerow([" ".join(draw.choices(words, k=15)), f"Review {n}", draw.choice(["kept", "sent back"])])
    found = guess("own", "binary", read_rows(own), "verdict")
    assert [(column.name, column.kind, column.published) for column in found.columns] == [("review", "text", "Review")]
    assert found.left_out == ("title",)
    files = files_of(found, Path("sources/own.csv"), b"")
    params = yaml.safe_load(files[Path("params/dataset/own.yaml")])
    assert {"/model@model": "words"} in params["defaults"]
    sample = files[Path("tests/data/own/own.csv")]
    assert b"break\nand" in sample


def test_a_packed_file_is_read_and_its_sample_is_packed_under_the_same_name(own: Path) -> None:
    Path("own.csv.gz").write_bytes(gzip.compress(own.read_bytes()))
    found = guess("own", "binary", read_rows(Path("own.csv.gz")), "class")
    written = files_of(found, Path("sources/own.csv.gz"), b"")
    assert gzip.decompress(written[Path("tests/data/own/own.csv.gz")]).decode().startswith("ID,Patient Name")
    assert b'file="own.csv.gz"' in written[Path("stages/datasets/own/__init__.py")]


def test_rows_are_pinned_and_those_too_large_for_git_stay_where_they_are(own: Path) -> None:
    content = own.read_bytes()
    found = guess("own", "binary", read_rows(own), "class")
    inside = files_of(found, Path("sources/own.csv"), content)
    assert inside[Path("sources/own.csv")] == content
    away = own.resolve()
    outside = files_of(found, away, content)
    assert away not in outside
    (source,) = yaml.safe_load(outside[Path("params/dataset/own.yaml")])["download"]["sources"]
    assert source == {"location": str(away), "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["Own", "--task", "binary"], "small letters"),
        (["class", "--task", "binary"], "small letters"),
        (["own", "--task", "regression", "--csv", "own.csv"], "numbers to predict in class"),
        (["own", "--task", "multiclass", "--csv", "own.csv"], "2: sick, well"),
        (["own", "--task", "binary", "--csv", "own.csv", "--target", "sax"], "the target sax"),
        (["own", "--task", "binary", "--csv", "none.csv"], "No such file"),
        (["own", "--task", "binary", "--csv", "semicolons.csv"], "parted by semicolons"),
        (["own", "--task", "binary", "--csv", "empty.csv"], "an empty file"),
    ],
)
def test_what_cannot_become_a_dataset_is_told_and_nothing_is_written(own: Path, arguments, told) -> None:
    Path("semicolons.csv").write_text(own.read_text(encoding="utf-8").replace(",", ";"), encoding="utf-8")
    Path("empty.csv").touch()
    before = sorted(Path().rglob("*"))
    with pytest.raises(UserError) as refused:
        main(*arguments)
    assert told in str(refused.value)
    assert sorted(Path().rglob("*")) == before


def test_a_name_that_is_taken_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match="stages/datasets/digits exists"):
        main("digits", "--task", "binary")


def test_the_page_on_datasets_knows_every_unit_preset_and_check() -> None:
    page = (ROOT / "docs/datasets.md").read_text(encoding="utf-8")
    assert all(f"`_{unit}`" in page for unit in UNIT_SUFFIXES)
    assert all(f"`{name}`" in page for _, *names in PRESETS for name in names)
    for folder in ("evaluate", "promote"):
        assert all(f"`{folder}/{path.stem}`" in page for path in (ROOT / "params" / folder).glob("*.yaml"))
    for check in ("number_of_fields", "not_nullable", "parses as", "decimal point", "not empty", "unique"):
        assert f"`{check}" in page or f" {check}`" in page, check
