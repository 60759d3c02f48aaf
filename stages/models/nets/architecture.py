"""The network for tables, as PyTorch trains it; `scoring` has the same sums for a trained one.

*Numbers* are embedded piecewise linearly (Gorishniy, Rubachev and Babenko, "On embeddings for numerical features in
tabular deep learning", NeurIPS 2022): each stretch between two quantiles has its weights, a missing value its own.
*Categories* are rows of a table.  *Members* share all matrices; each has its own signs and offsets after the first
layer, offsets after the others, and an answer of its own; their probabilities are averaged (after Gorishniy and others,
"TabM", ICLR 2025, whose members scale the inputs already: here the widest layer is worked out once for all).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stages.models.nets.coding import Coding
from stages.models.nets.loop import Dropout


class TableNet(nn.Module):
    """Places (rows, numbers) and codes (rows, categories) to raw scores (rows, members, outputs)."""

    def __init__(
        self, coding: Coding, *, outputs: int, width: int, layers: int, members: int, embedding: int, dropout: float
    ) -> None:
        super().__init__()
        numbers, pieces = len(coding.numbers), coding.pieces
        inside = embedding * (numbers + len(coding.categories))

        def drawn(*shape: int, fan_in: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape).uniform_(-1, 1) * (1 / fan_in) ** 0.5)

        self.pieces = nn.Parameter(torch.randn(numbers, pieces + 1, embedding) * (1 / (pieces + 1)) ** 0.5)
        self.offsets = nn.Parameter(torch.zeros(numbers, embedding))
        self.table = nn.Parameter(torch.randn(int(coding.starts[-1]), embedding) * 0.1)
        self.first = drawn(inside, width, fan_in=inside)
        signs = torch.randint(0, 2, (members, width)) * 2.0 - 1 if members > 1 else torch.ones(1, width)
        self.signs = nn.Parameter(signs)
        self.biases = drawn(layers, members, width, fan_in=width)
        self.others = drawn(layers - 1, width, width, fan_in=width)
        self.answers = drawn(members, width, outputs, fan_in=width)
        self.means = nn.Parameter(torch.zeros(members, outputs))
        self.dropout = Dropout(dropout)
        self.register_buffer("stretches", torch.arange(pieces, dtype=torch.float32), persistent=False)

    def forward(self, places: Tensor, codes: Tensor) -> Tensor:
        """Raw scores of each member."""
        missing = (places < 0).to(places.dtype)[..., None]
        basis = (places[..., None] - self.stretches).clamp(0, 1)  # (rows, numbers, pieces)
        basis = torch.cat([basis * (1 - missing), missing], dim=2).transpose(0, 1)
        numbers = torch.relu(torch.baddbmm(self.offsets[:, None], basis, self.pieces))
        embedded = torch.cat([numbers.transpose(0, 1).flatten(1), self.table[codes].flatten(1)], dim=1)
        hidden = (self.dropout(embedded) @ self.first)[:, None] * self.signs
        for layer, bias in enumerate(self.biases):
            if layer:
                hidden = hidden @ self.others[layer - 1]
            hidden = self.dropout(torch.relu(hidden + bias))
        return torch.einsum("nmw,mwo->nmo", hidden, self.answers) + self.means
