"""What `dvc plots` shows: every declared chart is drawn, from columns that exist, for one revision and for several.

DVC itself fills the templates; Vega draws them as a browser would.
"""

import csv
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import vl_convert
import yaml
from dvc.config import Config
from dvc_render import VegaRenderer

from stages.metrics.curves import COLUMNS
from tests.browser import browse, in_browser
from tools import vega
from tools.vega import VEGA_LITE

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / ".dvc" / "plots"
BY_DVC = {"rev"}


def declared_plots() -> dict[str, dict[str, Any]]:
    """Path pattern → properties of every plot in dvc.yaml."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    bodies = [stage.get("do", stage) for stage in stages.values()]
    return {path: properties for body in bodies for plot in body.get("plots", []) for path, properties in plot.items()}


PLOTS = declared_plots()
DATASETS = sorted(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["datasets"])


def columns_of(path: str) -> set[str]:
    """What the stage writes: as evaluation declares it, else as the last run left it in git."""
    name = Path(path).stem
    if name in COLUMNS:
        return set(COLUMNS[name])
    with (ROOT / path.replace("${key}", DATASETS[0])).open(encoding="utf-8") as file:
        return set(next(csv.reader(file)))


def walk(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with the key above it, leaving out layers that bring their own points."""
    if isinstance(node, dict):
        if key and isinstance(node.get("data", {}).get("values"), list):
            return
        for name, value in node.items():
            yield from walk(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value, key or "list")
    else:
        yield key, node


def filled(template: str, properties: dict[str, Any]) -> dict[str, Any]:
    """The template with the names of this plot's axes in place of the anchors."""
    text = (TEMPLATES / f"{template}.json").read_text(encoding="utf-8")
    chart: dict[str, Any] = json.loads(
        text.replace("<DVC_METRIC_X>", properties["x"]).replace("<DVC_METRIC_Y>", properties["y"])
    )
    return chart


@pytest.mark.parametrize("path", PLOTS)
def test_a_template_uses_only_columns_that_the_stage_writes(path: str) -> None:
    properties = PLOTS[path]
    leaves = list(walk(filled(properties["template"], properties)))
    made = {value for key, value in leaves if key == "as"}
    used = {value for key, value in leaves if key in {"field", "groupby"}}
    for key, value in leaves:
        if key in {"calculate", "filter", "test"}:
            used |= set(re.findall(r"datum\.(\w+)", value)) | set(re.findall(r"datum\['(\w+)'\]", value))
    assert used, path
    assert used - made - BY_DVC <= columns_of(path)
    assert {properties["x"], properties["y"]} <= columns_of(path)


@pytest.mark.parametrize("path", PLOTS)
def test_every_column_drawn_as_a_number_is_read_as_one(path: str) -> None:
    chart = filled(PLOTS[path]["template"], PLOTS[path])
    assert chart["data"]["values"] == "<DVC_METRIC_DATA>"
    made = {value for key, value in walk(chart) if key == "as"}

    def numbers(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if node.get("type") == "quantitative" and "field" in node:
                yield node["field"]
            for key, value in node.items():
                if not (key == "layer" and isinstance(value, dict)):
                    yield from numbers(value)
        elif isinstance(node, list):
            for value in node:
                if not (isinstance(value, dict) and isinstance(value.get("data", {}).get("values"), list)):
                    yield from numbers(value)

    assert set(numbers(chart)) - made <= set(chart["data"]["format"]["parse"])


def test_all_templates_share_one_look_and_none_is_left_over() -> None:
    templates = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in TEMPLATES.glob("*.json")}
    by_name = {"differences"}  # drawn from what `python -m stages.compare --write` leaves: test_plots_differences.py
    assert set(templates) == {properties["template"] for properties in PLOTS.values()} | by_name
    first, *others = [template["config"] for template in templates.values()]
    assert all(config == first for config in others)


@pytest.fixture(scope="module")
def revisions(run, tmp_path_factory) -> Path:
    """A small repository with the real declarations and two revisions of the real points, no data and no run."""
    repository = tmp_path_factory.mktemp("plots")
    run("git", "init", "--quiet", cwd=repository)
    for name in ("dvc.yaml", "params.yaml", ".dvc/config", ".dvc/.gitignore"):
        (repository / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, repository / name)
    for name in ("plots", ".dvc/plots"):
        shutil.copytree(ROOT / name, repository / name)
    for dataset in DATASETS:
        if not (repository / "plots" / dataset).is_dir():
            pytest.skip(f"plots/{dataset} has not been made yet: run `make repro`")
    run("git", "add", "--all", cwd=repository)
    run("git", "commit", "--quiet", "-m", "before", cwd=repository)
    for path in repository.glob("plots/*/*.csv"):
        header, *rows = path.read_text(encoding="utf-8").splitlines()
        path.write_text("\n".join([header, *rows[: max(1, len(rows) - 1)]]) + "\n", encoding="utf-8")
    run("git", "commit", "--quiet", "--all", "-m", "after", cwd=repository)
    return repository


