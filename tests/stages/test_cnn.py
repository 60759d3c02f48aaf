"""Pictures through the line by their pixels: trained by PyTorch, scored without it, looked at where it errs."""

import base64
import json
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from stages import evaluate, package, report, train
from stages.features.table import open_features, read_selection
from stages.models import rows
from stages.models.bundle import open_bundle
from stages.models.contract import DamagedModel
from stages.models.families import open_model
from stages.models.nets.picture_scoring import load_pictures
from stages.records.pictures import from_text
from stages.results.mistakes import find_mistakes
from stages.workspace.errors import UserError

pytestmark = pytest.mark.networks
NAME, SIDE = "trial", 12
CLASSES = ["lying", "standing", "neither"]
SETTINGS = {
    "family": "cnn", "layout": "plain", "width": 4, "hidden": 8, "max_epochs": 3, "patience": 3, "batch": 64,
    "learning_rate": 0.01, "weight_decay": 0.01, "schedule": "cycle",
}  # fmt: skip
RESIDUAL = {**SETTINGS, "layout": "residual", "flips": True, "shift": 1, "max_epochs": 2}
CLEAN = {
    "records": dict.fromkeys(("rows_published", "rows_in", "rows_clean", "labelled"), 900) | {"rows_quarantined": 0},
    "references": {}, "failures": {}, "unlabelled": {}, "simulated": False,
}  # fmt: skip


def bars(n: int = 900) -> pl.DataFrame:
    """Pictures of bars that lie, stand, or are squares, in noise; a column for families that read numbers."""
    draw = np.random.default_rng(3)
    target = draw.integers(0, 3, n)
    pictures = draw.integers(0, 90, (n, SIDE, SIDE))
    for picture, kind in zip(pictures, target, strict=True):
        i, j = draw.integers(0, 4, 2)
        high, wide = [(2, 7), (7, 2), (4, 4)][kind]
        picture[i : i + high, j : j + wide] += 120
    part = np.where(np.arange(n) < 0.6 * n, "train", np.where(np.arange(n) < 0.8 * n, "valid", "test"))
    return pl.DataFrame({
        "day": pl.Series(["2013-01-01"] * n).str.to_date(), "part": part, "target": target.astype(np.int8),
        "picture": pl.Series(pictures.reshape(n, -1).astype(np.uint8)),
        "light": pictures.mean(axis=(1, 2)).astype(np.float32),
    })  # fmt: skip


def prepare(planted, folder: Path, threads: int = 1, **settings) -> None:
    folder.mkdir(exist_ok=True)
    planted.write(bars(), "multiclass", CLASSES, threads=threads, **{"max_depth": 0, **settings})
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["datasets"][NAME]["model"] = settings
    Path("params.yaml").write_text(yaml.safe_dump(params))


def files_of(folder: str = f"models/{NAME}") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).glob("model*")}


@pytest.fixture(params=["plain", "residual"])
def settings(request) -> dict:
    return {"plain": SETTINGS, "residual": RESIDUAL}[request.param]


def test_threads_and_pictures_on_disk_change_no_byte(planted, tmp_path, monkeypatch, settings):
    monkeypatch.chdir(tmp_path)
    found = []
    for threads, gib in ((1, 1.0), (2, 1.0), (1, 1e-4)):
        prepare(planted, tmp_path, threads, **settings)
        text = Path("params.yaml").read_text().replace("memory_limit_gib: 1.0", f"memory_limit_gib: {gib}")
        Path("params.yaml").write_text(text)
        train.main(NAME)
        found.append(files_of())
        assert set(found[-1]) == {"model.json", "model.safetensors"}
    assert found[0] == found[1] == found[2]
    assert not rows.PAGES.exists() or not list(rows.PAGES.iterdir())


def test_numpy_scores_what_pytorch_would(planted, tmp_path, monkeypatch, settings):
    import torch

    from stages.models.nets import picture_net

    monkeypatch.chdir(tmp_path)
    prepare(planted, tmp_path, **settings)
    kept = {}
    fold = picture_net.fold
    monkeypatch.setattr(picture_net, "fold", lambda weights: kept.update(weights) or fold(weights))
    train.main(NAME)
    model = load_pictures(files_of())
    net = picture_net.PictureNet(model.plan, model.shape, model.mean, model.spread, 0.0)
    net.load_state_dict({name: torch.from_numpy(values) for name, values in kept.items()})
    frame = bars()
    with torch.inference_mode():
        theirs = net.eval()(torch.from_numpy(frame["picture"].to_numpy().copy())).softmax(1).numpy()
    assert np.allclose(model.predict(frame), theirs, atol=2e-5)


