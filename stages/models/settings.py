"""How a model is to be trained: ``datasets.<dataset>.model``, which training, tuning and cross-validation read."""

from typing import Literal

from pydantic import Field

from stages.workspace.settings import Settings


class ModelSettings(Settings):
    """``datasets.<dataset>.model``: XGBoost's own names."""

    max_depth: int = Field(ge=1, le=20)
    learning_rate: float = Field(gt=0, le=1)
    min_child_weight: float = Field(ge=0)
    subsample: float = Field(gt=0, le=1)
    colsample_bytree: float = Field(gt=0, le=1)
    reg_lambda: float = Field(ge=0)
    max_bin: int = Field(ge=2, le=65_536)
    max_rounds: int = Field(ge=1)
    early_stopping_rounds: int = Field(ge=1)
    device: Literal["cpu", "cuda"] = Field("cpu", description="who grows the trees")
    distributed: bool = Field(False, description="share the rows out among the workers of the cluster")

    def for_booster(self) -> dict[str, object]:
        """The arguments of `fit_booster` that users choose."""
        return self.model_dump(exclude={"distributed"})
