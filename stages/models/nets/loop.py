"""Train a module on rows of any kind: minibatches, AdamW, early stopping, checkpoints; the same bytes on any threads.

*Shards.*  Each batch is cut into a fixed number of parts.  Every part has a copy of the module that shares its weights,
and works in one thread; gradients are added up in the order of the parts.  So the number of threads decides how long it
takes and nothing else.

*Chance.*  Every generator is seeded by the seed, the epoch and the step.  So nothing but weights and the state of the
optimizer has to be kept for a training to go on after a kill.  Dropout draws from `Dropout.generator`, because
PyTorch's own generator is shared by all threads.

*Devices.*  On a GPU the shards follow one another, and only deterministic algorithms are allowed.  What is trained
there differs from what the processor trains.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.models.nets.checkpoints import Checkpoint
from stages.models.nets.settings import LoopSettings
from stages.models.nets.tensors import Arrays

Loss = Callable[[Tensor, Tensor], Tensor]
"""``loss(outputs, labels)``: the sum over the rows."""
Change = Callable[[tuple[Tensor, ...], torch.Generator], tuple[Tensor, ...]]
"""``change(inputs, generator)``: the same rows, changed by chance; for training alone."""
JUDGED_ROWS = 4096  # at a time, when the valid part is judged: fixed, so that threads change no sum
WARM_UP = 0.1  # of all steps, while the rate of a cycle rises


@dataclass(frozen=True)
class Rows:
    """Arrays whose first axis is rows, in memory or mapped from disk; a batch is a choice of rows from each."""

    inputs: tuple[NDArray[Any], ...]
    labels: NDArray[Any]

    def take(self, places: NDArray[np.int64] | slice, device: str) -> tuple[tuple[Tensor, ...], Tensor]:
        """The inputs and labels of some rows, as tensors."""
        tensors = [torch.from_numpy(array[places]).to(device) for array in (*self.inputs, self.labels)]
        return tuple(tensors[:-1]), tensors[-1]


@dataclass(frozen=True)
class Trained:
    """The weights of the best epoch by name, and the losses of all epochs, means over rows."""

    weights: Arrays
    best: int
    train_losses: tuple[float, ...]
    valid_losses: tuple[float, ...]


class Dropout(nn.Module):
    """Dropout that draws from a generator of its own."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate, self.generator = rate, None

    def forward(self, values: Tensor) -> Tensor:
        """Some values are zero and the others larger, while the module trains."""
        if not (self.training and self.rate):
            return values
        drawn = torch.empty_like(values).bernoulli_(1 - self.rate, generator=self.generator)
        return values * drawn / (1 - self.rate)


def train_net(
    module: nn.Module,
    loss: Loss,
    train: Rows,
    valid: Rows,
    *,
    settings: LoopSettings,
    seed: int,
    threads: int,
    each_epoch: Callable[[int, float, float], None],
    judged: Loss | None = None,
    change: Change | None = None,
) -> Trained:
    """Train until the valid part has not improved for ``settings.patience`` epochs; ``threads`` 0 takes every core.

    The valid part is judged by ``judged`` where it is not ``loss``.
    """
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(settings.device == "cuda")
    loop = _Loop(module, loss, change, settings, seed)
    checkpoint = Checkpoint(key_of(module, train, valid, settings, seed))
    losses: dict[str, list[float]] = {"train": [], "valid": []}
    best = loop.weights()
    if kept := checkpoint.read():
        losses = json.loads(kept[1]["losses"])
        best = loop.restore(kept[0])
        for epoch, pair in enumerate(zip(losses["train"], losses["valid"], strict=True)):
            each_epoch(epoch, *pair)
    workers = min(settings.shards, threads or settings.shards) if settings.device == "cpu" else 1
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        while len(losses["valid"]) < settings.max_epochs and not _is_over(losses["valid"], settings.patience):
            epoch = len(losses["valid"])
            losses["train"].append(loop.epoch(pool, train, epoch))
            losses["valid"].append(loop.judge(pool, valid, judged or loss))
            if not math.isfinite(losses["train"][-1] + losses["valid"][-1]):
                raise ValueError(
                    "a loss that is a number", f"none after epoch {epoch}", "choose a lower model.learning_rate"
                )
            if int(np.argmin(losses["valid"])) == epoch:
                best = loop.weights()
            checkpoint.write(loop.state(best), {"losses": json.dumps(losses)})
            each_epoch(epoch, losses["train"][-1], losses["valid"][-1])
    checkpoint.remove()
    return Trained(best, int(np.argmin(losses["valid"])), tuple(losses["train"]), tuple(losses["valid"]))


def _is_over(valid_losses: Sequence[float], patience: int) -> bool:
    return len(valid_losses) - 1 - int(np.argmin(valid_losses)) >= patience if valid_losses else False


def key_of(module: nn.Module, train: Rows, valid: Rows, settings: LoopSettings, seed: int) -> str:
    """A digest of all that a training depends on."""
    found = hashlib.sha256()
    told = [
        settings.model_dump(),
        seed,
        str(torch.__version__),
        str(module),
        inspect.getsource(type(module)),
    ]
    found.update(json.dumps(told).encode())
    for array in (*train.inputs, train.labels, *valid.inputs, valid.labels, *module.state_dict().values()):
        found.update(f"{array.dtype} {tuple(array.shape)}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:32]


def seeded(seed: int, *place: int, device: str = "cpu") -> torch.Generator:
    """A generator for one place of a training: the same whatever was drawn before."""
    state = np.random.SeedSequence([seed, *place]).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(state >> np.uint64(1)))


