"""Gradient boosted trees, one after another until the valid part no longer gets better (XGBoost's `hist`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from stages.models.binned import bin_rows
from stages.models.contract import Family, Fit
from stages.models.lean_xgboost import xgb
from stages.models.trees import ALONE, OBJECTIVES, BoosterSettings, boost, fit_booster, load_trees

if TYPE_CHECKING:
    from stages.models.rows import Training


class BoostingSettings(BoosterSettings):
    """And how a tree grows."""

    grow_policy: Literal["depthwise", "lossguide"] = "depthwise"
    max_leaves: int = Field(0, ge=0, description="0 sets no limit")
    max_cat_to_onehot: int = Field(4, ge=1, description="columns of fewer categories are split one against the rest")
    max_cat_threshold: int = Field(64, ge=1, description="categories of a column that a split may take to one side")

    @property
    def rounds(self) -> int:
        """How many rounds a fit has at most."""
        return self.max_rounds

    def for_booster(self) -> dict[str, Any]:
        """The arguments of `fit_booster` that users choose."""
        return self.model_dump(exclude={"family", "distributed"})


def fit(training: Training, settings: BoostingSettings) -> Fit:
    """The booster of the rows, its bins on disk where memory has no room for them."""
    with training.pages(settings.max_bin, may_use_disk=settings.device == "cpu") as pages:
        return fit_booster(**training.named(), **settings.for_booster(), pages=pages)


def on_the_same_bins(
    training: Callable[[int], Training], settings: BoostingSettings, pages: str | None
) -> Callable[[int], Fit]:
    """`fit` as a function of the seed; ``training`` tells of each.  Bins do not depend on it, and are made once."""
    arguments = training(0).named()
    rows = bin_rows(
        arguments["train"], arguments["valid"], features=arguments["features"], target=arguments["target"],
        max_bin=settings.max_bin, threads=arguments["threads"], pages=pages,
    )  # fmt: skip
    chosen = {name: value for name, value in settings.for_booster().items() if name != "max_bin"}

    def fit_again(seed: int) -> Fit:
        named = {name: training(seed).named()[name] for name in ("task", "classes", "threads", "seed", "each_round")}
        return boost(rows, **named, **chosen)

    return fit_again


def library() -> str:
    """The library that fits, with its version."""
    return f"XGBoost {xgb.__version__}"


def words(training: Mapping[str, Any], library: str) -> str:
    """What kind of model it is."""
    return f"Gradient boosted trees ({library}, {training['best_round'] + 1} rounds)"


FAMILY = Family(
    name="boosting",
    settings=BoostingSettings,
    fit=fit,
    load=load_trees,
    library=library,
    words=words,
    alone=ALONE,
    tasks=OBJECTIVES,
    stops_early=True,
    devices=("cpu", "cuda"),
    distributes=True,
)
