"""How often is a change found that does harm?  ``python -m benchmarks.study_power``.

Four settings of a dataset are trained many times each: as it is; without the features that tell most of the target;
on an eighth of the training rows, the latest; with trees of depth 1.  Groups of trainings are drawn from those of a
variant and of the dataset as it is, and compared as a change.  The true difference on these test rows is that of the
means over all trainings; *times spread* says how many times the seeds' standard deviation that is.  Prints a Markdown
table.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.study_seeds import judging_metrics, remembered, rules_of, train, weights_of
from stages.metrics.contract import System
from stages.metrics.files import read_evaluation
from stages.metrics.paired import compare_trained, correct
from stages.pages.numbers import fixed, share_text
from stages.pages.tables import as_markdown, table

REPEATS, STRONGEST, KEPT = 200, 5, 1 / 8
Change = Callable[[Path], None]


def main() -> None:
    """Print the table of the named datasets."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study_power", description=__doc__)
    parser.add_argument("datasets", nargs="*", default=["nycflights", "digits", "diabetes"])
    parser.add_argument("--trainings", type=int, default=12)
    parser.add_argument("--k", type=int, default=5, help="trainings of each side")
    options = parser.parse_args()
    rows = [row for dataset in options.datasets for row in study(dataset, options.trainings, options.k)]
    heads = ("dataset", "variant", "metric", "true difference", "times spread", "called worse", "better",
             "any metric worse, Holm")  # fmt: skip
    print(as_markdown(table("Power", heads, rows)))


def study(dataset: str, trainings: int, k: int) -> list[list[str]]:
    """A row for every variant and leading metric."""
    tables = {}
    for name, (settings, change) in variants(dataset).items():
        with tempfile.TemporaryDirectory(prefix="plumbline-power-") as folder:
            tables[name] = read_evaluation(train(dataset, trainings, Path(folder), settings, change))
    cells, header = tables["as it is"]
    metrics, rules, weights = judging_metrics(header), rules_of(header), weights_of(cells, header)
    systems = {name: remembered(*each) for name, each in tables.items()}
    base, generator, rows = systems.pop("as it is"), np.random.default_rng(1), []
    for variant, others in systems.items():
        found = []
        for _ in range(REPEATS):
            a, b = ([side[place] for place in generator.permutation(len(side))[:k]] for side in (base, others))
            found.append(compare_trained(a, b, metrics, weights, **rules))
        anywhere = np.mean(
            [any(each.verdict == "worse" for each in correct(list(pair.values()), "holm")) for pair in found]
        )
        for name in list(metrics)[:3]:
            called = {
                verdict: np.mean([pair[name].verdict == verdict for pair in found]) for verdict in ("worse", "better")
            }
            gap, spread = true_difference(base, others, name)
            rows.append([
                dataset, variant, name, fixed(gap, sign=True), f"{abs(gap) / spread:.1f}",
                *(share_text(float(share)) for share in called.values()), share_text(float(anywhere)),
            ])  # fmt: skip
    return rows


def true_difference(base: list[System], others: list[System], metric: str) -> tuple[float, float]:
    """Of the means over all trainings, and the seeds' standard deviation, pooled."""
    a, b = (np.array([system.exact[metric] for system in side]) for side in (base, others))
    return float(b.mean() - a.mean()), float(np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2))


def variants(dataset: str) -> dict[str, tuple[list[str], Change | None]]:
    """By name, other settings and another change of the files."""
    return {
        "as it is": ([], None),
        f"without the {STRONGEST} strongest features": ([], partial(drop_strongest, dataset)),
        "an eighth of the training rows": ([], partial(keep_latest, dataset)),
        "depth 1": ([f"datasets.{dataset}.model.max_depth=1"], None),
    }


def drop_strongest(dataset: str, folder: Path) -> None:
    """Take the selected features of the greatest relevance out of the selection."""
    path = folder / f"data/selection/{dataset}.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    relevance = {each["name"]: each["relevance"] for each in content["features"]}
    strongest = sorted(content["selected"], key=lambda name: -relevance[name])[:STRONGEST]
    content["selected"] = [name for name in content["selected"] if name not in strongest]
    write_anew(path, json.dumps(content).encode())


def keep_latest(dataset: str, folder: Path) -> None:
    """Take the earlier training rows out of their part."""
    manifest_path = folder / f"data/features/{dataset}/manifest.json"
    manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
    keep = round(KEPT * sum(part["parts"]["train"] for part in manifest["partitions"]))
    for part in reversed(manifest["partitions"]):
        path = manifest_path.with_name(f"{part['name']}.parquet")
        rows = pl.read_parquet(path)
        known = (pl.col("part") == "train") & pl.col(manifest["target"]).is_not_null()
        later = known.cast(pl.Int64).reverse().cum_sum().reverse()  # this row among those that follow
        rows = rows.with_columns(
            pl.when((pl.col("part") == "train") & (later > keep)).then(pl.lit("left out")).otherwise(pl.col("part"))
            .alias("part")
        )  # fmt: skip
        left = min(keep, part["parts"]["train"])
        keep, part["parts"]["train"] = keep - left, left
        path.unlink()
        rows.write_parquet(path)
    write_anew(manifest_path, json.dumps(manifest).encode())


def write_anew(path: Path, content: bytes) -> None:
    """Another file in the place of a link."""
    path.unlink()
    path.write_bytes(content)


if __name__ == "__main__":
    main()
