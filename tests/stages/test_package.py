"""The bundle: complete, stable, true to the model; tampering is refused, and a killed run leaves no half of one."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stages.evaluate import with_thresholds
from stages.features.table import open_features, read_selection
from stages.metrics.binary import BINARY, BinaryDecision
from stages.metrics.codes import N_CODES, code_probabilities, probability_of_code, threshold_of_code
from stages.models.boosting import FAMILY
from stages.models.bundle import open_bundle, whole_bundle
from stages.models.families import read_model
from stages.package import main
from stages.workspace.errors import UserError

ROOT = Path(__file__).parents[2]
BUNDLE = Path("bundles/trial")
FILES = [
    "README.md", "calibration.json", "evaluation.parquet", "example.csv", "manifest.json", "model.ubj",
    "profile.parquet", "reference.json", "signature.json",
]  # fmt: skip


@pytest.fixture
def workspace(
    packaged: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Go to a copy of what train, evaluate and package made of planted rows."""

    def enter(task: str = "binary") -> None:
        shutil.copytree(packaged(task), tmp_path / task)
        monkeypatch.chdir(tmp_path / task)

    return enter


def signature() -> dict:
    return json.loads((BUNDLE / "signature.json").read_text())


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_bundle_holds_everything_and_scores_bit_for_bit_as_the_model(workspace, task: str) -> None:
    workspace(task)
    assert sorted(path.name for path in BUNDLE.iterdir()) == FILES
    bundle, names = open_bundle(BUNDLE), read_selection("trial")
    assert [entry["name"] for entry in bundle.signature["inputs"]] == names
    rows = pl.concat(open_features("trial", columns=names).frames("test"))
    from_model = read_model(Path("models/trial"), FAMILY).predict(rows)
    assert np.array_equal(bundle.model.predict(rows), from_model)


def test_packaging_again_gives_the_same_bytes_and_leaves_nothing_beside(workspace) -> None:
    workspace()
    before = {path.name: path.read_bytes() for path in BUNDLE.iterdir()}
    main("trial")
    assert {path.name: path.read_bytes() for path in BUNDLE.iterdir()} == before
    assert [path.name for path in BUNDLE.parent.iterdir()] == ["trial"]


@pytest.mark.parametrize("name", [name for name in FILES if name != "manifest.json"])
@pytest.mark.parametrize("place", [0, -1])
def test_one_changed_byte_in_any_file_is_refused(workspace, name: str, place: int) -> None:
    workspace()
    content = bytearray((BUNDLE / name).read_bytes())
    content[place] ^= 1
    (BUNDLE / name).write_bytes(content)
    with pytest.raises(UserError, match=f"found   {name} was changed\nnext    fetch it again"):
        open_bundle(BUNDLE)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(workspace, name: str) -> None:
    workspace()
    (BUNDLE / name).unlink()
    found = "no manifest.json in it" if name == "manifest.json" else f"{name} is missing"
    with pytest.raises(UserError, match=found):
        open_bundle(BUNDLE)


def test_whatever_was_added_or_replaced_is_refused_at_once(workspace) -> None:
    workspace()
    (BUNDLE / "notes.txt").write_text("mine")
    (BUNDLE / "folder").mkdir()
    (BUNDLE / "README.md").unlink()
    (BUNDLE / "README.md").mkdir()
    with pytest.raises(UserError, match=r"folder was added; notes\.txt was added; README\.md was changed"):
        open_bundle(BUNDLE)


@pytest.mark.parametrize("content", ["{}", "[]", '{"format": 2, "files": []}', '{"format": 1, "files": [{}]}', "{"])
def test_a_manifest_of_another_form_is_refused(workspace, content: str) -> None:
    workspace()
    (BUNDLE / "manifest.json").write_text(content)
    with pytest.raises(UserError, match=r"a bundle of format 1|JSON in"):
        open_bundle(BUNDLE)


