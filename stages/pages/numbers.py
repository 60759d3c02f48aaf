"""How is a number written for people?  Always from data, always the same way.  Long names are cut here too."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

MINUS = "\u2212"
GAP = "\u202f"  # narrow no-break space between a number and its unit
UNKNOWN = "–"
TINY = 1e-5  # a figure below it is written with a power of ten
TOO_FEW = "(too few)"  # rows for an interval
ARROWS = {"higher": "↑", "lower": "↓"}  # which way a metric is better


def decimals_of(*values: float | None) -> int | None:
    """Decimals that give the largest of these figures four significant digits; None where all are 0 or unknown."""
    sizes = [abs(value) for value in values if value is not None and math.isfinite(value) and value]
    return max(0, 4 - math.ceil(math.log10(max(*sizes, TINY)))) if sizes else None


def figure(value: float | None, sign: bool = False, decimals: int | None = None) -> str:
    """A result to four significant digits, or to as many decimals as its neighbours: 0.7310, 12.40, 1,234.

    A dash when unknown; a difference that is not 0 is never written as 0, because its sign is the verdict.
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    plus = "+" if sign else ""
    if decimals is None and 0 < abs(value) < TINY:
        return with_minus(f"{value:{plus}#.4g}")
    decimals = (decimals_of(value) if decimals is None else decimals) or 0
    if sign and value and round(value, decimals) == 0:
        return with_minus(f"{value:{plus}.1g}")
    return fixed(value, decimals, sign)


def interval_text(low: float | None, high: float | None, sign: bool = False, decimals: int | None = None) -> str:
    """[0.7108, 0.7502], both ends to the same decimals; words where there is no interval."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return TOO_FEW
    decimals = decimals_of(low, high) if decimals is None else decimals
    return f"[{figure(low, sign, decimals)}, {figure(high, sign, decimals)}]"


def estimate_text(
    value: float | None, low: float | None, high: float | None, sign: bool = False, decimals: int | None = None
) -> str:
    """0.7310 [0.7108, 0.7502], all three to the same decimals; a dash where there is no value."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    decimals = decimals_of(value, low, high) if decimals is None else decimals
    return f"{figure(value, sign, decimals)} {interval_text(low, high, sign, decimals)}"


def fixed(value: float | None, decimals: int = 4, sign: bool = False) -> str:
    """A result beside others with as many decimals: 0.7310, −0.0004; no sign where every digit shown is 0."""
    if value is None:
        return UNKNOWN
    text = f"{value:{'+' if sign else ''},.{decimals}f}"
    return with_minus(text if any(digit in "123456789" for digit in text) else text.lstrip("+-"))


def p_text(p: float | None) -> str:
    """A p-value: 0.034; the smallest ones as a bound."""
    if p is None:
        return UNKNOWN
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def level_text(level: float) -> str:
    """A level that was chosen: 95 %, 99.5 %; never rounded."""
    return f"{100 * level:g}{GAP}%"


def share_text(share: float | None) -> str:
    """24.1 %; more digits near 0 and 1, where they matter, and never 0 % for a share that is not zero."""
    if share is None:
        return UNKNOWN
    percent = 100 * share
    edge = min(percent, 100 - percent)
    if edge <= 0:
        return f"{percent:.0f}{GAP}%"
    if edge < 0.01:
        return f"{'<' if percent < 50 else '>'}{GAP}{'0.01' if percent < 50 else '99.99'}{GAP}%"
    digits = 1 if edge >= 1 else 2
    return f"{percent:.{digits}f}{GAP}%"


def share_texts(shares: Sequence[float | None]) -> list[str]:
    """Shares that stand together, all with as many digits as the smallest of them needs."""
    texts = [share_text(share) for share in shares]
    decimals = 2 if any(re.search(r"\.\d\d", text) for text in texts) else 1
    return [
        f"{100 * share:.{decimals}f}{GAP}%" if share is not None and re.match(r"\d+\.", text) else text
        for share, text in zip(shares, texts, strict=True)
    ]


def value_text(value: float | None) -> str:
    """A value of the data: whole numbers as they are, others to three or four digits; a dash when unknown."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value == round(value) and abs(value) < 1e9:
        return count_text(value)
    size = abs(value)
    return with_minus(f"{value:,.0f}" if size >= 1000 else f"{value:.4g}" if size >= 1 else f"{value:.3g}")


def count_text(n: float) -> str:
    """336,776"""
    return with_minus(f"{round(n):,}")


def short_count(n: float) -> str:
    """337 k, 1.2 M: for axes of counts."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(n) >= size:
            return with_minus(f"{n / size:.3g}{GAP}{letter}")
    return tick_text(n)


def tick_text(value: float) -> str:
    """A round value at an axis."""
    return with_minus(f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:g}")


def elided(text: str, length: int) -> str:
    """At most ``length`` characters, the last one an ellipsis when some are missing."""
    return text if len(text) <= length else text[: length - 1] + "…"


def with_minus(text: str) -> str:
    """A number as text, its hyphens as minus signs: the one rule for all that people read."""
    return text.replace("-", MINUS)
