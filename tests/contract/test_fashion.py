"""What is peculiar to pictures: damaged files, copies, pictures that are none."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stages.clean import reading
from stages.datasets import fashion
from stages.records.contract import load_dataset
from stages.records.pictures import to_text
from stages.records.prepare import compute_features, judge_rows
from stages.workspace.errors import UserError

SAMPLE = Path(__file__).parents[1] / "data" / "fashion"
DATASET = load_dataset("fashion")
LABELS = "train-labels-idx1-ubyte.gz"


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda body: body[:-5], "holds 63 of 68 bytes"),
        (lambda body: b"\0\0\x08\x03" + body[4:], "begins with 0x0803, not with 0x0801"),
        (lambda body: body[:3], "not with 0x0801"),
        (lambda body: b"", "not with 0x0801"),
    ],
)
def test_a_damaged_file_is_refused_in_words(tmp_path, damage, told):
    shutil.copytree(SAMPLE, tmp_path, dirs_exist_ok=True)
    (tmp_path / LABELS).write_bytes(gzip.compress(damage(gzip.decompress((SAMPLE / LABELS).read_bytes()))))
    with pytest.raises(UserError, match=told), reading(DATASET.records, "any partition"):
        fashion.read_block(tmp_path, "train-00000")


def test_pictures_and_labels_of_other_numbers_are_refused(tmp_path):
    shutil.copytree(SAMPLE, tmp_path, dirs_exist_ok=True)
    shutil.copy(SAMPLE / "t10k-labels-idx1-ubyte.gz", tmp_path / LABELS)
    with pytest.raises(ValueError, match="20 labels"):
        fashion.read_block(tmp_path, "train-00000")


def test_a_copy_of_a_test_picture_is_in_no_part_and_copies_stay_together():
    tidy = {name: judge_rows(DATASET.records, fashion.read_block(SAMPLE, name), name).passed
            for name in fashion.blocks(SAMPLE)}  # fmt: skip
    context = DATASET.context([DATASET.summarize(rows) for rows in tidy.values()], {})
    part = {
        item: part for rows in tidy.values() for frame in [compute_features(DATASET, rows, context)]
        for item, part in zip(frame["item"], DATASET.split(frame, {"valid": 0.3}, 1), strict=True)
    }  # fmt: skip
    assert [item for item, found in part.items() if found is None] == [7]
    assert part[60_003] == "test"
    twice = pl.concat([tidy["train-00000"].head(20)] * 2)
    frame = compute_features(DATASET, twice, context)
    halves = DATASET.split(frame, {"valid": 0.3}, 1).to_list()
    assert halves[:20] == halves[20:] and {"train", "valid"} <= set(halves)


@pytest.mark.parametrize("split", [{"valid": 0}, {"valid": 1.0}, {"valid": "much"}, {}, {"valid": 0.1, "train": 0.5}])
def test_a_split_that_leaves_nothing_is_refused(split):
    frame = pl.DataFrame({"item": [1], "copy_of_test": [False], "picture": pl.Series(np.ones((1, 784), np.uint8))})
    with pytest.raises(ValueError, match="wanted"):
        DATASET.split(frame, split, 1)


def test_what_is_no_picture_of_that_size_goes_to_quarantine_by_itself():
    draw = np.random.default_rng(1)
    texts = {
        "right": to_text(draw.integers(0, 256, 784, dtype=np.uint8), (28, 28, 1)),
        "in colour": to_text(draw.integers(0, 256, 784 * 3, dtype=np.uint8), (28, 28, 3)),
        "1 × 1": to_text(np.zeros(1, np.uint8), (1, 1, 1)),
        "larger": to_text(draw.integers(0, 256, 32 * 32, dtype=np.uint8), (32, 32, 1)),
        "no base64": "π",
        "a text": "bm8gcGljdHVyZQ==",
        "cut": to_text(draw.integers(0, 256, 784, dtype=np.uint8), (28, 28, 1))[:400],
        "missing": "",
    }
    rows = pl.DataFrame({"item": [str(k) for k in range(len(texts))], "picture": texts.values(), "label": "3"})
    judged = judge_rows(DATASET.records, rows, "train-00000")
    assert judged.passed["item"].to_list() == [0, 1]  # colour is turned to grey
    told = {(row, failure["check"]) for row, failures in judged.quarantined.select("row", "failures").iter_rows()
            for failure in failures}  # fmt: skip
    spelt = "parses as a PNG or JPEG file of 28 by 28 pixels as base64"
    assert told == {*((row, spelt) for row in range(2, 7)), (7, "not_nullable")}
