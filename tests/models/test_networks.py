"""A network for tables: what PyTorch trains, NumPy scores; bad rows, a missing layer and a missing GPU are told of."""

import sys

import numpy as np
import polars as pl
import pytest

from stages.features.sketch import sketch_frame
from stages.features.table import Column
from stages.models.contract import DamagedModel
from stages.models.nets.coding import MISSING, Coding, Feature, coding_from_json, coding_of, matrix_of
from stages.models.nets.scoring import BLOCK, MODEL, WEIGHTS, TableModel
from stages.models.nets.settings import LoopSettings, require_layer
from stages.models.network import FAMILY, load

CODING = Coding(
    (
        Feature("hour", knots=(0.0, 6.0, 12.0, 24.0)),
        Feature("carrier", categories=("AA", "B6")),
        Feature("constant", knots=(5.0,)),
        Feature("never_known", knots=(0.0,)),
    )
)
LOOP = {"max_epochs": 1, "patience": 1, "batch": 8, "learning_rate": 0.1, "weight_decay": 0.0}


def weights(outputs: int = 1, members: int = 2, width: int = 5, layers: int = 3) -> dict[str, np.ndarray]:
    """Of `TableNet`, drawn at random."""
    rng = np.random.default_rng(0)
    shapes = {
        "pieces": (3, 4, 2), "offsets": (3, 2), "table": (3, 2), "first": (8, width), "signs": (members, width),
        "biases": (layers, members, width), "others": (layers - 1, width, width), "answers": (members, width, outputs),
        "means": (members, outputs),
    }  # fmt: skip
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def rows(n: int = 300) -> pl.DataFrame:
    rng = np.random.default_rng(1)
    hour = np.where(rng.random(n) < 0.1, np.nan, rng.uniform(-5, 30, n))
    carrier = rng.choice(["AA", "B6", None], n)
    return pl.DataFrame(
        {"hour": hour, "carrier": carrier, "constant": 5.0, "never_known": pl.Series([None] * n, dtype=pl.Float32)},
        schema_overrides={"carrier": pl.Enum(["AA", "B6"])},
    )


# ── coding ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_number_is_its_place_among_quantiles_and_beyond_them_their_end() -> None:
    hours = [0.0, 3.0, 6.0, 18.0, 24.0, -4.0, np.inf, np.nan]
    places, _ = CODING.encode(np.array([[hour, 0, 5, np.nan] for hour in hours], np.float32))
    assert places[:, 0].tolist() == [0.0, 0.5, 1.0, 2.5, 3.0, 0.0, 3.0, MISSING]
    assert set(places[:, 1].tolist()) == {0.0}
    assert set(places[:, 2].tolist()) == {MISSING}


def test_an_unknown_category_and_a_missing_one_share_the_last_code() -> None:
    _, codes = CODING.encode(np.array([[1, 0, 5, 0], [1, 1, 5, 0], [1, np.nan, 5, 0]], np.float32))
    assert codes[:, 0].tolist() == [0, 1, 2]


def test_quantiles_have_about_as_many_training_rows_each_and_outlive_empty_columns() -> None:
    skewed = pl.DataFrame(
        {"skewed": np.random.default_rng(0).lognormal(size=5000), "nothing": pl.Series([None] * 5000, dtype=pl.Float64)}
    )
    columns = [Column(name, "numeric", "", "") for name in skewed.columns]
    coding = coding_of(columns, sketch_frame(skewed, skewed.columns), 10)
    places, _ = coding.encode(matrix_of(skewed, skewed.columns))
    counts = np.bincount(np.minimum(places[:, 0], 9.999).astype(int), minlength=10)
    assert counts.min() > 350 and counts.max() < 650
    assert (places[:, 1] == MISSING).all()
    assert coding_from_json(coding.to_json()) == coding


# ── scoring ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.networks
@pytest.mark.parametrize(("task", "outputs"), [("binary", 1), ("multiclass", 3), ("regression", 1)])
def test_numpy_scores_what_the_trained_module_scores(task: str, outputs: int) -> None:
    torch = pytest.importorskip("torch")
    from stages.models.nets.architecture import TableNet

    net = TableNet(CODING, outputs=outputs, width=5, layers=3, members=2, embedding=2, dropout=0.5)
    net.load_state_dict({name: torch.from_numpy(array) for name, array in weights(outputs).items()})
    net.eval()
    raw = net(*map(torch.from_numpy, CODING.encode(matrix_of(rows(), list(rows().columns))))).detach()
    wanted = {"binary": lambda: raw[..., 0].sigmoid().mean(1), "multiclass": lambda: raw.softmax(2).mean(1),
              "regression": lambda: raw[..., 0].mean(1) * 3 + 100}[task]()  # fmt: skip
    model = TableModel(task, CODING, weights(outputs), *((100.0, 3.0) if task == "regression" else ()))
    assert np.allclose(model.predict(rows()), wanted, rtol=1e-5, atol=1e-6)


def test_a_row_scores_the_same_wherever_it_stands_and_however_many_stand_beside_it() -> None:
    model = TableModel("binary", CODING, weights(width=96))
    together = model.predict(rows())
    for start, count in ((0, 1), (17, 1), (BLOCK - 1, 2), (100, 150)):
        assert np.array_equal(model.predict(rows()[start : start + count]), together[start : start + count])
    assert len(model.predict(rows()[:0])) == 0


# ── what is wrong ────────────────────────────────────────────────────────────────────────────────────────────────────
def spoiled(**changed: np.ndarray) -> dict[str, bytes]:
    return TableModel("binary", CODING, weights() | changed).files()


@pytest.mark.parametrize(
    "files",
    [
        {}, {MODEL: b"{}"}, {MODEL: b"[1]", WEIGHTS: b""}, {**spoiled(), WEIGHTS: spoiled()[WEIGHTS][:-8]},
        spoiled(table=np.zeros((9, 2), np.float32)), spoiled(answers=np.zeros((2, 4, 1), np.float32)),
        spoiled(first=np.full((8, 5), np.nan, np.float32)), spoiled(means=np.zeros((7, 1), np.float32)),
    ],
    ids=["nothing", "empty", "no index", "cut short", "categories", "another width", "no numbers", "members"],
)  # fmt: skip
def test_damaged_files_are_refused(files: dict[str, bytes]) -> None:
    with pytest.raises(DamagedModel):
        load(files)


def test_files_come_back_as_the_same_model() -> None:
    model = TableModel("regression", CODING, weights(), 100.0, 3.0)
    again = load(model.files())
    assert again.files() == model.files()
    assert np.array_equal(again.predict(rows()), model.predict(rows()))


def test_without_the_layer_training_says_how_to_get_it_and_scoring_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # as import finds it where it is not installed
    with pytest.raises(ValueError) as refused:
        require_layer(LoopSettings(**LOOP, device="cpu"), "datasets.trial.model")
    wanted, _, following = refused.value.args
    assert "optional layer" in wanted and "make networks" in following
    assert load(TableModel("binary", CODING, weights()).files()).predict(rows()).shape == (300,)


@pytest.mark.networks
def test_a_gpu_that_is_not_there_is_refused() -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ValueError) as refused:
        require_layer(LoopSettings(**LOOP, device="cuda"), "datasets.trial.model")
    assert "datasets.trial.model.device=cpu" in refused.value.args[2]


def test_the_words_of_the_card_name_the_epochs_and_a_gpu() -> None:
    told = {"best_round": 4, "device": "cuda"}
    assert FAMILY.words(told, "PyTorch 2") == "A neural network (PyTorch 2, 5 epochs, trained on a GPU)"
