"""What does one more month cost, to compute and to push?  And how much faster are two worker processes than one?

Reads   a folder of real months of `ontime` (--real); `benchmarks.simulate` makes the months in a row that are measured
Writes  the block in RESULTS.md

One more month: clean and featurize of all months with an empty cache of partitions, then of one month more, then again
without the cache, which must give the same bytes.  Pushed: by how much a remote in a folder grows, against the files of
that month.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import Cost, measure, quiet_rounds
from benchmarks.report import Figure, conditions, table, write_block
from benchmarks.simulated_months import (
    DATASET,
    FIRST,
    REAL,
    ROWS_A_MONTH,
    digest,
    line_overrides,
    months_from,
    output_files,
    run_stages,
    set_params,
    simulate,
)  # fmt: skip
from benchmarks.workspace import cloned, empty_outputs, environment

COMPUTED = ("clean", "featurize")
PUSHED = ("download", *COMPUTED)
MIB = 2**20
# written down before the first run
PREDICTED = {
    "cold_s": 260.0,
    "more_s": 8.0,
    "share": 0.03,
    "push": 1.03,
    "one_s": 160.0,
    "two_s": 88.0,
    "speedup": 1.8,
}


@dataclass(frozen=True)
class Plan:
    """What is measured: the months to which one is added, and those that workers share."""

    real: Path = REAL
    months: int = 60
    worked_months: int = 20
    rows_a_month: int = ROWS_A_MONTH
    kind: str = "zip"
    overrides: tuple[str, ...] = ()


DEFAULT = Plan()


@dataclass
class Grown:
    """Round by round: all months cold, one month more, the same again without the cache; and what was pushed once."""

    cold: list[list[Cost]] = field(default_factory=list)
    more: list[list[Cost]] = field(default_factory=list)
    again: list[list[Cost]] = field(default_factory=list)
    equal: bool = True
    pushed: int = 0
    own: int = 0


@dataclass
class Worked:
    """Round by round: one worker process, two worker processes."""

    one: list[list[Cost]] = field(default_factory=list)
    two: list[list[Cost]] = field(default_factory=list)
    equal: bool = True


def measure_growth(
    folder: Path, months: Sequence[str], runs: int, patience_s: float, overrides: Sequence[str]
) -> Grown:
    """Add the last of ``months`` to the others, once a round; the first round also pushes."""
    grown = Grown()
    # the same parts with and without the last month: otherwise other rows would change theirs
    few = line_overrides(folder, months[:-1], *overrides)  # which need days of their own for the test
    all_of_them = line_overrides(folder, months, *overrides, parted_by=months[:-1])
    with cloned(few) as clone:
        cold_env = environment(clone)
        for number in quiet_rounds(runs, patience_s):
            cached = {**cold_env, "PLUMBLINE_CACHE": str(clone.parent / f"partitions-{number}")}
            empty_outputs(clone)
            set_params(clone, few)
            run_stages(clone, ["download"], cold_env)
            grown.cold.append(run_stages(clone, COMPUTED, cached))
            before = push(clone, cold_env) if number == 0 else Pushed(0, frozenset())
            set_params(clone, all_of_them)
            run_stages(clone, ["download"], cold_env)
            grown.more.append(run_stages(clone, COMPUTED, cached))
            if number == 0:
                after = push(clone, cold_env)
                grown.pushed, grown.own = after.bytes - before.bytes, month_bytes(clone, after.files - before.files)
            found = digest(clone)
            grown.again.append(run_stages(clone, COMPUTED, cold_env))
            grown.equal &= digest(clone) == found
    return grown


@dataclass(frozen=True)
class Pushed:
    """What a remote holds after a push, and the files of the workspace then."""

    bytes: int
    files: frozenset[str]


def push(clone: Path, env: dict[str, str]) -> Pushed:
    """Record the outputs as they are in DVC's cache and push them to a folder."""
    remote = clone.parent / "remote"
    if not remote.exists():
        remote.mkdir()
        measure(["dvc", "remote", "add", "--local", "folder", str(remote)], cwd=clone, env=env)
    targets = [f"{stage}@{DATASET}" for stage in PUSHED]
    measure(["dvc", "commit", "--force", "--quiet", *targets], cwd=clone, env=env)
    measure(["dvc", "push", "--quiet", "--remote", "folder", *targets], cwd=clone, env=env)
    size = sum(file.stat().st_size for file in remote.rglob("*") if file.is_file())
    return Pushed(size, frozenset(output_files(clone, ("raw", "clean", "quarantine", "features"))))


def month_bytes(clone: Path, files: frozenset[str]) -> int:
    """The size of files that only the last month brought."""
    return sum((clone / file).stat().st_size for file in files)


