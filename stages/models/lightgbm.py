"""Gradient boosted trees that grow leaf by leaf (LightGBM), in its deterministic mode.

Ke et al., "LightGBM: a highly efficient gradient boosting decision tree", NeurIPS 2017.  Rows are handed over one
partition at a time, so that of a feature value only its bin stays in memory.  Rows are split by row, histograms added
up in a fixed order: the text of the model is the same for any number of threads, and a test holds it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from stages.models.contract import LOSSES, DamagedModel, Family, FamilySettings, Fit, Float32

if TYPE_CHECKING:
    import lightgbm as lgb

    from stages.features.table import FeatureTable
    from stages.models.rows import Training

MODEL = "model.txt"
ALONE = """\
import json
import lightgbm
import pandas

kinds = {each["name"]: each["kind"] for each in json.load(open("signature.json"))["inputs"]}
types = {name: "category" if kind == "categorical" else "float32" for name, kind in kinds.items()}
rows = pandas.read_csv("example.csv", dtype=types, keep_default_na=False, na_values=[""])
scores = lightgbm.Booster(model_file="model.txt").predict(rows[list(kinds)])
"""
OBJECTIVES = {
    "binary": ("binary", "binary_logloss"),
    "multiclass": ("multiclass", "multi_logloss"),
    "regression": ("regression", "rmse"),
}
SETTINGS_OF_A_RUN = re.compile(r"^parameters:\n.*?^end of parameters\n", re.M | re.S)  # threads are among them


class LightSettings(FamilySettings):
    """LightGBM's own names."""

    num_leaves: int = Field(ge=2, le=131_072)
    max_depth: int = Field(-1, ge=-1, description="-1 sets no limit")
    learning_rate: float = Field(gt=0, le=1)
    min_data_in_leaf: int = Field(ge=1)
    bagging_fraction: float = Field(gt=0, le=1)
    feature_fraction: float = Field(gt=0, le=1)
    lambda_l2: float = Field(ge=0)
    cat_l2: float = Field(10.0, ge=0)
    cat_smooth: float = Field(10.0, ge=0)
    max_cat_threshold: int = Field(32, ge=1)
    max_bin: int = Field(ge=2, le=65_536)
    max_rounds: int = Field(ge=1)
    early_stopping_rounds: int = Field(ge=1)

    @property
    def rounds(self) -> int:
        """How many rounds a fit has at most."""
        return self.max_rounds


@dataclass
class LightTrees:
    """LightGBM's trees as a model."""

    booster: lgb.Booster
    threads: int = 0

    @property
    def features(self) -> list[str]:
        """The names of its inputs."""
        return list(self.booster.feature_name())

    def predict(self, rows: pl.DataFrame) -> Float32:
        """Scores (rows,), or (rows, classes)."""
        found: Any = self.booster.predict(matrix_of(rows, self.features), num_threads=self.threads)
        return np.asarray(found, dtype=np.float32)

    def predict_coded(self, rows: Float32) -> Float32:
        """The same of rows that need no frame."""
        found: Any = self.booster.predict(rows.astype(np.float64), num_threads=self.threads)
        return np.asarray(found, dtype=np.float32)

    def contributions(self, rows: pl.DataFrame) -> Float32:
        """SHAP values (rows, outputs, features + 1), exact for trees; the last is the mean."""
        names = self.features
        found: Any = self.booster.predict(matrix_of(rows, names), pred_contrib=True, num_threads=self.threads)
        return np.asarray(found, dtype=np.float32).reshape(len(rows), -1, len(names) + 1)

    def use_threads(self, threads: int) -> None:
        """Score with so many threads."""
        self.threads = threads

    def files(self) -> dict[str, bytes]:
        """LightGBM's own text, without the settings of the run that made it."""
        return {MODEL: SETTINGS_OF_A_RUN.sub("", self.booster.model_to_string()).encode()}


def load(files: Mapping[str, bytes]) -> LightTrees:
    """The inverse of `LightTrees.files`."""
    import lightgbm as lgb  # half a second to import

    try:
        text = files[MODEL].decode()
        if not (text.startswith("tree\n") and "end of trees" in text):
            raise DamagedModel(f"{MODEL} does not begin and end as LightGBM writes it")
        return LightTrees(lgb.Booster(model_str=text))
    except KeyError:
        raise DamagedModel(f"no {MODEL}") from None
    except (lgb.basic.LightGBMError, UnicodeDecodeError) as error:
        raise DamagedModel(str(error)) from error


