"""What the server says of itself: lines of JSON, without anything that was sent to it; words on a terminal."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time, level, message, and the fields that the record brings."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        told = {"time": when, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        told |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[0]:  # its message may hold what was sent
            told["error"] = record.exc_info[0].__name__
        return json.dumps(told, ensure_ascii=False, default=str)


class Words(logging.Formatter):
    """The same for a person at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = getattr(record, "fields", {})
        return " ".join([record.getMessage(), *(str(value) for key, value in fields.items() if key in SHOWN)])


SHOWN = ("method", "route", "status", "ms", "rows", "error")


def start_server_log() -> None:
    """Send every record to standard error, one line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Words() if sys.stderr.isatty() else JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
