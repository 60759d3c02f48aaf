"""Decide whether a candidate becomes the champion of a dataset, record why, and mark it in the registry.

Reads   data/features/<dataset>       the test part: the recent rows by which both are judged
        bundles/<dataset>             of the candidate's and of the champion's revision (cache, then remote)
        data/evaluation/<dataset>.parquet    of both: enough, where they are about these very rows
Writes  registry/<dataset>.jsonl      the decision with its evidence, in git
        git tags                      <dataset>@v0.0.2 and <dataset>#champion#2, GTO's registry
Params  datasets.<dataset>.promote, datasets.<dataset>.evaluate, seed, cluster
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from stages.experiments.promotion import log as decision_log
from stages.experiments.promotion import registry
from stages.experiments.promotion.challenge import PromoteSettings, evaluate_challenger
from stages.experiments.promotion.contenders import Contender, fetch_bundle, open_contender, refuse_outdated_bundle
from stages.experiments.promotion.log import Entry
from stages.experiments.promotion.registry import Registered, Tag
from stages.experiments.promotion.rows import choose_rows, refuse_few_units
from stages.experiments.promotion.ruling import (
    MAKES_A_CHAMPION,
    Ruling,
    decision_text,
    refuse_metric,
    succession,
    tell_history,
)
from stages.experiments.revisions.revisions import Revision, read_output, resolve
from stages.features.table import FeatureTable, open_features
from stages.metrics.settings import EvaluateSettings, refuse_few_replicates
from stages.metrics.stored import task_named
from stages.runtime.commands import run_command
from stages.runtime.log import log, start_log
from stages.workspace import layout
from stages.workspace.errors import UserError, plain_words
from stages.workspace.files import require_writable
from stages.workspace.lock import alone
from stages.workspace.settings import read_params, read_settings, read_workers

HELP = """\
promote       the interval of the gain lies above the margin: the candidate becomes the champion
keep          it lies at or below the margin: the champion stays
inconclusive  the margin lies inside the interval: these rows cannot tell, and the champion stays
suspicious    the gain is more than promote.max_gain trusts: the champion stays; who has looked adds --accept-gain

