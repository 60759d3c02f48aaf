"""Neural networks: for tables, numbers embedded piece by piece, categories by tables, members that share weights.

Training needs the optional layer (`make networks`), scoring NumPy alone.  Fitting holds all rows, four bytes for a
number and eight for a category; `nets.loop` trains, and the bytes of a model do not depend on the number of threads.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from stages.models.contract import LOSSES, DamagedModel, Family, Fit
from stages.models.nets.coding import coding_of
from stages.models.nets.scoring import MODEL, TableModel, load_table
from stages.models.nets.settings import LoopSettings, library, require_layer

if TYPE_CHECKING:
    from torch import Tensor

    from stages.models.rows import Training


class NetworkSettings(LoopSettings):
    """The architecture for tables."""

    pieces: int = Field(ge=1, le=1000, description="stretches that a number is cut in, between quantiles")
    embedding: int = Field(ge=1, description="numbers that each input becomes")
    width: int = Field(ge=1, description="of every layer")
    layers: int = Field(ge=1)
    members: int = Field(ge=1, description="share weights, and are averaged")
    dropout: float = Field(ge=0, lt=1)


def fit(training: Training, settings: NetworkSettings) -> Fit:
    """Train until the valid part has not improved for ``patience`` epochs; the best epoch is kept."""
    import torch  # seconds to import, and only needed to fit
    from torch.nn import functional

    from stages.models.nets.architecture import TableNet
    from stages.models.nets.loop import Rows, train_net

    table, share = training.table, training.share
    coding = coding_of(table.columns, training.sketches, settings.pieces)
    needed = share.rows() * (4 * len(coding.numbers) + 8 * len(coding.categories) + 4)
    training.refuse_beyond_memory(needed, "a network holds all of them at once")
    counted = ((share.train_frames, share.train.rows("train")), (share.valid_frames, share.valid.rows("valid")))
    train, valid = (
        Rows((places, codes), labels)
        for places, codes, labels in (coding.encode_all(frames(), n, table.target) for frames, n in counted)
    )
    mean, spread = 0.0, 1.0
    if table.task == "regression":
        mean, spread = (float(found) for found in (np.mean(train.labels), np.std(train.labels) or 1.0))
        train, valid = (replace(each, labels=((each.labels - mean) / spread).astype("f4")) for each in (train, valid))

    def loss_of_members(raw: Tensor, labels: Tensor) -> Tensor:
        """Summed over rows, a mean over members: each learns by itself."""
        if table.task == "multiclass":
            own = labels.long()[:, None].expand(raw.shape[:2])
            return functional.cross_entropy(raw.transpose(1, 2), own, reduction="sum") / raw.shape[1]
        own = labels[:, None].expand(raw.shape[:2])
        if table.task == "binary":
            return functional.binary_cross_entropy_with_logits(raw[..., 0], own, reduction="sum") / raw.shape[1]
        return functional.mse_loss(raw[..., 0], own, reduction="sum") / raw.shape[1]

    def loss_of_mean(raw: Tensor, labels: Tensor) -> Tensor:
        """Of the averaged answer, which is what ships."""
        if table.task == "multiclass":
            found = raw.double().log_softmax(2).logsumexp(1) - math.log(raw.shape[1])
            return functional.nll_loss(found, labels.long(), reduction="sum")
        if table.task == "binary":
            chances = raw[..., 0].double().sigmoid().mean(1)
            return functional.binary_cross_entropy(chances, labels.double(), reduction="sum")
        return functional.mse_loss(raw[..., 0].mean(1), labels, reduction="sum")

    def in_unit(loss: float) -> float:
        return spread * math.sqrt(loss) if table.task == "regression" else loss

    with torch.random.fork_rng():
        torch.manual_seed(training.seed)
        net = TableNet(
            coding, outputs=len(table.classes) if table.task == "multiclass" else 1, width=settings.width,
            layers=settings.layers, members=settings.members, embedding=settings.embedding, dropout=settings.dropout,
        )  # fmt: skip
    found = train_net(
        net, loss_of_members, train, valid, judged=loss_of_mean, settings=settings, seed=training.seed,
        threads=training.threads, each_epoch=lambda epoch, a, b: training.each_round(epoch, in_unit(a), in_unit(b)),
    )  # fmt: skip
    curves = [tuple(map(in_unit, losses)) for losses in (found.train_losses, found.valid_losses)]
    model = TableModel(table.task, coding, found.weights, mean, spread)
    told = {"device": settings.device} if settings.device != "cpu" else {}
    return Fit(model, LOSSES[table.task], found.best, *curves, told=told)


def load(files: Mapping[str, bytes]) -> TableModel:
    """The inverse of a model's files."""
    try:
        return load_table(json.loads(files[MODEL]), files)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise DamagedModel(f"{MODEL} or its weights: {error}") from error


def words(training: Mapping[str, Any], library: str) -> str:
    """What kind of model it is."""
    device = ", trained on a GPU" if training.get("device") == "cuda" else ""
    return f"A neural network ({library}, {training['best_round'] + 1} epochs{device})"


FAMILY = Family(
    name="network", settings=NetworkSettings, fit=fit, load=load, library=library, words=words, stops_early=True,
    devices=("cpu", "cuda"), ready=require_layer,
)  # fmt: skip
