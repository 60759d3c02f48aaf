"""The report of results: one page that holds what the outputs hold, needs nothing else, and is the same every time."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import xgboost as xgb
from sklearn.metrics import roc_auc_score

from stages import evaluate, report, train
from stages.features.table import open_features, read_selection
from stages.models.boosting import FAMILY
from stages.models.families import read_model
from stages.results.facts import Facts
from stages.results.page import write_page
from stages.workspace.errors import UserError

ROOT = Path(__file__).parents[2]
DATASET = "trial"
PAGE, CARD = Path("reports/trial/results.html"), Path("reports/trial/card.md")
CLEAN = {
    "records": {"rows_published": 3010, "rows_in": 3010, "rows_clean": 3000, "rows_quarantined": 10, "labelled": 2990},
    "unlabelled": {"cancelled <early>": 10},
    "calendar": {"days": 60, "missing_days": 0},
    "references": {"weather": {"rows_published": 5, "rows_in": 5, "rows_clean": 4, "rows_quarantined": 1}},
    "failures": {"trips: delay_min in_range(-60, 600)": 10, "weather: wind_speed_mph in_range(0, 150)": 1},
}
VOID = {"meta", "br", "hr", "img", "input", "link"}


def prepare(planted: SimpleNamespace, root: Path, rows: pl.DataFrame, task: str, **more) -> None:
    """What the stages before the report leave, in ``root``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        segments = {"segments": ["carrier"]} if "carrier" in rows.columns else {}
        planted.write(rows, task, evaluate=segments, dropped=("wind",) if "wind" in rows.columns else (), **more)
        train.main(DATASET)
        evaluate.main(DATASET)
        Path("metrics/trial/clean.json").write_text(json.dumps(CLEAN))