def test_a_manifest_that_leaves_out_the_model_does_not_hide_that_it_is_gone(workspace) -> None:
    workspace()
    manifest = json.loads((BUNDLE / "manifest.json").read_text())
    manifest["files"] = [entry for entry in manifest["files"] if entry["name"] != "model.ubj"]
    (BUNDLE / "manifest.json").write_text(json.dumps(manifest))
    (BUNDLE / "model.ubj").unlink()
    with pytest.raises(UserError, match="the model is missing"):
        open_bundle(BUNDLE)


def test_a_run_that_fails_leaves_the_bundle_of_the_run_before(workspace) -> None:
    workspace()
    before = {path.name: path.read_bytes() for path in BUNDLE.iterdir()}
    Path("models/trial/training.json").unlink()  # read when half of the new bundle is written
    with pytest.raises(UserError, match=r"training\.json"):
        main("trial")
    assert {path.name: path.read_bytes() for path in BUNDLE.iterdir()} == before
    assert [path.name for path in BUNDLE.parent.iterdir()] == ["trial"]


def test_a_model_of_other_features_is_not_packaged(workspace) -> None:
    workspace()
    selection = json.loads(Path("data/selection/trial.json").read_text())
    Path("data/selection/trial.json").write_text(json.dumps({**selection, "selected": selection["selected"][::-1]}))
    with pytest.raises(UserError, match="the features hour, carrier, rain, never_known"):
        main("trial")


KILLED_IN_MID_WRITE = """
import os, signal
from pathlib import Path
from stages.models.bundle import whole_bundle
with whole_bundle(Path("bundles/trial")) as folder:
    (folder / "model.ubj").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
KILLED_BEFORE_THE_NEW_ONE_IS_IN_PLACE = """
import os, signal
from pathlib import Path
from stages.models.bundle import whole_bundle
with whole_bundle(Path("bundles/trial")) as folder:
    (folder / "model.ubj").write_text("new")
    replace = Path.replace
    def put_aside(path, target):
        replace(path, target)
        if path == Path("bundles/trial"):
            os.kill(os.getpid(), signal.SIGKILL)
    Path.replace = put_aside
