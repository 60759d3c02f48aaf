"""A stage works on no more partitions at a time than fit in the memory that it may take."""

import pytest

from stages.runtime.partitions import fit_in_memory
from stages.workspace.settings import WorkerSettings


def cluster(**changes: object) -> WorkerSettings:
    return WorkerSettings.model_validate({"workers": 4, "training_threads": 1, **changes})


@pytest.mark.parametrize(
    ("estimates", "limit", "workers"),
    [([10, 10, 10, 10], 40, 4), ([10, 10, 10, 10], 39, 3), ([30, 1, 1, 1], 32, 3), ([99], 10, 1), ([], 1, 4)],
)
def test_the_largest_partitions_fit_side_by_side(estimates: list[int], limit: int, workers: int) -> None:
    assert fit_in_memory(cluster(), dict(zip("abcd", estimates, strict=False)), limit, "work").count == workers


def test_a_partition_that_does_not_fit_alone_is_named(caplog) -> None:
    fit_in_memory(cluster(), {"2008-01": 3 << 30, "2008-02": 1}, 1 << 30, "work")
    assert "work: 2008-01 alone may need 3.0 GiB; scale.memory_limit_gib is 1.0" in caplog.text


@pytest.mark.parametrize(("exchange", "workers"), [(None, 4), ("memory://there", 1)])
def test_the_limit_counts_where_the_work_is_done(exchange: str | None, workers: int) -> None:
    asked = cluster(kind="scheduler", address="tcp://127.0.0.1:1", exchange=exchange)
    assert fit_in_memory(asked, {"a": 10, "b": 10}, 10, "work").count == workers
