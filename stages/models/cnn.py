"""Convolutional networks: what a picture shows, from its pixels alone.

Training needs the optional layer (`make networks`), scoring NumPy alone.  Fitting holds all pictures as bytes, in files
in ``.dvc/tmp/pages`` where memory has no room for them; `nets.loop` trains, and the bytes of a model depend neither on
that nor on the number of threads.  Pictures are mirrored and moved in training alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from stages.models.contract import LOSSES, Family, Fit
from stages.models.nets.picture_scoring import PictureModel, load_pictures, plan_plain, plan_residual
from stages.models.nets.settings import LoopSettings, library, require_layer

if TYPE_CHECKING:
    from stages.features.table import Column
    from stages.models.rows import Training


class CnnSettings(LoopSettings):
    """The architecture, and how pictures are changed while it learns."""

    layout: Literal["plain", "residual"] = Field(description="two convolutions, or three stages of residual blocks")
    width: int = Field(ge=1, description="channels of the first convolution; they double as the picture is halved")
    blocks: int = Field(1, ge=1, description="of each stage of a residual network")
    hidden: int = Field(128, ge=1, description="numbers before the answer of a plain network")
    dropout: float = Field(0.0, ge=0, lt=1, description="of those numbers")
    flips: bool = Field(False, description="whether a picture mirrored shows the same")
    shift: int = Field(0, ge=0, le=16, description="pixels by which a picture may be moved")


def fit(training: Training, settings: CnnSettings) -> Fit:
    """Train until the valid part has not improved for ``patience`` epochs; the best epoch is kept."""
    import torch  # seconds to import, and only needed to fit
    from torch.nn import functional

    from stages.models.nets.loop import Rows, train_net
    from stages.models.nets.picture_net import PictureNet, augment, fold, mean_and_spread

    table, share = training.table, training.share
    (column,) = table.columns
    rows, columns, channels = shape = column.shape
    outputs, size = len(table.classes), math.prod(shape)
    with training.files_beyond_memory(share.rows() * size) as pages:
        train, valid = (
            Rows((pixels,), labels)
            for pixels, labels in (
                gather(frames(), n, size, column.name, table.target, pages and f"{pages}{part}")
                for part, frames, n in (
                    ("train", share.train_frames, share.train.rows("train")),
                    ("valid", share.valid_frames, share.valid.rows("valid")),
                )
            )
        )
        mean, spread = mean_and_spread(train.inputs[0])
        plan = (
            plan_plain(shape, width=settings.width, hidden=settings.hidden, outputs=outputs)
            if settings.layout == "plain"
            else plan_residual(shape, width=settings.width, blocks=settings.blocks, outputs=outputs)
        )
        with torch.random.fork_rng():
            torch.manual_seed(training.seed)
            net = PictureNet(plan, shape, mean, spread, settings.dropout)
        change = partial(augment, shape=shape, flips=settings.flips, shift=settings.shift)
        found = train_net(
            net, partial(functional.cross_entropy, reduction="sum"), train, valid, settings=settings,
            seed=training.seed, threads=training.threads, each_epoch=training.each_round,
            change=change if settings.flips or settings.shift else None,
        )  # fmt: skip
    model = PictureModel(table.task, column.name, (rows, columns, channels), plan, fold(found.weights), mean, spread)
    told = {"device": settings.device} if settings.device != "cpu" else {}
    return Fit(model, LOSSES[table.task], found.best, found.train_losses, found.valid_losses, told=told)


def gather(
    frames: Iterable[pl.DataFrame], rows: int, size: int, picture: str, target: str, file: str | None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The pixels (rows, pixels) and labels of partitions, one after another; in ``file`` where one is named."""
    pixels: NDArray[np.uint8] = (
        np.empty((rows, size), np.uint8) if file is None else np.memmap(file, np.uint8, "w+", shape=(rows, size))
    )
    labels, at = np.empty(rows, np.int64), 0
    for frame in frames:
        pixels[at : at + len(frame)] = frame[picture].to_numpy()
        labels[at : at + len(frame)] = frame[target].cast(pl.Int64).to_numpy()
        at += len(frame)
    return pixels[:at], labels[:at]


def first_picture(columns: Sequence[Column]) -> Sequence[Column]:
    """The pixels, and nothing that was made of them."""
    return [column for column in columns if column.kind == "picture"][:1]


def words(training: Mapping[str, Any], library: str) -> str:
    """What kind of model it is."""
    device = ", trained on a GPU" if training.get("device") == "cuda" else ""
    return f"A convolutional network ({library}, {training['best_round'] + 1} epochs{device})"


FAMILY = Family(
    name="cnn", settings=CnnSettings, fit=fit, load=load_pictures, library=library, words=words, stops_early=True,
    devices=("cpu", "cuda"), tasks=("binary", "multiclass"), reads=first_picture, ready=require_layer,
)  # fmt: skip