"""


@pytest.mark.parametrize(
    ("script", "stays"), [(KILLED_IN_MID_WRITE, True), (KILLED_BEFORE_THE_NEW_ONE_IS_IN_PLACE, False)]
)
def test_a_killed_run_leaves_the_old_bundle_or_none_and_the_next_run_tidies_up(
    workspace, script: str, stays: bool
) -> None:
    workspace()
    done = subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode == -9
    if stays:
        open_bundle(BUNDLE)
    else:
        assert not BUNDLE.exists()
    main("trial")
    open_bundle(BUNDLE)
    assert [path.name for path in BUNDLE.parent.iterdir()] == ["trial"]


def test_nothing_appears_where_there_was_no_bundle_when_filling_one_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), whole_bundle(tmp_path / "bundles" / "new") as folder:
        (folder / "model.ubj").write_text(str(1 / 0))
    assert list((tmp_path / "bundles").iterdir()) == []


def test_the_signature_tells_what_training_saw(workspace, planted) -> None:
    workspace()
    inputs = {entry["name"]: entry for entry in signature()["inputs"]}
    train = planted.rows().filter(pl.col("part") == "train")
    assert (inputs["hour"]["low"], inputs["hour"]["high"]) == (train["hour"].min(), train["hour"].max())
    assert inputs["hour"]["null_share"] == pytest.approx(train["hour"].null_count() / len(train), abs=1e-6)
    assert inputs["carrier"]["categories"] == list(planted.carriers)
    assert (inputs["never_known"]["low"], inputs["never_known"]["null_share"]) == (None, 1.0)
    assert inputs["rain"]["about"] == "planted rain"


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_an_input_that_moves_the_answer_more_has_a_larger_effect(workspace, task: str) -> None:
    workspace(task)
    effects = {entry["name"]: entry["effect"] for entry in signature()["inputs"]}
    assert effects["never_known"] == 0 < effects["rain"] < effects["hour"]


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_bundle_knows_how_predictions_of_each_size_fared_in_the_test(workspace, task: str) -> None:
    workspace(task)
    found = json.loads((BUNDLE / "calibration.json").read_text())
    assert (found["level"], found["resampled"]) == (0.95, "day")
    names = read_selection("trial")
    rows = pl.concat(open_features("trial", columns=names).frames("test"))
    scores, targets = open_bundle(BUNDLE).model.predict(rows), rows["target"].to_numpy()
    for group in found["groups"] if task != "regression" else ():
        likely, right = (scores, targets == 1) if task == "binary" else (scores.max(1), scores.argmax(1) == targets)
        coded = probability_of_code(code_probabilities(likely))  # as the table counts them
        own = np.floor(coded * 10) == np.floor(group["predicted"] * 10)
        assert (own.sum(), right[own].mean()) == (group["rows"], pytest.approx(group["observed"], rel=1e-5))
    if task == "regression":
        assert all(group["tenth"] < 0 < group["ninetieth"] for group in found["groups"])
        assert sum(group["rows"] * group["observed"] for group in found["groups"]) / sum(
            group["rows"] for group in found["groups"]
        ) == pytest.approx(targets.mean(), abs=3)


def test_the_threshold_is_the_very_number_by_which_the_evaluation_decided(workspace) -> None:
    workspace()
    threshold = signature()["threshold"]
    rows = pl.concat(open_features("trial", columns=read_selection("trial")).frames("test"))
    late = read_model(Path("models/trial"), FAMILY).predict(rows) >= np.float32(threshold)
    header = json.loads(pl.read_parquet_metadata("data/evaluation/trial.parquet")["plumbline"])
    cells = pl.read_parquet("data/evaluation/trial.parquet").filter(pl.col("system") == "model", segment="")
    code = header["systems"]["model"]["decides"]["threshold_code"]
    assert int(late.sum()) == cells.filter(pl.col("code") >= code)["n"].sum()
    assert np.float32(threshold) == np.float32(threshold_of_code(code))


def test_no_threshold_changes_on_its_way_through_a_metrics_file() -> None:
    for code in range(N_CODES):
        decision = BinaryDecision(code, cost_of_miss=1.0, cost_of_false_alarm=1.0)
        written = json.dumps(with_thresholds({"f1": {}}, BINARY, {"model": decision, "baseline": decision}))
        assert np.float32(json.loads(written)["f1"]["threshold"]) == np.float32(decision.threshold)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_card_has_every_metric_input_and_left_out_feature(workspace, task: str) -> None:
    workspace(task)
    card = (BUNDLE / "README.md").read_text()
    rows = [line.split(" | ") for line in card.splitlines() if line.startswith("| ")]
    results = json.loads(Path("metrics/trial/results.json").read_text())
    metrics = [row for row in rows if row[1] in ("higher", "lower")]
    assert [row[0].strip("| ") for row in metrics] == [
        {"mae": "MAE", "rmse": "RMSE", "r2": "R²"}.get(name, name.replace("_", " ").replace("roc auc", "ROC-AUC"))
        for name in results
    ]
    for row, result in zip(metrics, results.values(), strict=True):
        assert float(row[2].replace("−", "-")) == float(f"{result['value']:.4g}")
    inputs = [row for row in rows if row[0].startswith("| `")]
    assert [row[0].strip("| `") for row in inputs] == read_selection("trial")
    assert all(len(row) == 5 for row in inputs)
    assert "- `wind`: planted" in card
    assert f"{read_model(BUNDLE, FAMILY).booster.num_boosted_rounds()} rounds" in card


def test_the_example_is_rows_to_start_from(workspace) -> None:
    workspace()
    example = pl.read_csv(BUNDLE / "example.csv", infer_schema=False)
    assert example.columns == read_selection("trial")
    assert len(example) == 10
