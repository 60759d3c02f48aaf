"""A new kind of question is a value and a line: planted here, the whole line answers it."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import mean_poisson_deviance

from stages import evaluate, package, predict, report, train
from stages.metrics.contract import Metric, Task
from stages.metrics.resampling import count_cells, unit_counts
from stages.metrics.stored import TASKS
from stages.models.trees import OBJECTIVES
from stages.workspace.errors import UserError
from stages.workspace.files import read_json

STEPS = 64  # codes of a logarithm


@dataclass(frozen=True)
class CountTable:
    """Rows by unit, count and code of the prediction, shape (units, counts, codes)."""

    predicted: np.ndarray
    rows: np.ndarray
    shares: ClassVar = {}

    @property
    def counts(self) -> np.ndarray:
        """Rows by unit."""
        return self.rows.sum(axis=(1, 2))[:, None]

    def measure(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Poisson deviance under weights (R, units)."""
        y = np.arange(self.rows.shape[1])[:, None]
        gap = self.predicted - y + np.where(y > 0, y * np.log(np.maximum(y, 1) / self.predicted), 0.0)
        totals = np.einsum("ru,uyk->ryk", weights, self.rows)
        return {"poisson_deviance": 2 * (totals * gap).sum(axis=(1, 2)) / totals.sum(axis=(1, 2))}


@dataclass(frozen=True)
class CountDecision:
    """Predicting how often something happens."""

    most: int
    threshold = None

    def tabulate(self, units: np.ndarray, names: list[str], labels: np.ndarray, scores: np.ndarray) -> pl.DataFrame:
        """Cells by count and code."""
        return count_cells("count", units, names, labels.astype(np.int64), np.rint(np.log(scores) * STEPS).astype(int))

    def coarsened(self, cells: pl.DataFrame) -> pl.DataFrame:
        """As they are."""
        return cells

    def table(self, cells: pl.DataFrame, units: list[str]) -> CountTable:
        """Merged cells as arrays."""
        codes, rows = unit_counts(cells, "count", units, n_labels=self.most + 1)
        return CountTable(np.exp(codes / STEPS), rows)

    def exact(self, labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
        """Deviance of the rows."""
        return {"poisson_deviance": float(mean_poisson_deviance(labels, scores))}

    def outcomes(self, table: CountTable, weights: np.ndarray) -> None:
        """Nothing is decided."""

    def outcome_metrics(self, outcomes: np.ndarray) -> dict[str, np.ndarray]:
        """Of nothing."""
        return {}


COUNT = Task(
    name="count",
    metrics={"poisson_deviance": Metric("lower")},
    loss="poisson_deviance",
    shown=("poisson_deviance",),
    classes=(0, 0),
    known_by=("count", "label"),
    decide=lambda _counts, _terms: CountDecision(50),
    unpack=lambda decides: CountDecision(**decides),
    of_signature=lambda _signature, _terms: CountDecision(50),
    name_scores=lambda scores, _signature: pl.DataFrame({"expected": scores}),
    scored="number",
)


def write_counts(planted: SimpleNamespace) -> None:
    """A feature folder whose target is a count."""
    rows = planted.rows("regression")
    rate = (pl.col("target").cast(pl.Float64) / 25).clip(0.2, 6)
    rng = np.random.default_rng(2)
    rows = rows.with_columns(target=pl.Series(rng.poisson(rows.select(rate).to_series().to_numpy()).astype(np.float64)))
    planted.write(rows, "count", classes=[], evaluate={"segments": ["carrier"]})


def test_a_task_that_is_a_value_and_a_line_is_trained_judged_packaged_told_and_predicted(
    planted: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(TASKS, "count", COUNT)
    monkeypatch.setitem(OBJECTIVES, "count", ("count:poisson", "poisson-nloglik"))
    write_counts(planted)
    name = planted.dataset
    for verb in (train, evaluate, package):
        verb.main(name)
    found = read_json(Path(f"metrics/{name}/results.json"))["poisson_deviance"]
    assert found["low"] < found["value"] < found["high"]
    assert found["value"] < found["baseline"]
    assert found["direction"] == "lower"
    predict.main(f"bundles/{name}", f"bundles/{name}/example.csv", "--output", "scores.csv")
    scores = pl.read_csv("scores.csv")
    assert scores["expected"].min() > 0
    clean = {"records": {"rows_published": 9, "rows_in": 9, "rows_clean": 9, "rows_quarantined": 0, "labelled": 9}}
    Path(f"metrics/{name}/clean.json").write_text(json.dumps(clean))
    Path(f"plots/{name}").mkdir(exist_ok=True, parents=True)
    report.main(name)
    page = Path(f"reports/{name}/results.html").read_text(encoding="utf-8")
    assert "poisson deviance" in page
    assert "By carrier" in page


def test_a_task_that_nobody_knows_ends_in_plain_words_at_the_first_verb_that_can_know(
    planted: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_counts(planted)
    with pytest.raises(UserError, match="binary, multiclass, regression") as refused:
        train.main(planted.dataset)
    assert "trial (count)" in refused.value.wanted


def test_a_task_that_can_be_learned_and_not_judged_is_refused_by_evaluate(
    planted: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(OBJECTIVES, "count", ("count:poisson", "poisson-nloglik"))
    write_counts(planted)
    train.main(planted.dataset)
    with pytest.raises(UserError, match="binary, multiclass, regression"):
        evaluate.main(planted.dataset)