def ask(run: Any, repository: Path, *command: str) -> tuple[dict[str, Any], dict[str, set[str]]]:
    """The filled charts of a `dvc plots` command and the revisions in each, by path."""
    answer = json.loads(run("dvc", "plots", *command, "--json", cwd=repository).stdout)
    assert not answer.get("errors"), answer["errors"]
    charts = {}
    for path, drawn in answer["data"].items():
        if not drawn:  # a table without rows
            continue
        content = drawn[0]["content"]
        charts[path] = json.loads(content) if isinstance(content, str) else content
    return charts, {path: {point["rev"] for point in chart["data"]["values"]} for path, chart in charts.items()}


@pytest.mark.parametrize(
    ("command", "expected"), [(("show",), {"workspace"}), (("diff", "HEAD~1"), {"HEAD~1", "workspace"})]
)
def test_every_declared_plot_is_drawn(run, revisions: Path, command, expected: set[str]) -> None:
    charts, found = ask(run, revisions, *command)
    every = [path.replace("${key}", dataset) for path in PLOTS for dataset in DATASETS]
    wanted = {path for path in every if len((revisions / path).read_text(encoding="utf-8").splitlines()) > 1}
    assert {Path(path).name for path in wanted} == {Path(path).name for path in PLOTS}  # each of some dataset
    assert found == dict.fromkeys(wanted, expected)
    assert "DVC_METRIC" not in json.dumps(charts)
    for path, chart in charts.items():
        assert chart["title"]["text"].startswith(Path(path).parent.name + ": ")
        assert "${" not in chart["title"]["text"]

    for path, chart in charts.items():
        svg = vl_convert.vegalite_to_svg(chart, vl_version=VEGA_LITE)
        assert all(f">{revision}<" in svg for revision in expected), path
        assert "NaN" not in svg and "undefined" not in svg, path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page that `make setup` writes, with the drawing scripts in it."""
    root = tmp_path_factory.mktemp("whole")
    (root / ".venv").mkdir()
    shutil.copytree(TEMPLATES, root / ".dvc/plots")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        vega.main()
    assert Config(str(root / ".dvc"))["plots"]["html_template"] == f"../{vega.WHOLE}"
    return root / vega.WHOLE


def draw_page(run: Any, repository: Path, whole: Path, out: Path, *command: str) -> Path:
    """The page of a `dvc plots` command, alone in a folder, as if it had been mailed."""
    run("dvc", "plots", *command, "--html-template", whole, "-o", out / "dvc_plots", cwd=repository)
    mailed = out / "mailed" / "page.html"
    mailed.parent.mkdir()
    shutil.move(out / "dvc_plots/index.html", mailed)
    return mailed


def test_the_page_is_one_file_and_survives_a_table_without_rows(
    run, revisions: Path, whole: Path, tmp_path: Path
) -> None:
    """A regression has no ROC curve: its table has a header only."""
    repository = tmp_path / "regression"
    shutil.copytree(revisions, repository)
    table = repository / "plots" / DATASETS[0] / "roc.csv"
    table.write_text(table.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    text = draw_page(run, repository, whole, tmp_path, "show").read_text(encoding="utf-8")
    page = text.replace(whole_script(whole), "")
    assert "window.vegaEmbed = vegaEmbed" in text or "window.vegaEmbed=" in text
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page.replace('script src="https://cdn', ""))
    assert page.count("vegaEmbed('#plots_") == len(PLOTS) * len(DATASETS)


def whole_script(whole: Path) -> str:
    return whole.read_text(encoding="utf-8").partition('<script id="vega">')[2].partition("</script>")[0]


@in_browser
def test_the_mailed_page_draws_every_chart_and_cuts_none_on_a_phone(
    run, revisions: Path, whole: Path, tmp_path: Path
) -> None:
    page = draw_page(run, revisions, whole, tmp_path, "show")
    told, _ = browse(page, tmp_path, "--host-resolver-rules=MAP * ~NOTFOUND")
    drawn = [path.replace("${key}", dataset) for path in PLOTS for dataset in DATASETS]
    filled = [path for path in drawn if len((revisions / path).read_text(encoding="utf-8").splitlines()) > 1]
    for view in told:
        assert view["needs"] <= view["width"]
        assert view["cut"] == []
        assert view["charts"] == len(filled)
        assert "0.95" not in view["said"] and "95\u202f% band" in view["said"]


@in_browser
def test_a_diff_leaves_out_the_datasets_that_are_the_same(run, revisions: Path, whole: Path, tmp_path: Path) -> None:
    repository = tmp_path / "one"
    shutil.copytree(revisions, repository)
    run("git", "checkout", "--quiet", "HEAD~1", "--", "plots", cwd=repository)
    for path in (repository / "plots" / DATASETS[-1]).iterdir():  # the last one stays as HEAD has it
        run("git", "checkout", "--quiet", "HEAD", "--", path, cwd=repository)
    told, _ = browse(draw_page(run, repository, whole, tmp_path, "diff", "HEAD"), tmp_path)
    assert f"left out: {DATASETS[-1]}." in told[0]["said"]
    assert DATASETS[-1] not in told[0]["headings"]
    assert sorted(told[0]["headings"]) == DATASETS[:-1]


def test_the_page_falls_back_on_the_scripts_that_dvc_names() -> None:
    page = (TEMPLATES / "page.html").read_text(encoding="utf-8")
    for package, version in re.findall(r"npm/([\w-]+)@([\d.]+)", VegaRenderer.SCRIPTS):
        assert f'"{package}@{version}"' in page
