"""How often does a watch cry wolf, and does it see the wolf?  The line's rule beside Evidently, NannyML and old rules.

Data without drift (`drift_worlds`): independent rows in batches of 50 to 5,000; days that share their luck and run on
into one another; the training days of nycflights, whole weeks dealt at random.  Beside twenty quiet columns stand five
with a planted shift, each looked at as the one among twenty.  The rules look at 200 batches a run, libraries at 8; on
flights all at 2, and at every month of 2013.

    python -m benchmarks.study_drift [--runs 5] [--no-peers]
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import polars as pl

from benchmarks.contenders import find_python
from benchmarks.drift_rules import OWN, RATE, RULES, Evidence, Found, compare_profiles, find_cuts, p_of_rows
from benchmarks.drift_worlds import DAY, PLANTED, QUIET, WORLDS, Deal, World, deal_months, deal_weeks, write_pair
from benchmarks.measure import Cost, measure, quiet_rounds
from benchmarks.report import Figure, conditions, table, text_table, write_block
from benchmarks.workspace import ROOT
from stages.features.profile import profile_units
from stages.workspace.files import read_json

LIBRARIES = {"Evidently": "evidently", "NannyML": "nannyml"}
OWN_TRIALS, PEER_TRIALS, SPLITS = 200, 8, 2
FLIGHTS, TRAINED, WEEKS = "nycflights", "2013-08-31", 4
HEADER = ("", "false alarm", "columns", *PLANTED, "batches")
NOTE = (
    "In percent: batches without drift in which any of the twenty columns was called drifted, columns so called, and "
    "how often a planted shift was seen.  Shifts are in standard deviations.  Neither library looks at missing values."
)
# Written down when the rules had seen sixty batches of each setting and the libraries two, before the line looked at
# missing and new values by themselves.
PREDICTED_FALSE = (4.0, 4.0, 5.0, 5.0, 5.0, 7.0, 3.0, 8.0, 2.0)
PREDICTED_S = {OWN: 0.02, "Evidently": 4.0, "NannyML": 0.06}
PREDICTED_MIB = {OWN: 150.0, "Evidently": 450.0, "NannyML": 400.0}

Pair = tuple[str, pl.DataFrame, pl.DataFrame]


class Told(NamedTuple):
    """What one program said of a folder of pairs."""

    drifted: list[set[str]]
    seconds: list[float]
    cost: Cost


@dataclass
class Tally:
    """Batch by batch: false alarms among the quiet columns, and which planted shifts were seen."""

    alarms: list[float] = field(default_factory=list)
    caught: dict[str, list[bool]] = field(default_factory=lambda: {name: [] for name in PLANTED})

    def note(self, drifted: Callable[[Sequence[str]], set[str]]) -> None:
        """Ask for the drifted among all quiet columns, and among twenty of which one was planted."""
        self.alarms.append(len(drifted(QUIET)) / len(QUIET))
        for name, seen in self.caught.items():
            seen.append(name in drifted((*QUIET[1:], name)))

    @property
    def false(self) -> float:
        """Percent of batches with a false alarm."""
        return 100 * float(np.mean([share > 0 for share in self.alarms]))

    def row(self, name: str) -> tuple[str, ...]:
        """In the order of `HEADER`."""
        seen = (f"{100 * np.mean(each):.0f}" for each in self.caught.values())
        return name, f"{self.false:.1f}", f"{100 * np.mean(self.alarms):.2f}", *seen, f"{len(self.alarms)}"


def judge_rows(reference: pl.DataFrame, batch: pl.DataFrame, *, by_units: bool) -> Found:
    """What is known of one batch."""
    cuts, unit = find_cuts(reference), DAY if by_units else None
    before, now = (profile_units(rows, cuts, unit) for rows in (reference, batch))
    found = compare_profiles(before, now, cuts, by_units=by_units)
    return {name: Evidence(each.drift, p_of_rows(reference[name], batch[name])) for name, each in found.items()}


def decided(decide: Callable[[Found], set[str]], found: Found, names: Sequence[str]) -> set[str]:
    """By a rule that corrects for many looks, of a family of columns."""
    return decide({name: found[name] for name in names})


def study_world(world: World, trials: int) -> dict[str, Tally]:
    """The rules that need no library."""
    tallies = {rule: Tally() for rule in RULES}
    for seed in range(trials):
        found = judge_rows(*world.draw(seed), by_units=world.by_units)
        for rule, decide in RULES.items():
            tallies[rule].note(partial(decided, decide, found))
    return tallies


def find_programs() -> dict[str, list[str]]:
    """The libraries that are installed, and the line itself as a program."""
    found = {name: python for name, package in LIBRARIES.items() if (python := find_python(package))}
    return {OWN: [sys.executable, "-m", "benchmarks.drift_rules", OWN]} | {
        f"{name} {version}": [python, "benchmarks/peer_drift.py", LIBRARIES[name]]
        for name, (python, version) in found.items()
    }


def ask(programs: Mapping[str, Sequence[str]], pairs: Iterable[Pair]) -> dict[str, Told]:
    """What each program says of the same files."""
    with TemporaryDirectory(prefix="plumbline-drift-") as temporary:
        folder, out = Path(temporary), Path(temporary) / "found.json"
        for pair in pairs:
            write_pair(folder, *pair)
        told = {}
        for program, command in programs.items():
            cost = measure([*command, str(folder), str(out)], cwd=ROOT)
            found = read_json(out)
            told[program] = Told(
                [set(each["drifted"]) for each in found.values()], [each["seconds"] for each in found.values()], cost
            )
    return told


def tally_told(drifted: Sequence[set[str]]) -> Tally:
    """Of a library, whose verdict on one column knows nothing of the others."""
    tally = Tally()
    for names in drifted:
        tally.note(names.intersection)
    return tally


# ── real days ────────────────────────────────────────────────────────────────────────────────────────────────────────
def read_flights() -> pl.DataFrame:
    """What the model of nycflights reads, with the day of each row; all of 2013."""
    chosen = read_json(ROOT / "data" / "selection" / f"{FLIGHTS}.json")["selected"]
    months = sorted((ROOT / "data" / "features" / FLIGHTS).glob("2013-*.parquet"))
    return pl.concat(pl.read_parquet(month, columns=[DAY, *chosen]) for month in months)


def pairs_of(flights: pl.DataFrame, deals: Iterable[Deal]) -> Iterator[Pair]:
    """Rows of the dealt days."""
    for name, *sides in deals:
        before, now = (flights.filter(pl.col(DAY).cast(pl.String).is_in(days)) for days in sides)
        yield name, before, now


def study_flights(programs: Mapping[str, Sequence[str]], splits: int) -> tuple[str, dict[str, Told]]:
    """How many columns each rule calls drifted, of random weeks and of every month; and the costs of a month."""
    flights = read_flights()
    days = flights[DAY].unique().sort().cast(pl.String).to_list()
    deals = {
        "weeks": list(deal_weeks([day for day in days if day <= TRAINED], WEEKS, splits)),
        "months": list(deal_months(days, TRAINED)),
    }
    drifted: dict[str, dict[str, list[int]]] = defaultdict(dict)
    for kind, dealt in deals.items():
        found = [judge_rows(before, now, by_units=True) for _, before, now in pairs_of(flights, dealt)]
        for rule, decide in RULES.items():
            drifted[rule][kind] = [len(decide(each)) for each in found]
        others = {name: command for name, command in programs.items() if name != OWN or kind == "months"}
        told = ask(others, pairs_of(flights, dealt))
        for name in told.keys() - {OWN}:
            drifted[name][kind] = [len(each) for each in told[name].drifted]
    rows = []
    for name, by_kind in drifted.items():
        quiet = by_kind["weeks"]
        alarmed, mean = 100 * np.mean([n > 0 for n in quiet]), np.mean(quiet)
        rows.append((name, f"{alarmed:.0f}", f"{mean:.1f}", *(str(n) for n in by_kind["months"])))
    header = ("", "false alarm, %", "columns", *(name[5:] for name, *_ in deals["months"]))
    said = (
        f"Columns of nycflights called drifted, of {flights.width - 1}: {WEEKS} weeks dealt at random against the other"
        f" training weeks ({splits} times; the mean), then each month of 2013 against the other training months."
    )
    return f"{said}\n\n{text_table(header, rows)}", told


def main(*, runs: int = 5, patience_s: float = 600.0, peers: bool = True) -> str:
    """Study, and return the block for RESULTS.md."""
    programs = find_programs() if peers else {}
    figures, parts, others = [], [], list[float]()
    for world, predicted in zip(WORLDS, PREDICTED_FALSE, strict=True):
        for _ in quiet_rounds(1, patience_s):
            false, part, told = tell_world(world, predicted, programs, runs)
        figures += [false, *(cost_figures(told) if world is WORLDS[-1] else ())]
        parts.append(part)
        others += [each.cost.others_cores for each in told.values()]
    flights, told = study_flights(programs, SPLITS * runs)
    figures += [Figure(f"{each.name}, a month of flights", each.values, each.unit) for each in cost_figures(told)]
    return "\n\n".join((conditions(others), table(figures), NOTE, *parts, flights))


def tell_world(
    world: World, predicted: float, programs: Mapping[str, Sequence[str]], runs: int
) -> tuple[Figure, str, dict[str, Told]]:
    """The line's false alarms beside their bar, a table of all rules, and what the programs said."""
    told = ask(programs, ((f"{seed:03d}", *world.draw(seed)) for seed in range(PEER_TRIALS * runs)))
    tallies = study_world(world, OWN_TRIALS * runs)
    tallies |= {name: tally_told(each.drifted) for name, each in told.items() if name != OWN}
    chance = 3 * np.sqrt(RATE * (1 - RATE) / (OWN_TRIALS * runs))
    bar = 100 * (RATE + chance)
    false = Figure(f"batches with a false alarm, {world.told}", [tallies[OWN].false], "%", predicted, at_most=bar)
    rows = [tally.row(name) for name, tally in tallies.items()]
    return false, f"*{world.told}*\n\n{text_table(HEADER, rows)}", told


def cost_figures(told: Mapping[str, Told]) -> list[Figure]:
    """Seconds from frames in memory to verdicts, and the peak of a process that judges one pair after another."""
    figures = []
    for name, each in told.items():
        word = name.partition(" ")[0]
        figures.append(Figure(f"{name}, a batch", each.seconds, "s", PREDICTED_S[word]))
        figures.append(Figure(f"{name}, peak memory", [each.cost.tree_mib], "MiB", PREDICTED_MIB[word]))
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--no-peers", dest="peers", action="store_false")
    options = parser.parse_args()
    text = main(runs=options.runs, patience_s=0.0, peers=options.peers)
    write_block("drift", text)
    print(text)
