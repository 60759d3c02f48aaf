"""A random forest: many deep trees side by side, each on a draw of the rows and of the columns of every split.

Breiman, "Random forests", Machine Learning 45, 2001.  It is one round of XGBoost's `num_parallel_tree`: rows are drawn
without replacement, and leaves hold second-order steps from the overall mean, so a class is voted for in log-odds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from stages.models.boosting import library
from stages.models.contract import Family, FamilySettings, Fit
from stages.models.trees import ALONE, OBJECTIVES, fit_booster, load_trees

if TYPE_CHECKING:
    from stages.models.rows import Training


class ForestSettings(FamilySettings):
    """XGBoost's own names; ``trees`` is its ``num_parallel_tree``."""

    trees: int = Field(ge=1, le=10_000)
    max_depth: int = Field(ge=1, le=20)
    min_child_weight: float = Field(ge=0)
    subsample: float = Field(gt=0, le=1)
    colsample_bynode: float = Field(gt=0, le=1)
    reg_lambda: float = Field(ge=0)
    max_bin: int = Field(ge=2, le=65_536)


def fit(training: Training, settings: ForestSettings) -> Fit:
    """All trees in one round, which nothing can stop early."""
    chosen = settings.model_dump(exclude={"family", "distributed", "device", "trees"})
    with training.pages(settings.max_bin, may_use_disk=True) as pages:
        return fit_booster(
            **training.named(), **chosen, num_parallel_tree=settings.trees, learning_rate=1.0, colsample_bytree=1.0,
            max_rounds=1, early_stopping_rounds=1, pages=pages,
        )  # fmt: skip


def words(training: Mapping[str, Any], library: str) -> str:
    """What kind of model it is."""
    return f"A random forest ({library})"


FAMILY = Family(
    name="forest",
    settings=ForestSettings,
    fit=fit,
    load=load_trees,
    library=library,
    words=words,
    alone=ALONE,
    tasks=OBJECTIVES,
)
