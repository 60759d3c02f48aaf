"""What `descriptions` promises: each document once, by its source, clean of markup; no source in two parts.

The indexes are read here by the standard library's parser of e-mail headers, whose form theirs is.
"""

import email
import re
from pathlib import Path

import polars as pl
import pytest

from stages.datasets.descriptions import DATASET, published
from stages.records.prepare import compute_features, judge_rows

SAMPLE = Path(__file__).parents[1] / "data" / "descriptions"
SPLIT = {"train": 0.6, "valid": 0.2}


def paragraphs(name: str) -> list[dict[str, str]]:
    return [dict(email.message_from_string(text)) for text in (SAMPLE / name).read_text().split("\n\n")]


def documents(*releases: str) -> pl.DataFrame:
    return pl.concat(
        DATASET.records.read(SAMPLE, name)
        for name in DATASET.records.partitions(SAMPLE)
        if name.partition("-")[0] in releases
    )


def asked(**columns: str) -> pl.DataFrame:
    """A row as published."""
    row = {"release": "bookworm", "package": "p", "source": "p", "section": "games", "description": "A game of dice"}
    return pl.DataFrame([row | columns])


def test_each_source_is_a_document_once_in_each_topical_section() -> None:
    wanted, seen = [], set()
    for paragraph in paragraphs("bookworm-Packages"):
        source = paragraph.get("Source", paragraph["Package"]).split(" ")[0]
        if paragraph["Section"] in published.TOPICS and (source, paragraph["Section"]) not in seen:
            seen.add((source, paragraph["Section"]))
            wanted.append((paragraph["Package"], source, paragraph["Section"]))
    found = documents("bookworm").select("package", "source", "section").rows()
    assert sorted(found) == sorted(wanted)
    assert len(wanted) < len(paragraphs("bookworm-Packages"))


def test_a_document_has_the_description_of_its_md5() -> None:
    md5 = {each["Package"]: each["Description-md5"] for each in paragraphs("bookworm-Packages")}
    texts = {each["Description-md5"]: each["Description-en"] for each in paragraphs("bookworm-Translation-en")}
    for package, description in documents("bookworm").select("package", "description").iter_rows():
        assert description.rstrip() == texts[md5[package]].rstrip()


def test_a_later_release_holds_new_sources_alone_whatever_their_number() -> None:
    bare = {re.sub(r"[-.]?\d[\d.]*", "", source) for source in documents("bookworm")["source"]}
    later = documents("trixie")["source"]
    assert len(later)
    assert {"vim", "postgresql-17"} & {each["Package"] for each in paragraphs("trixie-Packages")}
    assert not bare & {re.sub(r"[-.]?\d[\d.]*", "", source) for source in later}


def test_a_title_becomes_a_sentence_and_other_lines_do_not() -> None:
    for title, wanted in (("Play dice", "Play dice. Roll them all."), ("Play!", "Play! Roll them all.")):
        assert DATASET.records.parse(asked(description=f"{title}\n Roll\n them all."))["text"].item() == wanted


def test_markup_goes_and_words_stay() -> None:
    raw = "dice roller\n Rolls \u2022 dice:\n .\n  * fair  ones\n  - see https://example.org/a?b=c\n 3 - 1 = 2 e\u0301"
    assert DATASET.records.parse(asked(description=raw))["text"].item() == (
        "dice roller. Rolls \u2022 dice: fair ones see 3 - 1 = 2 \u00e9"
    )


@pytest.mark.parametrize(
    ("columns", "check"),
    [
        ({"description": ""}, "not_nullable"),
        ({"description": " .\n .\n"}, "parses as more than markup"),
        ({"description": "x" * 1_000_000}, "str_length(1, 100000)"),
        ({"description": "a game\0of dice"}, "readable"),
        ({"description": b"caf\xe9 \xff\xfe w\xf6rter".decode(errors="replace")}, "readable"),
        ({"section": "libs"}, "isin"),
        ({"release": "sid"}, "isin"),
        ({"source": " "}, "not_nullable"),
    ],
)
def test_what_is_no_document_is_kept_aside_with_its_reason(columns: dict[str, str], check: str) -> None:
    judged = judge_rows(DATASET.records, asked(**columns), "bookworm-m-r")
    assert len(judged.passed) == 0
    assert any(check in told for told in judged.failures), judged.failures


@pytest.mark.parametrize(
    "text", ["🎲🎲 dice", "משחק קוביות", "لعبة النرد", 'what shows as a "\ufffd" on the screen' + " has no glyph" * 8]
)
def test_any_script_is_a_document(text: str) -> None:
    judged = judge_rows(DATASET.records, asked(description=text), "bookworm-m-r")
    features = compute_features(DATASET, judged.passed, None)
    assert features["text"].item() == text.strip()
    assert features["characters"].item() == len(text.strip())


def test_sources_that_differ_by_a_number_share_their_part_and_later_ones_have_none() -> None:
    rows = pl.concat(asked(source=f"tool{k}-{v}", package=f"tool{k}-{v}") for k in "abcdefgh" for v in (1, "2.0"))
    features = compute_features(DATASET, judge_rows(DATASET.records, rows, "bookworm-s-z").passed, None)
    parts = features.with_columns(DATASET.split(features, SPLIT, 1), kin=pl.col("package").str.head(5))
    assert parts.group_by("kin").agg(pl.col("part").n_unique())["part"].to_list() == [1] * 8
    assert parts["part"].n_unique() > 1
    shuffled = features.sample(fraction=1.0, shuffle=True, seed=3)
    again = shuffled.with_columns(DATASET.split(shuffled, SPLIT, 2)).sort("package")
    assert again["part"].to_list() == parts.sort("package")["part"].to_list()
    later = features.with_columns(pl.col("project").str.replace("bookworm", "trixie"))
    assert DATASET.split(later, SPLIT, 1).is_null().all()


@pytest.mark.parametrize("split", [{"train": 0.9, "valid": 0.2}, {"train": "2013", "valid": 0.1}, {"train": 0.5}])
def test_a_split_that_leaves_nothing_is_refused(split: dict[str, object]) -> None:
    features = compute_features(DATASET, judge_rows(DATASET.records, asked(), "bookworm-m-r").passed, None)
    with pytest.raises(ValueError, match="wanted"):
        DATASET.split(features, split, 1)


def test_a_file_that_is_no_index_is_refused(tmp_path: Path) -> None:
    for name in ("bookworm-Packages", "bookworm-Translation-en"):
        (tmp_path / name).write_bytes(b"<html>busy</html>\n")
    with pytest.raises(ValueError, match="wanted paragraphs"):
        DATASET.records.read(tmp_path, "bookworm-0-f")
