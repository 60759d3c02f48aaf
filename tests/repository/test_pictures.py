"""README.md shows the line as it is and a picture of the results as they are, in light and dark, made by a command."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from stages.pages.verdicts import estimate_of
from stages.workspace.layout import results_report
from tools import pictures
from tools.pictures import DATASET, IMAGES, line_block, picture
from tools.results import read_results

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def drawn(scheme: str) -> str:
    return (ROOT / IMAGES / f"results-{scheme}.svg").read_text(encoding="utf-8")


def test_the_readme_draws_the_line_as_dvc_does(run) -> None:
    asked = run("dvc", "dag", "--full", "--mermaid", f"report@{DATASET}", cwd=ROOT).stdout
    assert line_block(asked) in README, "run `make results` and commit"
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert set(re.findall(r"\w+", line_block(asked))) >= {name for name, stage in stages.items() if "foreach" in stage}


def test_an_arrow_that_follows_from_others_is_left_out() -> None:
    names = "\n".join(f'\tnode{k}["{name}@d"]' for k, name in enumerate("abcd"))
    edges = "node0-->node1\nnode1-->node2\nnode0-->node2\nnode0-->node3\nnode2-->node3"
    assert line_block(f"{names}\n{edges}").splitlines()[3:-2] == ["  a --> b", "  b --> c", "  c --> d"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_picture_tells_the_figures_of_the_committed_metrics(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    lead = next(iter(read_results()[DATASET].values()))
    for told in estimate_of(lead).split(" ", 1) + estimate_of(lead, "difference").split(" ", 1):
        assert f">{told}<" in drawn(scheme), "run `make results` and commit"
    assert f"docs/images/results-{scheme}.svg" in README
    assert ElementTree.fromstring(drawn(scheme)).tag == "{http://www.w3.org/2000/svg}svg"


def test_the_picture_is_the_same_in_both_schemes_but_for_its_colours() -> None:
    light, dark = (re.sub(r"svg \{ --.*?\}", "", drawn(scheme), flags=re.DOTALL) for scheme in ("light", "dark"))
    assert light == dark
    assert drawn("light") != drawn("dark")


def test_the_picture_is_the_one_that_the_page_of_results_holds() -> None:
    page = ROOT / results_report(DATASET)
    if not page.exists():
        pytest.skip("the report is not in the workspace: `dvc checkout`")
    style = (ROOT / pictures.STYLE).read_text(encoding="utf-8")
    for scheme in ("light", "dark"):
        assert picture(page.read_text(encoding="utf-8"), style, scheme) == drawn(scheme), "run `make results`"
