"""Better settings of a model as a file under ``params/``, and one DVC experiment that runs with them.

The file is an option of the group ``model``: ``-S model@datasets.<dataset>.model=<option>`` chooses it.  What the
dataset's own file sets under ``model:`` is composed later and wins; where it does, the same command overrides it too.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from stages.workspace.composition import composition
from stages.workspace.errors import UserError
from stages.workspace.files import whole_file
from stages.workspace.lock import alone
from stages.workspace.settings import INDENT, read_params

MODELS = Path("params/model")
STAGES = ("train", "evaluate", "package", "report")
"""What depends on the settings of a model."""
DVC = [sys.executable, "-m", "dvc"]


def composed_params(overrides: Sequence[str] = ()) -> dict[str, Any]:
    """What ``dvc exp run`` would write to ``params.yaml`` for these overrides."""
    composed: dict[str, Any] = yaml.safe_load(composition(Path.cwd(), overrides))
    return composed


def check_composed(dataset: str) -> None:
    """Refuse to search beside parameters that an experiment would not run with."""
    found, composed = read_params(), composed_params()
    pairs = {
        **{name: (found.get(name), composed.get(name)) for name in ("seed", "scale")},
        f"datasets.{dataset}": (found["datasets"].get(dataset), composed["datasets"].get(dataset)),
    }
    differing = [name for name, (here, there) in pairs.items() if here != there]
    if differing:
        raise UserError(
            "params.yaml equal to the composition of params/: an experiment with the winner runs with the latter",
            f"others under {', '.join(differing)}",
            "bring the change under params/, then run `make params`; or drop it with `make params`",
        )


def write_override(dataset: str, family: str, option: str, wanted: Mapping[str, Any], told: Sequence[str]) -> list[str]:
    """Write ``params/model/<option>.yaml``; the overrides with which the dataset's model gets the settings ``wanted``.

    The file holds what differs from the base; its first lines tell where the settings come from.
    """
    group, section = f"model@datasets.{dataset}.model", f"datasets.{dataset}.model"
    base = yaml.safe_load((MODELS / f"{family}.yaml").read_text(encoding="utf-8"))
    composed = composed_params([f"{group}={family}"])["datasets"][dataset]["model"]
    # an interpolation in the base is known by what it becomes; what the dataset's file sets is not the base's word
    resolved = {name: composed[name] if isinstance(value, str) else value for name, value in base.items()}
    differing = {name: value for name, value in wanted.items() if resolved.get(name) != value}
    lines = [*(f"# {line}" for line in told), "defaults:", f"  - {family}", "  - _self_", ""]
    text = "\n".join(lines) + "\n" + yaml.safe_dump(differing, sort_keys=False)
    with whole_file(MODELS / f"{option}.yaml") as aside:
        aside.write_text(text, encoding="utf-8")
    overrides = [f"{group}={option}"]
    got = composed_params(overrides)["datasets"][dataset]["model"]
    overrides += [f"{section}.{name}={json.dumps(value)}" for name, value in wanted.items() if got[name] != value]
    return overrides


def experiment_command(dataset: str, name: str, overrides: Sequence[str]) -> list[str]:
    """What runs the experiment, as a person would type it."""
    declared = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    targets = [f"{stage}@{dataset}" for stage in STAGES if stage in declared]
    return ["dvc", "exp", "run", "-n", name, *(word for override in overrides for word in ("-S", override)), *targets]


def run_experiment(option: str, command: Sequence[str]) -> None:
    """Run the experiment in the workspace; its file under ``params/`` is added to git's index, or it would be lost.

    Raises
    ------
    UserError
        With the command to run again, when git or DVC refuses.
    """
    added = ["git", "add", "--", str(MODELS / f"{option}.yaml")]
    with alone("make tune"):
        for words in (added, [*DVC, *command[1:]]):
            done = subprocess.run(words, stdout=sys.stderr, check=False)
            if done.returncode:
                raise UserError(
                    f"`{words[0] if words is added else 'dvc exp run'}` to end well",
                    f"exit status {done.returncode}, for the reason above",
                    f"put that right, then run{INDENT}{shlex.join(added)} && {shlex.join(command)}",
                )


def experiment_of(dataset: str, model: Mapping[str, Any], wish: str) -> tuple[str, bool]:
    """A name for the experiment, and whether it has been run: on this commit, with this very model.

    The first free one of ``wish``, ``wish-2``, …, for a name stands for one experiment.
    """
    refs = _git("for-each-ref", "--format=%(refname)", "refs/exps/").split()
    known = {ref.rpartition("/")[2]: ref for ref in refs if not ref.startswith("refs/exps/exec/")}
    head = _git("rev-parse", "HEAD").strip()
    for name, ref in known.items():
        on_head = ref == f"refs/exps/{head[:2]}/{head[2:]}/{name}"
        if on_head and (name == wish or name.startswith(f"{wish}-")) and _model_of(ref, dataset) == dict(model):
            return name, True
    tries = [wish, *(f"{wish}-{n}" for n in range(2, len(known) + 3))]
    return next(name for name in tries if name not in known), False


def _model_of(ref: str, dataset: str) -> Any:
    params = yaml.safe_load(_git("show", f"{ref}:params.yaml") or "{}") or {}
    return params.get("datasets", {}).get(dataset, {}).get("model")


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=False).stdout
