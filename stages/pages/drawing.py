"""How does every picture here look?  One style, one palette, and a `Picture` that is the same to the byte each time.

Figures are drawn without pyplot and its global state, and saved as SVG whose text stays text.  Matplotlib's own
defaults are restored first, so a personal matplotlibrc changes nothing.  On a page every colour of the palette
is a variable, to which the style sheet gives another value in the dark.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from html import escape
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stages.pages.numbers import GAP, short_count

# Okabe & Ito's blue and vermilion, darkened for text-sized marks: apart for every common colour vision.
INK, QUIET, FAINT, PAPER = "#24303c", "#6b7785", "#dfe4e8", "#ffffff"
BLUE, PALE, ORANGE, GREY = "#2a6f9e", "#9cc2d9", "#c8571b", "#a8b2bc"
RISING = LinearSegmentedColormap.from_list("rising", ["#f4f7f9", "#a9c9de", "#4f90b8", "#1f5680", "#0d2f4d"])
SIGNED = LinearSegmentedColormap.from_list("signed", ["#1f5680", "#7fb0cf", "#f7f7f5", "#e9a77c", "#a8420f"])
VARIABLES = {INK: "ink", QUIET: "quiet", FAINT: "line", PAPER: "paper", BLUE: "blue", PALE: "pale", ORANGE: "orange",
             GREY: "grey"}  # fmt: skip
WIDTH = 10.4  # inches; the page is as wide
LEAST = 72  # pixels an inch, at which the smallest letters can still be read; a narrow page scrolls to the rest
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: measured alike on every machine
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": QUIET,
    "axes.labelsize": 8.5,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlepad": 7.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.constrained_layout.use": True,
    "text.parse_math": False,  # a column may be called a$b$c
    "svg.fonttype": "none",
    "svg.hashsalt": "plumbline",
    "image.composite_image": False,
}
NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))

P = ParamSpec("P")


@dataclass(frozen=True)
class Picture:
    """An SVG and what it shows in words; a notebook displays it as a figure."""

    svg: str
    about: str
    note: str = ""

    def _repr_html_(self) -> str:
        if not self.svg:
            return f'<p class="none">{escape(self.about)}</p>' if self.about else ""
        note = f"<figcaption>{escape(self.note)}</figcaption>" if self.note else ""
        name, svg = escape(self.about), self.svg
        for colour, variable in VARIABLES.items():
            svg = svg.replace(colour, f"var(--{variable})")
        svg = svg.replace("<svg", f'<svg role="img" aria-label="{name}"', 1)
        scroll = f'<div class="scroll" role="region" aria-label="{name}" tabindex="0">{svg}</div>'
        return f"<figure>{scroll}{note}</figure>"


def nothing(about: str = "") -> Picture:
    """There is nothing to draw: say why, or leave the place empty when the picture does not apply."""
    return Picture("", about)


def styled(draw: Callable[P, Picture]) -> Callable[P, Picture]:
    """Run a chart function in this module's style and nothing else's."""

    @wraps(draw)
    def styled_draw(*args: P.args, **kwargs: P.kwargs) -> Picture:
        style: Any = {**mpl.rcParamsDefault, **STYLE}
        with mpl.rc_context(style):
            return draw(*args, **kwargs)

    return styled_draw


def picture(figure: Figure, about: str, note: str = "") -> Picture:
    """Save a figure as SVG with stable bytes, as wide a share of the page as its share of `WIDTH`."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata=NO_METADATA)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    head, rest = svg[: svg.index(">")], svg[svg.index(">") :]
    share = f"{100 * figure.get_figwidth() / WIDTH:.4g}"
    least = round(LEAST * figure.get_figwidth())
    head = re.sub(r' (width|height)="[^"]*"', "", head) + f' style="width:{share}%;min-width:{least}px"'
    return Picture(head + rest, about, note)


def panels(n: int, *, across: int, height: float, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure of ``n`` equal panels, ``across`` in a row; places left over stay empty."""
    down = -(-n // across)
    figure = Figure(figsize=(WIDTH, height * down))
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08, wspace=0.03, hspace=0.03)  # type: ignore[union-attr, call-arg]
    grid = figure.subplots(down, across, squeeze=False, **options)
    every: list[Axes] = list(grid.flat)
    for spare in every[n:]:
        spare.set_axis_off()
    return figure, every[:n]


def short_counts(axis: Any) -> None:
    """Write an axis of counts as 10 k, 2 M."""
    axis.set_major_formatter(lambda value, _: short_count(value))


def shares(axis: Any, ticks: int = 5) -> None:
    """Write an axis of shares as 5 %, 10 %, at round steps."""
    axis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(lambda share, _: f"{round(100 * share, 4):g}{GAP}%")
