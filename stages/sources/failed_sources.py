"""Tell at once of all the files that could not be fetched, and what to do about them."""

from collections.abc import Sequence

from stages.sources.locations import Absent
from stages.sources.months import month_ranges
from stages.sources.transfer import Changed, Source
from stages.workspace.errors import UserError

SHOWN = 20  # lines about single files
INDENT = "\n        "  # of the second line onwards in a `UserError`

Failure = tuple[Source, UserError]


def report_failures(failures: Sequence[Failure], sources: Sequence[Source]) -> UserError:
    """One error for all ``failures`` among ``sources``: the absent months together, each other file on its own."""
    absent = [(source, error) for source, error in failures if source.month and isinstance(error, Absent)]
    changed = [source for source, error in failures if isinstance(error, Changed)]
    others = [failure for failure in failures if failure not in absent]
    steps = [_shorten(absent, sources)] if absent else []
    steps += [_accept(changed)] if changed else []
    steps += list(dict.fromkeys(error.next_step for _, error in others if not isinstance(error, Changed)))
    steps += _kept(len(sources) - len(failures))
    if len(failures) == 1:
        error = failures[0][1]
        return UserError(error.wanted, error.found, INDENT.join(steps))
    lines = [*_absent_months(absent), *(f"{error.wanted}: {error.found}" for _, error in others)]
    rest = [f"… and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    found = [f"{len(failures)} failed", *lines[:SHOWN], *rest]
    return UserError(f"{len(sources)} sources", INDENT.join(found), INDENT.join(steps))


def _absent_months(absent: Sequence[Failure]) -> list[str]:
    """One line for all the months that the same is said of."""
    said: dict[str, list[str]] = {}
    for source, error in absent:
        said.setdefault(error.found, []).append(source.month or "")
    return [f"{', '.join(month_ranges(months))}: {found}" for found, months in said.items()]


def _shorten(absent: Sequence[Failure], sources: Sequence[Source]) -> str:
    missing = {source.month for source, _ in absent}
    left = [source.month for source in sources if source.month and source.month not in missing]
    if not left:
        return "correct `series` under params/ and run `make params`, or set a mirror that holds these months"
    without = f"to go on without: `download.series.months: [{', '.join(month_ranges(left))}]`"
    return f"not published yet, or not in the mirror; {without}"


def _accept(changed: Sequence[Source]) -> str:
    names = ", ".join(source.month or source.name for source in changed)
    locks = ", ".join(sorted({str(source.recorded_in) for source in changed}))
    return (
        f"look at what has changed; `download.accept: [{names}]` takes the new files and updates {locks}"
        f"{INDENT}(where it is the mirror that differs from the publisher: give it a `download.lock` of its own)"
    )


def _kept(n_good: int) -> list[str]:
    files = "file that arrived is" if n_good == 1 else "files that arrived are"
    return [f"({n_good} {files} kept for the next run)"] if n_good else []
