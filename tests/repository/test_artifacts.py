"""A name by which `dvc artifacts get` and the registry know a bundle is the name of its dataset."""

from pathlib import Path

import yaml

from stages.workspace import layout

ROOT = Path(__file__).parents[2]


def test_every_artifact_is_the_bundle_of_a_dataset_that_can_be_switched_on() -> None:
    declared = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["artifacts"]
    datasets = sorted(path.stem for path in (ROOT / "params/dataset").glob("*.yaml"))
    assert set(declared) <= set(datasets)
    for name in declared:
        assert declared[name]["path"] == layout.bundles(name).as_posix()
        assert declared[name]["type"] == "model"
