"""What git holds is fit for anyone: no key, no registry or mirror, no path of somebody's machine, no large file."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
# Put together from pieces, so that this file does not hold what it looks for.
FORBIDDEN = {
    "an AWS key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a private key": "-----BEGIN [A-Z ]*" + "PRIVATE KEY",
    "a token": r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|glpat-[\w-]{20,}|pypi-[\w-]{40,}|xox[abp]-[\w-]{10,})",
    "a registry": r"(?:files\.pythonhosted|pypi)\.org" + "/(?:simple|packages)|--(?:extra-)?index" + "-url[= ]+http",
    "a mirror": r"(?i)\b(?:artifactory|nexus|devpi)\b[\w.-]*/|//[\w.-]*mirror[\w-]*\.[a-z]{2,}",
    "a home or a workplace": r"(?<![\w.-])/(?:home|Users|root|work" + r"|mnt)/[\w.-]+",
    "a temporary path": r"(?<![\w.$}-])/tmp" + r"/[\w.-]+",
}
LARGEST_BYTES = 1_048_576


def listed_files() -> list[Path]:
    """Everything git holds or would add."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_in_git_holds(what: str) -> None:
    found = []
    for path in listed_files():
        text = path.read_bytes().decode("utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in re.finditer(FORBIDDEN[what], text)]
    assert found == []


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("an AWS key", "key = AK" + "IAIOSFODNN7EXAMPLE"),
        ("a private key", "-----BEGIN OPENSSH " + "PRIVATE KEY-----"),
        ("a registry", "https://pypi" + ".org/simple"),
        ("a home or a workplace", "open('/ho" + "me/ada/records.csv')"),
        ("a temporary path", "read /tm" + "p/records.csv"),
    ],
)
def test_the_patterns_find_what_they_are_for(what: str, text: str) -> None:
    assert re.search(FORBIDDEN[what], text)


def test_files_in_git_stay_small_enough_to_clone_without_thinking() -> None:
    assert [path.name for path in listed_files() if path.stat().st_size > LARGEST_BYTES] == []


def test_what_dvc_keeps_is_not_in_git() -> None:
    paths = [path.relative_to(ROOT) for path in listed_files()]
    assert {path.parts[0] for path in paths}.isdisjoint({"models", "bundles", "reports", ".storage", ".venv"})
    assert [path.as_posix() for path in paths if path.parts[0] == "data"] == ["data/README.md"]


def test_the_page_on_data_names_every_folder_with_the_stage_that_writes_it() -> None:
    page = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)/\S+` \|.*?\| `(\w+)` \|", page, re.MULTILINE)
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    outs = {name: stage["do"].get("outs", []) for name, stage in stages.items() if "do" in stage}
    made = [(out.split("/")[1], name) for name, listed in outs.items() for out in listed if out.startswith("data/")]
    assert rows == made


def test_what_is_cleaned_away_leaves_the_page_on_data(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    kept = tmp_path / "data" / "README.md"
    (tmp_path / "data" / "raw" / "digits").mkdir(parents=True)
    kept.write_text("# Data\n", encoding="utf-8")
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
    assert list((tmp_path / "data").iterdir()) == [kept]


def test_no_test_stands_in_the_checkout_nor_where_data_lies() -> None:
    assert ROOT not in (Path.cwd(), *Path.cwd().parents)
    assert not list(Path.cwd().iterdir())
