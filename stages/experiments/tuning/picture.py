"""How did a search go, and which parameters decided?  One picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stages.pages.drawing import BLUE, GREY, INK, ORANGE, PALE, WIDTH, Picture, picture, shares, styled

HEIGHT = 3.4
ROOM = 0.15  # of the range of the values, above and below


@styled
def draw_study(
    values: Sequence[float | None],
    *,
    metric: str,
    direction: Literal["minimize", "maximize"],
    present: float | None,
    importances: Mapping[str, float],
) -> Picture:
    """``values`` of the trials in order, None where one was pruned or failed; importances are shares of 1."""
    figure = Figure(figsize=(WIDTH, HEIGHT))
    if importances:
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        _draw_importances(right, importances)
    else:
        left = figure.subplots()
    _draw_history(left, np.array([np.nan if value is None else value for value in values]), direction, present)
    left.set_ylabel(f"{metric} ({'lower' if direction == 'minimize' else 'higher'} is better)")
    left.set_title("Trials")
    done = sum(value is not None for value in values)
    about = f"{metric} of {done} completed trials out of {len(values)}"
    return picture(figure, f"{about}, the best so far, and how much each parameter decides" if importances else about)


def _draw_history(axes: Axes, values: np.ndarray, direction: str, present: float | None) -> None:
    order, is_done = np.arange(1, len(values) + 1), np.isfinite(values)
    axes.scatter(order[is_done], values[is_done], s=18, color=PALE, label="completed", zorder=2)
    if is_done.any():
        best = (np.fmin if direction == "minimize" else np.fmax).accumulate(values)
        axes.step(order, best, where="post", color=BLUE, linewidth=1.6, label="best so far", zorder=3)
        low, high = _limits(values[is_done], best, direction)
        axes.set_ylim(low, high)
        _mark_at_edge(axes, order[is_done & ~((values >= low) & (values <= high))], direction)
    if present is not None:
        axes.axhline(present, color=ORANGE, linewidth=1.2, linestyle=(0, (4, 3)), label="present parameters", zorder=1)
    if not is_done.all():
        base = axes.get_xaxis_transform()  # along the lower edge: they have no value to stand at
        axes.scatter(order[~is_done], np.full((~is_done).sum(), 0.02), s=14, marker="x", color=GREY, linewidths=1.1,
                     transform=base, label="pruned or failed", zorder=2)  # fmt: skip
    axes.set_xlim(0.5, len(values) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    axes.set_xlabel("trial")
    axes.grid(axis="y")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=5, handlelength=1.6, columnspacing=1.2)


def _mark_at_edge(axes: Axes, places: np.ndarray, direction: str) -> None:
    """Completed trials so far behind that the range leaves them out."""
    if len(places):
        edge, mark = (0.98, "^") if direction == "minimize" else (0.02, "v")
        axes.scatter(places, np.full(len(places), edge), s=18, marker=mark, color=PALE,
                     transform=axes.get_xaxis_transform(), label="far behind", zorder=2)  # fmt: skip


def _limits(done: np.ndarray, best: np.ndarray, direction: str) -> tuple[float, float]:
    """A range in which the better three quarters are told apart; trials far behind lie outside."""
    behind = float(np.quantile(done, 0.75 if direction == "minimize" else 0.25))
    ends = (float(best[-1]), behind, float(best[np.isfinite(best)][0]))
    room = ROOM * (max(ends) - min(ends)) or 1e-6
    return min(ends) - room, max(ends) + room


def _draw_importances(axes: Axes, importances: Mapping[str, float]) -> None:
    ranked = sorted(importances.items(), key=lambda item: item[1])
    names, sizes = [name for name, _ in ranked], [size for _, size in ranked]
    axes.barh(names, sizes, height=0.62, color=BLUE)
    axes.tick_params(axis="y", labelcolor=INK)
    shares(axes.xaxis)
    axes.grid(axis="x")
    axes.set_title("What decided (PED-ANOVA)")
