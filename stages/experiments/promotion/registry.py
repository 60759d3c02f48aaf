"""The registry of models: GTO's annotated tags in git, on the commits whose bundles they name.

    nycflights@v0.0.2        this commit's bundle is version 0.0.2 of the model
    nycflights#champion#3    this commit's version is the champion from now on; the latest one counts

A tag keeps its commit alive, also that of a DVC experiment, which no branch may hold.  Tags are local until pushed.
The readers of these tags (GTO, `dvc artifacts get --stage champion`) order them by their time in whole seconds, so a
new one is made only in a later second than the last.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from gto.base import Artifact, BaseRegistryState, Version
from gto.constants import Action, VersionSort
from gto.exceptions import GTOException
from gto.registry import GitRegistry
from gto.tag import create_tag, find, name_tag
from gto.versions import SemVer
from scmrepo.exceptions import SCMError

from stages.workspace.errors import UserError
from stages.workspace.git import ask_git, lines_of

CHAMPION = "champion"
PATIENCE_S = 5.0
COARSE_S = 0.05  # the clock by which a tag is dated may lag by a tick of the kernel: 10 ms at most


@dataclass(frozen=True)
class Registered:
    """A version of a model, and the commit whose bundle it is."""

    version: str
    commit: str


@dataclass(frozen=True)
class Tag:
    """A tag that a decision makes."""

    name: str
    commit: str


def who() -> tuple[str, str]:
    """Name and e-mail address of the person who decides, as git knows them."""
    person = []
    for key, variable in (("user.name", "GIT_COMMITTER_NAME"), ("user.email", "GIT_COMMITTER_EMAIL")):
        told = os.environ.get(variable) or "".join(lines_of(ask_git("config", "--get", key))[:1]).strip()
        if not told:
            next_step = f'`git config {key} "…"`, then the same command again'
            raise UserError(f"a git {key}, to sign the decision with", "none", next_step)
        person.append(told)
    return person[0], person[1]


def champion(dataset: str) -> Registered | None:
    """The champion of a dataset: the version to which the stage was assigned last; None where there is none."""
    with _registry() as registry:
        stages = _artifact(registry, dataset).get_vstages(sort=VersionSort.Timestamp).get(CHAMPION, [])
    return Registered(stages[0].version, stages[0].commit_hexsha) if stages else None


def version_at(dataset: str, commit: str) -> str | None:
    """The version that a commit is registered as."""
    with _registry() as registry:
        known = _known(_artifact(registry, dataset), commit)
    return known.version if known else None


def plan(dataset: str, commit: str) -> tuple[str, list[Tag]]:
    """The version that ``commit`` has or gets, and the tags that make it the champion."""
    with _registry() as registry:
        artifact = _artifact(registry, dataset)
        known = _known(artifact, commit)
        if known and not known.is_active:
            raise UserError(
                f"a commit of {dataset} that is not withdrawn",
                f"{known.version} ({commit[:7]}) was deregistered",
                f"`git tag -d '{dataset}@{known.version}!'` brings it back, if that is meant",
            )
        version = known.version if known else _next_version(artifact)
        assigned = name_tag(Action.ASSIGN, dataset, stage=CHAMPION, scm=registry.scm)
        registered = [] if known else [name_tag(Action.REGISTER, dataset, version=version, simple=True)]
        tags = [Tag(name, commit) for name in (*registered, assigned)]
        refuse_taken([tag.name for tag in tags], registry.scm.list_tags())
        _ahead_s(dataset, registry)  # a clock that is wrong is better found out now than between log and tags
    return version, tags


def _known(artifact: Artifact, commit: str) -> Version | None:
    """The registration of a commit, a withdrawn one too."""
    return next((each for each in artifact.versions if each.commit_hexsha == commit and each.is_registered), None)


def _next_version(artifact: Artifact) -> str:
    known = [SemVer(version.version) for version in artifact.versions if version.is_registered]
    version: str = (max(known).bump(bump_patch=True) if known else SemVer("v0.0.1")).version  # type: ignore[no-untyped-call]
    return version


def refuse_taken(wanted: Sequence[str], existing: Sequence[str]) -> None:
    """Stop where a tag of that name stands that the registry does not know: a lightweight one, made by hand."""
    if taken := sorted(set(wanted) & set(existing)):
        raise UserError(
            f"the tag {taken[0]} to be free",
            "a tag of that name that is no registration (not annotated, or withdrawn)",
            f"look at it with `git show '{taken[0]}'`; `git tag -d '{taken[0]}'` removes it",
        )


def mark(dataset: str, tags: Sequence[Tag], message: str) -> None:
    """Make the tags of a decision; those that stand already, on the same commits, stay as they are."""
    name, email = who()
    with _registry() as registry:
        for tag in tags:
            standing = registry.scm.get_tag(tag.name)
            if standing is None:
                _wait_for_a_later_second(dataset, registry)
                create_tag(registry.scm, tag.name, tag.commit, f"{message}\n", tagger=name, tagger_email=email)
            elif getattr(standing, "target", standing) != tag.commit:
                raise UserError(
                    f"the tag {tag.name} on {tag.commit[:7]}",
                    f"one on {str(getattr(standing, 'target', standing))[:7]}: somebody else decided meanwhile",
                    f"`git show '{tag.name}'` tells who",
                )


def missing(tags: Sequence[Tag]) -> list[Tag]:
    """Those of the tags that do not stand in this repository."""
    with _registry() as registry:
        return [tag for tag in tags if registry.scm.get_tag(tag.name) is None]


def _wait_for_a_later_second(dataset: str, registry: GitRegistry) -> None:
    time.sleep(max(_ahead_s(dataset, registry), 0.0))


def _ahead_s(dataset: str, registry: GitRegistry) -> float:
    """Seconds until the second after the latest champion's tag, by the clock of this machine."""
    last = max((tag.tag_time for tag in find(name=dataset, stage=CHAMPION, scm=registry.scm)), default=0)
    ahead_s = last + 1 + COARSE_S - time.time()
    if ahead_s > PATIENCE_S:
        raise UserError(
            "a clock that is not behind the latest tag of the registry",
            f"a champion marked {ahead_s:.0f} seconds from now",
            "set the clock of this machine right; `git tag -n --sort=taggerdate` shows when tags were made",
        )
    return ahead_s


def _artifact(registry: GitRegistry, dataset: str) -> Artifact:
    """What the tags say about one model; annotations in files (dvc.yaml) are of no concern here."""
    state = BaseRegistryState()
    for manager in (registry.artifact_manager, registry.version_manager, registry.stage_manager):
        state = manager.update_state(state)
    return state.find_artifact(dataset, create_new=True)


@contextmanager
def _registry() -> Iterator[GitRegistry]:
    try:
        with GitRegistry.from_url(".") as registry:
            yield registry
    except (GTOException, SCMError) as error:
        raise UserError(
            "a registry of models in the tags of this git repository",
            str(error) or type(error).__name__,
            "run this inside the project's git repository; `git tag` lists the tags",
        ) from None
