"""The steps of a cycle, in their order: each another command, and what the next ones need to know of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from stages.experiments.cycle import journal as journals
from stages.experiments.cycle import line
from stages.experiments.cycle.choice import CycleSettings, Window, choose
from stages.experiments.cycle.journal import Journal
from stages.experiments.promotion import log as decisions
from stages.experiments.promotion.ruling import MAKES_A_CHAMPION
from stages.features.table import open_features
from stages.workspace import layout
from stages.workspace.errors import UserError
from stages.workspace.files import read_json
from stages.workspace.settings import read_params

Found = dict[str, Any]


@dataclass
class Cycle:
    """A cycle under way: what it is asked, what it holds, what it has found so far."""

    dataset: str
    settings: CycleSettings
    lock: IO[str]
    journal: Journal
    commits: bool
    pushes: bool

    def found(self, step: str) -> Found:
        """What a finished step found."""
        found: Found = self.journal.noted[step]
        return found

    @property
    def trains(self) -> bool:
        """Whether it was decided to train."""
        return bool(self.found("choose")["trains"])

    @property
    def experiment(self) -> str:
        """The name of the experiment."""
        return f"{self.dataset}-cycle-{self.found('begun')['number']}"

    @property
    def promoted(self) -> bool:
        """Whether the new model is the champion now."""
        return self.trains and self.found("judge")["decision"] in MAKES_A_CHAMPION


# ── the steps ────────────────────────────────────────────────────────────────────────────────────────────────────────
def look(cycle: Cycle) -> Found:
    """Ask the source; new is what the line, or the cycle before, has not seen."""
    name, settings = cycle.dataset, cycle.settings
    if settings.source:
        line.refuse_other_source(name, read_params()["datasets"][name])
        words = line.stage("arrive", name, "--from", settings.source, "--revisions", settings.revisions)
        line.run(words, cycle.lock)
    if new := line.is_new(name):
        require_champion(name)
        line.split_file(name, {"train_until": "", "valid_until": ""})
    return {"new": new}


def take(cycle: Cycle) -> Found:
    """Let the line take what has arrived, as far as its features."""
    name = cycle.dataset
    if line.is_waiting(name):
        line.run([*line.DVC, "repro", "--quiet", "--force", "--single-item", f"download@{name}"], cycle.lock)
    line.run([*line.DVC, "repro", "--quiet", "--single-item", f"clean@{name}", f"featurize@{name}"], cycle.lock)
    return {"data": line.data_id(name), "newest": line.newest_day(open_features(name))}


def ingest(cycle: Cycle) -> Found:
    """Tell the state, where there is one, so that answers know of it before any model does."""
    name, settings = cycle.dataset, cycle.settings
    if settings.source and (settings.state or layout.state(name).exists()):
        where = ["--state", settings.state] if settings.state else []
        line.run(line.stage("ingest", name, *line.arrived(name), *where), cycle.lock)
    return {}


def monitor(cycle: Cycle) -> Found:
    """Watch the champion on the rows that came after its own."""
    line.run(line.stage("monitor", cycle.dataset, "--every", cycle.settings.every), cycle.lock)
    return read_monitor(cycle.dataset)


def choose_window(cycle: Cycle) -> Found:
    """Whether to train; then what is tracked stands as it is to come back to."""
    choice = choose(
        cycle.settings, cycle.found("take")["newest"], cycle.found("monitor"), journals.tried_until(cycle.dataset)
    )
    line.add(kept_paths(cycle.dataset), cycle.lock)
    return asdict(choice) | {"snapshot": line.snapshot()}


def train(cycle: Cycle) -> Found:
    """One DVC experiment on the new window, from the snapshot on."""
    if not cycle.trains:
        return {}
    name, window = cycle.dataset, Window(**cycle.found("choose")["window"])
    before = cycle.found("choose")["snapshot"]
    line.forget_experiment(cycle.experiment, cycle.lock)
    line.restore(before, name, cycle.lock)
    try:
        line.run([*line.DVC, *training_command(name, cycle.experiment, window)[1:]], cycle.lock)
    except UserError:
        line.restore(before, name, cycle.lock)  # who mends what went wrong finds the parameters as they were
        raise
    return {"experiment": cycle.experiment, "commit": line.experiment_of(cycle.experiment)}


def judge(cycle: Cycle) -> Found:
    """Champion and candidate on the newest days; a decision that a killed run has recorded counts."""
    if not cycle.trains:
        return {}
    name, candidate = cycle.dataset, cycle.found("train")["commit"]
    if not (made := decision_on(cycle, candidate)):
        line.run(line.stage("promote", cycle.experiment, "--dataset", name), cycle.lock)
        made = decision_on(cycle, candidate)
    if not made:
        raise UserError(f"a decision about {cycle.experiment}", "none in the log", f"look at {layout.decisions(name)}")
    return {key: made[key] for key in ("number", "decision", "reason")}


def settle(cycle: Cycle) -> Found:
    """Keep the split of a promoted model; of any other, the workspace goes back to where it was."""
    if cycle.promoted:
        line.keep_split(cycle.dataset, Window(**cycle.found("choose")["window"]).split)
        line.run([*line.DVC, "repro", "--quiet", "--single-item", "params"], cycle.lock)
    elif cycle.trains:
        line.restore(cycle.found("choose")["snapshot"], cycle.dataset, cycle.lock)
    return {}


def write_log(cycle: Cycle) -> Found:
    """One line for the cycle."""
    begun, chosen = cycle.found("begun"), cycle.found("choose")
    journals.append(cycle.dataset, {
        "number": begun["number"], "when": begun["when"], "dataset": cycle.dataset,
        "data": cycle.found("take")["data"], "newest_day": cycle.found("take")["newest"],
        "monitor": cycle.found("monitor"), "trained": chosen["trains"], "occasions": chosen["occasions"],
        "reason": chosen["reason"], "window": chosen["window"],
        "experiment": cycle.found("train") or None, "promotion": cycle.found("judge") or None,
    })  # fmt: skip
    return {}


def commit(cycle: Cycle) -> Found:
    """One commit of all that the cycle has changed."""
    if not cycle.commits:
        return {}
    name, chosen = cycle.dataset, cycle.found("choose")
    decided = cycle.found("judge")["decision"] if cycle.trains else "wait"
    subject = f"Cycle {cycle.found('begun')['number']} of {name}: {decided}"
    told = [subject, f"Outcomes are known up to {chosen['window']['newest']}.  {chosen['reason']}."]
    if cycle.trains:
        told.append(cycle.found("judge")["reason"])
    return {"commit": line.commit(kept_paths(name), "\n\n".join(told), cycle.lock)}


def push(cycle: Cycle) -> Found:
    """Data and models first, then what names them."""
    if cycle.pushes:
        made = line.stages_run(cycle.dataset, ("download", "clean", *line.TRAINED))
        line.run([*line.DVC, "push", *made], cycle.lock)
        line.run([*line.DVC, "push", "--all-tags", str(layout.bundles(cycle.dataset))], cycle.lock)
        line.run(["git", "push"], cycle.lock)
        line.run(["git", "push", "--tags"], cycle.lock)  # a champion's is on no branch: its commit is an experiment's
    return {}


STEPS: dict[str, Callable[[Cycle], Found]] = {
    "take": take, "ingest": ingest, "monitor": monitor, "choose": choose_window, "train": train, "judge": judge,
    "settle": settle, "log": write_log, "commit": commit, "push": push,
}  # fmt: skip


def read_monitor(dataset: str) -> Found:
    """What of ``monitor.json`` a choice rests on, and the log keeps."""
    told = read_json(layout.monitoring(dataset) / "monitor.json")
    return {name: told[name] for name in ("model", "reference", "newest")}


def require_champion(dataset: str) -> None:
    """The first champion is made by a person: there is nothing to judge a first model by."""
    from stages.experiments.promotion import registry  # GTO takes as long as all else where nothing is new

    if registry.champion(dataset) is None:
        first = f"look at its results, then `python -m stages.promote HEAD --dataset {dataset}`"
        raise UserError(f"a champion of {dataset}, to be watched and to judge candidates by", "none", first)


def training_command(dataset: str, experiment: str, window: Window) -> list[str]:
    """The experiment on a window, as a person would type it."""
    moved = [f"datasets.{dataset}.featurize.split.{key}={day}" for key, day in window.split.items()]
    overrides = [word for override in moved for word in ("-S", override)]
    return ["dvc", "exp", "run", "-n", experiment, *overrides, f"package@{dataset}", f"report@{dataset}"]


def decision_on(cycle: Cycle, candidate: str) -> Found | None:
    """What was decided about a candidate since the cycle began."""
    made = decisions.read_log(cycle.dataset)[cycle.found("begun")["decided"] :]
    return next((entry for entry in made if entry["candidate"]["commit"] == candidate), None)


def kept_paths(dataset: str) -> list[str]:
    """What of a cycle's work git keeps."""
    return [*written_paths(dataset), f"params/dataset/{dataset}.yaml", "params.yaml"]


def written_paths(dataset: str) -> list[str]:
    """What of it nobody writes by hand."""
    own = [layout.monitoring(dataset), layout.cycles(dataset), layout.decisions(dataset)]
    figures = [layout.metrics(dataset), layout.plots(dataset)]
    sources = [Path(f"sources/{dataset}.json"), Path(f"sources/{dataset}.revisions.jsonl")]
    return [str(path) for path in (*sources, *own, *figures, Path("dvc.lock"))]
