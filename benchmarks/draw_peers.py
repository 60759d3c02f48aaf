"""How do the contenders' costs grow with the rows?  CPU time, wall time and peak memory against rows, one line each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.draw_scale import COLOURS, STABLE

if TYPE_CHECKING:
    from benchmarks.bench_peers import Run


def draw_peers(sizes: "Mapping[int, Mapping[str, Sequence[Run]]]", picture: Path) -> None:
    """Write the picture; the same figures give the same bytes.  Who failed at a size has no point there."""
    names = list(dict.fromkeys(name for found in sizes.values() for name in found))
    with mpl.rc_context(STABLE):
        figure = Figure(figsize=(12, 4), layout="constrained")
        panels = figure.subplots(1, 3)
        told = (
            ("wall_s", "wall time", "s", 1),
            ("cpu_s", "CPU time", "s", 1),
            ("peak_mib", "peak memory", "GiB", 1024),
        )
        for axes, (what, title, unit, scale) in zip(panels, told, strict=True):
            for colour, name in zip(COLOURS, names, strict=False):
                done = {rows: found[name] for rows, found in sizes.items() if _is_done(found.get(name, ()))}
                values = [median(getattr(run, what) for run in runs) / scale for runs in done.values()]
                axes.plot(list(done), values, color=colour, marker="o", markersize=4, label=name)
            axes.set(title=title, ylabel=unit, xlabel="simulated flights", xscale="log", yscale="log")
            axes.set_xticks(list(sizes), labels=[f"{rows / 1e6:g} M" for rows in sizes])
            axes.minorticks_off()
            axes.spines[["top", "right"]].set_visible(False)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
        figure.savefig(picture, format="svg", metadata={"Date": None})


def _is_done(runs: "Sequence[Run]") -> bool:
    return bool(runs) and not any(run.failed for run in runs)
