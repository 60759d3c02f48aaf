"""A convolutional network for pictures, built from a plan that scoring can read too (`picture_scoring`).

*Plain*: two convolutions, each halved by taking maxima, and two dense layers.  *Residual*: K. He et al., "Deep Residual
Learning for Image Recognition", CVPR 2016, section 4.2: three stages of blocks that add to what they are given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from stages.models.nets.loop import Dropout
from stages.models.nets.picture_scoring import Step
from stages.models.nets.tensors import Arrays


class Convolution(nn.Module):
    """Nine neighbours become one; with batch normalization where the plan says so."""

    def __init__(self, step: Step, inputs: int, stride: int, *, normed: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, step["outputs"], 3, stride=stride, padding=1, bias=not normed)
        self.norm = nn.BatchNorm2d(step["outputs"]) if normed else nn.Identity()

    def forward(self, values: Tensor) -> Tensor:
        """(rows, channels, height, width)."""
        found: Tensor = self.norm(self.conv(values))
        return found


class PictureNet(nn.Module):
    """Bytes (rows, pixels), channels last, to raw scores (rows, outputs)."""

    def __init__(self, plan: Sequence[Step], shape: Sequence[int], mean: float, spread: float, dropout: float) -> None:
        super().__init__()
        self.plan, self.shape, self.mean, self.spread = plan, tuple(shape), mean, spread
        parts: dict[str, nn.Module] = {}
        for step in plan:
            if step["do"] == "convolve":
                parts[step["name"]] = Convolution(step, step["inputs"], 1, normed=step["normed"])
            elif step["do"] == "add":
                parts[f"{step['name']}a"] = Convolution(step, step["inputs"], step["stride"], normed=True)
                parts[f"{step['name']}b"] = Convolution(step, step["outputs"], 1, normed=True)
            elif step["do"] == "dense":
                parts[step["name"]] = nn.Linear(step["inputs"], step["outputs"])
        self.parts, self.dropout = nn.ModuleDict(parts), Dropout(dropout)

    def forward(self, pixels: Tensor) -> Tensor:
        """See the class."""
        values = pixels.reshape(-1, *self.shape).permute(0, 3, 1, 2).to(torch.float32)
        values = (values - self.mean) / self.spread
        for step in self.plan:
            values = self._do(step, values)
        return values

    def _do(self, step: Step, values: Tensor) -> Tensor:
        if step["do"] == "convolve":
            return functional.relu(self.parts[step["name"]](values))
        if step["do"] == "halve":
            return functional.max_pool2d(values, 2)
        if step["do"] == "add":
            inner = functional.relu(self.parts[f"{step['name']}a"](values))
            kept = values[:, :, :: step["stride"], :: step["stride"]]
            kept = functional.pad(kept, (0, 0, 0, 0, 0, step["outputs"] - step["inputs"]))
            return functional.relu(self.parts[f"{step['name']}b"](inner) + kept)
        if step["do"] == "lay flat":
            return values.permute(0, 2, 3, 1).flatten(1)
        if step["do"] == "average":
            return values.mean((2, 3))
        found: Tensor = self.parts[step["name"]](values)
        return found if step["last"] else self.dropout(functional.relu(found))


def fold(weights: Arrays) -> Arrays:
    """The weights as scoring wants them: matrices and offsets, with batch normalization multiplied in."""
    folded: Arrays = {}
    for key, values in weights.items():
        name, _, rest = key.removeprefix("parts.").partition(".")
        if rest == "weight":  # dense
            folded[f"{name}.weight"], folded[f"{name}.bias"] = values.T.copy(), weights[f"parts.{name}.bias"]
        elif rest == "conv.weight":
            matrix = values.reshape(len(values), -1).T.astype(np.float64)  # (channels × 9, outputs)
            bias = weights.get(f"parts.{name}.conv.bias", np.zeros(len(values))).astype(np.float64)
            if f"parts.{name}.norm.weight" in weights:
                scale, offset, mean, variance = (
                    weights[f"parts.{name}.norm.{each}"].astype(np.float64)
                    for each in ("weight", "bias", "running_mean", "running_var")
                )
                factor = scale / np.sqrt(variance + nn.BatchNorm2d(1).eps)
                matrix, bias = matrix * factor, (bias - mean) * factor + offset
            folded[f"{name}.weight"], folded[f"{name}.bias"] = matrix.astype(np.float32), bias.astype(np.float32)
    return folded


def augment(
    inputs: tuple[Tensor, ...], generator: torch.Generator, *, shape: Sequence[int], flips: bool, shift: int
) -> tuple[Tensor, ...]:
    """Each picture mirrored by chance, and moved by up to ``shift`` pixels each way; what comes in is black."""
    (pixels,) = inputs
    rows, columns, _ = shape
    n, device = len(pixels), pixels.device
    values = pixels.reshape(n, *shape)
    if flips:
        turned = torch.rand(n, generator=generator, device=device) < 0.5
        values = torch.where(turned[:, None, None, None], values.flip(2), values)
    if shift:
        padded = functional.pad(values, (0, 0, shift, shift, shift, shift))
        down, across = torch.randint(0, 2 * shift + 1, (2, n), generator=generator, device=device)
        line = (down[:, None] + torch.arange(rows, device=device))[:, :, None]
        column = (across[:, None] + torch.arange(columns, device=device))[:, None, :]
        values = padded[torch.arange(n, device=device)[:, None, None], line, column]
    return (values.reshape(n, -1),)


def mean_and_spread(pixels: NDArray[np.uint8]) -> tuple[float, float]:
    """Of all pixels, by exact sums over slices."""
    total = squares = 0
    for start in range(0, len(pixels), 1024):
        some = pixels[start : start + 1024].astype(np.int64)
        total, squares = total + int(some.sum()), squares + int((some**2).sum())
    mean = total / pixels.size
    return mean, max((squares / pixels.size - mean**2) ** 0.5, 1.0)
