"""How much slower is the line on nycflights than one plain script that does the same work?

Interleaved: in every round the seven stages as processes one after another, the script, and the same seven under
``dvc repro``, each from the published files.  The ratio is taken within a round, so a slow minute hits both.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import Cost, measure, quiet_rounds
from benchmarks.report import Figure, conditions, table, text_table
from benchmarks.workspace import LINE, cloned, empty_outputs, environment, stage_command

DATASET = "nycflights"
AT_MOST = 2.5
# written down before the first run on a quiet machine
PREDICTED = {
    "peer_s": 17.0,
    "line_s": 34.0,
    "ratio": 2.0,
    "dvc_s": 45.0,
    "dvc_ratio": 2.6,
    "schedule_s": 9.0,
    "peer_cpu_s": 27.0,
    "line_cpu_s": 48.0,
    "peer_mib": 900.0,
    "line_mib": 600.0,
}
COMPARED = ("roc_auc", "average_precision", "log_loss", "brier")


@dataclass
class Rounds:
    """What every round cost: the peer, the line's stages, the same stages under DVC, the simple script."""

    peer: list[Cost] = field(default_factory=list)
    line: list[list[Cost]] = field(default_factory=list)
    dvc: list[Cost] = field(default_factory=list)
    schedule: list[Cost] = field(default_factory=list)


def measure_rounds(clone: Path, runs: int, *, with_dvc: bool = True, patience_s: float = 0.0) -> Rounds:
    """Everything once a round; the peer gets a copy of the line's raw files and of its selection."""
    env, rounds, aside = environment(clone), Rounds(), clone.parent / "peer"
    peer = [
        sys.executable,
        "-m",
        "benchmarks.peer_nycflights",
        str(aside),
        "--selection",
        str(aside / "selection.json"),
    ]
    schedule = [sys.executable, "benchmarks/peer_schedule.py", str(aside)]
    whole = ["dvc", "repro", "--force", "--no-run-cache", f"package@{DATASET}"]
    for _ in quiet_rounds(runs, patience_s):
        empty_outputs(clone)
        rounds.line.append(run_line(clone, env))
        shutil.copytree(clone / "data" / "raw" / DATASET, aside, dirs_exist_ok=True)
        shutil.copy(clone / "data" / "selection" / f"{DATASET}.json", aside / "selection.json")
        rounds.peer.append(measure(peer, cwd=clone, env=env))
        if with_dvc:
            empty_outputs(clone)
            rounds.dvc.append(measure(whole, cwd=clone, env=env))
        rounds.schedule.append(measure(schedule, cwd=clone, env=env))
    return rounds


def run_line(clone: Path, env: dict[str, str]) -> list[Cost]:
    """The seven stages of the line as DVC would run them, without DVC."""
    return [measure(stage_command(stage, DATASET), cwd=clone, env=env) for stage in LINE]


def quality(clone: Path, rounds: Rounds) -> dict[str, dict[str, float]]:
    """The metrics that the line, its peer and the simple script found on the same test rows."""
    found = json.loads((clone / "metrics" / DATASET / "results.json").read_text(encoding="utf-8"))
    return {
        "the line": {name: found[name]["value"] for name in COMPARED},
        "the same work as one script": json.loads(rounds.peer[-1].output),
        "schedule, weather, aircraft only": json.loads(rounds.schedule[-1].output),
    }


def figures(rounds: Rounds) -> list[Figure]:
    """The table: times, ratios, CPU and memory."""
    line = [sum(cost.wall_s for cost in stages) for stages in rounds.line]
    peer = [cost.wall_s for cost in rounds.peer]
    found = [
        Figure("the same work as one script", peer, "s", PREDICTED["peer_s"]),
        Figure("the line: seven stages, one process each", line, "s", PREDICTED["line_s"]),
        Figure("line ÷ script", ratios(line, peer), "×", PREDICTED["ratio"], at_most=AT_MOST),
        Figure("CPU of the script", [cost.cpu_s for cost in rounds.peer], "s", PREDICTED["peer_cpu_s"]),
        Figure("CPU of the line", [sum(c.cpu_s for c in s) for s in rounds.line], "s", PREDICTED["line_cpu_s"]),
        Figure("peak memory of the script", [c.tree_mib for c in rounds.peer], "MiB", PREDICTED["peer_mib"]),
        Figure(
            "peak memory of the line", [max(c.tree_mib for c in s) for s in rounds.line], "MiB", PREDICTED["line_mib"]
        ),
        Figure("schedule, weather, aircraft only", [c.wall_s for c in rounds.schedule], "s", PREDICTED["schedule_s"]),
    ]
    if rounds.dvc:
        whole = [cost.wall_s for cost in rounds.dvc]
        found[3:3] = [
            Figure("the same seven under `dvc repro`", whole, "s", PREDICTED["dvc_s"]),
            Figure("`dvc repro` ÷ script", ratios(whole, peer), "×", PREDICTED["dvc_ratio"]),
        ]
    return found


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """One ratio a round."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def main(runs: int = 5, overrides: Sequence[str] = (), *, with_dvc: bool = True, patience_s: float = 0.0) -> str:
    """Measure and return the block for RESULTS.md."""
    with cloned(overrides) as clone:
        rounds = measure_rounds(clone, runs, with_dvc=with_dvc, patience_s=patience_s)
        found = quality(clone, rounds)
    seen = [cost.others_cores for cost in rounds.peer + rounds.dvc + [c for stages in rounds.line for c in stages]]
    rows = [
        (name, *(f"{metrics[m]:.6f}" if m in metrics else "–" for m in COMPARED)) for name, metrics in found.items()
    ]
    return "\n\n".join([
        f"nycflights, 336,776 flights, {runs} interleaved rounds, warm disk cache, every process from a cold start; "
        "each reads the published files and ends with its metrics (the line: with its bundle).",
        conditions(seen),
        table(figures(rounds)),
        "Equal work gives equal scores, on the same 53,991 test flights:",
        text_table(("", *COMPARED), rows),
    ])  # fmt: skip
