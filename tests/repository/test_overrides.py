"""Overrides of parameters: those that the pages show can be composed, and what cannot is told with its cause."""

import re
import shlex
from pathlib import Path

import pytest

from stages.workspace.composition import compose_params
from stages.workspace.errors import UserError
from tools import params

ROOT = Path(__file__).parents[2]
PAGES = ["docs/big-data.md", "docs/experiments.md", "docs/models.md", "docs/cluster.md"]


def shown(page: str) -> list[list[str]]:
    """The overrides of every `dvc exp run` in the blocks of a page."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.M | re.S)
    commands = [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if "dvc exp run" in line]
    words = [shlex.split(command, comments=True) for command in commands]
    return [[line[k + 1] for k, word in enumerate(line[:-1]) if word == "-S"] for line in words]


@pytest.mark.parametrize("page", PAGES)
def test_every_override_that_a_page_shows_can_be_composed(page: str) -> None:
    overrides = [found for found in shown(page) if found]
    assert overrides
    for found in overrides:
        assert compose_params(ROOT, found)


def test_braces_that_hydra_needs_quoted_are_shown_quoted_and_arrive_as_they_are() -> None:
    location = "datasets.ontime.download.series.location='On_Time_On_Time_Performance_{year}_{month}.zip'"
    overrides = ["+dataset@datasets.ontime=ontime", location]
    assert any(location in found for found in shown("docs/big-data.md"))
    assert "location: On_Time_On_Time_Performance_{year}_{month}.zip\n" in compose_params(ROOT, overrides)


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ("seed={year}", "no viable alternative at input '{year}'"),
        ("seed=1,2", "Ambiguous value"),
        ("sead=1", "Could not override 'sead'"),
    ],
)
def test_an_override_that_hydra_refuses_ends_in_plain_words(
    override: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError) as refused:
        params.compose_with([override])
    assert found in refused.value.found
    assert "quote a value with braces" in refused.value.next_step
