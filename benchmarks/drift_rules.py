"""Which columns drifted?  The line's own rule on counts by day, and three from every textbook, on the same rows.

Evidence is found once for each column; a rule then decides over a family of columns, because a correction for many
looks depends on what else was looked at.  As a program it judges every pair of files in a folder as `peer_drift` does.

    python -m benchmarks.drift_rules plumbline FOLDER OUT
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from benchmarks.drift_worlds import DAY
from stages.features.profile import Cut, Profile, cut_column, profile_units
from stages.features.sketch import sketch_column
from stages.metrics.paired import adjust
from stages.monitoring.drift import Drift
from stages.monitoring.judged import FLOOR, judge_column
from stages.workspace.files import write_json

RATE = 0.05
OLD_FLOOR = 0.1  # where the rules of thumb begin


@dataclass(frozen=True)
class Evidence:
    """Of one column: what the line says, and the p-value of a test for independent rows where one was made."""

    drift: Drift
    p_rows: float | None = None


Found = Mapping[str, Evidence]


def corrected(floor: float) -> Callable[[Found], set[str]]:
    """The line's rule: Benjamini and Hochberg over the columns, and a least PSI."""

    def decide(found: Found) -> set[str]:
        known = {name: evidence.drift for name, evidence in found.items() if evidence.drift.p is not None}
        adjusted = adjust([drift.p or 0.0 for drift in known.values()], "bh")
        return {
            name for p, (name, drift) in zip(adjusted, known.items(), strict=True) if p < RATE and drift.psi >= floor
        }

    return decide


def above(least: float) -> Callable[[Found], set[str]]:
    """A rule of thumb."""
    return lambda found: {name for name, evidence in found.items() if evidence.drift.psi > least}


def tested(method: str) -> Callable[[Found], set[str]]:
    """Kolmogorov and Smirnov, or χ² where values have names, as if rows were independent."""

    def decide(found: Found) -> set[str]:
        p = adjust([evidence.p_rows or 0.0 for evidence in found.values()], "bh" if method == "bh" else "none")
        return {name for name, each in zip(found, p, strict=True) if each < RATE}

    return decide


OWN, NO_FLOOR, KS_BH = "plumbline", "plumbline, any size", "KS, Benjamini–Hochberg"
RULES: dict[str, Callable[[Found], set[str]]] = {
    OWN: corrected(FLOOR),
    f"plumbline, PSI from {OLD_FLOOR}": corrected(OLD_FLOOR),
    NO_FLOOR: corrected(0.0),
    "PSI > 0.1": above(0.1),
    "PSI > 0.2": above(0.2),
    "KS < 0.05": tested("none"),
    KS_BH: tested("bh"),
}


def find_cuts(reference: pl.DataFrame) -> list[Cut]:
    """Bins of every column but the day, as the line cuts them."""
    return [cut_column(name, sketch_column(reference[name])) for name in reference.columns if name != DAY]


def compare_profiles(reference: Profile, batch: Profile, cuts: Sequence[Cut], *, by_units: bool) -> dict[str, Evidence]:
    """What the line says of each column."""
    pairs = ((cut, reference.counts[cut.name], batch.counts[cut.name]) for cut in cuts)
    return {cut.name: Evidence(judge_column(*pair, cut, by_units=by_units)) for cut, *pair in pairs}


def p_of_rows(reference: pl.Series, batch: pl.Series) -> float:
    """A p-value for independent rows; what is missing is left out, as libraries leave it out."""
    from scipy import stats

    before, now = reference.drop_nulls(), batch.drop_nulls()
    if before.dtype.is_numeric():
        return float(stats.ks_2samp(before.to_numpy(), now.to_numpy(), method="asymp").pvalue)
    counted = pl.concat([
        values.cast(pl.String).alias("value").to_frame().group_by("value").len().with_columns(side=pl.lit(side))
        for side, values in (("before", before), ("now", now))
    ]).pivot("side", index="value", values="len").fill_null(0)  # fmt: skip
    return float(stats.chi2_contingency(counted.select("before", "now").to_numpy())[1])


def main(_: str, folder: str, out: str) -> None:
    """The line's own rule on files, timed from frames in memory to verdicts; the reference is counted beforehand."""
    found = {}
    for path in sorted(Path(folder).glob("*-reference.parquet")):
        name = path.name.removesuffix("-reference.parquet")
        reference, batch = pl.read_parquet(path), pl.read_parquet(path.with_name(f"{name}-batch.parquet"))
        cuts = find_cuts(reference)
        before = profile_units(reference, cuts, DAY)
        started = time.perf_counter()
        drifted = RULES[OWN](compare_profiles(before, profile_units(batch, cuts, DAY), cuts, by_units=True))
        found[name] = {"drifted": sorted(drifted), "seconds": time.perf_counter() - started}
    write_json(Path(out), found)


if __name__ == "__main__":
    main(*sys.argv[1:])
