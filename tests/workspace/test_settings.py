"""Settings: every mistake is named with its full path, all at once, before anything is computed."""

from pathlib import Path

import pytest
import yaml
from pydantic import Field

from stages.clean import CleanSettings
from stages.download import DownloadSettings
from stages.workspace.errors import UserError
from stages.workspace.settings import Settings, WorkerSettings, read_params, read_seed, read_settings, read_workers

ROOT = Path(__file__).parents[2]
GOOD = {"sample": 0.5, "max_quarantined_share": 0.01, "max_missing_days": 0}


class Nested(Settings):
    shares: dict[str, float]
    sources: list[WorkerSettings] = Field(min_length=1)


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for variable in ("PLUMBLINE_WORKERS", "PLUMBLINE_THREADS"):
        monkeypatch.delenv(variable, raising=False)
    write({})
    return tmp_path


def write(section: object, name: str = "clean", **top: object) -> None:
    content = {"seed": 1, "cluster": {"workers": 2, "training_threads": 0}, "datasets": {"flights": {name: section}}}
    Path("params.yaml").write_text(yaml.safe_dump({**content, **top}))


def refused(section: object, model: type[Settings] = CleanSettings) -> UserError:
    write(section)
    with pytest.raises(UserError) as caught:
        read_settings(model, "flights", "clean")
    return caught.value


def test_good_settings_are_typed_and_cannot_be_changed():
    write(GOOD)
    settings = read_settings(CleanSettings, "flights", "clean")
    assert (settings.sample, settings.max_missing_days) == (0.5, 0)
    with pytest.raises(ValueError, match="frozen"):
        settings.sample = 1.0


def test_every_stage_accepts_the_parameters_of_the_project():
    params = ROOT / "params.yaml"
    for name in read_params(params)["datasets"]:
        read_settings(CleanSettings, name, "clean", params)
        read_settings(DownloadSettings, name, "download", params)
    assert read_seed(params) >= 0
    assert read_workers(params).count >= 1


def test_a_misspelt_key_is_named_with_the_one_that_was_meant():
    error = refused({"sampel": 0.5, **{key: GOOD[key] for key in ("max_quarantined_share", "max_missing_days")}})
    assert "datasets.flights.clean.sampel: unknown key; did you mean 'sample'?" in error.found
    assert "datasets.flights.clean.sample: missing" in error.found
    assert "make params" in error.next_step


def test_an_unknown_key_that_resembles_nothing_is_told_the_known_ones():
    error = refused({**GOOD, "colour": "blue"})
    assert error.found == (
        "datasets.flights.clean.colour: unknown key; known: sample, max_quarantined_share, max_missing_days, since"
    )


def test_several_mistakes_are_told_at_once_each_with_its_full_path():
    error = refused({"sample": 2, "max_quarantined_share": "few", "max_missing_day": 0})
    lines = [line.strip() for line in error.found.splitlines()]
    assert lines == [
        "datasets.flights.clean.sample: Input should be less than or equal to 1, got 2",
        "datasets.flights.clean.max_quarantined_share: Input should be a valid number, got 'few'",
        "datasets.flights.clean.max_missing_days: missing",
        "datasets.flights.clean.max_missing_day: unknown key; did you mean 'max_missing_days'?",
    ]
    assert error.wanted == "valid parameters under datasets.flights.clean"
    assert "-S datasets.flights.clean.sample=" in error.next_step


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sample", 0),
        ("sample", 1.01),
        ("sample", "1.0"),
        ("sample", None),
        ("sample", True),
        ("sample", float("nan")),
        ("max_missing_days", -1),
        ("max_missing_days", 1.5),
        ("max_missing_days", "0"),
        ("max_quarantined_share", [0.1]),
    ],
)
def test_a_wrong_type_or_a_value_out_of_range_is_refused(key, value):
    error = refused({**GOOD, key: value})
    assert error.found.startswith(f"datasets.flights.clean.{key}: ")
    assert "got" in error.found


