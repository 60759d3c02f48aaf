"""How is a measurement told?  Settings first; then every figure with its prediction, spread, bar and verdict.

The tables live in RESULTS.md between markers, one block per benchmark; the words around them are written by hand.
"""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks.measure import QUIET_CORES

RESULTS = Path(__file__).parent / "RESULTS.md"
PACKAGES = ("dvc", "polars", "numpy", "xgboost", "dask", "pandera", "scikit-learn")
HEADER = ("", "predicted", "median", "min – max", "runs", "bar", "verdict")


@dataclass(frozen=True)
class Figure:
    """One measured quantity: what was expected before the first run, all runs, and the bar it has to pass."""

    name: str
    values: Sequence[float]
    unit: str = ""
    predicted: float | None = None
    at_most: float | None = None
    at_least: float | None = None

    @property
    def value(self) -> float:
        """The median of the runs."""
        return median(self.values)

    @property
    def verdict(self) -> str:
        """Whether the median passes; and a word where the prediction was off by more than a third."""
        said = []
        if self.at_most is not None or self.at_least is not None:
            passed = (self.at_most is None or self.value <= self.at_most) and (
                self.at_least is None or self.value >= self.at_least
            )
            said.append("met" if passed else "**missed**")
        if self.predicted and not 2 / 3 <= self.value / self.predicted <= 3 / 2:
            said.append("predicted too high" if self.predicted > self.value else "predicted too low")
        return ", ".join(said)

    def row(self) -> tuple[str, ...]:
        """The figure as words of one table row, in the order of `HEADER`."""
        bar = ""
        if self.at_most is not None:
            bar = f"≤ {self._words(self.at_most)}"
        if self.at_least is not None:
            bar = f"≥ {self._words(self.at_least)}"
        return (
            self.name,
            "–" if self.predicted is None else self._words(self.predicted),
            self._words(self.value),
            f"{number(min(self.values))} – {number(max(self.values))}" if len(self.values) > 1 else "",
            str(len(self.values)),
            bar,
            self.verdict,
        )

    def _words(self, value: float) -> str:
        return f"{number(value)} {self.unit}".strip()


def number(value: float) -> str:
    """Three significant digits, no exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(figures: Sequence[Figure]) -> str:
    """A Markdown table, one row a figure."""
    return text_table(HEADER, [figure.row() for figure in figures], left=(0, 6))


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """A Markdown table of words; numbers stand to the right."""
    ruler = ["---" if column in left else "---:" for column in range(len(header))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, ruler, *rows))


def conditions(others_cores: Sequence[float]) -> str:
    """Hardware, date and versions, and whether the machine was quiet: the sentence above every table."""
    busiest, usual = max(others_cores, default=0.0), median(others_cores or [0.0])
    quiet = (
        f"machine quiet (others kept {usual:.2f} cores busy, {busiest:.2f} at worst)"
        if usual <= QUIET_CORES
        else f"**machine not quiet: others kept {usual:.2f} cores busy, {busiest:.2f} at worst; trust ratios only**"
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return (
        f"{date.today().isoformat()}; {os.cpu_count()} cores ({processor()}), {memory:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}; {packages}; {quiet}."
    )


def processor() -> str:
    """The processor's own name, where the system tells it."""
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text(encoding="utf-8").splitlines() if cpus.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def markers(name: str, by: str = "") -> tuple[str, str]:
    """What encloses the block of one benchmark in RESULTS.md; ``by`` names a study that needs arguments of its own."""
    return f"<!-- {name}: written by `python -m benchmarks.{by or f'run {name}'}` -->", f"<!-- end of {name} -->"


def write_block(name: str, text: str, results: Path = RESULTS, by: str = "") -> None:
    """Replace the block of one benchmark; what stands around it stays."""
    begin, end = markers(name, by)
    found = results.read_text(encoding="utf-8")
    before, opened, rest = found.partition(begin)
    _, closed, after = rest.partition(end)
    if not opened or not closed:
        raise ValueError(f"wanted the markers {begin} and {end} in {results.name}, found none: put them back")
    results.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}", encoding="utf-8")