class _Loop:
    """A module, its copies, and the optimizer of their weights."""

    def __init__(self, module: nn.Module, loss: Loss, change: Change | None, settings: LoopSettings, seed: int) -> None:
        self.loss, self.change, self.settings, self.seed = loss, change, settings, seed
        self.module = module.to(settings.device)
        self.parameters = list(self.module.parameters())
        self.replicas = [copy.deepcopy(self.module) for _ in range(settings.shards)]
        for replica in self.replicas:
            for own, shared in zip(replica.parameters(), self.parameters, strict=True):
                own.data = shared.data
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, foreach=True
        )

    def epoch(self, pool: ThreadPoolExecutor, rows: Rows, epoch: int) -> float:
        """One pass over the rows in an order of its own: the mean loss of its batches."""
        n, size, total = len(rows.labels), self.settings.batch, 0.0
        order = np.random.default_rng([self.seed, epoch]).permutation(n)
        steps = math.ceil(n / size)
        for replica in self.replicas:
            replica.train()
        for step in range(steps):
            places = np.array_split(order[step * size : (step + 1) * size], self.settings.shards)
            found = list(pool.map(self._shard, *zip(*self._work(rows, places, epoch, step), strict=True)))
            for place, parameter in enumerate(self.parameters):
                gradient = found[0][1][place]
                for _, others in found[1:]:
                    gradient = gradient + others[place]
                parameter.grad = gradient
            self._set_rate((epoch * steps + step) / (self.settings.max_epochs * steps))
            self.optimizer.step()
            total += sum(each for each, _ in found)
        self._share_buffers()
        return total / n

    def _work(self, rows: Rows, places: Sequence[NDArray[np.int64]], epoch: int, step: int) -> list[tuple[Any, ...]]:
        n = sum(map(len, places))
        return [(rows, own, n, (epoch, step, shard)) for shard, own in enumerate(places) if len(own)]

    def _shard(
        self, rows: Rows, places: NDArray[np.int64], n: int, place: tuple[int, int, int]
    ) -> tuple[float, tuple[Tensor, ...]]:
        """The loss of one part of a batch of ``n`` rows, and its gradients."""
        replica, device = self.replicas[place[-1]], self.settings.device
        generator = seeded(self.seed, *place, device=device)
        for each in replica.modules():
            if isinstance(each, Dropout):
                each.generator = generator
        inputs, labels = rows.take(places, device)
        if self.change is not None:
            inputs = self.change(inputs, generator)
        loss = self.loss(replica(*inputs), labels)
        return float(loss.detach()), torch.autograd.grad(loss / n, list(replica.parameters()))

    def _set_rate(self, done: float) -> None:
        share = 1.0
        if self.settings.schedule == "cycle":
            share = done / WARM_UP if done < WARM_UP else (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))) / 2
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * max(share, 1e-3)

    def _share_buffers(self) -> None:
        """Running means and spreads (of batch normalization) become those of all shards."""
        for every in zip(self.module.buffers(), *(replica.buffers() for replica in self.replicas), strict=True):
            own, others = every[0], every[1:]
            own.copy_(torch.stack(others).mean(0) if own.is_floating_point() else others[0])
            for other in others:
                other.copy_(own)

    def judge(self, pool: ThreadPoolExecutor, rows: Rows, loss: Loss) -> float:
        """The mean loss of rows that are not trained on."""
        self.module.eval()

        def judge_some(start: int) -> float:
            with torch.inference_mode():
                inputs, labels = rows.take(slice(start, start + JUDGED_ROWS), self.settings.device)
                return float(loss(self.module(*inputs), labels))

        return sum(pool.map(judge_some, range(0, len(rows.labels), JUDGED_ROWS))) / len(rows.labels)

    def weights(self) -> Arrays:
        """Parameters and buffers by name, copied."""
        return {name: value.detach().cpu().numpy().copy() for name, value in self.module.state_dict().items()}

    def state(self, best: Arrays) -> Arrays:
        """All that the next epoch depends on, and the best weights."""
        arrays = {f"now.{name}": value for name, value in self.weights().items()}
        arrays |= {f"best.{name}": value for name, value in best.items()}
        for place, parameter in enumerate(self.parameters):
            for name, value in self.optimizer.state[parameter].items():
                arrays[f"optimizer.{place}.{name}"] = value.detach().cpu().numpy().copy()
        return arrays

    def restore(self, arrays: Arrays) -> Arrays:
        """The inverse of `state`: the best weights."""

        def named(kind: str) -> Arrays:
            return {name.removeprefix(kind): value for name, value in arrays.items() if name.startswith(kind)}

        with torch.no_grad():  # in place: the copies share the weights
            for name, value in self.module.state_dict().items():
                value.copy_(torch.from_numpy(arrays[f"now.{name}"].copy()))
        for replica in self.replicas:
            for own, shared in zip(replica.buffers(), self.module.buffers(), strict=True):
                own.copy_(shared)
        for place, parameter in enumerate(self.parameters):
            kept = named(f"optimizer.{place}.")
            self.optimizer.state[parameter] = {
                name: torch.from_numpy(value.copy()).to("cpu" if name == "step" else self.settings.device)
                for name, value in kept.items()
            }
        return named("best.")
