"""For every test: no result of a partition comes from, or goes to, the cache of the person who runs the tests, and no
test stands in the checkout: what it leaves where it stands would be data of that person.

And for `--dist loadfile`: rooms that stand on one costly repository stay together, so that it is made once.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis.configuration import set_hypothesis_home_dir
from xdist.scheduler import LoadFileScheduling

import stages  # noqa: F401  # before any test loads OpenMP: it chooses how threads wait

ROOT = Path(__file__).parents[1]
os.environ["PLUMBLINE_CACHE"] = "off"
# A busy machine is no counterexample.
hypothesis.settings.register_profile("plumbline", deadline=None)
hypothesis.settings.load_profile("plumbline")
set_hypothesis_home_dir(ROOT / ".hypothesis")  # by default where the tests stand
# A shell starts what runs in its background (`make test &`) deaf to Ctrl-C, which tests send to what they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Each has a session fixture in its conftest that takes seconds to a minute: the whole line, run from an empty cache.
ROOMS = (
    "tests/pipeline/test_cycle_line.py",  # on a repository of its own
    "tests/pipeline/",
    "tests/experiments/revisions/",
    "tests/stages/compare/",
    "tests/stages/promotion/",
    "tests/state/",
)
# Begun first, so that none of them is still at work when all else is done: minutes, or more of them than of most.
LONGEST = (
    "tests/pipeline/",
    "tests/state/",
    "tests/repository/test_tutorial.py",
    "tests/repository/test_benchmarks.py",
    "tests/deploy/test_image.py",
    "tests/serving/test_recovery.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, all else as it was."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(
        key=lambda item: next((place for name, place in places.items() if item.nodeid.startswith(name)), len(places))
    )


@pytest.fixture(scope="session", autouse=True)
def nowhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty folder, in which every test begins, and in which none leaves anything."""
    with chdir(folder := tmp_path_factory.mktemp("nowhere")):
        yield
    assert not list(folder.iterdir())


class RoomScheduling(LoadFileScheduling):
    """A process gets a file at a time, or a room."""

    def _split_scope(self, nodeid: str) -> str:
        return next((room for room in ROOMS if nodeid.startswith(room)), super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Callable[..., Any]) -> RoomScheduling | None:
    """Rooms in place of files, in the order of the tests; any other `--dist` is as it was."""
    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # by how many tests they hold
    return RoomScheduling(config, log)
