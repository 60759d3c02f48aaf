"""What a training of a network is told, and what is said where the optional layer is missing."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from pydantic import Field

from stages.models.contract import FamilySettings


class LoopSettings(FamilySettings):
    """How a network is trained, whatever its architecture."""

    max_epochs: int = Field(ge=1)
    patience: int = Field(ge=1, description="epochs without a lower loss of the valid part before training ends")
    batch: int = Field(ge=1, description="rows a step")
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0, description="AdamW's")
    schedule: Literal["constant", "cycle"] = Field(
        "constant", description="cycle: the rate rises over a tenth of all steps, then falls to nothing"
    )
    shards: int = Field(2, ge=1, le=64, description="parts of a batch: so many threads can work at once")

    @property
    def rounds(self) -> int:
        """A round is an epoch."""
        return self.max_epochs


def library() -> str:
    """The library that fits, with its version where it is installed: a trained network scores without it."""
    try:
        return f"PyTorch {version('torch').partition('+')[0]}"
    except PackageNotFoundError:
        return "PyTorch"


def require_layer(settings: LoopSettings, path: str) -> None:
    """Refuse to train without the optional layer, or on a GPU that PyTorch cannot use; in words."""
    try:
        import torch
    except ImportError as error:
        raise ValueError(
            "the optional layer (PyTorch), which networks are trained with",
            f"{error} in this environment",
            f"`make networks` adds it to .venv; or choose another family: `-S model@{path}=boosting`",
        ) from None
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"an NVIDIA GPU that PyTorch can use, for {path}.device: cuda",
            "none on this machine, or PyTorch's build without GPUs",
            f"train on the processor: `-S {path}.device=cpu`; a network trained on a GPU scores anywhere",
        )
