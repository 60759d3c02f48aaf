"""The download stage on the real, embedded sources, as `dvc repro` runs it."""

import csv
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages import download
from stages.workspace.errors import UserError

ROOT = Path(__file__).parents[2]
EMBEDDED = ("nycflights", "digits")
RECORDS = ROOT.parent / "shared" / "data" / "bts"


def published(dataset: str) -> dict[str, Any]:
    """The download section of a dataset as this repository ships it."""
    section: dict[str, Any] = yaml.safe_load((ROOT / "params/dataset" / f"{dataset}.yaml").read_text())["download"]
    return section


def write_params(workers: int = 2, **sections: dict[str, Any]) -> None:
    datasets = {dataset: {"download": section} for dataset, section in sections.items()}
    content = {"seed": 1, "cluster": {"workers": workers, "training_threads": 1}, "datasets": datasets}
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for variable in ("PLUMBLINE_WORKERS", "PLUMBLINE_THREADS"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("dataset", EMBEDDED)
def test_an_embedded_dataset_arrives_as_its_parameters_promise(dataset):
    section = published(dataset)
    write_params(**{dataset: section})
    download.main(dataset)
    folder = Path("data/raw") / dataset
    files = json.loads((folder / "manifest.json").read_text())["files"]
    assert [file["location"] for file in files] == [source["location"] for source in section["sources"]]
    for file, source in zip(files, section["sources"], strict=True):
        body = (folder / file["name"]).read_bytes()
        assert len(body) == file["bytes"] == source["bytes"]
        assert hashlib.sha256(body).hexdigest() == file["sha256"] == source["sha256"]


def test_the_bytes_written_do_not_depend_on_the_number_of_workers():
    written = []
    for workers in (1, 3):
        write_params(workers, nycflights=published("nycflights"))
        download.main("nycflights")
        written.append(contents(Path("data/raw/nycflights")))
    assert written[0] == written[1]


def test_the_stage_runs_as_a_module_and_says_what_it_did_in_one_line():
    write_params(digits=published("digits"))
    ended = subprocess.run(
        [sys.executable, "-m", "stages.download", "digits"], capture_output=True, text=True, check=True
    )
    assert ended.stdout == ""
    assert ended.stderr.startswith("digits: 1 files, 0.1 MB")
    assert ended.stderr.count("\n") == 1


def test_a_failure_ends_in_plain_words_and_exit_status_1():
    section = published("digits")
    section["sources"][0]["sha256"] = "0" * 64
    write_params(digits=section)
    ended = subprocess.run(
        [sys.executable, "-m", "stages.download", "digits"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    for beginning in (
        "wanted  package://scikit-learn",
        "found   57,523 bytes, sha256 09f66e6d",
        "next    if the publisher",
    ):
        assert beginning in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not Path("data").exists()


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"retries": 3}, "datasets.digits.download.retries"),
        ({"attempts": 0}, "datasets.digits.download.attempts"),
        ({"attempts": "5"}, "datasets.digits.download.attempts"),
        ({"timeout_s": -1.0}, "datasets.digits.download.timeout_s"),
        ({"sources": []}, "datasets.digits.download.sources"),
        ({"series": {"location": "{year}_{month}.zip"}}, "datasets.digits.download.series.months"),
        ({"certificates": [{"host": "https://a", "file": "a.pem"}]}, "datasets.digits.download.certificates.0.host"),
        ({"lock": ""}, "datasets.digits.download.lock"),
        ({"accept": "2008-01"}, "datasets.digits.download.accept"),
        ({"sources": [{"location": "a.csv", "sha": "1"}]}, "datasets.digits.download.sources.0.sha"),
        ({"sources": [{"location": "a.csv", "sha256": "ABC"}]}, "datasets.digits.download.sources.0.sha256"),
        ({"sources": [{"location": "a.csv", "bytes": 1.5}]}, "datasets.digits.download.sources.0.bytes"),
    ],
)
def test_a_wrong_parameter_is_named_with_its_full_path(change, path):
    write_params(digits=published("digits") | change)
    with pytest.raises(UserError) as caught:
        download.main("digits")
    assert path in str(caught.value)
    assert not Path("data").exists()


def test_a_living_source_may_be_listed_by_its_location_alone(tmp_path):
    (tmp_path / "today.csv").write_text("a\n1\n")
    write_params(digits=published("digits") | {"sources": [{"location": "today.csv"}]})
    download.main("digits")
    assert (Path("data/raw/digits/today.csv")).read_text() == "a\n1\n"


def test_a_name_and_a_licence_are_taken_over(tmp_path):
    (tmp_path / "export").write_text("a\n1\n")
    source = {"location": "export", "name": "records.csv", "licence": "CC0-1.0"}
    write_params(digits=published("digits") | {"sources": [source]})
    download.main("digits")
    (entry,) = json.loads(Path("data/raw/digits/manifest.json").read_text())["files"]
    assert (entry["name"], entry["location"], entry["licence"]) == ("records.csv", "export", "CC0-1.0")


def test_embedded_sources_load_no_network_client():
    """Start-up counts once per stage and dataset."""
    write_params(digits=published("digits"))
    code = "import sys; from stages import download; download.main('digits'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {
        "requests",
        "aiohttp",
        "botocore",
        "s3fs",
        "fsspec",
        "pandas",
        "pandera",
        "sklearn",
        "xgboost",
        "matplotlib",
    }
    assert not heavy & set(loaded)


@pytest.mark.skipif(
    not (RECORDS / "MANIFEST.csv").exists(), reason="no folder of monthly BTS zips beside the repository"
)
def test_monthly_zips_arrive_from_a_mirror_folder_as_published():
    with (RECORDS / "MANIFEST.csv").open() as listing:
        rows = {row["file"]: row for row in csv.DictReader(listing)}
    prefix = "On_Time_Reporting_Carrier_On_Time_Performance_1987_present_"
    months = ["1987-10..1987-12", "1997-01..1997-12", "2020-02"]
    series = {"location": f"https://transtats.bts.gov/PREZIP/{prefix}{{year}}_{{month}}.zip", "months": months}
    write_params(
        ontime={"mirror": str(RECORDS), "attempts": 1, "timeout_s": 5.0, "lock": "lock.json", "series": series}
    )
    download.main("ontime")
    files = json.loads(Path("data/raw/ontime/manifest.json").read_text())["files"]
    assert [file["name"] for file in files][3:5] == [f"{prefix}1997_1.zip", f"{prefix}1997_2.zip"]
    assert len(files) == 16
    for file in files:
        row = rows[file["name"]]
        assert (str(file["bytes"]), file["sha256"]) == (row["bytes"], row["sha256"])
    assert json.loads(Path("lock.json").read_text()).keys() == {file["name"] for file in files}
