"""What is counted?  Requests, rows, answers and swaps, for Prometheus; right with several workers too.

With PROMETHEUS_MULTIPROC_DIR in the environment every worker counts in files of its own there, and whichever is asked
adds up all of them; without it there is one process, which counts in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from stages.serving.answers import Tallied
from stages.serving.champion import Served
from stages.serving.champions import Champions

MULTIPROC = "PROMETHEUS_MULTIPROC_DIR"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Metrics:
    """Every metric of one server."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._requests = self._counter("requests", "Requests that were answered", "route", "method", "status")
        self._seconds = Histogram(
            "plumbline_request_seconds", "From the head of a request to the end of its answer", ["route"],
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self._rows = self._counter("rows", "Rows that were scored", "model", "version")
        self._predictions = self._counter("predictions", "Answers by class", "model", "version", "answer")
        self._missing = self._counter("inputs_missing", "Rows in which an input was missing", "model", "input")
        self._outside = self._counter(
            "inputs_out_of_reference", "Rows in which training never saw the like of an input", "model", "input"
        )
        self._refused = self._counter("rows_refused", "Rows that were not scored", "model", "reason")
        self._reloads = self._counter("model_reloads", "Looks at a bundle that had changed", "model", "outcome")
        self._info = self._gauge("model_info", "Which version answers: 1", "livemax", "model", "version", "data")
        self._fallback = self._gauge(
            "model_fallback", "1 while an earlier bundle answers for a broken one", "livemax", "model"
        )
        self._ready = self._gauge("ready", "Whether every model answers", "livemin")
        self._informed: set[tuple[str, str, str]] = set()

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"plumbline_{name}", about, labels, registry=self.registry)

    def _gauge(self, name: str, about: str, mode: str, *labels: str) -> Gauge:
        return Gauge(f"plumbline_{name}", about, labels, registry=self.registry, multiprocess_mode=mode)  # type: ignore[arg-type]

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request has been answered."""
        self._requests.labels(route, method if method in METHODS else "other", str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def answered(self, served: Served, tallied: Tallied) -> None:
        """Rows have been scored."""
        self._rows.labels(served.name, served.version).inc(tallied.rows)
        for answer, count in tallied.decided.items():
            self._predictions.labels(served.name, served.version, answer).inc(count)
        for name, count in tallied.missing.items():
            self._missing.labels(served.name, name).inc(count)
        for each in tallied.misfits:
            if each.kind in ("unknown category", "out of range"):
                self._outside.labels(served.name, each.column).inc(each.rows)

    def refused(self, model: str, reason: str, rows: int) -> None:
        """Rows have not been scored."""
        self._refused.labels(model, reason).inc(rows)

    def reloaded(self, model: str, outcome: str) -> None:
        """A bundle has been looked at."""
        self._reloads.labels(model, outcome).inc()

    def champions(self, champions: Champions) -> None:
        """Which versions answer now."""
        now = {(served.name, served.version, served.data) for served in champions}
        for stale in self._informed - now:
            self._info.labels(*stale).set(0)
        for each in now:
            self._info.labels(*each).set(1)
            self._fallback.labels(each[0]).set(each[0] in champions.trouble)
        self._informed |= now
        self._ready.set(champions.is_ready)

    def exposition(self) -> bytes:
        """Everything in Prometheus's text format."""
        if MULTIPROC not in os.environ:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def forget_dead_workers() -> None:
    """Take the gauges of ended workers out of what is told; their counts stay."""
    if folder := os.environ.get(MULTIPROC):
        for process in _counting(Path(folder).glob("gauge_live*.db")):
            try:
                os.kill(process, 0)
            except ProcessLookupError:
                mark_process_dead(process)  # type: ignore[no-untyped-call]


def _counting(files: Iterable[Path]) -> set[int]:
    return {int(path.stem.rpartition("_")[2]) for path in files}