@pytest.fixture(scope="module")
def made(planted: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder in which everything up to the report has run; the report too."""
    roots: dict[str, Path] = {}

    def make(task: str) -> Path:
        if task not in roots:
            root = tmp_path_factory.mktemp(f"report_{task}")
            prepare(planted, root, planted.rows(task, n=6000), task)
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(root)
                report.main(DATASET)
            roots[task] = root
        return roots[task]

    return make


@pytest.fixture
def workspace(made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Go to a copy of such a folder."""

    def enter(task: str = "binary") -> None:
        shutil.copytree(made(task), tmp_path / task)
        monkeypatch.chdir(tmp_path / task)

    return enter


class Outline(HTMLParser):
    """Tags, ids, links and headings of a page; unbalanced tags are an error."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag in tags]


def outline(page: str) -> Outline:
    found = Outline()
    found.feed(page)
    assert found.open == []
    return found


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_page_is_one_small_file_that_asks_for_nothing(made, task: str) -> None:
    page = (made(task) / PAGE).read_text(encoding="utf-8")
    assert len(page.encode()) < 1_000_000
    assert not re.search(r"""(?:https?:)?//\w|<script|<link|<iframe|<img|@import|url\(|\bon\w+=|javascript:""", page)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_page_can_be_read_without_seeing_it(made, task: str) -> None:
    found = outline((made(task) / PAGE).read_text(encoding="utf-8"))
    assert found.all("html")[0]["lang"] == "en"
    assert len(found.all("h1")) == 1
    levels = [int(tag[1]) for tag, _ in found.found if re.fullmatch(r"h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for svg in found.all("svg"):
        assert svg.get("aria-hidden") == "true" or (svg["role"] == "img" and svg["aria-label"])
    assert all(head.get("scope") in ("col", "row") for head in found.all("th"))
    ids = [attributes["id"] for _, attributes in found.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"] for link in found.all("a")} <= {f"#{name}" for name in ids}


@pytest.mark.parametrize(
    ("task", "present", "absent"),
    [
        ("binary", ["ROC curve", "Cost by threshold", "By carrier", "By month", "Calibration"], ["mean over the"]),
        ("multiclass", ["ROC curve, mean over the classes", "Actual and predicted class"], ["Cost by threshold"]),
        (
            "regression",
            ["Actual by predicted", "Residuals", "By carrier", "MAE"],
            ["ROC curve", "Actual and predicted class", "Cost by thre", "Every class"],
        ),
    ],
)
def test_a_task_shows_what_it_has_and_nothing_else(made, task: str, present: list[str], absent: list[str]) -> None:
    page = (made(task) / PAGE).read_text(encoding="utf-8")
    assert [text for text in present if text not in page] == []
    assert [text for text in absent if text in page] == []
    assert "None" not in re.sub(r"<style>.*</style>", "", page, flags=re.DOTALL)
    assert not re.search(r">\s*nan\b|\bnan,", page)


def test_the_bytes_depend_on_no_thread_process_or_hash_seed(workspace) -> None:
    workspace()
    before = PAGE.read_bytes(), CARD.read_bytes()
    for seed, threads in (("1", "1"), ("77", "2")):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PLUMBLINE_THREADS": threads, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-m", "stages.report", DATASET], check=True, env=environment, timeout=300)
        assert (PAGE.read_bytes(), CARD.read_bytes()) == before
    assert sorted(path.name for path in PAGE.parent.iterdir()) == ["card.md", "results.html"]


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_effects_are_those_that_xgboost_tells_of_the_test_rows(workspace, task: str) -> None:
    workspace(task)
    facts = report.gather_facts(DATASET)
    names = read_selection(DATASET)
    rows = pl.concat(open_features(DATASET, columns=names).frames("test")).select(names)
    booster = read_model(Path("models/trial"), FAMILY).booster
    direct = booster.predict(xgb.DMatrix(rows, enable_categorical=True), pred_contribs=True)
    sizes = np.abs(direct.reshape(len(rows), -1, len(names) + 1)[:, :, :-1]).mean(axis=(0, 1))
    told = {effect.name: effect.value for effect in facts.effects.every}
    assert told == pytest.approx(dict(zip(names, sizes.tolist(), strict=True)), rel=1e-4)
    assert facts.effects.rows == len(rows)


def test_segments_say_what_their_own_rows_say(workspace) -> None:
    workspace()
    facts = report.gather_facts(DATASET)
    names = read_selection(DATASET)
    table = open_features(DATASET, columns=names)
    rows = pl.concat(table.frames("test", extra=["day", "carrier"]))
    scores = read_model(Path("models/trial"), FAMILY).predict(rows).astype(np.float64)
    labels, threshold = rows["target"].to_numpy(), np.float32(facts.threshold)
    costs = 3.0 * ((labels == 1) & (scores < threshold)) + ((labels == 0) & (scores >= threshold))
    where = {"carrier": rows["carrier"].cast(pl.String), "month": rows["day"].dt.strftime("%Y-%m")}
    for column, found in facts.segments.items():
        assert sum(segment.rows for segment in found) == len(rows)
        for segment in found:
            own = where[column].eq_missing(None if segment.name == "(other)" else segment.name).to_numpy()
            assert (segment.rows, segment.positives) == (own.sum(), labels[own].sum())
            assert segment.figures["expected_cost"].value == pytest.approx(costs[own].mean())
            assert segment.figures["roc_auc"].value == pytest.approx(roc_auc_score(labels[own], scores[own]), abs=0.02)


def test_the_cost_of_the_threshold_in_use_is_the_metric(workspace) -> None:
    workspace()
    facts = report.gather_facts(DATASET)
    assert facts.costs is not None
    metric = facts.results["expected_cost"]
    assert facts.costs.chosen.value == pytest.approx(metric["value"], rel=1e-5)
    assert (facts.costs.chosen.low, facts.costs.chosen.high) == pytest.approx((metric["low"], metric["high"]), rel=1e-5)


def test_what_the_page_and_the_card_say_is_what_the_outputs_say(workspace) -> None:
    workspace()
    page, card = PAGE.read_text(encoding="utf-8"), CARD.read_text(encoding="utf-8")
    lead = json.loads(Path("metrics/trial/results.json").read_text())["roc_auc"]
    for text in (page, card):
        assert f"{lead['value']:.4g}" in text
        assert "cancelled" in text
        assert "3,010" in text
    assert "cancelled &lt;early&gt;" in page
    assert "cancelled \\<early\\>" in card
    assert "a\\|b" in card  # a carrier


def test_a_category_that_training_never_saw_is_counted(workspace) -> None:
    workspace()
    path = next(p for p in sorted(Path("data/features/trial").glob("*.parquet"), reverse=True))
    rows = pl.read_parquet(path)
    place = rows["part"].to_list().index("test")
    carriers = rows["carrier"].to_list()
    carriers[place] = "ZZ"
    rows.with_columns(carrier=pl.Series(carriers)).write_parquet(path)
    assert report.count_unseen(open_features(DATASET, columns=read_selection(DATASET))) == 1


@pytest.mark.parametrize(
    "missing",
    [
        "metrics/trial/results.json", "metrics/trial/clean.json", "data/evaluation/trial.parquet",
        "plots/trial/roc.csv", "models/trial/model.ubj", "data/selection/trial.json", "models/trial/baseline.json",
    ],
)  # fmt: skip
def test_a_missing_input_is_named(workspace, missing: str) -> None:
    workspace()
    before = PAGE.read_bytes()
    Path(missing).unlink()
    named = "models/trial\nfound   no file model" if missing.endswith("ubj") else Path(missing).name
    with pytest.raises(UserError, match=re.escape(named)):
        report.main(DATASET)
    assert PAGE.read_bytes() == before


def test_metrics_of_another_run_are_refused(workspace) -> None:
    workspace()
    path = Path("metrics/trial/results.json")
    results = json.loads(path.read_text())
    results["roc_auc"]["n"] += 1
    path.write_text(json.dumps(results))
    with pytest.raises(UserError, match="of one run of evaluate"):
        report.main(DATASET)


def test_a_model_of_other_features_is_refused(workspace) -> None:
    workspace()
    path = Path("data/selection/trial.json")
    selection = json.loads(path.read_text())
    path.write_text(json.dumps(selection | {"selected": selection["selected"][::-1]}))
    with pytest.raises(UserError, match="the features hour, carrier"):
        report.main(DATASET)


def test_a_table_without_segments_says_so(planted: SimpleNamespace, tmp_path: Path) -> None:
    rows = planted.rows(n=1500, days=30).drop("carrier")  # the test days lie in one month
    prepare(planted, tmp_path, rows, "binary")
    facts = page_of(tmp_path)
    assert facts.segments == {}
    assert "tells no kinds of rows apart" in write_page(facts)


def page_of(root: Path) -> Facts:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        return report.gather_facts(DATASET)


def test_a_class_that_the_test_part_lacks_has_no_figures(planted: SimpleNamespace, tmp_path: Path) -> None:
    rows = planted.rows("multiclass")
    rows = rows.filter((pl.col("part") != "test") | (pl.col("target") != 0))
    prepare(planted, tmp_path, rows, "multiclass")
    page = write_page(page_of(tmp_path))
    assert "no rows" in page
    assert "None" not in re.sub(r"<style>.*</style>", "", page, flags=re.DOTALL)


def test_a_segment_without_positives_says_so(planted: SimpleNamespace, tmp_path: Path) -> None:
    rows = planted.rows(n=6000).with_columns(
        target=pl.when(pl.col("carrier").eq_missing("AA") & (pl.col("part") == "test")).then(0).otherwise("target")
    )
    prepare(planted, tmp_path, rows.cast({"target": pl.Int8}), "binary")
    facts = page_of(tmp_path)
    lone = next(segment for segment in facts.segments["carrier"] if segment.name == "AA")
    assert (lone.positives, lone.figures["roc_auc"].value, lone.figures["roc_auc"].verdict) == (0, None, "")
    assert lone.figures["expected_cost"].value is not None  # a mean over rows needs no positives
    assert "no row is “late”" in write_page(facts)
