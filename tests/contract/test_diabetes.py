"""What is peculiar to the patients: two files joined by order, and lipids that contradict each other."""

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stages.datasets.diabetes import DATASET, FOLLOWED_UP, MEASURED, PATIENTS

SAMPLE = Path(__file__).parents[1] / "data" / "diabetes"
PUBLISHED = Path(pytest.importorskip("sklearn").__file__).parent / "datasets" / "data"
SPLIT = {"train": 0.6, "valid": 0.2}


def lines(path: Path) -> list[list[str]]:
    """Words of every line, read without Polars."""
    with gzip.open(path, "rt") as file:
        return [line.split() for line in file]


def test_every_published_patient_has_lipids_in_mg_dl_and_a_logarithm_of_triglycerides() -> None:
    rows = np.array(lines(PUBLISHED / MEASURED), dtype=float)
    total, ldl, hdl, _, log_triglycerides, _ = rows[:, 4:].T
    assert len(rows) == 442
    assert np.abs(total - hdl - ldl - np.exp(log_triglycerides) / 5).max() == pytest.approx(0.4, abs=0.001)


def test_line_by_line_both_files_tell_of_one_patient() -> None:
    tidy = PATIENTS.parse(PATIENTS.read(PUBLISHED, "patients"))
    measured, followed_up = lines(PUBLISHED / MEASURED), lines(PUBLISHED / FOLLOWED_UP)
    assert tidy["patient"].to_list() == list(range(442))
    assert tidy["bmi_kg_m2"].to_list() == [float(words[2]) for words in measured]
    assert tidy["sex"].to_list() == [words[1] for words in measured]
    assert tidy["progression"].to_list() == [float(words[0]) for words in followed_up]


def test_files_of_different_length_are_refused_because_only_order_joins_them(tmp_path: Path) -> None:
    (tmp_path / MEASURED).write_bytes((SAMPLE / MEASURED).read_bytes())
    published = gzip.decompress((SAMPLE / FOLLOWED_UP).read_bytes()).splitlines(keepends=True)
    (tmp_path / FOLLOWED_UP).write_bytes(gzip.compress(b"".join(published[:-1])))
    with pytest.raises(ValueError, match="found 60 and 61"):
        PATIENTS.read(tmp_path, "patients")


def test_every_part_holds_mild_and_severe_courses_alike() -> None:
    tidy = PATIENTS.parse(PATIENTS.read(PUBLISHED, "patients"))
    frame = DATASET.featurize(tidy, None)
    whole = frame["progression"].mean()
    for seed in range(20):
        part = DATASET.split(frame, SPLIT, seed)
        means = frame.group_by(part.alias("part")).agg(pl.col("progression").mean(), pl.len())
        assert sorted(means["len"].to_list()) == [88, 89, 265]
        assert all(abs(mean - whole) < 3 for mean in means["progression"])  # at random: 7 is common


@pytest.mark.parametrize(
    "split", [{"train": 0.9, "valid": 0.1}, {"train": 0, "valid": 0.2}, {"train": "half", "valid": 0.2}]
)
def test_shares_that_leave_no_test_part_are_refused(split: dict[str, object]) -> None:
    frame = DATASET.featurize(PATIENTS.parse(PATIENTS.read(SAMPLE, "patients")), None)
    with pytest.raises(ValueError, match="shares that leave something"):
        DATASET.split(frame, split, 1)
