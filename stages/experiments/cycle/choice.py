"""Is it time to train again, and on which days?

The window ends with the newest day whose outcome is known.  Its last days judge (test), the days before them choose
(valid), and all before those teach (train):

    |────────── train ──────────|── valid_days ──|── test_days ──|
                         train_until       valid_until      newest day

Time is told by the data, never by a clock: a schedule counts the days by which the training part would grow, since the
champion's or since that of the last candidate, whatever became of it.  Drift does not end when a candidate was not
promoted, and to look anew each day is to promote by chance: so there is a pause.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from pydantic import Field

from stages.workspace.settings import Settings

Occasion = Literal["schedule", "drift", "quality"]


class CycleSettings(Settings):
    """When a dataset's model is trained again, and on what."""

    dry: bool = Field(description="only tell what a cycle would do")
    source: str | None = Field(min_length=1, description="what `stages.arrive` asks; null where nothing is fetched")
    revisions: Literal["refuse", "record"] = Field(description="values that are published anew; see `stages.arrive`")
    state: str | None = Field(None, min_length=1, description="of `stages.ingest`; null takes state/<dataset>.sqlite")
    every: Literal["day", "week", "month"] = Field(description="rows that monitoring takes together")
    retrain_on: list[Occasion] = Field(description="occasions; an empty list never trains")
    schedule_days: int = Field(ge=1, description="days by which the training part has to grow to be due")
    pause_days: int = Field(ge=1, description="days by which it has to grow before drift or quality train once more")
    valid_days: int = Field(ge=1, description="days before the test part that choose")
    test_days: int = Field(ge=1, description="newest days with an outcome, that judge")


@dataclass(frozen=True)
class Window:
    """The last day of the train part and that of the valid part, and the newest day with an outcome."""

    train_until: str
    valid_until: str
    newest: str

    @property
    def split(self) -> dict[str, str]:
        """As `featurize.split` has it."""
        return {"train_until": self.train_until, "valid_until": self.valid_until}


@dataclass(frozen=True)
class Choice:
    """Whether to train again, on which window, and why (not)."""

    trains: bool
    occasions: tuple[Occasion, ...]
    reason: str
    window: Window


def window_of(newest: str, settings: CycleSettings) -> Window:
    """The window that ends with the day ``newest``."""
    valid_until = date.fromisoformat(newest) - timedelta(days=settings.test_days)
    train_until = valid_until - timedelta(days=settings.valid_days)
    return Window(train_until.isoformat(), valid_until.isoformat(), newest)


def choose(settings: CycleSettings, newest: str, monitor: Mapping[str, Any], tried_until: str | None = None) -> Choice:
    """The choice, from the newest day with an outcome and what monitoring found (``monitor.json``).

    ``tried_until`` is the last day that the last candidate learnt from; None where there was none.
    """
    window, taught_until = window_of(newest, settings), str(monitor["reference"]["to"])[:10]
    batch = monitor["newest"] or {}
    since = {"the champion": taught_until} | ({"the last candidate": tried_until} if tried_until else {})
    whose = max(since, key=since.__getitem__)
    grown = (date.fromisoformat(window.train_until) - date.fromisoformat(since[whose])).days
    if grown < 1:
        ends = f"the window's training part ends on {window.train_until}, that of {whose} on {since[whose]}"
        return Choice(False, (), f"no newer day to train on: {ends}", window)
    rested = whose == "the champion" or grown >= settings.pause_days
    found: dict[Occasion, str | None] = {
        "schedule": f"{grown} days more to train on" if grown >= settings.schedule_days else None,
        "drift": _drift(batch),
        "quality": "the champion has become worse" if batch.get("quality") == "worse" else None,
    }
    counted: set[Occasion] = {"schedule", "drift", "quality"} if rested else {"schedule"}
    due = tuple(name for name in settings.retrain_on if found[name] and name in counted)
    if due:
        return Choice(True, due, "; ".join(f"{name}: {found[name]}" for name in due), window)
    told = f"{grown} days more to train on than {whose} ({settings.schedule_days} are asked for)"
    pause = f"soon after the last candidate ({settings.pause_days} days are asked for)"
    put_off = [f"{name}, {pause if name in settings.retrain_on else 'not asked for'} ({what})"
               for name, what in found.items() if what]  # fmt: skip
    return Choice(
        False, (), "; ".join([told, *(put_off or [f"no drift; quality: {batch.get('quality', 'unknown')}"])]), window
    )


def _drift(batch: Mapping[str, Any]) -> str | None:
    moved: Sequence[str] = [*batch.get("drifted", ()), *(["the prediction"] if batch.get("prediction_drifted") else [])]
    return f"{', '.join(moved)} in {batch['batch']}" if moved else None
