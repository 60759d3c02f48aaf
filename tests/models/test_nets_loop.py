"""A training of a network: the same bytes on any threads, after a kill, and never those of another training."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stages.models.contract import DamagedModel
from stages.models.nets.checkpoints import FOLDER
from stages.models.nets.tensors import from_bytes, to_bytes

ROOT = Path(__file__).parents[2]
ONE = """
import hashlib, os, signal, sys
import numpy as np, torch
from torch import nn
from stages.models.nets.loop import Dropout, Rows, train_net
from stages.models.nets.settings import LoopSettings

threads, killed_in, rate = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
rng = np.random.default_rng(0)
x = rng.normal(size=(3000, 12)).astype(np.float32)
y = (x[:, 0] * x[:, 1] + rng.normal(size=3000) > 0).astype(np.float32)
torch.manual_seed(1)
net = nn.Sequential(nn.Linear(12, 32), nn.BatchNorm1d(32), nn.ReLU(), Dropout(0.3), nn.Linear(32, 1), nn.Flatten(0))
settings = LoopSettings(
    family="network", max_epochs=6, patience=6, batch=128, learning_rate=rate, weight_decay=1e-4, schedule="cycle"
)

def told(epoch, train_loss, valid_loss):
    print(epoch, train_loss, valid_loss, flush=True)
    if epoch == killed_in:
        os.kill(os.getpid(), signal.SIGKILL)

found = train_net(
    net, lambda out, own: nn.functional.binary_cross_entropy_with_logits(out, own, reduction="sum"),
    Rows((x[:2000],), y[:2000]), Rows((x[2000:],), y[2000:]), settings=settings, seed=3, threads=threads,
    each_epoch=told,
    change=lambda inputs, chance: (inputs[0] + 0.01 * torch.randn(inputs[0].shape, generator=chance),),
)
print(hashlib.sha256(b"".join(found.weights[name].tobytes() for name in sorted(found.weights))).hexdigest())
"""


def train(folder: Path, threads: int = 1, killed_in: int = -1, rate: float = 0.003) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", ONE, str(threads), str(killed_in), str(rate)],
        cwd=folder, text=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == (0 if killed_in < 0 else -9), done.stderr
    return done.stdout.splitlines()


@pytest.mark.networks
def test_one_thread_two_threads_and_a_killed_training_that_goes_on_give_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    whole = train(tmp_path)
    assert len(whole) == 7
    losses = [float(line.split()[2]) for line in whole[:6]]
    assert losses[-1] < losses[0]
    assert train(tmp_path, threads=2) == whole
    assert train(tmp_path, threads=2, killed_in=2) == whole[:3]
    (kept,) = (tmp_path / FOLDER).iterdir()
    assert train(tmp_path, rate=0.004) != whole  # of other settings: the checkpoint is none of theirs
    assert kept.exists()
    resumed = train(tmp_path)
    assert resumed == whole
    assert not kept.exists()


@pytest.mark.networks
def test_a_damaged_checkpoint_is_not_gone_on_from(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    whole = train(tmp_path)
    train(tmp_path, killed_in=1)
    (kept,) = (tmp_path / FOLDER).iterdir()
    kept.write_bytes(kept.read_bytes()[:-100])
    assert train(tmp_path) == whole


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "weights": rng.normal(size=(3, 5)).astype(np.float32), "steps": np.array(7), "none": np.zeros((0, 4)),
        "pixels": rng.integers(0, 256, 9, dtype=np.uint8),
    }  # fmt: skip


@pytest.mark.networks
def test_bytes_are_those_of_the_safetensors_library() -> None:
    library = pytest.importorskip("safetensors.numpy")
    own = to_bytes(arrays(), {"task": "binary"})
    for found in (library.load(own), from_bytes(library.save(arrays()))[0], from_bytes(own)[0]):
        assert found.keys() == arrays().keys()
        for name, array in arrays().items():
            assert np.array_equal(found[name], array) and found[name].dtype == array.dtype
    assert from_bytes(own)[1] == {"task": "binary"}


@pytest.mark.parametrize("harm", ["cut", "longer", "no header", "a number that is none", "another shape", "empty"])
def test_damaged_bytes_are_refused(harm: str) -> None:
    whole = to_bytes({"weights": np.ones((2, 3), np.float32)})
    damaged = {
        "cut": whole[:-1], "longer": whole + b"0", "no header": whole[8:], "empty": b"",
        "another shape": whole.replace(b"[2,3]", b"[2,4]"),
        "a number that is none": whole[:-4] + np.float32(np.nan).tobytes(),
    }[harm]  # fmt: skip
    with pytest.raises(DamagedModel):
        from_bytes(damaged)
