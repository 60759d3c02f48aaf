"""How a model is to be judged: ``datasets.<dataset>.evaluate``, which evaluation and cross-validation read."""

from __future__ import annotations

from math import ceil
from typing import Literal, Self

from pydantic import Field, model_validator

from stages.models.forecasts import HORIZON
from stages.workspace.errors import UserError
from stages.workspace.settings import Settings

MIN_BEYOND = 2
"""Replicates that must lie beyond each end of an interval: fewer, and the end is a single draw."""


class EvaluateSettings(Settings):
    """How intervals are made, and what mistakes cost."""

    replicates: int = Field(ge=20, le=100_000, description="bootstrap replicates behind every interval")
    level: float = Field(gt=0, lt=1, description="share of such intervals that are to hold the true value")
    method: Literal["percentile", "bca"]
    resample: Literal["clusters", "rows"] = "clusters"
    block: int = Field(
        default=1,
        ge=1,
        description="neighbouring units drawn together: days of one weather system; 1 where rows are independent",
    )
    trainings: int = Field(
        default=5, ge=1, le=100, description="of the same settings with other seeds: how far chance moves a figure"
    )
    redraw_training: bool = Field(
        default=False, description="the further trainings learn from training units drawn again, not from all of them"
    )
    cost_of_miss: float = Field(gt=0, le=1e6, allow_inf_nan=False)
    cost_of_false_alarm: float = Field(gt=0, le=1e6, allow_inf_nan=False)
    segments: list[str] = Field(
        default_factory=list, description="categorical columns whose values are told apart in the resampling table"
    )
    no_point_skill: bool = Field(
        default=False, description="nobody beats the naive forecast here: a model that does is refused as a leak"
    )

    @model_validator(mode="after")
    def _looks_at_every_horizon(self) -> Self:
        if self.no_point_skill and HORIZON not in self.segments:
            raise ValueError(f"no_point_skill looks at every horizon: name {HORIZON} among the segments")
        return self


def refuse_few_replicates(name: str, settings: EvaluateSettings) -> None:
    """Stop when an end of an interval would rest on the outermost replicate."""
    beyond = settings.replicates * (1 - settings.level) / 2
    if beyond < MIN_BEYOND - 1e-9:
        path = f"datasets.{name}.evaluate"
        raise UserError(
            f"{path}.replicates: {MIN_BEYOND} or more of them beyond each end of an interval at {path}.level",
            f"replicates {settings.replicates} at level {settings.level:g}: {beyond:.2g} beyond each end",
            f"raise {path}.replicates to {ceil(2 * MIN_BEYOND / (1 - settings.level) - 1e-6)} or more, "
            f"or lower {path}.level",
        )