def measure_workers(
    folder: Path, months: Sequence[str], runs: int, patience_s: float, overrides: Sequence[str]
) -> Worked:
    """Clean and featurize by one worker process and by two, taking turns."""
    worked = Worked()
    with cloned(line_overrides(folder, months, "cluster=processes", *overrides)) as clone:
        env = environment(clone)
        run_stages(clone, ["download"], env)
        for _ in quiet_rounds(runs, patience_s):
            worked.one.append(run_stages(clone, COMPUTED, {**env, "PLUMBLINE_WORKERS": "1"}))
            found = digest(clone)
            worked.two.append(run_stages(clone, COMPUTED, {**env, "PLUMBLINE_WORKERS": "2"}))
            worked.equal &= digest(clone) == found
    return worked


def wall(rounds: Sequence[Sequence[Cost]]) -> list[float]:
    """Seconds of the stages together, round by round."""
    return [sum(cost.wall_s for cost in costs) for costs in rounds]


def ratios(these: Sequence[float], those: Sequence[float]) -> list[float]:
    """One ratio a round."""
    return [a / b for a, b in zip(these, those, strict=True)]


def figures(grown: Grown, worked: Worked, plan: Plan) -> list[Figure]:
    """The table."""
    cold, more, again = wall(grown.cold), wall(grown.more), wall(grown.again)
    one, two = wall(worked.one), wall(worked.two)
    return [
        Figure(f"clean + featurize, {plan.months} months, empty cache", cold, "s", PREDICTED["cold_s"]),
        Figure("the same and one month more", more, "s", PREDICTED["more_s"]),
        Figure("one month more ÷ all of them", ratios(more, cold), "×", PREDICTED["share"], at_most=0.05),
        Figure(f"{plan.months + 1} months again, without the cache", again, "s"),
        Figure("pushed for that month", [grown.pushed / MIB], "MiB"),
        Figure("pushed ÷ that month's own files", [grown.pushed / grown.own], "×", PREDICTED["push"], at_most=1.1),
        Figure(f"clean + featurize, {plan.worked_months} months, one worker process", one, "s", PREDICTED["one_s"]),
        Figure("two worker processes", two, "s", PREDICTED["two_s"]),
        Figure("one ÷ two", ratios(one, two), "×", PREDICTED["speedup"], at_least=1.7),
        Figure("peak memory, one worker process", [max(c.tree_mib for c in r) for r in worked.one], "MiB"),
        Figure("peak memory, two worker processes", [max(c.tree_mib for c in r) for r in worked.two], "MiB"),
    ]  # fmt: skip


def main(runs: int = 1, patience_s: float = 0.0, plan: Plan = DEFAULT, folder: Path | None = None) -> str:
    """Measure and return the block for RESULTS.md; ``folder`` keeps simulated months for another time."""
    with tempfile.TemporaryDirectory(prefix="plumbline-months-") as aside:
        made, named = folder or Path(aside) / "months", months_from(FIRST, plan.months + 1)
        simulate(plan.real, made, named, rows=plan.rows_a_month, kind=plan.kind)
        grown = measure_growth(made, named, runs, patience_s, plan.overrides)
        worked = measure_workers(made, named[: plan.worked_months], runs, patience_s, plan.overrides)
    if not (grown.equal and worked.equal):
        raise AssertionError("other bytes with the cache than without, or with two workers than with one")
    rounds = [*grown.cold, *grown.more, *worked.one, *worked.two]
    return "\n\n".join([
        f"{DATASET}, **simulated** months of {plan.rows_a_month:,} flights (`benchmarks.simulate`, {plan.kind}), "
        f"{runs} round{'s' * (runs > 1)}, every stage one process from a cold start. With the cache and "
        "without, and with one worker process and two, the data came out equal to the byte. Pushed to a folder: "
        "published, clean, quarantined and featurized files.",
        conditions([cost.others_cores for costs in rounds for cost in costs]),
        table(figures(grown, worked, plan)),
    ])  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_growth", description=__doc__)
    parser.add_argument("--real", type=Path, default=REAL, help="folder of real months (data/raw/ontime)")
    parser.add_argument("--months", type=Path, help="folder for simulated months; a temporary one when left out")
    parser.add_argument("--rows", type=int, default=DEFAULT.rows_a_month, help="flights of a month (500000)")
    parser.add_argument("--count", type=int, default=DEFAULT.months, help="months to which one is added (60)")
    parser.add_argument("--format", choices=("zip", "parquet"), default="zip", help="of the published files")
    parser.add_argument("--runs", type=int, default=1, help="rounds (1)")
    parser.add_argument("--patience", type=float, default=600.0, help="seconds to wait for a quiet machine (600)")
    given = parser.parse_args()
    chosen = Plan(given.real, given.count, min(DEFAULT.worked_months, given.count), given.rows, given.format)
    text = main(given.runs, given.patience, chosen, given.months)
    write_block("growth", text)
    print(text)
