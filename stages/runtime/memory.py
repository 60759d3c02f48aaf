"""How many partitions at a time?  No more than fit in the memory that a stage may take (`scale.memory_limit_gib`)."""

from __future__ import annotations

from collections.abc import Mapping

from stages.runtime.log import log
from stages.workspace.settings import WorkerSettings


def fit_in_memory(
    workers: WorkerSettings, estimates: Mapping[str, int], limit_bytes: int, label: str
) -> WorkerSettings:
    """Fewer workers, where the largest partitions at the same time would need more than the limit.

    ``estimates`` holds the bytes that the work on each partition may take, from above, by its name.  The workers of a
    scheduler have limits of their own; where they do not see the files, the work is done here.
    """
    needed = sorted(estimates.values(), reverse=True)
    if not needed or (workers.kind == "scheduler" and workers.exchange is None):
        return workers
    at_once = workers.count
    while at_once > 1 and sum(needed[:at_once]) > limit_bytes:
        at_once -= 1
    if at_once < workers.count:
        log.info("%s: %d instead of %d at a time, to stay within scale.memory_limit_gib", label, at_once, workers.count)
    if needed[0] > limit_bytes:
        worst = max(estimates, key=estimates.__getitem__)
        gib, limit = needed[0] / 2**30, limit_bytes / 2**30
        log.warning("%s: %s alone may need %.1f GiB; scale.memory_limit_gib is %.1f", label, worst, gib, limit)
    return workers.model_copy(update={"count": at_once})
