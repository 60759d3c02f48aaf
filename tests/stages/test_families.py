"""Every family of models keeps the same contract, on every task: through `train`, `evaluate`, `package` and back."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import lightgbm
import numpy as np
import polars as pl
import pytest
import xgboost as xgb
import yaml
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, r2_score, roc_auc_score

from stages import evaluate, package, report, train
from stages.features.table import open_features
from stages.models.bagging import Bag
from stages.models.bundle import open_bundle
from stages.models.families import FAMILIES, open_model, read_model
from stages.models.linear import Line
from stages.models.signature import fit_rows
from stages.models.trees import Trees
from stages.serving.answers import answer_objects, answer_rows
from stages.serving.champion import open_served
from stages.workspace.errors import UserError

ROOT = Path(__file__).parents[2]
NAME = "trial"
TASKS = ("binary", "multiclass", "regression")
LAYER = {"network": pytest.mark.networks}  # what wants the optional layer
GENERAL = [  # the others have tests of their own
    pytest.param(name, marks=LAYER.get(name, ())) for name in FAMILIES if {*TASKS} <= {*FAMILIES[name].tasks}
]
SETTINGS = {
    "boosting": {
        "max_depth": 3, "learning_rate": 0.3, "min_child_weight": 1.0, "subsample": 0.8, "colsample_bytree": 0.8,
        "reg_lambda": 1.0, "max_bin": 32, "max_rounds": 15, "early_stopping_rounds": 5,
    },
    "forest": {
        "trees": 20, "max_depth": 6, "min_child_weight": 1.0, "subsample": 0.6, "colsample_bynode": 0.6,
        "reg_lambda": 1.0, "max_bin": 32,
    },
    "lightgbm": {
        "num_leaves": 8, "learning_rate": 0.2, "min_data_in_leaf": 20, "bagging_fraction": 0.8, "feature_fraction": 0.8,
        "lambda_l2": 1.0, "max_bin": 32, "max_rounds": 15, "early_stopping_rounds": 5,
    },
    "linear": {"penalty": 1.0, "max_iterations": 200},
}  # fmt: skip
SETTINGS["bagging"] = {**SETTINGS["boosting"], "members": 3}
SETTINGS["blend"] = {
    "copies": 2, "of": {name: {"family": name, **SETTINGS[name]} for name in ("boosting", "lightgbm")},
}  # fmt: skip
SETTINGS["network"] = {
    "max_epochs": 25, "patience": 5, "batch": 64, "learning_rate": 0.005, "weight_decay": 1e-4, "pieces": 8,
    "embedding": 4, "width": 24, "layers": 2, "members": 2, "dropout": 0.1,
}  # fmt: skip
CLEAN = {
    "records": dict.fromkeys(("rows_published", "rows_in", "rows_clean", "labelled"), 3000) | {"rows_quarantined": 0},
    "unlabelled": {}, "failures": {},
}  # fmt: skip


def prepare(planted: SimpleNamespace, root: Path, task: str, family: str, threads: int = 1, **changes: object) -> None:
    """A folder ready to train in, and the test in it."""
    planted.write(planted.rows(task, n=1500), task, threads=threads)
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["datasets"][NAME]["model"] = {"family": family, **SETTINGS[family], **changes}
    Path("params.yaml").write_text(yaml.safe_dump(params))


@pytest.fixture(scope="module")
def trained(planted: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory):
    """The folder in which a family has been trained, evaluated and packaged once."""
    made: dict[tuple[str, str], Path] = {}

    def once(family: str, task: str) -> Path:
        if (family, task) not in made:
            root = tmp_path_factory.mktemp(f"{family}-{task}")
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(root)
                prepare(planted, root, task, family)
                for stage in (train, evaluate, package):
                    stage.main(NAME)
            made[family, task] = root
        return made[family, task]

    return once


def rows_of(part: str) -> pl.DataFrame:
    return pl.concat(open_features(NAME).frames(part))


@pytest.mark.parametrize("family", GENERAL)
@pytest.mark.parametrize("task", TASKS)
def test_a_family_learns_and_ships(trained, monkeypatch: pytest.MonkeyPatch, family: str, task: str) -> None:
    monkeypatch.chdir(trained(family, task))
    results = json.loads(Path(f"metrics/{NAME}/results.json").read_text())
    lead = next(iter(results.values()))
    better = lead["difference"] if lead["direction"] == "higher" else -lead["difference"]
    assert better > 0
    told = json.loads(Path(f"models/{NAME}/training.json").read_text())
    assert told["family"] == family
    assert len(pl.read_csv(f"plots/{NAME}/learning_curve.csv")) == 2 * told["rounds"]
    card = Path(f"bundles/{NAME}/README.md").read_text()
    libraries = [FAMILIES[name].library() for name in SETTINGS["blend"]["of"]] if family == "blend" else []
    assert all(library in card for library in libraries or [FAMILIES[family].library()])
    assert ("number of rounds was chosen" in card) == FAMILIES[family].stops_early


@pytest.mark.parametrize("family", GENERAL)
@pytest.mark.parametrize("task", TASKS)
def test_a_row_of_json_scores_as_one_of_a_frame(trained, monkeypatch: pytest.MonkeyPatch, family, task: str) -> None:
    monkeypatch.chdir(trained(family, task))
    served = open_served(Path("bundles") / NAME)
    assert (served.by_codes is None) == (family == "linear")
    rows = rows_of("test").head(50).select(served.inputs.names)
    plain = rows.with_columns(pl.col(pl.Enum).cast(pl.String)).to_dicts()
    plain = [row for row in plain if any(value is not None for value in row.values())]
    found = [answer_objects(served, [row]).scores[0] for row in plain]
    assert np.array_equal(found, answer_rows(served, pl.DataFrame(plain, schema=rows.schema)).scores)


@pytest.mark.parametrize("family", [name for name in FAMILIES if FAMILIES[name].alone])
@pytest.mark.parametrize("task", TASKS)
def test_the_lines_on_the_card_score_the_example_as_the_bundle_does(
    trained, monkeypatch: pytest.MonkeyPatch, family: str, task: str
) -> None:
    monkeypatch.chdir(trained(family, task) / "bundles" / NAME)
    (lines,) = re.findall(r"```python\n(.*?)```", Path("README.md").read_text(), re.S)
    assert lines == FAMILIES[family].alone
    assert lines in (ROOT / "docs/models.md").read_text()
    found: dict = {}
    exec(lines, found)
    bundle = open_bundle(Path())
    rows, misfits = fit_rows(pl.read_csv("example.csv", infer_schema=False), bundle.signature["inputs"])
    assert not [misfit for misfit in misfits if misfit.kind != "out of range"]
    assert rows["carrier"].n_unique() > 2
    assert np.array_equal(found["scores"].astype(np.float32), bundle.model.predict(rows))


@pytest.mark.parametrize("family", ["boosting", "forest", "lightgbm"])
def test_a_category_of_pandas_is_known_by_its_name_whatever_its_place(
    trained, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    monkeypatch.chdir(trained(family, "binary"))
    rows = rows_of("test").filter(pl.col("carrier").is_in(["B6", "a|b"]))
    model = open_model(open_features(NAME))
    given = rows.select(model.features).to_pandas()
    given["carrier"] = given["carrier"].astype(str).astype("category")  # 0 and 1, where training had 1 and 3
    if family == "lightgbm":
        scores = lightgbm.Booster(model_file=f"bundles/{NAME}/model.txt").predict(given)
    else:
        booster = xgb.Booster(model_file=f"bundles/{NAME}/model.ubj")
        scores = booster.predict(xgb.DMatrix(given, enable_categorical=True))
        assert np.array_equal(scores, booster.inplace_predict(given))
    assert np.array_equal(scores.astype(np.float32), model.predict(rows))


@pytest.mark.parametrize("family", GENERAL)
def test_the_same_bytes_from_two_threads_as_from_one(
    trained, planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    one = trained(family, "binary") / "models" / NAME
    monkeypatch.chdir(tmp_path)
    prepare(planted, tmp_path, "binary", family, threads=2)
    train.main(NAME)
    assert {path.name: path.read_bytes() for path in one.iterdir()} == {
        path.name: path.read_bytes() for path in Path("models", NAME).iterdir()
    }


@pytest.mark.parametrize("family", GENERAL)
@pytest.mark.parametrize("task", TASKS)
def test_a_row_scores_the_same_alone_as_among_others_and_on_any_threads(
    trained, monkeypatch: pytest.MonkeyPatch, family: str, task: str
) -> None:
    monkeypatch.chdir(trained(family, task))
    rows = rows_of("test").head(60)
    assert rows.null_count().sum_horizontal().item() > 0  # missing numbers and categories among them
    model = open_model(open_features(NAME), threads=1)
    together = model.predict(rows)
    assert together.dtype == np.float32
    assert np.isfinite(together).all()
    alone = np.concatenate([model.predict(rows[k : k + 1]) for k in range(len(rows))])
    assert np.array_equal(alone, together)
    model.use_threads(2)
    assert np.array_equal(model.predict(rows), together)
    shipped = read_model(Path(f"bundles/{NAME}"), FAMILIES[family])
    assert np.array_equal(shipped.predict(rows), together)


@pytest.mark.parametrize("family", GENERAL)
@pytest.mark.parametrize("task", TASKS)
def test_contributions_add_up_to_the_score_or_there_are_none(
    trained, monkeypatch: pytest.MonkeyPatch, family: str, task: str
) -> None:
    monkeypatch.chdir(trained(family, task))
    rows, model = rows_of("test").head(200), open_model(open_features(NAME))
    found = model.contributions(rows)
    if family in ("bagging", "blend", "network"):
        assert found is None
        return
    assert found is not None
    raw, scores = found.astype(np.float64).sum(axis=2), model.predict(rows).astype(np.float64)
    if task == "multiclass":
        powers = np.exp(raw - raw.max(axis=1, keepdims=True))
        assert np.allclose(powers / powers.sum(axis=1, keepdims=True), scores, atol=1e-4)
    else:
        wanted = np.log(scores / (1 - scores)) if task == "binary" else scores
        assert np.allclose(raw[:, 0], wanted, rtol=1e-3, atol=1e-3)


def test_a_linear_model_is_scikit_learns_on_the_same_columns(trained, monkeypatch: pytest.MonkeyPatch) -> None:
    for task in TASKS:
        monkeypatch.chdir(trained("linear", task))
        model = open_model(open_features(NAME))
        assert isinstance(model, Line)
        parts = {part: design(rows_of(part), rows_of("train")) for part in ("train", "test")}
        labels = rows_of("train")["target"].to_numpy()
        if task == "regression":
            wanted = Ridge(alpha=1.0).fit(parts["train"], labels).predict(parts["test"])
        else:
            fitted = LogisticRegression(C=1.0, max_iter=5000, tol=1e-8).fit(parts["train"], labels)
            wanted = fitted.predict_proba(parts["test"])
            wanted = wanted[:, 1] if task == "binary" else wanted
        assert np.allclose(model.predict(rows_of("test")), wanted, rtol=2e-2, atol=5e-3)


def design(rows: pl.DataFrame, train: pl.DataFrame) -> np.ndarray:
    """One-hot and scaled columns, written another way than the family does."""
    columns = []
    for name in open_features(NAME).names:
        if train[name].dtype == pl.Enum:
            columns += [
                (rows[name].cast(pl.String) == value).fill_null(False) for value in train[name].dtype.categories
            ]
        else:
            spread = train[name].std(ddof=0) or 1.0
            columns.append(((rows[name] - (train[name].mean() or 0.0)) / spread).fill_null(0.0))
        columns.append(rows[name].is_null())
    return np.stack([column.cast(pl.Float64).to_numpy() for column in columns], axis=1)


def test_a_bag_predicts_the_mean_of_its_members(trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained("bagging", "multiclass"))
    rows, model = rows_of("test"), open_model(open_features(NAME))
    assert isinstance(model, Bag)
    assert len(model.members) == 3
    members = [each.predict(rows) for each in model.members]
    assert all(not np.array_equal(members[0], other) for other in members[1:])
    assert np.allclose(model.predict(rows), np.mean(members, axis=0), atol=1e-6)
    curve = pl.read_csv(f"plots/{NAME}/learning_curve.csv").filter(pl.col("part") == "valid")
    valid = rows_of("valid")
    assert curve["loss"][-1] == pytest.approx(log_loss(valid["target"], model.predict(valid)), abs=1e-5)


def test_a_forest_is_xgboosts_own(trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained("forest", "binary"))
    model = open_model(open_features(NAME))
    assert isinstance(model, Trees)
    assert model.booster.num_boosted_rounds() == 1
    assert len(model.booster.get_dump()) == 20
    own, test = SETTINGS["forest"], rows_of("test")
    plain = xgb.XGBRFClassifier(
        n_estimators=own["trees"], tree_method="hist", enable_categorical=True, max_bin=32, random_state=1,
        **{name: own[name] for name in ("max_depth", "subsample", "colsample_bynode", "reg_lambda")},
    ).fit(rows_of("train").select(model.features).to_pandas(), rows_of("train")["target"].to_numpy())  # fmt: skip
    theirs = plain.predict_proba(test.select(model.features).to_pandas())[:, 1]
    assert roc_auc_score(test["target"], model.predict(test)) == pytest.approx(
        roc_auc_score(test["target"], theirs), abs=0.02
    )


def test_lightgbm_fits_partitions_as_it_fits_all_rows_at_once(trained, monkeypatch: pytest.MonkeyPatch) -> None:
    import lightgbm as lgb

    from stages.models.lightgbm import matrix_of

    monkeypatch.chdir(trained("lightgbm", "regression"))
    table, test = open_features(NAME), rows_of("test")
    model = open_model(table)
    own = {k: v for k, v in SETTINGS["lightgbm"].items() if k not in ("max_rounds", "early_stopping_rounds")}
    fixed = {
        "objective": "regression",
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
        "bagging_freq": 1,
    }
    rows = rows_of("train")
    data = lgb.Dataset(
        matrix_of(rows, table.names), label=rows["target"].to_numpy(), feature_name=table.names,
        categorical_feature=["carrier"], params={**own, "feature_pre_filter": False},
    )  # fmt: skip
    rounds = json.loads(Path(f"models/{NAME}/training.json").read_text())["best_round"] + 1
    plain = lgb.train({**own, **fixed, "verbosity": -1, "feature_pre_filter": False}, data, rounds)
    theirs = r2_score(test["target"], plain.predict(matrix_of(test, table.names)))
    assert r2_score(test["target"], model.predict(test)) == pytest.approx(theirs, abs=0.03)


def test_a_report_of_a_family_without_exact_contributions_says_so(trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained("bagging", "binary"))
    Path(f"metrics/{NAME}/clean.json").write_text(json.dumps(CLEAN))
    report.main(NAME)
    page = Path(f"reports/{NAME}/results.html").read_text()
    assert "no exact share of each feature" in page
    assert "bootstrap samples of the rows" in page


# ── what cannot be done ──────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("family", "changes", "found"),
    [
        (
            "boosted",
            {},
            r"boosting, lightgbm, forest, bagging, linear, network, cnn, words, blend, direct\nfound   'boosted'",
        ),
        ("linear", {"max_depth": 3}, r"datasets.trial.model.max_depth: unknown key"),
        ("forest", {"distributed": True}, r"trains on several machines \(boosting\)\nfound   family: forest"),
        ("blend", {"of": {"one": {"family": "blend"}}}, r"model.of.one.family: boosting, (.|\n)*found   'blend'"),
        (
            "blend",
            {"of": {"one": {"family": "linear", "depth": 1}}},
            r"model.of.one.depth: unknown",
        ),
        ("blend", {"of": {}}, r"datasets.trial.model.of: "),
        ("lightgbm", {"device": "cuda"}, r"trains there \(boosting, bagging, network, cnn\)\nfound   family: lightgbm"),
    ],
)
def test_what_a_family_cannot_do_is_refused_with_those_that_can(
    planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str, changes: dict, found: str
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(planted, tmp_path, "binary", family if family in SETTINGS else "linear", **changes)
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["datasets"][NAME]["model"]["family"] = family
    Path("params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(UserError, match=found):
        train.main(NAME)
    assert not Path("models").exists()


@pytest.mark.parametrize("family", ["linear", pytest.param("network", marks=pytest.mark.networks)])
def test_a_model_whose_rows_would_not_fit_into_memory_is_refused(
    planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(planted, tmp_path, "binary", family)
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["scale"]["memory_limit_gib"] = 1e-5
    Path("params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(UserError, match=r"all at once|all of them at once"):
        train.main(NAME)


@pytest.mark.parametrize("family", GENERAL)
def test_damaged_files_of_a_model_are_told_of(trained, tmp_path: Path, family: str) -> None:
    for path in (trained(family, "binary") / "models" / NAME).glob("model*"):
        (tmp_path / path.name).write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=f"a model of the family {family}(.|\n)*damaged"):
        read_model(tmp_path, FAMILIES[family])
