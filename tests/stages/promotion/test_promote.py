"""A candidate on trial: who becomes the champion, on which evidence, and how one goes back."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from dvc.repo.artifacts import Artifacts

from stages import compare
from stages.experiments.promotion import registry
from stages.workspace.errors import UserError

LOG = Path("registry/trial.jsonl")


def decisions() -> list[dict]:
    return [json.loads(line) for line in LOG.read_text().splitlines()]


def without_tables(tools, *revisions: str, table: str = "evaluation") -> None:
    """Take the resampling tables of revisions out of the cache: the bundles have to answer."""
    for revision in revisions:
        lock = tools.git("show", f"{revision}:dvc.lock")
        md5 = lock.split(f"path: data/{table}/trial.parquet")[1].split("md5: ")[1].split()[0]
        Path(".dvc/cache/files/md5", md5[:2], md5[2:]).unlink()


def test_the_first_model_becomes_the_champion_and_stands_in_log_and_tags(repository, told, tools) -> None:
    out = told("weak")
    commit = tools.git("rev-parse", "main~1")
    assert "first: no champion yet" in out
    assert "git push --tags" in out
    assert registry.champion("trial") == registry.Registered("v0.0.1", commit)
    assert tools.git("rev-parse", "trial#champion#1^{commit}", "trial@v0.0.1^{commit}").split() == [commit, commit]
    assert tools.git("cat-file", "-t", "trial#champion#1") == "tag"
    [entry] = decisions()
    assert (entry["number"], entry["decision"], entry["who"], entry["champion"]) == (1, "first", "Ada", None)
    assert entry["candidate"] == {"revision": "weak", "commit": commit, "version": "v0.0.1"}
    assert entry["evidence"]["metrics"]["log_loss"]["candidate"] > 0


def test_a_real_gain_is_promoted_a_loss_kept_out_and_a_twin_left_open(repository, told, tools) -> None:
    told("weak")
    assert "\npromote: gain in log_loss" in told("main")
    out = told("twin")
    assert "\ninconclusive: " in out
    assert "these rows cannot tell" in out
    assert "git push --tags" not in out
    assert "\nkeep: " in told("weak")
    assert registry.champion("trial") == registry.Registered("v0.0.2", tools.git("rev-parse", "main"))
    assert [entry["decision"] for entry in decisions()] == ["first", "promote", "inconclusive", "keep"]
    assert [entry["number"] for entry in decisions()] == [1, 2, 3, 4]
    assert tools.git("tag", "--list").split() == [
        "trial#champion#1", "trial#champion#2", "trial@v0.0.1", "trial@v0.0.2",
    ]  # fmt: skip


def test_whether_the_change_helps_is_told_beside_it_as_a_comparison_has_it(repository, told, tools, tmp_path) -> None:
    told("weak")
    out = told("main")
    change = decisions()[-1]["evidence"]["change"]
    compare.main("weak", "main", "--dataset", "trial", "--metric", "log_loss", "--write", str(tmp_path))
    [metric] = json.loads((tmp_path / "comparison.json").read_text())["metrics"]
    assert {key: change[key] for key in ("verdict", "difference", "low", "high")} == {
        key: metric[key] for key in ("verdict", "difference", "low", "high")
    }
    assert (change["verdict"], change["trainings"]) == ("better", {"champion": 3, "candidate": 3})
    assert "does the change help on log_loss, trained again (decides nothing)? better: −0." in out


def test_a_change_whose_trainings_are_lacking_is_not_known_and_the_ruling_the_same(repository, told, tools) -> None:
    told("weak")
    known = told("main", "--dry-run")
    without_tables(tools, "main~1", "main", table="trainings")
    out = told("main", "--dry-run")
    assert "trained again (decides nothing)? not known: another seed may move a figure as far" in out
    assert "dvc repro retrain@trial" in out
    assert next(line for line in known.splitlines() if line.startswith("promote: ")) in out
    without_tables(tools, "main~1", "main")
    assert "trained again (decides nothing)? not known: " in told("main", "--dry-run")


def test_on_the_latest_days_alone_the_change_is_asked_of_these_days(repository, told, tools) -> None:
    told("weak")
    whole = told("main", "--dry-run")
    tools.change_params(promote={"last_units": 12})
    latest = told("main", "--dry-run")
    asked = [[line for line in out.splitlines() if "does the change help" in line] for out in (whole, latest)]
    assert asked[0] != asked[1] and all("trained again (decides nothing)? better" in line for (line,) in asked)


def test_the_champion_itself_is_nothing_to_decide(repository, told) -> None:
    told("main")
    assert told("HEAD") == "trial: HEAD is the champion already (v0.0.1): nothing to do\n"
    assert len(decisions()) == 1


def test_a_dry_run_decides_and_leaves_nothing(repository, told, tools) -> None:
    told("weak")
    before = LOG.read_bytes(), tools.git("for-each-ref"), tools.git("status", "--short")
    out = told("main", "--dry-run")
    assert "promote: " in out
    assert out.endswith("dry run: nothing was recorded\n")
    assert (LOG.read_bytes(), tools.git("for-each-ref"), tools.git("status", "--short")) == before


def test_bundles_that_score_the_rows_say_the_same_as_the_stored_tables(repository, told, tools) -> None:
    told("weak")
    quick = told("main", "--dry-run")
    assert "(stored resampling tables" in quick
    without_tables(tools, "main~1", "main")
    slow = told("main", "--dry-run")
    assert "(bundles scored the rows: no resampling table of the champion" in slow
    asked = "does the change help"  # the tables alone can tell
    assert [line for line in slow.splitlines()[3:] if not line.startswith(asked)] == [
        line for line in quick.splitlines()[3:] if not line.startswith(asked)
    ]


def test_what_a_rescored_candidate_is_credited_with_is_what_evaluate_wrote(repository, told, tools) -> None:
    without_tables(tools, "main")
    told("main")
    found = decisions()[0]["evidence"]["metrics"]
    written = json.loads(Path("metrics/trial/results.json").read_text())  # of twin, the last one evaluated
    assert found.keys() == written.keys()
    without_tables(tools, "twin")
    told("twin")
    found = decisions()[1]["evidence"]["metrics"]
    assert {name: values["candidate"] for name, values in found.items()} == {
        name: values["value"] for name, values in written.items()
    }


def test_only_the_latest_units_count_when_asked(repository, told, tools) -> None:
    told("weak")
    tools.change_params(promote={"last_units": 12})
    out = told("main")
    evidence = decisions()[-1]["evidence"]
    rows = pl.concat(pl.read_parquet(path) for path in sorted(Path("data/features/trial").glob("*.parquet")))
    days = rows.filter(pl.col("part") == "test")["day"]
    latest = days.unique().sort()[-12:]
    assert evidence["rows"] == int(days.is_in(latest.implode()).sum())
    assert (evidence["units"], evidence["first"], evidence["last"]) == (12, str(latest[0]), str(latest[-1]))
    assert "(bundles scored the rows: only the last 12 units are judged)" in out
    tools.change_params(promote={"last_units": 3})
    with pytest.raises(UserError, match=r"promote\.last_units: 10 or more.*\nfound   3"):
        told("twin")


def test_where_rows_are_drawn_the_latest_rows_count(repository, told, tools) -> None:
    told("weak")
    tools.change_params(promote={"last_units": 500}, evaluate={"resample": "rows"})
    told("main")
    evidence = decisions()[-1]["evidence"]
    assert (evidence["rows"], evidence["units"], evidence["resampled"], evidence["block"]) == (500, 500, "rows", 1)


def test_costs_of_today_count_not_those_of_the_evaluation(repository, told, tools) -> None:
    tools.change_params(promote={"metric": "expected_cost"})
    told("weak")
    tools.change_params(evaluate={"cost_of_miss": 1.0})
    out = told("main")
    assert "made under another threshold or other costs" in out
    found = decisions()[-1]["evidence"]
    assert found["cost_of_miss"] == 1.0
    # with equal costs a decision costs what it is wrong
    costs, accuracy = found["metrics"]["expected_cost"], found["metrics"]["accuracy"]
    assert costs["candidate"] == pytest.approx(1 - accuracy["candidate"], abs=1e-5)
    assert costs["champion"] == pytest.approx(1 - accuracy["champion"], abs=1e-5)


def test_a_margin_has_to_be_exceeded_by_all_of_the_interval(repository, told, tools) -> None:
    told("weak")
    low, high = (decisions_gain(told("main", "--dry-run"))[end] for end in (0, 1))
    for margin, decision in ((low - 0.001, "promote"), ((low + high) / 2, "inconclusive"), (high + 0.001, "keep")):
        tools.change_params(promote={"margin": margin})
        assert f"\n{decision}: " in told("main", "--dry-run")


def decisions_gain(out: str) -> tuple[float, float]:
    low, high = out.replace("−", "-").split("gain in log_loss")[1].split("[")[1].split("]")[0].split(", ")
    return float(low), float(high)


def test_a_suspicious_gain_waits_for_a_person(repository, told, tools) -> None:
    told("weak")
    tools.change_params(promote={"max_gain": 0.01})
    out = told("main")
    assert "suspicious: gain in log_loss" in out and "more than 1\u202f% of the champion's value" in out
    assert registry.champion("trial").version == "v0.0.1"
    assert decisions()[-1]["evidence"]["max_gain"] == 0.01
    told("main", "--accept-gain")
    assert registry.champion("trial").version == "v0.0.2"


def test_rolling_back_undoes_promotions_one_by_one(repository, told, tools) -> None:
    told("weak")
    told("main")
    without_bytes = LOG.read_bytes()
    assert told("--rollback").startswith("rollback: back from champion v0.0.2 to v0.0.1\n")
    assert registry.champion("trial").version == "v0.0.1"
    assert LOG.read_bytes().startswith(without_bytes)
    with pytest.raises(UserError, match=r"a champion of trial before this one\nfound   v0\.0\.1 is the first"):
        told("--rollback")
    told("main")
    assert registry.champion("trial").version == "v0.0.2"
    told("--rollback")
    assert registry.champion("trial").version == "v0.0.1"
    assert [entry["decision"] for entry in decisions()] == ["first", "promote", "rollback", "promote", "rollback"]


def test_dvc_and_gto_name_the_same_champion_right_after_each_decision(repository, told, tmp_path) -> None:
    import gto.api

    for arguments in (("weak",), ("main",), ("--rollback",)):
        told(*arguments)
        champion = registry.champion("trial")
        assert [version["version"] for version in gto.api.show(".", "trial#champion")] == [champion.version]
    place = tmp_path / "got"
    Artifacts.get(str(repository), "trial", stage="champion", out=str(place))
    shutil.rmtree(repository / "bundles")
    Artifacts.get(str(repository), "trial", version="v0.0.2", out=str(tmp_path / "second"))
    sums = [(folder / "model.ubj").stat().st_size for folder in (place, tmp_path / "second")]
    assert sums[0] < sums[1]  # one round against thirty


def test_history_and_champion_are_told(repository, told) -> None:
    assert told("--champion").startswith("trial: no champion yet")
    assert told("--history") == "trial: nothing has been decided yet\n"
    told("weak")
    told("twin")
    assert "champion v0.0.2" in told("--champion")
    assert ", decision 2 of Ada, " in told("--champion")
    lines = told("--history").splitlines()
    assert lines[0].split()[:4] == ["when", "who", "candidate", "decision"]
    assert ["first" in lines[2], "promote" in lines[3], "log_loss" in lines[3]] == [True, True, True]


def test_an_experiment_that_was_promoted_outlives_its_removal(repository, told, tools) -> None:
    tools.git("checkout", "-q", "twin")
    told("weak")
    tools.git("branch", "-D", "main")
    commit = registry.champion("trial").commit
    tools.git("update-ref", "-d", f"refs/exps/{commit[:2]}/{commit[2:]}/weak")
    tools.git("checkout", "-q", "--orphan", "fresh")
    tools.git("commit", "-qm", "fresh")
    tools.git("branch", "-D", "twin")
    tools.git("reflog", "expire", "--expire=now", "--all")
    tools.git("gc", "-q", "--prune=now")
    assert tools.git("cat-file", "-t", commit) == "commit"
