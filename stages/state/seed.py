"""What did the line know at its end?  Flat files of a bundle: enough to serve published rows before any news comes.

    state.json                which partition is still open, which the next ones may know, the code that made features
    state-rows.parquet        tidy rows of the open partition, the last one
    state-summaries.parquet   the summaries of closed partitions, with the day from which each count is known
    state-<table>.parquet     each joined table, with the moment from which each row is known

The last partition stays open: its rows may still be corrected, and more may come.  Those before it are closed, because
they are kept as counts: what the line has counted, it alone corrects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import polars as pl

from stages.records import prepare
from stages.records.contract import Dataset, load_dataset
from stages.runtime.digest import code_digest
from stages.workspace.errors import UserError
from stages.workspace.files import read_json, write_json, write_parquet

ABOUT, ROWS, SUMMARIES = "state.json", "state-rows.parquet", "state-summaries.parquet"
PARTITION = "_partition"


@dataclass(frozen=True)
class Seed:
    """What the line knew of a dataset."""

    dataset: Dataset
    open: str
    """The last partition; later ones are open as well."""
    rows: pl.DataFrame
    summaries: Mapping[str, pl.DataFrame]
    """Of closed partitions, by name."""
    references: Mapping[str, pl.DataFrame]
    complete: bool = True
    """Whether partitions hold every record, as some features need."""


def has_memory(dataset: Dataset) -> bool:
    """Whether rows know anything of others or of joined tables."""
    return dataset.moment is not None or bool(dataset.references)


def feature_code(dataset: Dataset) -> str:
    """SHA-256 over the sources that make features of published rows."""
    tables = [each for table in (dataset.records, *dataset.references) for each in (table.parse, table.schema)]
    own = (dataset.context, dataset.summarize, dataset.featurize, dataset.recall)
    return code_digest(prepare.judge_rows, prepare.build_context, prepare.compute_features, *own, *tables)


def partitions_kept(dataset: Dataset, partitions: Sequence[str]) -> list[str]:
    """The closed partitions that the last one may know, and so all that later ones may: a reach only moves on."""
    return [name for name in dataset.reach(partitions[-1], partitions) if name != partitions[-1]]


def write_seed(folder: Path, seed: Seed) -> None:
    """Write the files of a seed into the folder of a bundle."""
    dataset = seed.dataset
    about = {"dataset": dataset.name, "code": feature_code(dataset), "complete": seed.complete}
    if has_memory(dataset):
        about |= {"open": seed.open, "closed": list(seed.summaries)}
        write_parquet(folder / ROWS, seed.rows)
        parts = [rows.with_columns(pl.lit(name).alias(PARTITION)) for name, rows in seed.summaries.items()]
        nothing = dataset.summarize(seed.rows.clear()).with_columns(pl.lit("").alias(PARTITION))
        write_parquet(folder / SUMMARIES, pl.concat(parts or [nothing.clear()]))
        for name, rows in seed.references.items():
            write_parquet(folder / _reference(name), rows)
    write_json(folder / ABOUT, about)


def dataset_of(folder: Path) -> Dataset | None:
    """The dataset whose rows as published a bundle takes; None where it takes none, or this code lacks the dataset."""
    if not (folder / ABOUT).is_file():
        return None
    name = str(read_json(folder / ABOUT)["dataset"])
    return load_dataset(name) if find_spec(f"stages.datasets.{name}") else None


def read_seed(folder: Path) -> Seed:
    """The seed of a bundle; one that other code made features for is a `UserError`, for they would be others."""
    if (dataset := dataset_of(folder)) is None:
        raise UserError(
            f"a bundle that takes rows as published in {folder}",
            f"no {ABOUT}, which tells what rows know beyond themselves, or one of a dataset that is not here",
            "score rows of features, or package it again with `dvc repro`",
        )
    about = read_json(folder / ABOUT)
    if about["code"] != (here := feature_code(dataset)):
        raise UserError(
            f"the feature code that this bundle of {dataset.name} was evaluated with ({about['code'][:12]})",
            f"other code ({here[:12]}), whose features may differ from those that were evaluated",
            "check out the commit that the bundle comes from, or make it again with `dvc repro`",
        )
    if not has_memory(dataset):
        return Seed(dataset, "", pl.DataFrame(), {}, {}, about["complete"])
    summaries = pl.read_parquet(folder / SUMMARIES)
    return Seed(
        dataset=dataset,
        open=about["open"],
        rows=pl.read_parquet(folder / ROWS),
        summaries={n: summaries.filter(pl.col(PARTITION) == n).drop(PARTITION) for n in about["closed"]},
        references={table.name: pl.read_parquet(folder / _reference(table.name)) for table in dataset.references},
        complete=about["complete"],
    )


def _reference(table: str) -> str:
    return f"state-{table}.parquet"