def test_a_key_deep_inside_is_named_with_its_full_path():
    error = refused({"shares": {"train": "most"}, "sources": [{"workers": 1, "training_thread": 1}]}, Nested)
    assert "datasets.flights.clean.shares.train: Input should be a valid number, got 'most'" in error.found
    assert "datasets.flights.clean.sources.0.training_thread: unknown key" in error.found
    assert "datasets.flights.clean.sources.0.training_threads: missing" in error.found


def test_a_misspelt_section_is_named_with_the_one_that_was_meant():
    write(GOOD, name="claen")
    with pytest.raises(UserError) as caught:
        read_settings(CleanSettings, "flights", "clean")
    assert caught.value.found == "datasets.flights.claen: unknown key; did you mean 'clean'?"


@pytest.mark.parametrize("section", [None, [], "full", 3])
def test_a_section_that_is_none_is_refused(section):
    error = refused(section)
    assert "datasets.flights.clean" in error.wanted
    assert error.found == repr(section)


def test_a_missing_section_is_named():
    write({}, name="featurize")
    with pytest.raises(UserError) as caught:
        read_settings(CleanSettings, "flights", "clean")
    assert caught.value.wanted == "a section datasets.flights.clean in the parameters"
    assert caught.value.found == "no such section"


def test_an_unknown_dataset_is_told_the_known_ones():
    with pytest.raises(UserError, match=r"'flihgts'; known: flights"):
        read_settings(CleanSettings, "flihgts", "clean")


@pytest.mark.parametrize("top", [{"datasets": None}, {"datasets": {"flights": None}}, {"datasets": ["flights"]}])
def test_datasets_that_are_no_sections_are_refused(top):
    write({}, **top)
    with pytest.raises(UserError, match="datasets"):
        read_settings(CleanSettings, "flights", "clean")


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words", "a: [1,\n", "a: \t- b: c: d", b"\xff\xfe\x00"])
def test_parameters_that_are_no_sections_are_refused(text):
    Path("params.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match="make params"):
        read_params()


def test_missing_parameters_name_the_command_that_makes_them():
    Path("params.yaml").unlink()
    with pytest.raises(UserError, match="make params"):
        read_params()


@pytest.mark.parametrize("seed", [None, -1, 1.5, "1", True])
def test_a_seed_is_a_whole_number(seed):
    write({}, seed=seed)
    with pytest.raises(UserError) as caught:
        read_seed()
    assert caught.value.found == repr(seed)


# ── the cluster, which the environment may override ──────────────────────────────────────────────────────────────────
def test_the_environment_overrides_the_cluster(monkeypatch):
    assert read_workers() == WorkerSettings(workers=2, training_threads=0)
    monkeypatch.setenv("PLUMBLINE_WORKERS", "7")
    monkeypatch.setenv("PLUMBLINE_THREADS", "3")
    assert read_workers() == WorkerSettings(workers=7, training_threads=3)
    monkeypatch.setenv("PLUMBLINE_WORKERS", "")
    assert read_workers().count == 2


@pytest.mark.parametrize("variable", ["PLUMBLINE_WORKERS", "PLUMBLINE_THREADS"])
@pytest.mark.parametrize("text", ["two", "-1", "1.5", "2 3", "0x2", "²"])
def test_a_bad_override_is_refused_with_the_name_of_its_variable(monkeypatch, variable, text):
    monkeypatch.setenv(variable, text)
    with pytest.raises(UserError) as caught:
        read_workers()
    assert variable in caught.value.wanted
    assert caught.value.found == repr(text)
    assert "unset" in caught.value.next_step


def test_no_worker_at_all_is_refused(monkeypatch):
    monkeypatch.setenv("PLUMBLINE_WORKERS", "0")
    with pytest.raises(UserError, match="1 or more"):
        read_workers()


@pytest.mark.parametrize("cluster", [None, {}, {"workers": 0, "training_threads": 0}, {"workers": 2}])
def test_a_bad_cluster_is_refused(cluster):
    write({}, cluster=cluster)
    with pytest.raises(UserError, match="cluster"):
        read_workers()


def test_a_misspelt_cluster_is_told_of():
    write({}, cluster={"workers": 2, "training_threads": 0})
    text = Path("params.yaml").read_text().replace("cluster:", "clustre:")
    Path("params.yaml").write_text(text)
    with pytest.raises(UserError, match="'clustre'"):
        read_workers()