Where there is no champion, the first model becomes it.  Tags are local until `git push --tags`.
"""


def main(*arguments: str) -> None:
    """Judge a candidate, roll back, or tell; see ``--help``."""
    options = parse(arguments)
    dataset = options.dataset or next(iter(read_params()["datasets"]))
    read_settings(PromoteSettings, dataset, "promote")
    if options.history:
        print(tell_history(dataset, decision_log.read_log(dataset)))
    elif options.champion:
        print(tell_champion(dataset))
    elif options.rollback or options.candidate:
        with decision_log.one_at_a_time(dataset):
            if not options.dry_run:
                require_writable(layout.decisions(dataset).parent)
            decide(dataset, options)
    else:
        raise UserError(
            "a candidate: a commit, branch, tag or DVC experiment",
            "none",
            "python -m stages.promote CANDIDATE; --help tells more",
        )


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.promote",
        description="Decide whether a candidate becomes the champion, on the same recent rows, and record why.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("candidate", nargs="?", help="a commit, branch, tag or DVC experiment")
    parser.add_argument("--dataset", help="default: the first of params.yaml")
    parser.add_argument("--dry-run", action="store_true", help="decide and tell, but record nothing")
    parser.add_argument(
        "--replace-broken",
        action="store_true",
        help="where the champion can no longer be judged, let the candidate take its place without a comparison",
    )
    parser.add_argument("--accept-gain", action="store_true", help="trust any gain: you know where it comes from")
    telling = parser.add_mutually_exclusive_group()
    telling.add_argument("--rollback", action="store_true", help="make the previous champion the champion again")
    telling.add_argument("--history", action="store_true", help="print every decision and stop")
    telling.add_argument("--champion", action="store_true", help="print which version is the champion and stop")
    options = parser.parse_args(arguments)
    if options.candidate and (options.rollback or options.history or options.champion):
        parser.error("a candidate is judged, or one of --rollback, --history and --champion is asked for; not both")
    return options


def decide(dataset: str, options: argparse.Namespace) -> None:
    """One decision from beginning to end; what an earlier run left unfinished comes first."""
    person, finished = "" if options.dry_run else registry.who()[0], None
    if options.dry_run and decision_log.intended(dataset):
        log.warning("%s: an earlier decision is unfinished; a run without --dry-run finishes it", dataset)
    elif not options.dry_run:
        finished = finish(dataset)
    entries, reigning = decision_log.read_log(dataset), registry.champion(dataset)
    if not options.dry_run:
        refuse_unknown_tags(dataset, entries)
    warn_of_others(dataset, entries, reigning)
    if options.rollback:
        drafted = roll_back(dataset, entries, reigning)
    else:
        revision = candidate_of(options.candidate)
        if reigning and reigning.commit == revision.commit:
            print(f"{dataset}: {revision.label} is the champion already ({reigning.version}): nothing to do")
            return
        if finished and finished["candidate"]["commit"] == revision.commit:
            print(decision_text(finished, str(layout.decisions(dataset)), dry_run=False))
            return
        drafted = judge(dataset, revision, reigning, options)
    when = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    entry = {"number": len(entries) + 1, "when": when, "who": person, "dataset": dataset} | drafted
    if not options.dry_run:
        record(dataset, entry)
    print(decision_text(entry, str(layout.decisions(dataset)), dry_run=options.dry_run))


def record(dataset: str, entry: Entry) -> None:
    """The log, then the registry; what is intended is noted before, so that the next run can finish it."""
    decision_log.intend(dataset, entry)
    with alone("make promote"):  # a run would put the log aside, and bring back the one that it knew
        decision_log.append(dataset, entry)
    registry.mark(dataset, tags_of(entry), f"Decision {entry['number']}, {entry['decision']}: {entry['reason']}")
    decision_log.done(dataset)


def finish(dataset: str) -> Entry | None:
    """Do what an earlier run noted and was killed before it had done; the decision, None where there was none."""
    entry = decision_log.intended(dataset)
    if entry is None:
        return None
    log.info("%s: finishing decision %s of %s, which was interrupted", dataset, entry["number"], entry["when"])
    try:
        record(dataset, entry)
    except UserError as error:
        path = decision_log.intention_path(dataset)
        give_up = f"{error.next_step}; to give up the interrupted decision, remove {path} and its line in the log"
        raise UserError(error.wanted, error.found, give_up) from None
    return entry


def tags_of(entry: Entry) -> list[Tag]:
    """The tags that a decision makes."""
    return [Tag(tag["name"], tag["commit"]) for tag in entry["tags"]]


def refuse_unknown_tags(dataset: str, entries: Sequence[Entry]) -> None:
    """Stop where the log knows of a champion whose tags this clone does not have."""
    made = [entry for entry in entries if entry["decision"] in MAKES_A_CHAMPION]
    if made and (lost := registry.missing(tags_of(made[-1]))):
        again = "; ".join(f"git tag -a -m 'decision {made[-1]['number']}' '{tag.name}' {tag.commit}" for tag in lost)
        raise UserError(
            f"the tags of decision {made[-1]['number']} in {layout.decisions(dataset)}",
            f"no {', '.join(tag.name for tag in lost)}",
            f"`git fetch --tags`; if {made[-1]['who']} never pushed them and has lost them: {again}",
        )


def warn_of_others(dataset: str, entries: Sequence[Entry], reigning: Registered | None) -> None:
    """Say so where the registry's champion is not the one that the log made."""
    logged = succession(entries)[-1:]
    if reigning and [past["commit"] for past in logged] != [reigning.commit]:
        known = f"the log's is {logged[0]['version']}" if logged else "the log knows of none"
        log.warning("%s: champion %s was marked by other means; %s", dataset, reigning.version, known)


def candidate_of(name: str) -> Revision:
    """The revision to judge: one that stays as it is."""
    revision = resolve(name)
    if revision.commit is None:
        raise UserError(
            "a candidate that git knows, so that the registry can name it",
            "the workspace, which changes with the next edit",
            "`git commit` it, or `dvc exp save -n NAME`, and name that",
        )
    return revision


