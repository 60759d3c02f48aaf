"""Has a column moved further than chance moves it?  Distances between counts, and a p-value that knows about days.

The *population stability index* Σ (q - p) ln(q/p) of the shares p of the reference and q of a batch, and the
Jensen-Shannon distance.  Rules of thumb (a PSI above 0.1, above 0.25) know neither rows nor days: of a small batch they
raise the alarm whatever happens, of a large one only when it is late.

Of n and m *independent* rows, PSI · nm/(n + m) follows chi-square with one degree of freedom less than there are bins
(Yurdakul, "Statistical properties of population stability index", 2018).  Rows of a day share their luck, and days
their weather: then the yardstick is the reference itself.  Every run of as many neighbouring days as the batch has is
set against the rest of the reference; what such runs show is a scaled chi-square, whose scale and degrees of freedom
are those of their mean and variance (Satterthwaite).  The reference holds only so many runs that do not overlap, so
the scale is uncertain and the ratio follows F, not chi-square.  A batch has therefore drifted when it differs from the
training days by more than training days of another season differ among themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import distance
from scipy.special import chdtrc, fdtrc

Int = NDArray[np.int64]
Float = NDArray[np.float64]
LEAST_RUNS = 6
"""Runs of the reference that do not overlap: a batch that leaves fewer is judged by shorter ones, rescaled."""
FEWEST_RUNS, LEAST_FREEDOM = 2.5, 1.5  # that make a yardstick, however alike they are, and its degrees of freedom
HALF = 0.5  # a count that is added to every bin, so that an empty one has a logarithm


@dataclass(frozen=True)
class Drift:
    """How far a batch is from the reference, and how often chance alone goes as far; None where that is not known."""

    psi: float
    js: float
    p: float | None


def psi(reference: Int, batch: Int) -> float:
    """Population stability index of two vectors of counts (bins,); bins that are empty in both do not count."""
    held = (reference + batch) > 0
    return float(_psi(reference[held][None].astype(np.float64), batch[held][None].astype(np.float64))[0])


def _psi(reference: Float, batch: Float) -> Float:
    """Of each row of two arrays (runs, bins)."""
    p, q = (counts + HALF for counts in (reference, batch))
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    return np.asarray(((q - p) * np.log(q / p)).sum(axis=1))


def jensen_shannon(reference: Int, batch: Int) -> float:
    """Jensen-Shannon distance of two vectors of counts (bins,), 0 to 1."""
    return float(distance.jensenshannon(reference, batch, base=2))


def judge_drift(reference: Int, batch: Int, *, by_units: bool) -> Drift:
    """Two tables of counts (units, bins); see `p_of_drift`."""
    return measure_drift(reference, batch, p_of_drift(reference, batch, by_units=by_units))


def measure_drift(reference: Int, batch: Int, p: float | None) -> Drift:
    """The distances between two tables of counts (units, bins), beside a p-value; NaN where either is empty."""
    before, now = reference.sum(axis=0), batch.sum(axis=0)
    if not before.any() or not now.any():
        return Drift(float("nan"), float("nan"), None)
    return Drift(psi(before, now), jensen_shannon(before, now), p)


def p_of_drift(reference: Int, batch: Int, *, by_units: bool) -> float | None:
    """How often chance takes a batch as far: of two tables of counts (units, bins); None where that is not known.

    ``by_units`` where rows of a unit share their luck, and neighbours theirs; the units of the reference are in their
    order.
    """
    held = (reference.sum(axis=0) + batch.sum(axis=0)) > 0
    reference, batch = reference[:, held], batch[:, held]
    n, m = int(reference.sum()), int(batch.sum())
    if not n or not m:
        return None
    moved = psi(reference.sum(axis=0), batch.sum(axis=0))
    if by_units:
        return _p_of_runs(moved, reference, len(batch))
    freedom = int(held.sum()) - 1
    return float(chdtrc(freedom, moved * n * m / (n + m))) if freedom else 1.0


def _p_of_runs(moved: float, reference: Int, length: int) -> float | None:
    """How often a run of ``length`` neighbouring units of the reference is as far from the rest of it."""
    n_units = len(reference)
    run = min(length, n_units // LEAST_RUNS)
    if run < 1:
        return None
    apart = distances_of_runs(reference, run)
    mean, variance = float(apart.mean()), float(apart.var(ddof=1))
    if mean <= 0:
        return 1.0 if moved <= 0 else 0.0
    # Of strangers, runs so many times as long are so many times nearer; as far as they are not, so many fewer
    # independent runs the reference holds.
    season = n_units // LEAST_RUNS
    likeness = (
        float(distances_of_runs(reference, season).mean()) / mean * _nearer(run, n_units) / _nearer(season, n_units)
    )
    runs = max(n_units / run / max(likeness, 1.0), FEWEST_RUNS)
    # Where runs are shorter than the batch; and what was left of the reference held their neighbours, which are like
    # them, as they will not be like a later batch.
    scale = (1 / length + 1 / n_units) / _nearer(run, n_units) * (runs + 1) / (runs - 1)
    spread = variance * runs / (runs - 1)
    freedom = max(2 * mean**2 / spread, 1.0) if spread > 0 else float(reference.shape[1] - 1)
    return float(fdtrc(freedom, max(freedom * (runs - 2), LEAST_FREEDOM), moved / (mean * scale)))


def _nearer(run: int, n_units: int) -> float:
    """What the distance of a run from the other units goes by, where units are independent."""
    return 1 / run + 1 / (n_units - run)


def distances_of_runs(reference: Int, run: int) -> Float:
    """PSI of every run of ``run`` neighbouring units against all others (units,); the last is followed by the first."""
    n_units = len(reference)
    sums = np.cumsum(np.concatenate([np.zeros_like(reference[:1]), reference, reference[:run]]), axis=0)
    own = (sums[run : run + n_units] - sums[:n_units]).astype(np.float64)
    return _psi(reference.sum(axis=0) - own, own)
