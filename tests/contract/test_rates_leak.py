"""Nobody beats today's rate, so a model of rates that does has seen tomorrow's: `evaluate` refuses it."""

import contextlib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import yaml

from stages import clean, evaluate, featurize, select_features, train
from stages.datasets import rates
from stages.datasets.rates.published import FILE
from stages.workspace import layout
from stages.workspace.errors import UserError
from stages.workspace.files import read_json, write_manifest
from tests.contract.conftest import compose_all
from tests.contract.test_rates import MEMBER, published_file

pytestmark = pytest.mark.slow  # the line from features to figures, twice
HONEST = rates.DATASET


def knowing_tomorrow(days: pl.DataFrame, context: pl.DataFrame) -> pl.DataFrame:
    """Returns of the day that is to be forecast, as a file joined by the wrong day would give them."""
    lines = HONEST.featurize(days, context)
    tomorrow = pl.col("change").filter(pl.col("horizon") == "1 d").first().over("day", "series")
    return lines.with_columns(tomorrow.cast(pl.Float32).alias("return_1d_bp"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clean rates of 2014 to 2021, and parameters to match."""
    folder = tmp_path_factory.mktemp("leak")
    with zipfile.ZipFile(published_file()) as archive:
        head, *rows = archive.read(MEMBER).decode().splitlines()
    raw = folder / layout.raw("rates")
    raw.mkdir(parents=True)
    with zipfile.ZipFile(raw / FILE, "w") as archive:
        archive.writestr(MEMBER, "\n".join([head, *(row for row in rows if "2014" <= row[:4] <= "2021")]))
    write_manifest(raw, {"files": []})
    params = compose_all()
    sections = params["datasets"]["rates"]
    sections["featurize"]["split"] = {"train_until": "2017-12-31", "valid_until": "2018-12-31"}
    sections["model"] |= {"max_rounds": 30, "refit": "none"}
    assert sections["evaluate"]["no_point_skill"]
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    with contextlib.chdir(folder):
        clean.main("rates")
    return folder


@pytest.fixture
def walk(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The line from features to figures, with features made as told."""

    def run(featurize_as: Callable[..., pl.DataFrame]) -> None:
        monkeypatch.chdir(workspace)
        monkeypatch.setattr(rates, "DATASET", replace(HONEST, featurize=featurize_as))
        for stage in (featurize, select_features, train, evaluate):
            stage.main("rates")

    return run


def test_an_honest_model_of_rates_forecasts_as_today_and_better_intervals(walk: Callable[..., None]) -> None:
    walk(HONEST.featurize)
    results = read_json(layout.metrics("rates") / "results.json")
    assert {*read_json(layout.models("rates") / "baseline.json")["chosen"].values()} == {"persistence"}
    assert results["mae"]["difference"] == 0
    assert results["pinball"]["difference_high"] < 0


def test_an_input_that_knows_tomorrows_rate_is_refused_as_a_leak(walk: Callable[..., None]) -> None:
    with pytest.raises(UserError, match="no model that beats the baseline on mae") as error:
        walk(knowing_tomorrow)
    assert "horizon=1 d" in str(error.value.found)
    assert "knows what is yet to come" in error.value.next_step
