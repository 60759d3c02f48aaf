"""Who is measured on `ontime`, what each was expected to cost, and what every run of each did cost."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.measure import Cost
from benchmarks.workspace import ROOT
from stages.workspace.files import read_json, write_json

OURS, MAIN_PEER = "plumbline", "Polars, streaming"
PEERS_PYTHON = ROOT / ".venv" / "peers" / "bin" / "python"
APART = [ROOT / ".venv" / "peers" / group / "bin" / "python" for group in ("forecasting", "monitoring")]
"""Of libraries that want an older pandas."""
KEPT = ROOT / "benchmarks" / "peers.json"


@dataclass(frozen=True)
class Peer:
    """One script, the package that it needs, and what it was expected to cost."""

    name: str
    module: str
    package: str
    predicted: tuple[float, float, float]
    """Wall and CPU time in microseconds per row, peak memory in MiB at 30 million rows: written down when every script
    had run on 3 million rows and nothing had been measured."""
    flags: tuple[str, ...] = ()


@cache
def find_python(package: str) -> tuple[str, str] | None:
    """The interpreter that has the package, this one or that of `make peers`, and the package's version."""
    for python in (Path(sys.executable), PEERS_PYTHON, *APART):
        if python.exists():
            tell = [str(python), "-c", f"from importlib.metadata import version; print(version({package!r}))"]
            done = subprocess.run(tell, capture_output=True, text=True)
            if done.returncode == 0:
                return str(python), done.stdout.strip()
    return None


OURS_PREDICTED = (2.0, 3.4, 1400.0)
PEERS = (
    Peer(MAIN_PEER, "peer_polars", "polars", (3.2, 5.0, 8000.0)),
    Peer("Polars, month by month", "peer_polars", "polars", (3.4, 4.6, 500.0), ("--by-month",)),
    Peer("DuckDB", "peer_duckdb", "duckdb", (5.0, 9.0, 7000.0)),
    Peer("pandas, month by month", "peer_pandas", "pandas", (5.5, 5.5, 800.0)),
    Peer("dask.dataframe", "peer_dask_dataframe", "dask", (4.5, 6.5, 1500.0)),
    Peer("PySpark", "peer_pyspark", "pyspark", (14.0, 25.0, 9000.0)),
)


@dataclass(frozen=True)
class Run:
    """One contender once at one size: its processes one after another, or why there is nothing to tell."""

    rows: int
    name: str
    costs: list[Cost] = field(default_factory=list)
    failed: str = ""
    version: str = ""

    @property
    def wall_s(self) -> float:
        """Wall time of all processes."""
        return sum(cost.wall_s for cost in self.costs)

    @property
    def cpu_s(self) -> float:
        """CPU time of all processes."""
        return sum(cost.cpu_s for cost in self.costs)

    @property
    def peak_mib(self) -> float:
        """Peak memory of the larger process, with its descendants."""
        return max(cost.tree_mib for cost in self.costs)


def by_name(runs: Sequence[Run], rows: int) -> dict[str, list[Run]]:
    """The runs of one size by contender, in the order in which they ran."""
    here = [run for run in runs if run.rows == rows]
    return {name: [run for run in here if run.name == name] for name in dict.fromkeys(run.name for run in here)}


def keep(runs: Sequence[Run], kept: Path = KEPT) -> list[Run]:
    """Add to what was measured before; a size that was measured again takes the place of its earlier runs."""
    again = {run.rows for run in runs}
    whole = sorted([*(run for run in read_runs(kept) if run.rows not in again), *runs], key=lambda run: run.rows)
    write_json(kept, [asdict(run) for run in whole])
    return whole


def read_runs(kept: Path = KEPT) -> list[Run]:
    """What has been measured so far."""
    found: list[dict[str, Any]] = read_json(kept) if kept.exists() else []
    return [Run(**{**run, "costs": [Cost(**cost) for cost in run["costs"]]}) for run in found]
