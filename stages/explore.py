"""Look at the clean data of one dataset and write the report that a newcomer reads first.

Reads   data/clean/<dataset>             tidy partitions, one at a time; manifest.json
        data/features/<dataset>          which rows are training rows, and which share their luck
        metrics/<dataset>/clean.json     rows in, clean and quarantined, failures by check
        notebooks/explore.ipynb, page/   what is shown, in which order, with which words around it
Writes  reports/<dataset>/explore.json   the tables behind the report, from mergeable summaries of the partitions
        reports/<dataset>/explore.html   the executed notebook as one page that needs no network
Params  datasets.<dataset>.evaluate      level of the intervals, and how many neighbouring clusters they take together
Owes    the target looked at in training rows alone
        the same bytes for any number of workers, any working directory and any user's Jupyter set-up
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from stages.exploration.findings import Topic, describe, fold, judge, names_of
from stages.exploration.notebook import execute_notebook, notebook_page
from stages.exploration.outcomes import Outcomes, count_outcomes, group_columns
from stages.exploration.summary import Summary, summarize_rows
from stages.features.binning import Bins
from stages.records.contract import Dataset, load_dataset
from stages.runtime.log import log, start_log
from stages.runtime.partitions import each_partition, fit_in_memory
from stages.workspace import layout
from stages.workspace.errors import UserError, run_stage
from stages.workspace.files import read_json, read_manifest, require_writable, whole_file, write_json
from stages.workspace.settings import WorkerSettings, read_params, read_scale, read_workers

NOTEBOOK = Path("notebooks/explore.ipynb")
TEMPLATE = Path("notebooks/page")
BYTES_PER_VALUE = 25  # of a partition in work; measured: about 12 for each column of each row


def main(name: str) -> None:
    """Summarise every partition of the dataset ``name``, then run the notebook over the summaries."""
    start = time.monotonic()
    require_writable(layout.report(name).parent)
    judged = read_params()["datasets"][name]["evaluate"]
    explored = explore(load_dataset(name), level=judged["level"], run=judged.get("block", 1))
    tables = layout.report(name).with_suffix(".json")
    write_json(tables, explored)

    page = notebook_page(execute_notebook(NOTEBOOK, {"dataset": name}), TEMPLATE, title=f"{name}: exploration")
    with whole_file(layout.report(name)) as aside:
        aside.write_text(page, encoding="utf-8")
    size, seconds = f"{explored['rows']:,} rows × {len(explored['columns'])} columns", time.monotonic() - start
    log.info("%s: %s explored in %.1f s, see %s", name, size, seconds, layout.report(name))


def explore(dataset: Dataset, *, level: float, run: int) -> dict[str, Any]:
    """The tables of the report, from two passes over the clean partitions: what is there, and how the target goes."""
    folder = layout.clean(dataset.name)
    manifest = read_manifest(folder)
    n_lines = dataset.lines_per_row
    rows = {partition["name"]: partition["rows"] * n_lines for partition in manifest["records"]["partitions"]}
    if not rows:
        raise UserError(f"at least one partition in {folder}", "none", "run `dvc repro` from the clean stage on")
    label, names = f"{dataset.name}: explore", list(rows)
    topic = Topic(
        dataset=dataset.name,
        question=dataset.question,
        task=dataset.task,
        target=dataset.target,
        classes=dataset.classes,
        known_afterwards=dataset.forbidden - {dataset.target},
        cluster=dataset.cluster,
        level=level,
        run=run,
    )
    share: dict[str, Any] = {"workers": choose_workers(folder, rows, label), "label": label}
    look = partial(summarize_partition, dataset=dataset, root=layout.Root())
    with each_partition(look, names, **share) as summaries:
        whole, parts = fold(zip(names, summaries, strict=True))
    groups = group_columns(whole, dataset.target)
    count = partial(count_partition, dataset=dataset, groups=groups, kinds=whole.kinds, root=layout.Root())
    with each_partition(count, names, **share) as counted:
        judged = judge(topic, groups, zip(names, counted, strict=True))
    return describe(topic, whole, parts, judged) | {
        "table": manifest["records"]["table"],
        "references": [_reference(folder, reference) for reference in manifest["references"]],
        "quality": read_quality(read_json(layout.metrics(dataset.name) / "clean.json"), manifest["records"]["table"]),
    }


def choose_workers(folder: Path, rows: Mapping[str, int], label: str) -> WorkerSettings:
    """No more partitions at a time than fit in memory."""
    width = len(pl.read_parquet_schema(folder / f"{next(iter(rows))}.parquet"))
    estimates = {name: BYTES_PER_VALUE * width * n for name, n in rows.items()}
    return fit_in_memory(read_workers(), estimates, read_scale().memory_limit_bytes, label)


def summarize_partition(partition: str, *, dataset: Dataset, root: layout.Root) -> Summary:
    """Read one partition and keep its summary."""
    frame = read_partition(partition, dataset, root)
    return summarize_rows(
        frame,
        target=dataset.target,
        n_classes=len(dataset.classes),
        trains=read_parts(partition, dataset, frame, root)["part"] == "train",
        names=names_of(dataset.identity),
        reasons=dataset.unlabelled(frame) if dataset.lines_per_row == 1 else None,
    )


def count_partition(
    partition: str, *, dataset: Dataset, groups: Mapping[str, Bins], kinds: Mapping[str, str], root: layout.Root
) -> Outcomes:
    """Read the training rows of one partition and count their outcomes."""
    frame = read_partition(partition, dataset, root)
    parts = read_parts(partition, dataset, frame, root)
    kept = (parts["part"] == "train") & frame[dataset.target].is_not_null()
    return count_outcomes(
        frame.filter(kept),
        target=dataset.target,
        n_classes=len(dataset.classes),
        groups=groups,
        kinds=kinds,
        clusters=parts.filter(kept)[dataset.cluster] if dataset.cluster else None,
    )


def read_partition(partition: str, dataset: Dataset, root: layout.Root) -> pl.DataFrame:
    """All clean rows of one partition, or, where a row has several, all lines of features."""
    if dataset.lines_per_row > 1:  # the question is asked of lines
        asked = [*dataset.identity, dataset.target, *(feature.name for feature in dataset.features)]
        lines = root.path / layout.features(dataset.name) / f"{partition}.parquet"
        return pl.read_parquet(lines, columns=list(dict.fromkeys(asked)))
    path = layout.clean(dataset.name) / f"{partition}.parquet"
    frame = pl.read_parquet(root.path / path)
    if dataset.target not in frame.columns:
        found = f"no such column in {path}, only {', '.join(frame.columns)}"
        raise UserError(
            f"the target {dataset.target!r} among the clean columns", found, "let the dataset's `parse` add it"
        )
    return frame


def read_parts(partition: str, dataset: Dataset, frame: pl.DataFrame, root: layout.Root) -> pl.DataFrame:
    """The part and the cluster of every row of ``frame``, from the features of the same rows in the same order."""
    path = layout.features(dataset.name) / f"{partition}.parquet"
    columns = ["part", *([dataset.cluster] if dataset.cluster else [])]
    place = root.path / path
    parts = pl.read_parquet(place, columns=columns) if place.exists() else pl.DataFrame(schema=columns)
    if len(parts) != len(frame):
        raise UserError(
            f"the {len(frame):,} clean rows of {partition} in {path}", f"{len(parts):,}",
            f"run `dvc repro featurize@{dataset.name}`",
        )  # fmt: skip
    return parts


def read_quality(metrics: dict[str, Any], records: str) -> dict[str, Any]:
    """Rows in, clean and quarantined over all tables, and the failures of each check, most frequent first."""
    tables = {records: metrics["records"], **metrics["references"]}
    failures = sorted(metrics["failures"].items(), key=lambda item: (-item[1], item[0]))
    return {
        "tables": [
            {"table": name, "rows_in": t["rows_in"], "clean": t["rows_clean"], "quarantined": t["rows_quarantined"]}
            for name, t in tables.items()
        ],
        "rows_in": metrics["records"]["rows_in"],
        "clean": metrics["records"]["rows_clean"],
        "quarantined": metrics["records"]["rows_quarantined"],
        "failures": [_failure(text, n) for text, n in failures],
    }


def _failure(text: str, n: int) -> dict[str, Any]:
    table, _, rest = text.partition(": ")
    column, _, check = rest.partition(" ")
    return {"table": table, "column": column, "check": check, "failures": n}


def _reference(folder: Path, reference: dict[str, Any]) -> dict[str, Any]:
    columns = pl.read_parquet_schema(folder / "references" / f"{reference['table']}.parquet")
    return {"table": reference["table"], "rows": reference["rows"], "columns": len(columns)}


if __name__ == "__main__":
    start_log()
    run_stage(main)
