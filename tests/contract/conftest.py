"""Every dataset of the project, each walked from its sample with planted faults to its features, once."""

import contextlib
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
import yaml

from stages import clean, featurize
from stages.features.table import SUMMARIES
from stages.records.contract import Dataset, load_dataset
from stages.workspace import layout
from stages.workspace.files import read_json, write_manifest
from tools.params import compose_params

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests" / "data"


def known_datasets() -> list[str]:
    """The datasets of the default run, and those that an override switches on."""
    return sorted(path.stem for path in (ROOT / "params" / "dataset").glob("*.yaml"))


def compose_all() -> dict[str, Any]:
    """The parameters with every dataset switched on."""
    lines = yaml.safe_load((ROOT / "params" / "config.yaml").read_text())["defaults"]
    listed = {key.rpartition(".")[2] for line in lines if isinstance(line, dict) for key in line if "@datasets." in key}
    others = [name for name in known_datasets() if name not in listed]
    composed: dict[str, Any] = yaml.safe_load(
        compose_params(ROOT, [f"+dataset@datasets.{name}={name}" for name in others])
    )
    return composed


def of_lines(dataset: Dataset, of_rows: pl.DataFrame | pl.Series) -> Any:
    """What is told of tidy rows, told of each of their lines of features."""
    return of_rows[np.repeat(np.arange(len(of_rows)), dataset.lines_per_row)]


def as_asked(dataset: Dataset, features: pl.DataFrame) -> pl.DataFrame:
    """What a request can know: a row may know its own outcome, a forecast's is in a later row."""
    return features.drop(dataset.target) if dataset.observed else features


def moments_by_hand(moment: str | list[str], tidy: pl.DataFrame) -> pl.Series:
    """When each row is asked about, as expected.yaml tells it.

    A column; or a column of days and either a column of minutes, or a time such as ``16:00 Europe/Berlin``; or a column
    of moments and so much ``1 h later``.
    """
    if isinstance(moment, str):
        return tidy[moment]
    start, then = moment
    if then in tidy.columns:
        pairs = tidy.select(start, then).iter_rows()
        found = [datetime.combine(day, time()) + timedelta(minutes=minute) for day, minute in pairs]
    elif then.endswith(" h later"):
        found = [at + timedelta(hours=int(then.split()[0])) for at in tidy[start]]
    else:
        clock, zone = then.split()
        local = [datetime.combine(day, time.fromisoformat(clock), ZoneInfo(zone)) for day in tidy[start]]
        found = [at.astimezone(UTC).replace(tzinfo=None) for at in local]
    return pl.Series(found, dtype=pl.Datetime("us"))


@dataclass(frozen=True)
class Walked:
    """One dataset, its sample and what `clean` and `featurize` made of it."""

    dataset: Dataset
    expected: dict[str, Any]
    raw: Path
    quarantine: Path
    metrics: dict[str, Any]
    tidy: dict[str, pl.DataFrame]
    summaries: dict[str, pl.DataFrame]
    references: dict[str, pl.DataFrame]
    features: dict[str, pl.DataFrame]
    manifest: dict[str, Any]


@pytest.fixture(scope="session", params=known_datasets())
def name(request: pytest.FixtureRequest) -> str:
    """The name of one dataset."""
    return request.param


@pytest.fixture(scope="session")
def walked(name: str, tmp_path_factory: pytest.TempPathFactory) -> Walked:
    """The sample of one dataset after `clean` and `featurize`."""
    workspace = tmp_path_factory.mktemp(name)
    expected = yaml.safe_load((SAMPLES / name / "expected.yaml").read_text())
    params = compose_all()
    sections = params["datasets"][name]
    sections["clean"] |= {"sample": 1.0, "max_quarantined_share": 1.0}
    sections["featurize"]["split"] = expected["split"]
    (workspace / "params.yaml").write_text(yaml.safe_dump(params))
    raw = workspace / layout.raw(name)
    shutil.copytree(SAMPLES / name, raw)
    write_manifest(raw, {"files": []})
    with contextlib.chdir(workspace):
        clean.main(name)
        featurize.main(name)
        dataset, manifest = load_dataset(name), read_json(layout.features(name) / "manifest.json")
        partitions = [part["name"] for part in manifest["partitions"]]
        found = Walked(
            dataset=dataset,
            expected=expected,
            raw=raw,
            quarantine=workspace / layout.quarantine(name),
            metrics=read_json(layout.metrics(name) / "clean.json"),
            tidy={part: featurize.read_clean(name, part) for part in partitions},
            summaries={
                part: pl.read_parquet(layout.features(name) / SUMMARIES / f"{part}.parquet") for part in partitions
            },
            references=featurize.read_references(dataset),
            features={part: pl.read_parquet(layout.features(name) / f"{part}.parquet") for part in partitions},
            manifest=manifest,
        )
    return found
