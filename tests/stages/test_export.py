"""`export` writes the model of a bundle as ONNX with what goes in, and nothing where it does not score the same."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from stages import export
from stages.exports import parity
from stages.metrics.stored import task_named
from stages.models.bundle import open_bundle
from stages.models.signature import fit_rows
from stages.workspace.errors import UserError

ROOT = Path(__file__).parents[2]
BUNDLES = ROOT / "bundles"
networks = pytest.mark.networks
needs_bundles = pytest.mark.skipif(not (BUNDLES / "nycflights").is_dir(), reason="no bundles here: `make repro`")


def test_without_the_optional_layer_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)  # Python's way to say that there is none
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="make networks") as refusal:
        export.main(str(BUNDLES / "nycflights"))
    assert "no onnx" in refusal.value.found
    assert not list(tmp_path.iterdir())


@networks
@needs_bundles
@pytest.mark.parametrize("dataset", ["nycflights", "digits", "diabetes"])
def test_a_bundle_is_exported_with_what_goes_in(tmp_path: Path, dataset: str) -> None:
    export.main(str(BUNDLES / dataset), "-o", str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inputs.json", "model.onnx"]
    content = (tmp_path / "model.onnx").read_bytes()
    told, signature = json.loads((tmp_path / "inputs.json").read_text()), open_bundle(BUNDLES / dataset).signature
    assert told["model"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert [entry["name"] for entry in told["inputs"]] == [entry["name"] for entry in signature["inputs"]]
    for entry, known in zip(told["inputs"], signature["inputs"], strict=True):
        assert entry["kind"] == known["kind"] and entry.get("categories") == known.get("categories")
    assert (told["task"], told["classes"], told.get("threshold")) == (
        signature["task"], signature["classes"], signature.get("threshold"),
    )  # fmt: skip
    assert told["parity"]["other_decisions"] == 0 and told["parity"]["rows"] > 4000
    assert told["parity"]["largest_difference"] <= parity.TOLERANCE


@networks
@needs_bundles
def test_further_rows_are_held_side_by_side(tmp_path: Path) -> None:
    export.main(str(BUNDLES / "diabetes"), "-o", str(tmp_path / "few"))
    rows = ROOT / "data/features/diabetes"
    (first, *_) = sorted(rows.glob("*.parquet"))
    export.main(str(BUNDLES / "diabetes"), "-o", str(tmp_path / "more"), "--rows", str(first))
    few, more = (
        json.loads((tmp_path / name / "inputs.json").read_text())["parity"]["rows"] for name in ("few", "more")
    )
    assert more - few == len(pl.read_parquet(first))


@networks
@needs_bundles
def test_rows_that_lack_an_input_are_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("age,sex\n1,female\n")
    with pytest.raises(UserError, match="missing column"):
        export.main(str(BUNDLES / "diabetes"), "-o", str(tmp_path / "out"), "--rows", str(tmp_path / "rows.csv"))
    assert not (tmp_path / "out").exists()


@networks
@needs_bundles
def test_forecasts_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="family that can be an ONNX graph"):
        export.main(str(BUNDLES / "weather"), "-o", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@networks
@needs_bundles
def test_nothing_is_written_where_scores_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Held to more than float32 can say, digits is refused: its softmax differs in the last bit."""
    monkeypatch.setattr(parity, "TOLERANCE", 0.0)
    with pytest.raises(UserError, match="nothing was written"):
        export.main(str(BUNDLES / "digits"), "-o", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@networks
@needs_bundles
@pytest.mark.parametrize("dataset", ["nycflights", "digits", "diabetes"])
def test_the_script_of_the_documentation_answers_as_the_bundle_does(tmp_path: Path, dataset: str) -> None:
    """Without this repository and what it stands on; a row has an unknown category, another misses a value."""
    bundle = open_bundle(BUNDLES / dataset)
    rows = pl.read_csv(BUNDLES / dataset / "example.csv", infer_schema=False)
    first = rows.columns[0]
    rows = pl.concat([rows, rows.head(2).with_columns(pl.Series(first, ["ZZ" if dataset == "nycflights" else "", ""]))])
    (lines,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/export.md").read_text(), re.S)
    export.main(str(BUNDLES / dataset), "-o", str(tmp_path))
    rows.write_csv(tmp_path / "rows.csv")
    check = "import sys\nassert not {'polars', 'pandas', 'xgboost', 'stages', 'onnx'} & {*sys.modules}\n"
    command = [sys.executable, "-c", lines + check]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    fitted, _ = fit_rows(rows, bundle.signature["inputs"])
    named = task_named(bundle.signature["task"]).name_scores(bundle.model.predict(fitted), bundle.signature)
    told = [line.split(" ", 1) for line in done.stdout.splitlines()]
    assert len(told) == len(rows)
    if dataset == "diabetes":
        assert [float(score) for (score,) in told] == pytest.approx(named["prediction"].to_list(), rel=1e-6)
    elif dataset == "digits":
        assert [answer for (answer,) in told] == named["prediction"].to_list()
    else:
        assert [decision for _, decision in told] == named["decision"].to_list()
        assert [float(score) for score, _ in told] == pytest.approx(named["probability"].to_list(), abs=1e-6)


@needs_bundles
@networks
def test_a_page_wants_pictures_and_its_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="8 × 8"):
        export.main(str(BUNDLES / "nycflights"), "-o", str(tmp_path / "out"), "--page")
    monkeypatch.setattr(export, "ONNX_WEB", tmp_path / "none")
    with pytest.raises(UserError, match="make onnx-web"):
        export.main(str(BUNDLES / "digits"), "-o", str(tmp_path / "out"), "--page")
    assert not (tmp_path / "out").exists()


def test_without_npm_the_runtime_is_asked_for_in_words(tmp_path: Path) -> None:
    (tmp_path / "cat").symlink_to(shutil.which("cat") or "")
    done = subprocess.run(
        [shutil.which("bash") or "", ROOT / "tools/onnx_web.sh"], cwd=tmp_path, env={"PATH": str(tmp_path)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "wanted  npm" in done.stderr and "next    install Node.js" in done.stderr
