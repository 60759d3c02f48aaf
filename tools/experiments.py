"""One line an experiment: what was tried since a baseline, and what came of it.

Reads   every experiment of the baseline: its resampling tables, parameters and date; DVC's queue
Writes  a table to standard output, 100 characters wide

Figures and verdicts are those of `make ranking`, which has all the columns; what it calls "not ranked" stands below,
with the reason.  An experiment that changed several datasets has a line under each of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill

from stages.compare import choose_datasets, each_dataset, parse, rank, side_of
from stages.experiments.comparison.changes import Change
from stages.experiments.comparison.files import SAME_TABLE
from stages.experiments.comparison.ranking import Ranked, Ranking, ranking_conclusion
from stages.experiments.comparison.words import decimals
from stages.experiments.revisions.revisions import experiments_of, resolve
from stages.experiments.revisions.waiting import started_elsewhere, waiting_experiments
from stages.pages.numbers import ARROWS, elided, estimate_text, figure, fixed
from stages.pages.tables import Column, as_text, table
from stages.runtime.commands import run_command
from stages.workspace.errors import UserError
from stages.workspace.git import ask_git, lines_of

WIDTH, NAME, GAP = 100, 18, 2
LEAST_CHANGED = 12  # characters for what was changed


def main(*arguments: str) -> None:
    """List the experiments of a baseline; the options are those of ``python -m stages.compare --all``."""
    options = parse(["--all", *arguments])
    baseline = resolve(options.baseline or "HEAD")
    experiments, waiting = experiments_of(baseline), waiting_experiments(baseline.commit)
    if not experiments and not waiting:
        others = started_elsewhere(baseline.commit).items()
        elsewhere = "".join(f"\n{n} started from {start[:8]}." for start, n in others)
        print(
            f"No experiment has started from {side_of(baseline)}.{elsewhere}\n"
            "Run one: dvc exp run -n NAME -S datasets.<dataset>.model.max_depth=4"
        )
        return
    unread: list[str] = []
    datasets = choose_datasets([baseline], options.dataset)[0] if experiments else []
    rankings, refused = each_dataset(
        datasets, lambda dataset: rank(baseline, experiments, {}, dataset, options, unread)
    )
    dates = dates_of([experiment.commit for experiment in experiments if experiment.commit])
    pieces = [listed(ranking, dates) for ranking in rankings if ranking.ranked]
    rest = [as_line(name, why) for name, why in (unranked(rankings) | waiting).items()]
    print("\n\n".join([*pieces, *(["\n".join(["Without a line above:", *rest])] if rest else [])]))
    if failures := [*refused, *unread]:
        raise UserError(
            "the results of every experiment", "\n        ".join(failures), "mend these and run the same command again"
        )


def dates_of(commits: Sequence[str]) -> dict[str, str]:
    """When each commit was made, in local time: ``27 Nov 21:20``."""
    told = ask_git("show", "--no-patch", "--format=%H %cd", "--date=format-local:%d %b %H:%M", *commits, "--")
    return dict(line.split(" ", 1) for line in lines_of(told)) if commits else {}


def listed(ranking: Ranking, dates: Mapping[str, str]) -> str:
    """One dataset: the baseline, a line for each experiment that changed its results, and what they come to."""
    first = ranking.ranked[0].found
    head = f"{ranking.drawn.dataset}: baseline {ranking.baseline}, {first.metric} {figure(first.a)}"
    columns: list[Column | str] = [
        Column("experiment", "name"), Column("when", "words"),
        Column(f"{first.metric} {ARROWS[first.direction]}", "words"), "difference", Column("verdict", "verdict"),
        Column("changed", "words"),
    ]  # fmt: skip
    rows = [figures_of(each, dates) for each in ranking.ranked]
    heads = [column if isinstance(column, str) else column.label for column in columns]
    used = sum(max(map(len, cells)) + GAP for cells in zip(heads[:-1], *rows, strict=True))
    room = max(WIDTH - used, LEAST_CHANGED)
    shown = [[*row, changed(each.changes, room)] for row, each in zip(rows, ranking.ranked, strict=True)]
    told = as_text(table("Experiments", columns, shown))
    return "\n\n".join([elided(head, WIDTH), told, fill(ranking_conclusion(ranking), WIDTH)])


def figures_of(each: Ranked, dates: Mapping[str, str]) -> list[str]:
    """Name, date, the metric with its own interval, the difference to the baseline, the verdict."""
    found = each.found
    return [
        elided(each.side.label, NAME), dates.get(each.side.commit or "", ""),
        estimate_text(found.b, each.own.low, each.own.high), fixed(found.difference, decimals(found), sign=True),
        found.verdict,
    ]  # fmt: skip


def changed(changes: Sequence[Change], room: int) -> str:
    """``max_depth 5→3, max_rounds 1000→50 +2``: the last names of what was changed, as many as there is room for."""
    told = [f"{change.path.rpartition('.')[2]} {change.a or '–'}→{change.b or '–'}" for change in changes]
    for shown in range(len(told), 0, -1):
        text = ", ".join(told[:shown]) + (f" +{len(told) - shown}" if shown < len(told) else "")
        if len(text) <= room or shown == 1:
            return elided(text, room)
    return elided("code or data", room)


def unranked(rankings: Sequence[Ranking]) -> dict[str, str]:
    """Why an experiment has no line anywhere, the telling reason before the one that nothing has changed."""
    shown = {each.side.label for ranking in rankings for each in ranking.ranked}
    reasons: dict[str, str] = {}
    for ranking in rankings:
        for name, why in ranking.unranked.items():
            if name not in shown and reasons.get(name, SAME_TABLE) == SAME_TABLE:
                reasons[name] = why
    return reasons


def as_line(name: str, why: str) -> str:
    """A name and a reason that fit a line."""
    return elided(f"{elided(name, NAME):{NAME}}{' ' * GAP}{why}", WIDTH)


if __name__ == "__main__":
    run_command(main)
