"""What do cleaning and featurizing tens of millions of flights cost, here and with what a user would pick instead?

Reads   a folder of real months of `ontime` (--real); `benchmarks.simulate` makes the months measured, as parquet
Writes  the block in RESULTS.md, peers.json (every run of every contender), peers.svg (cost against rows)

Interleaved: in every round the two stages, one process each, and then every peer as one process, all from a cold start
and from the same files of texts.  In the first round each peer's output is compared with ours, row by row.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.compare_peers import compare_outputs
from benchmarks.contenders import KEPT, OURS, PEERS, Peer, Run, by_name, find_python, keep
from benchmarks.draw_peers import draw_peers
from benchmarks.measure import CommandFailed, measure, quiet_rounds
from benchmarks.ontime_rules import KEY
from benchmarks.report import write_block
from benchmarks.simulated_months import (
    DATASET,
    FIRST,
    REAL,
    ROWS_A_MONTH,
    line_overrides,
    months_from,
    run_stages,
    simulate,
)
from benchmarks.tell_peers import PICTURE, block
from benchmarks.workspace import cloned, environment
from stages.workspace.settings import read_params

STAGES, OUTPUTS = ("clean", "featurize"), ("clean", "features")
SIZES = (30_000_000,)


@dataclass(frozen=True)
class Arena:
    """Where one size is measured."""

    clone: Path
    published: Path
    months: list[str]
    rows: int
    ends: tuple[str, str]


def measure_size(
    folder: Path, real: Path, months: Sequence[str], rows_a_month: int, peers: Sequence[Peer], runs: int,
    patience_s: float,
) -> list[Run]:  # fmt: skip
    """Every contender once a round; months are simulated into ``folder`` where they are not there yet."""
    simulate(real, folder, months, rows=rows_a_month, kind="parquet")
    samples = f"++datasets.{DATASET}.featurize.complete=false"
    with cloned([*line_overrides(folder, months), samples]) as clone:
        run_stages(clone, ["download"], environment(clone))
        # as installed packages are: the first round would compile for all that follow
        measure([sys.executable, "-m", "compileall", "-q", "stages", "benchmarks"], cwd=clone)
        arena = Arena(
            clone, clone / "data" / "raw" / DATASET, list(months), rows_a_month * len(months), split_ends(clone)
        )
        found: list[Run] = []
        for number_of_round in quiet_rounds(runs, patience_s):
            found.append(run_ours(arena))
            for peer in peers:
                if any(run.failed for run in found if run.name == peer.name):
                    continue
                found.append(run_peer(arena, peer, compare=number_of_round == 0))
    return found


def split_ends(clone: Path) -> tuple[str, str]:
    """The days on which the parts end, from the clone's own parameters."""
    split = read_params(clone / "params.yaml")["datasets"][DATASET]["featurize"]["split"]
    return split["train_until"], split["valid_until"]


def run_ours(arena: Arena) -> Run:
    """The two stages of the line."""
    for folder in OUTPUTS:
        shutil.rmtree(arena.clone / "data" / folder, ignore_errors=True)
    costs = run_stages(arena.clone, STAGES, environment(arena.clone))
    return Run(arena.rows, OURS, [replace(cost, output="") for cost in costs])


def run_peer(arena: Arena, peer: Peer, *, compare: bool) -> Run:
    """One peer; a failure is kept as its own result, an unequal output ends everything."""
    out = arena.clone.parent / "peer"
    python, version = find_python(peer.package) or (sys.executable, "")
    script = [python, "-m", f"benchmarks.{peer.module}"]
    command = [*script, str(arena.published), str(out), *arena.ends, *peer.flags]
    try:
        cost = measure(first_to_go(command), cwd=arena.clone, env=environment(arena.clone))
        if compare:
            for folder in OUTPUTS:
                compare_outputs(arena.clone / "data" / folder / DATASET, out / folder, arena.months, KEY)
    except CommandFailed as error:
        _, _, said = str(error).partition("\n")
        last = (said.strip().splitlines() or ["ended without a word, as when memory runs out"])[-1]
        return Run(arena.rows, peer.name, failed=last[:200])
    finally:
        shutil.rmtree(out, ignore_errors=True)
    return Run(arena.rows, peer.name, [replace(cost, output="")], version=f"{peer.package} {version}")


def first_to_go(command: Sequence[str]) -> list[str]:
    """The command as the first that Linux ends when memory runs out, so that nothing else goes with it."""
    choice = 'echo 1000 > /proc/self/oom_score_adj 2>/dev/null; exec "$@"'
    return ["sh", "-c", choice, "sh", *command]


def main(
    runs: int = 3, patience_s: float = 0.0, *, real: Path = REAL, sizes: Sequence[int] = SIZES,
    names: Sequence[str] = (), folder: Path | None = None, rows_a_month: int = ROWS_A_MONTH, kept: Path = KEPT,
    picture: Path = PICTURE,
) -> str:  # fmt: skip
    """Measure and return the block for RESULTS.md; ``folder`` keeps simulated months for another time."""
    chosen = [peer for peer in PEERS if not names or peer.module.removeprefix("peer_") in names]
    found: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="plumbline-months-") as aside:
        for rows in sizes:
            months = months_from(FIRST, max(3, -(-rows // rows_a_month)))
            peers = [peer for peer in chosen if find_python(peer.package)]
            found += measure_size(folder or Path(aside) / "months", real, months, rows_a_month, peers, runs, patience_s)
    whole = keep(found, kept)
    draw_peers({rows: by_name(whole, rows) for rows in sorted({run.rows for run in whole})}, picture)
    absent = [peer.name for peer in PEERS if not find_python(peer.package)]
    return block(whole, [cost.others_cores for run in found for cost in run.costs], absent)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_peers", description=__doc__)
    parser.add_argument("--real", type=Path, default=REAL, help="folder of real months (data/raw/ontime)")
    parser.add_argument("--months", type=Path, help="folder for simulated months; a temporary one when left out")
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES, help="sizes in rows")
    parser.add_argument("--peers", nargs="+", default=(), help="polars duckdb pandas dask_dataframe pyspark; all")
    parser.add_argument("--runs", type=int, default=3, help="rounds (3)")
    parser.add_argument("--patience", type=float, default=600.0, help="seconds to wait for a quiet machine (600)")
    given = parser.parse_args()
    text = main(given.runs, given.patience, real=given.real, sizes=given.rows, names=given.peers, folder=given.months)
    write_block("peers", text)
    print(text)
