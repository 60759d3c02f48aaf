"""What is known of a cleaned partition, and what follows for the whole table?  Facts that add up, as JSON values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from stages.records.contract import Calendar


@dataclass(frozen=True)
class CleanedPartition:
    """Facts about one partition of one table."""

    table: str
    partition: str
    published: int
    clean: int
    quarantined: int
    failures: dict[str, int]
    key_range: list[Any] | None
    """Least and greatest value of the first column of the key; dates as text."""
    days: list[str] = field(default_factory=list)
    unlabelled: dict[str, int] = field(default_factory=dict)
    simulated: bool = False
    """Whether a published file carries the mark of simulated rows."""

    @property
    def rows_in(self) -> int:
        """Rows that were read: every one is either clean or quarantined."""
        return self.clean + self.quarantined


def as_json_value(value: Any) -> Any:
    """Dates and times as ISO text, which sorts as they do; anything else as it is."""
    return value.isoformat() if isinstance(value, date | datetime) else value


def of_table(cleaned: Sequence[CleanedPartition], table: str) -> list[CleanedPartition]:
    """The partitions of one table."""
    return [part for part in cleaned if part.table == table]


def add_up(counts: Sequence[dict[str, int]]) -> Counter[str]:
    """Counts by name over all partitions."""
    return sum((Counter(part) for part in counts), Counter[str]())


def missing_days(days: Sequence[date], calendar: Calendar = "run") -> list[date]:
    """Days without a row: between the first and the last, or of the calendar months that have any."""
    if not days:
        return []
    present = set(days)
    if callable(calendar):
        return [day for day in calendar(min(days), max(days)) if day not in present]
    if calendar == "run":
        return [
            day for n in range((max(days) - min(days)).days) if (day := min(days) + timedelta(days=n)) not in present
        ]
    firsts = sorted({day.replace(day=1) for day in present})
    return [day for first in firsts for day in _month(first) if day not in present]


def _month(first: date) -> list[date]:
    following = (first + timedelta(days=31)).replace(day=1)
    return [first + timedelta(days=n) for n in range((following - first).days)]


def summarize(
    cleaned: Sequence[CleanedPartition], records: str, references: Sequence[str], missing: Sequence[date]
) -> dict[str, Any]:
    """The contents of ``metrics/<dataset>/clean.json``."""
    tables = {}
    for table in (records, *references):
        parts = of_table(cleaned, table)
        tables[table] = {
            "rows_published": sum(part.published for part in parts),
            "rows_in": sum(part.rows_in for part in parts),
            "rows_clean": sum(part.clean for part in parts),
            "rows_quarantined": sum(part.quarantined for part in parts),
        }
    parts = of_table(cleaned, records)
    unlabelled = add_up([part.unlabelled for part in parts])
    days = {day for part in parts for day in part.days}
    labelled = sum(part.clean for part in parts) - sum(unlabelled.values())
    return {
        **({"simulated": True} if any(part.simulated for part in cleaned) else {}),
        "records": {**tables[records], "labelled": labelled},
        "unlabelled": dict(sorted(unlabelled.items())),
        "calendar": {"days": len(days), "missing_days": len(missing)} if days else {},
        "references": {table: tables[table] for table in references},
        "failures": dict(sorted(add_up([part.failures for part in cleaned]).items())),
    }
