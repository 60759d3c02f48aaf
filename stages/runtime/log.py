"""What a running stage says: one line per fact, and progress that suits a terminal or a log file."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

PLAIN_LINE_EVERY_S = 10.0

log = logging.getLogger("plumbline")


def start_log() -> None:
    """Send one-line messages to standard error; called by a stage's ``__main__``, never at import."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)  # where keys were found is no news


class Progress:
    """Counts work done: a bar on a terminal, a plain line every few seconds elsewhere."""

    def __init__(self, label: str, total: int | None, unit: str) -> None:
        self.label, self.total, self.unit, self.done = label, total, unit, 0
        self._last_line = time.monotonic()
        self._bar: tqdm[Any] | None = None
        if sys.stderr.isatty():
            scaled = unit == "B"
            self._bar = tqdm(total=total, desc=label, unit=unit, unit_scale=scaled, leave=False, file=sys.stderr)

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Count ``amount`` more units of work; ``note`` is shown beside the count."""
        self.done += amount
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(amount)
        elif time.monotonic() - self._last_line >= PLAIN_LINE_EVERY_S:
            self._last_line = time.monotonic()
            of_total = f" of {self.total:,}" if self.total else ""
            log.info("%s: %s%s %s %s", self.label, f"{self.done:,}", of_total, self.unit, note)

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._bar is not None:
            self._bar.close()


@contextmanager
def progress(label: str, total: int | None, unit: str) -> Iterator[Progress]:
    """A `Progress` that is closed however the work ends."""
    counter = Progress(label, total, unit)
    try:
        yield counter
    finally:
        counter.close()