def fit(training: Training, settings: LightSettings) -> Fit:
    """Boost until the valid part has not improved for ``early_stopping_rounds`` rounds."""
    import lightgbm as lgb

    table, (objective, metric) = training.table, OBJECTIVES[training.table.task]
    chosen = settings.model_dump(exclude={"family", "device", "distributed", "max_rounds", "early_stopping_rounds"})
    parameters: dict[str, Any] = {
        **chosen,
        "objective": objective,
        "metric": metric,
        "bagging_freq": 1,
        "deterministic": True,
        "force_row_wise": True,
        "feature_pre_filter": False,
        "num_threads": training.threads,
        "seed": training.seed % 2**31,
        "verbosity": -1,
        **({"num_class": len(table.classes)} if table.task == "multiclass" else {}),
    }
    categorical = [column.name for column in table.columns if column.kind == "categorical"]
    told: dict[str, Any] = {"feature_name": table.names, "categorical_feature": categorical, "params": parameters}
    train, valid = (
        (sequences(shared, part), labels_of(shared, part))
        for shared, part in ((training.share.train, "train"), (training.share.valid, "valid"))
    )
    rows: Any = lgb.Dataset(train[0], label=train[1], **told)
    judged: Any = lgb.Dataset(valid[0], label=valid[1], reference=rows, **told)
    losses: dict[str, dict[str, list[float]]] = {}

    def tick(environment: Any) -> None:
        train_loss, valid_loss = (float(each[2]) for each in environment.evaluation_result_list)
        training.each_round(environment.iteration, train_loss, valid_loss)

    tick.order = 15  # type: ignore[attr-defined]  # after the losses are recorded, before stopping is decided
    booster = lgb.train(
        parameters,
        rows,
        num_boost_round=settings.max_rounds,
        valid_sets=[rows, judged],
        valid_names=["train", "valid"],
        callbacks=[
            lgb.record_evaluation(losses),
            tick,
            lgb.early_stopping(settings.early_stopping_rounds, verbose=False),
        ],
    )
    curves = [tuple(map(float, losses[part][metric])) for part in ("train", "valid")]
    best = int(np.argmin(curves[1]))
    kept = lgb.Booster(model_str=booster.model_to_string(num_iteration=best + 1))
    # the last line of its text: by it LightGBM maps the categories of a pandas frame to the codes of the training rows
    kept.pandas_categorical = [list(column.categories) for column in table.columns if column.kind == "categorical"]
    return Fit(LightTrees(kept, training.threads), LOSSES[table.task], best, *curves)


def matrix_of(rows: pl.DataFrame, names: Sequence[str]) -> NDArray[np.float64]:
    """Values (rows, features): a category by its place among those of the training rows, NaN where one is missing."""
    return np.stack(
        [
            (column.to_physical() if column.dtype == pl.Enum else column).cast(pl.Float64).to_numpy()
            for column in rows.select(names)
        ],
        axis=1,
    )


def sequences(table: FeatureTable, part: str) -> list[Any]:
    """The rows of a part for LightGBM: one sequence a partition, of which one at a time is in memory."""
    import lightgbm as lgb

    class Rows(lgb.Sequence):
        batch_size = 65_536

        def __init__(self, name: str, count: int, read: Callable[[str], NDArray[np.float64]]) -> None:
            self.name, self.count, self.read = name, count, read

        def __len__(self) -> int:
            return self.count

        def __getitem__(self, places: Any) -> NDArray[np.float64]:
            found: NDArray[np.float64] = self.read(self.name)[places]
            return found

    last: tuple[str, NDArray[np.float64]] | None = None

    def read(name: str) -> NDArray[np.float64]:
        nonlocal last
        if last is None or last[0] != name:
            last = None
            last = name, matrix_of(table.read(name, part), table.names)
        return last[1]

    return [
        Rows(partition["name"], partition["parts"][part], read)
        for partition in table.partitions
        if partition["parts"][part]
    ]


def labels_of(table: FeatureTable, part: str) -> Float32:
    """The labels of a part (rows,)."""
    bare = table.with_columns([])
    return np.concatenate([frame[table.target].cast(pl.Float32).to_numpy() for frame in bare.frames(part)])


def library() -> str:
    """The library that fits, with its version."""
    return f"LightGBM {version('lightgbm')}"


def words(training: Mapping[str, Any], library: str) -> str:
    """What kind of model it is."""
    return f"Gradient boosted trees ({library}, {training['best_round'] + 1} rounds)"


FAMILY = Family(
    name="lightgbm",
    settings=LightSettings,
    fit=fit,
    load=load,
    library=library,
    words=words,
    alone=ALONE,
    stops_early=True,
)
