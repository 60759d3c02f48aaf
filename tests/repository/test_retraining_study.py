"""A year replayed: nobody learns from what was not known, and a champion gives way only to what is better."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from sklearn.metrics import log_loss

from benchmarks import retraining_words, study_retraining
from benchmarks.replay_months import Recipe
from benchmarks.retraining_words import ALWAYS, NEVER
from benchmarks.study_retraining import Calendar, Strategy
from stages.models.families import FAMILIES, read_model
from stages.workspace.errors import UserError

ROOT = Path(__file__).parents[2]
ROWS_A_DAY, TESTED, TURNS = 12, 4, date(2017, 1, 1)
CHAMPION = "champion, expected_cost of the last month"
DAYS = [date(2013, 1, 1) + timedelta(n) for n in range(365)] + [TURNS + timedelta(n) for n in range(181)]


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A small replay in which ``signal`` means late until the year is over, and on time from then on."""
    folder = tmp_path_factory.mktemp("replay")
    write_features(folder / "data/features/nycflights")
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    section = params["datasets"]["nycflights"]
    section["model"] |= {"max_depth": 2, "min_child_weight": 5.0, "max_rounds": 20, "early_stopping_rounds": 5}
    section["evaluate"] |= {"replicates": 100}
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        found = study_retraining.study(["signal", "carrier"], folder / "models", TESTED)
    return folder, found


