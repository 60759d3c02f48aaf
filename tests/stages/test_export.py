"""`export` writes the model of a bundle as ONNX with what goes in, and nothing where it does not score the same."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stages import export
from stages.exports import parity
from stages.models.bundle import open_bundle
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
def test_an_exported_row_is_decided_from_inputs_json_alone(tmp_path: Path) -> None:
    """A row with an unknown carrier and no wind, encoded by hand from what `inputs.json` says."""
    ort = pytest.importorskip("onnxruntime")
    export.main(str(BUNDLES / "nycflights"), "-o", str(tmp_path))
    told = json.loads((tmp_path / "inputs.json").read_text())
    bundle = open_bundle(BUNDLES / "nycflights")
    example = pl.read_csv(BUNDLES / "nycflights" / "example.csv", infer_schema=False).row(0, named=True)
    row, coded = {**example, "carrier": "ZZ", "wind_speed_mph": None}, []
    for entry in told["inputs"]:
        given, known = row[entry["name"]], entry.get("categories")
        value = (known.index(given) if given in known else np.nan) if known else float(given or "nan")
        coded.append(value)
    (scores,) = ort.InferenceSession(tmp_path / "model.onnx").run(None, {"inputs": np.array([coded], np.float32)})
    from stages.models.signature import fit_rows

    fitted, _ = fit_rows(pl.DataFrame([row], infer_schema_length=None), bundle.signature["inputs"])
    assert fitted["carrier"].null_count() == 1
    assert abs(float(scores[0]) - float(bundle.model.predict(fitted)[0])) < 1e-6
