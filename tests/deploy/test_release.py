"""A release: one script in both CIs, pushed only where it answers."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("answers", "image"), [(True, "registry/plumbline"), (True, ""), (False, "registry/plumbline")]
)
def test_a_release_is_pushed_where_it_was_told_to_and_only_if_it_answers(
    answers: bool, image: str, tmp_path: Path
) -> None:
    """The script as it is; in place of docker and of waiting, what writes down its words."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "bundles/trial").mkdir(parents=True)
    (tmp_path / "bundles/trial/manifest.json").touch()
    shutil.copy(ROOT / "deploy/release.sh", tmp_path / "deploy")
    told = f'#!/bin/sh\necho "$@" >> {tmp_path}/told\n'
    for name, more in (("docker", "" if answers else '[ "$1" != exec ]\n'), ("sleep", "")):
        (tmp_path / name).write_text(told + more, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "IMAGE": image, "VERSION": "v1", "REVISION": "abc"}
    done = subprocess.run([tmp_path / "deploy/release.sh"], env=environment, capture_output=True, text=True)
    assert (done.returncode == 0) == answers, done.stderr
    words = (tmp_path / "told").read_text(encoding="utf-8").splitlines()
    pushed = [f"push {image}:v1"] if answers and image else []
    assert [line for line in words if line.startswith("push")] == pushed
    assert "--read-only" in next(line for line in words if line.startswith("run"))
    assert any(line.startswith("rm --force") for line in words)


def test_a_release_without_bundles_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / "deploy/release.sh", tmp_path / "deploy")
    environment = {"PATH": "/usr/bin:/bin", "VERSION": "v1", "REVISION": "abc"}
    done = subprocess.run([tmp_path / "deploy/release.sh"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "next    `make repro`, or `dvc pull bundles`" in done.stderr


def test_both_cis_release_by_the_same_script_and_name_no_registry() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["image"]["steps"]
    publish = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text(encoding="utf-8"))["publish"]
    assert steps[-1]["run"] == "deploy/release.sh" and publish["script"] == ["deploy/release.sh"]
    assert steps[-1]["env"].keys() == publish["variables"].keys() == {"IMAGE", "VERSION", "REVISION"}
    assert workflow[True] == {"push": {"tags": ["v*"]}}  # YAML reads the key `on` so
    given = [*steps[-1]["env"].values(), *publish["variables"].values()]
    assert [value for value in given if not value.startswith("$")] == []
