"""How does the cost of a row look as rows grow?  One line a stage: CPU time per row, and peak memory beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from benchmarks.bench_scale import Cell

STABLE = {"svg.hashsalt": "plumbline", "svg.fonttype": "none", "font.family": "sans-serif", "path.simplify": False}
COLOURS = ("#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377", "#777777", "#222222")


def draw_scale(stages: "Mapping[str, Mapping[int, Sequence[Cell]]]", picture: Path) -> None:
    """Write the picture; the same figures give the same bytes."""
    with mpl.rc_context(STABLE):
        figure = Figure(figsize=(10, 4), layout="constrained")
        costs, memory = figure.subplots(1, 2)
        for colour, (stage, found) in zip(COLOURS, stages.items(), strict=False):
            rows = list(found)
            style = {"color": colour, "marker": "o", "markersize": 4, "label": stage}
            costs.plot(rows, [median(cell.cpu_us for cell in runs) for runs in found.values()], **style)
            memory.plot(rows, [max(cell.cost.tree_mib for cell in runs) / 1024 for runs in found.values()], **style)
        costs.set(title="CPU time per row", ylabel="µs")
        memory.set(title="peak memory of the stage", ylabel="GiB")
        sizes = sorted({rows for found in stages.values() for rows in found})
        for axes in (costs, memory):
            axes.set(xlabel="simulated flights", xscale="log", ylim=(0, None))
            axes.set_xticks(sizes, labels=[f"{rows / 1e6:g} M" for rows in sizes])
            axes.minorticks_off()
            axes.spines[["top", "right"]].set_visible(False)
        figure.legend(*costs.get_legend_handles_labels(), loc="outside right upper", frameon=False)
        figure.savefig(picture, format="svg", metadata={"Date": None})
