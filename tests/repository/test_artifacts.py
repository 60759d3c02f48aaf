"""Every dataset's bundle has a name by which `dvc artifacts get` and the registry know it."""

from pathlib import Path

import yaml

from stages.workspace import layout

ROOT = Path(__file__).parents[2]


def test_every_dataset_that_can_be_switched_on_has_its_bundle_among_the_artifacts() -> None:
    declared = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["artifacts"]
    datasets = sorted(path.stem for path in (ROOT / "params/dataset").glob("*.yaml"))
    assert sorted(declared) == datasets
    for name in datasets:
        assert declared[name]["path"] == layout.bundles(name).as_posix()
        assert declared[name]["type"] == "model"