def write_features(folder: Path) -> None:
    """A feature table of a few rows a day, as `featurize` leaves one."""
    rng = np.random.default_rng(3)
    days = np.repeat(np.array(DAYS), ROWS_A_DAY)
    signal = rng.normal(size=len(days)).astype(np.float32)
    sign = np.where(days < TURNS, 2.0, -2.0)
    frame = pl.DataFrame({
        "day": days.tolist(), "part": ["test"] * len(days), "signal": signal,
        "carrier": np.where(days < TURNS, "US", "AA").tolist(),
        "late": (rng.random(len(days)) < 1 / (1 + np.exp(1 - sign * signal))).astype(np.uint8),
    })  # fmt: skip
    folder.mkdir(parents=True)
    partitions = []
    for (month,), rows in frame.group_by(pl.col("day").dt.strftime("%Y-%m"), maintain_order=True):
        rows.write_parquet(folder / f"{month}.parquet")
        parts = {"train": 0, "valid": 0, "test": len(rows)}
        partitions.append({"name": month, "rows": len(rows), "parts": parts, "unlabelled": 0})
    columns = [
        {"name": "signal", "kind": "numeric", "about": "", "unit": ""},
        {"name": "carrier", "kind": "categorical", "about": "", "unit": "", "categories": ["US"]},
    ]
    manifest = {
        "dataset": "nycflights", "question": "late?", "task": "binary", "target": "late",
        "classes": ["on time", "late"], "cluster": "day", "columns": columns, "partitions": partitions,
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    sketch = {"kind": "categorical", "rows": 10, "nulls": 0, "counts": {"US": 10}}
    number = {"kind": "numeric", "rows": 10, "nulls": 0, "low": -3.0, "high": 3.0, "total": 0.0}
    number |= {"buckets": [0], "counts": [10]}
    (folder / "sketches.json").write_text(json.dumps({"carrier": sketch, "signal": number}), encoding="utf-8")


def test_nothing_is_learnt_from_the_month_in_service_or_its_last_unknown_day() -> None:
    calendar = Calendar({"2014-11": range(30), "2014-12": range(30, 61), "2017-01": range(61, 92)}, 1)
    recipe = calendar.trained_for("2017-01")
    assert (recipe.train, recipe.valid) == (range(30), range(30, 60))
    assert calendar.months == ["2017-01"]
    assert calendar.before("2017-01") == "2014-12"


def test_a_window_holds_so_many_months_that_have_rows() -> None:
    starts = {f"{year}-{month:02}": range(30 * n, 30 * n + 30)
              for n, (year, month) in enumerate((y, m) for y in (2014, 2017) for m in range(1, 13))}  # fmt: skip
    recipe = Calendar(starts, 12).trained_for("2017-03", 12)
    assert recipe.train == range(starts["2014-02"].start, starts["2017-01"].stop)


def test_switches_count_every_model_that_takes_over() -> None:
    a, b = Recipe("a", range(1), range(1)), Recipe(NEVER, range(1), range(1))
    assert Strategy("", {"1": b, "2": a, "3": a, "4": b}, []).switches == 2


def test_what_has_turned_is_learnt_again_and_the_one_that_never_does_falls_behind(studied) -> None:
    beside = studied[1]["strategies"][ALWAYS]["beside"][NEVER]["log_loss"]
    assert beside["verdict"] == "better"
    assert beside["difference_high"] < 0


def test_a_champion_changes_only_by_a_decision_that_its_interval_shows(studied) -> None:
    own = studied[1]["strategies"][CHAMPION]
    made = [each["decision"] for each in own["decisions"].values()]
    assert own["switches"] == made.count("promote") >= 1
    for each in own["decisions"].values():
        assert (each["decision"] == "promote") == (each["low"] is not None and each["low"] > 0)


def test_figures_are_those_of_the_kept_model_on_the_rows_of_the_month(studied) -> None:
    folder, found = studied
    rows = pl.read_parquet(folder / "data/features/nycflights/2017-06.parquet")
    recipe = found["strategies"][ALWAYS]["serving"]["2017-06"]
    model = read_model(folder / "models" / recipe, FAMILIES["boosting"])
    known = json.loads((folder / "models" / recipe / "training.json").read_text())["categories"]["carrier"]
    seen = rows.with_columns(pl.col("carrier").cast(pl.Enum(known), strict=False))
    theirs = log_loss(rows["late"], model.predict(seen).astype(float))
    assert found["strategies"][ALWAYS]["months"]["2017-06"]["log_loss"]["value"] == pytest.approx(theirs, rel=1e-4)


def test_a_model_knows_the_categories_of_its_own_days(studied) -> None:
    folder, _ = studied

    def known(name: str) -> list[str]:
        kept = json.loads((folder / "models" / name / "training.json").read_text())
        return list(kept["categories"]["carrier"])

    assert known(NEVER) == ["US"]
    assert known("last-12-for-2017-06") == ["AA", "US"]
    assert known("continued-for-2017-06") == ["US"]  # codes of the trees that stay


def test_a_second_replay_trains_nothing_and_finds_the_same(studied, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, found = studied
    before = {path: path.stat().st_mtime_ns for path in (folder / "models").rglob("*")}
    monkeypatch.chdir(folder)
    assert study_retraining.study(["signal", "carrier"], folder / "models", TESTED) == found
    assert {path: path.stat().st_mtime_ns for path in (folder / "models").rglob("*")} == before


def test_the_conclusion_follows_from_the_verdicts(studied) -> None:
    strategies = json.loads(json.dumps(studied[1]["strategies"]))
    for name in ("once, at the beginning", "every 3 months"):
        strategies[name]["beside"][ALWAYS]["log_loss"]["verdict"] = "worse"
    assert "Whatever is rarer than every month is shown to be worse by log_loss." in retraining_words.conclude(
        strategies
    )
    strategies["every 3 months"]["beside"][ALWAYS]["log_loss"]["verdict"] = "no evidence"
    told = " ".join(retraining_words.conclude(strategies))
    assert "The rarest that is not shown to be worse than every month: every 3 months." in told


@pytest.mark.parametrize("months", [0, 7])
def test_months_of_the_first_year_are_not_replayed(studied, monkeypatch: pytest.MonkeyPatch, months: int) -> None:
    folder, _ = studied
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match="--months"):
        study_retraining.study(["signal", "carrier"], folder / "models", months)


def test_years_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="parquet of further years"):
        study_retraining.main("--years", str(tmp_path / "none.parquet"), "--folder", str(tmp_path))
