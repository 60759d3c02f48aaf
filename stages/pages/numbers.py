"""How is a number written for people?  Always from data, always the same way."""

from __future__ import annotations

import math

MINUS = "\u2212"
GAP = "\u202f"  # narrow no-break space between a number and %


def count_text(n: float) -> str:
    """336,776"""
    return f"{round(n):,}".replace("-", MINUS)


def short_count(n: float) -> str:
    """337 k, 1.2 M: for axes."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(n) >= size:
            return f"{n / size:.3g}{GAP}{letter}"
    return f"{n:g}"


def share_text(share: float | None) -> str:
    """24.1 %; more digits near 0 and 1, where they matter, and never 0 % for a share that is not zero."""
    if share is None:
        return "–"
    percent = 100 * share
    edge = min(percent, 100 - percent)
    if edge <= 0:
        return f"{percent:.0f}{GAP}%"
    if edge < 0.01:
        return f"{'<' if percent < 50 else '>'}{GAP}{'0.01' if percent < 50 else '99.99'}{GAP}%"
    digits = 1 if edge >= 1 else 2
    return f"{percent:.{digits}f}{GAP}%"


def value_text(value: float | None) -> str:
    """Three or four significant digits, thousands apart; a dash when unknown."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == round(value) and abs(value) < 1e9:
        return count_text(value)
    size = abs(value)
    text = f"{value:,.0f}" if size >= 1000 else f"{value:.4g}" if size >= 1 else f"{value:.3g}"
    return text.replace("-", MINUS)