def test_the_line_runs_on_pixels_and_shows_its_mistakes(planted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepare(planted, tmp_path, **SETTINGS)
    train.main(NAME)
    curve = pl.read_csv(f"plots/{NAME}/learning_curve.csv")
    assert curve["round"].n_unique() == SETTINGS["max_epochs"]
    evaluate.main(NAME)
    accuracy = json.loads(Path(f"metrics/{NAME}/results.json").read_text())["accuracy"]
    assert accuracy["value"] > 0.8 and accuracy["difference_low"] > 0
    Path(f"metrics/{NAME}/clean.json").write_text(json.dumps(CLEAN))
    package.main(NAME)
    bundle = open_bundle(Path(f"bundles/{NAME}"))
    assert [entry["name"] for entry in bundle.signature["inputs"] if entry["kind"] == "picture"] == ["picture"]
    test = bars().filter(pl.col("part") == "test")
    scores = bundle.model.predict(test)
    for place in (0, 7, 8, len(test) - 1):
        assert bundle.model.predict(test[place : place + 1]).tobytes() == scores[place : place + 1].tobytes()
    report.main(NAME)
    page = Path(f"reports/{NAME}/results.html").read_text()
    wrong = int((scores.argmax(axis=1) != test["target"].to_numpy()).sum())
    assert f"{wrong} of {len(test)} test pictures are answered wrong" in page


def test_mistakes_are_those_of_all_rows_the_surest_first(planted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepare(planted, tmp_path, **{**SETTINGS, "max_epochs": 1})
    train.main(NAME)
    table = open_features(NAME, columns=read_selection(NAME))
    model = open_model(table)
    found = find_mistakes(
        table.frames("test"), model, picture="picture", shape=(SIDE, SIDE, 1), target="target", classes=CLASSES,
        threshold=None,
    )  # fmt: skip
    test = bars().filter(pl.col("part") == "test")
    scores = model.predict(test)
    wrong = np.flatnonzero(scores.argmax(axis=1) != test["target"].to_numpy())
    surest = wrong[np.argsort(-scores[wrong].max(axis=1), kind="stable")][:30]
    assert (found.wrong, found.rows) == (len(wrong), len(test))
    assert [mistake.probability for mistake in found.shown] == pytest.approx(scores[surest].max(axis=1))
    first = from_text(found.shown[0].picture, (SIDE, SIDE, 1))
    assert first.tobytes() == test["picture"].to_numpy()[surest[0]].tobytes()
    assert base64.b64decode(found.shown[0].picture).startswith(b"\x89PNG")


def test_pictures_are_mirrored_and_moved_and_what_comes_in_is_black():
    import torch

    from stages.models.nets.loop import seeded
    from stages.models.nets.picture_net import augment

    pictures = torch.from_numpy(np.random.default_rng(1).integers(1, 256, (400, 6 * 5 * 3), dtype=np.uint8))
    change = partial(augment, shape=(6, 5, 3))
    (same,) = change((pictures,), seeded(1), flips=False, shift=0)
    assert torch.equal(same, pictures)
    (turned,) = change((pictures,), seeded(1), flips=True, shift=0)
    mirrored = pictures.reshape(-1, 6, 5, 3).flip(2).reshape(400, -1)
    is_mirrored = (turned == mirrored).all(1)
    assert (is_mirrored | (turned == pictures).all(1)).all() and 140 < is_mirrored.sum() < 260
    (moved,) = change((pictures,), seeded(2), flips=False, shift=1)
    padded = np.pad(pictures.numpy().reshape(-1, 6, 5, 3), ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = [padded[:, i : i + 6, j : j + 5].reshape(400, -1) for i in range(3) for j in range(3)]
    ways = np.stack([(window == moved.numpy()).all(axis=1) for window in windows])
    assert ways.any(axis=0).all() and (ways.sum(axis=1) > 15).all()


@pytest.mark.parametrize(
    "damage",
    [
        lambda files: {},
        lambda files: {**files, "model.json": b"{}"},
        lambda files: {**files, "model.json": files["model.json"].replace(b'"lay flat"', b'"average"')},
        lambda files: {**files, "model.safetensors": files["model.safetensors"][:-4]},
    ],
)
def test_a_damaged_model_is_one(planted, tmp_path, monkeypatch, damage):
    monkeypatch.chdir(tmp_path)
    prepare(planted, tmp_path, **{**SETTINGS, "max_epochs": 1})
    train.main(NAME)
    with pytest.raises(DamagedModel):
        load_pictures(damage(files_of()))


def test_a_table_without_pictures_is_refused_in_words(planted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepare(planted, tmp_path, **SETTINGS)
    path = Path(f"data/features/{NAME}/manifest.json")
    manifest = json.loads(path.read_text())
    manifest["columns"] = [column for column in manifest["columns"] if column["kind"] != "picture"]
    path.write_text(json.dumps(manifest))
    selection = Path(f"data/selection/{NAME}.json")
    content = json.loads(selection.read_text())
    selection.write_text(json.dumps(content | {"selected": ["light"]}))
    with pytest.raises(UserError, match="a family that can read the features of trial"):
        train.main(NAME)
