"""How improbable is a finding when it is the best of several looks?

*Holm* keeps the chance of one or more false alarms among all looks at the stated rate, whatever their dependence (Holm,
"A simple sequentially rejective multiple test procedure", 1979).  *bh* keeps the share of false alarms among the
findings there, for looks that are independent or positively related (Benjamini & Hochberg, "Controlling the false
discovery rate", 1995): of twenty experiments it lets more through, and one in twenty of those is allowed to be wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

Correction = Literal["holm", "bh", "none"]


def adjust(p_values: Sequence[float], method: Correction) -> list[float]:
    """P-values, in their order, that may be read one by one as if there had been one look."""
    if method not in get_args(Correction):
        raise ValueError(f"a correction: {', '.join(get_args(Correction))}", repr(method), "choose one of them")
    p, n = np.asarray(p_values, np.float64), len(p_values)
    if method == "none" or n == 0:
        return [float(value) for value in p]
    order = np.argsort(p, kind="stable")
    rank = np.arange(n)
    if method == "holm":  # the smallest p of n, the next one of n - 1 …; never below the one before
        adjusted = np.maximum.accumulate(p[order] * (n - rank))
    else:
        adjusted = np.minimum.accumulate((p[order] * n / (rank + 1))[::-1])[::-1]
    result = np.empty(n)
    result[order] = np.minimum(adjusted, 1.0)
    return [float(value) for value in result]
