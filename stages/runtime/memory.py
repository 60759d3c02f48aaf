"""How many partitions at a time?  No more than fit in the memory that a stage may take (`scale.memory_limit_gib`)."""

from __future__ import annotations

from collections.abc import Mapping

from stages.runtime.log import log
from stages.workspace.settings import ClusterSettings


def fit_in_memory(
    cluster: ClusterSettings, estimates: Mapping[str, int], limit_bytes: int, label: str
) -> ClusterSettings:
    """Fewer workers, where the largest partitions at the same time would need more than the limit.

    ``estimates`` holds the bytes that the work on each partition may take, from above, by its name.  The workers of a
    scheduler have limits of their own; where they do not see the files, the work is done here.
    """
    needed = sorted(estimates.values(), reverse=True)
    if not needed or (cluster.kind == "scheduler" and cluster.exchange is None):
        return cluster
    workers = cluster.workers
    while workers > 1 and sum(needed[:workers]) > limit_bytes:
        workers -= 1
    if workers < cluster.workers:
        log.info(
            "%s: %d instead of %d at a time, to stay within scale.memory_limit_gib", label, workers, cluster.workers
        )
    if needed[0] > limit_bytes:
        worst = max(estimates, key=estimates.__getitem__)
        gib, limit = needed[0] / 2**30, limit_bytes / 2**30
        log.warning("%s: %s alone may need %.1f GiB; scale.memory_limit_gib is %.1f", label, worst, gib, limit)
    return cluster.model_copy(update={"workers": workers})