def judge(dataset: str, revision: Revision, reigning: Registered | None, options: argparse.Namespace) -> Entry:
    """The decision about a candidate."""
    settings = read_settings(PromoteSettings, dataset, "promote")
    if options.accept_gain:
        settings = settings.model_copy(update={"max_gain": None})
    evaluation = read_settings(EvaluateSettings, dataset, "evaluate")
    refuse_few_replicates(dataset, evaluation)
    table, threads = open_features(dataset), read_workers().training_threads
    with plain_words(), TemporaryDirectory(prefix="promote-") as folder:
        refuse_metric(settings.metric, task_named(table.task).metrics, dataset)
        rows = choose_rows(table, evaluation, settings.last_units)
        refuse_few_units(rows, f"datasets.{dataset}.promote")
        refuse_outdated_bundle(revision, dataset)
        candidate = open_contender("candidate", revision, table, Path(folder), threads)
        champion = open_champion(reigning, table, Path(folder), threads, replace_broken=options.replace_broken)
        ruling, evidence = evaluate_challenger(champion, candidate, rows, settings, evaluation)
    if reigning and champion is None:
        ruling = Ruling("replace", f"champion {reigning.version} could no longer be judged; --replace-broken was given")
    return draft(dataset, ruling, revision, reigning, evidence)


def open_champion(
    reigning: Registered | None, table: FeatureTable, folder: Path, threads: int, *, replace_broken: bool
) -> Contender | None:
    """The champion's bundle; None where there is no champion, or where a broken one may be replaced."""
    if reigning is None:
        return None
    revision = Revision(reigning.version, reigning.commit, reigning.version)
    try:
        return open_contender("champion", revision, table, folder, threads)
    except UserError as error:
        if replace_broken:
            log.warning("champion %s cannot be judged: %s", reigning.version, error.found)
            return None
        beyond = "if it is beyond repair, --replace-broken lets the candidate take its place without a comparison"
        wanted = f"the champion {reigning.version} of {table.dataset}, to judge the candidate by: {error.wanted}"
        raise UserError(wanted, error.found, f"{error.next_step}; {beyond}") from None


def draft(
    dataset: str, ruling: Ruling, revision: Revision, reigning: Registered | None, evidence: dict[str, Any]
) -> Entry:
    """The decision as it will stand in the log, with the tags that it makes."""
    commit = str(revision.commit)
    version, tags = registry.version_at(dataset, commit), list[Tag]()
    if ruling.decision in MAKES_A_CHAMPION:
        version, tags = registry.plan(dataset, commit)
        if not is_declared(dataset, revision):
            log.warning("dvc.yaml of %s declares no artifact %s: `dvc artifacts get` cannot fetch it by name",
                        revision.label, dataset)  # fmt: skip
    return {
        "decision": ruling.decision,
        "reason": ruling.reason,
        "candidate": {"revision": revision.name, "commit": commit, "version": version},
        "champion": {"commit": reigning.commit, "version": reigning.version} if reigning else None,
        "tags": [{"name": tag.name, "commit": tag.commit} for tag in tags],
        "evidence": evidence,
    }


def is_declared(dataset: str, revision: Revision) -> bool:
    """Whether ``dvc.yaml`` of a revision names the bundle as an artifact."""
    content = yaml.safe_load(read_output(revision, "dvc.yaml")) or {}
    return dataset in (content.get("artifacts") or {})


def roll_back(dataset: str, entries: Sequence[Entry], reigning: Registered | None) -> Entry:
    """The return of the champion before this one, whose bundle still loads."""
    before = [past for past in succession(entries) if reigning is None or past["commit"] != reigning.commit]
    if not before:
        raise UserError(
            f"a champion of {dataset} before this one",
            f"{reigning.version} is the first" if reigning else "no champion was ever made",
            "`python -m stages.promote --history` shows what was decided",
        )
    past = before[-1]
    revision = Revision(past["version"], past["commit"], past["version"])
    with TemporaryDirectory(prefix="promote-") as folder:
        fetch_bundle("previous champion", revision, dataset, Path(folder))
    left = f"champion {reigning.version}" if reigning else "no champion"
    return draft(dataset, Ruling("rollback", f"back from {left} to {past['version']}"), revision, reigning, {})


def tell_champion(dataset: str) -> str:
    """Which version is the champion, since when and by whose decision."""
    reigning = registry.champion(dataset)
    if reigning is None:
        return f"{dataset}: no champion yet; `python -m stages.promote CANDIDATE` makes the first"
    made = [entry for entry in decision_log.read_log(dataset)
            if entry["decision"] in MAKES_A_CHAMPION and entry["candidate"]["commit"] == reigning.commit]  # fmt: skip
    since = f", decision {made[-1]['number']} of {made[-1]['who']}, {made[-1]['when']}" if made else ""
    return f"{dataset}: champion {reigning.version}, commit {reigning.commit}{since}"


if __name__ == "__main__":
    start_log()
    run_command(main)
