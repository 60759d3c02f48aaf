"""What a person sees of several revisions: bands and intervals where the tables have them, each in its colour, legible.

DVC fills the templates from real tables; Vega lays them out, and its scene (marks, pixels, colours) is what is tested.
"""

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import vl_convert
from dvc_render import VegaRenderer

from tools.vega import VEGA_LITE

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / ".dvc" / "plots"
COLOURS = ["#0b62a8", "#d55e00", "#009e73"]
GREY = "#5b6472"
SHOW, DIFF = "show", "diff HEAD~1 HEAD workspace"
COMMANDS = {SHOW: ["workspace"], DIFF: ["workspace", "HEAD~1", "HEAD"]}  # DVC puts the workspace first, always


class Item(NamedTuple):
    """One thing drawn: its kind, its place in the whole picture, and all that Vega knows of it."""

    kind: str
    role: str
    x: float
    y: float
    drawn: dict[str, Any]


Scenes = dict[str, dict[str, list[Item]]]


def scene(chart: dict[str, Any]) -> list[Item]:
    """Everything that is drawn; a line or an area is one item for each of its points."""

    def walk(node: dict[str, Any], x: float, y: float) -> Iterator[Item]:
        for item in node["items"]:
            at = x + item.get("x", 0.0), y + item.get("y", 0.0)
            yield Item(node["marktype"], node.get("role") or "", *at, item)
            for below in item.get("items", []):
                yield from walk(below, *at)

    return list(walk(vl_convert.vegalite_to_scenegraph(chart, vl_version=VEGA_LITE)["scenegraph"], 0.0, 0.0))


def drawn(items: list[Item], kind: str) -> list[dict[str, Any]]:
    """The marks of one kind that show data, axes and legends left out."""
    return [item.drawn for item in items if item.kind == kind and item.role == "mark"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def repository(run, tmp_path_factory) -> Path:
    """The real declarations and tables in two commits and a workspace; each revision a little better than the last."""
    repository = tmp_path_factory.mktemp("bands")
    run("git", "init", "--quiet", cwd=repository)
    for name in ("dvc.yaml", "params.yaml", ".dvc/config", ".dvc/.gitignore"):
        (repository / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, repository / name)
    if not (ROOT / "plots" / "nycflights").is_dir() or not (ROOT / "plots" / "digits").is_dir():
        pytest.skip("plots/ has not been made yet: run `make repro`")
    for name in ("plots", ".dvc/plots"):
        shutil.copytree(ROOT / name, repository / name)
    for message in ("first", "second"):
        run("git", "add", "--all", cwd=repository)
        run("git", "commit", "--quiet", "-m", message, cwd=repository)
        for path in repository.glob("plots/*/*.csv"):
            path.write_text(improved(path), encoding="utf-8")
    return repository


def improved(path: Path) -> str:
    """The table with curve and band a little higher; what is no curve stays."""
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    if path.stem in {"roc", "precision_recall", "calibration"}:
        for n, line in enumerate(lines):
            x, value, low, high, *rest = line.split(",")
            lines[n] = ",".join([x, *(y and str(min(1.0, float(y) + 0.02)) for y in (value, low, high)), *rest])
    return "\n".join([header, *lines]) + "\n"


@pytest.fixture(scope="module")
def scenes(run, repository: Path) -> Scenes:
    """What each command draws, by path."""
    answers: Scenes = {}
    targets = [f"plots/nycflights/{name}.csv" for name in ("roc", "precision_recall", "calibration", "intervals")]
    for command in ([SHOW, *targets], DIFF.split()):
        answer = json.loads(run("dvc", "plots", *command, "--json", cwd=repository).stdout)
        assert not answer.get("errors"), answer["errors"]
        contents = {path: drawn[0]["content"] for path, drawn in answer["data"].items() if drawn}
        charts = {path: json.loads(c) if isinstance(c, str) else c for path, c in contents.items()}
        answers[SHOW if len(answers) == 0 else DIFF] = {path: scene(chart) for path, chart in charts.items()}
    return answers


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("curve", ["roc", "precision_recall"])
def test_a_curve_has_a_band_in_the_colour_of_each_revision(
    scenes: Scenes, repository: Path, command: str, curve: str
) -> None:
    items = scenes[command][f"plots/nycflights/{curve}.csv"]
    table = rows(repository / "plots" / "nycflights" / f"{curve}.csv")
    bands: dict[str, list[dict[str, Any]]] = {}
    for point in drawn(items, "area"):
        bands.setdefault(point["fill"], []).append(point)
    assert list(bands) == COLOURS[: len(COMMANDS[command])]
    assert {len(points) for points in bands.values()} == {len(table)}
    for point, row in zip(bands[COLOURS[0]], table, strict=True):  # the workspace, whose table lies here
        assert [point["y"], point["y2"]] == pytest.approx([360 * (1 - float(row[end])) for end in ("low", "high")])
    lines = [point["stroke"] for point in drawn(items, "line")]
    assert [colour for colour in COLOURS if lines.count(colour) == len(table)] == list(bands)


@pytest.mark.parametrize("command", COMMANDS)
def test_calibration_has_an_interval_for_each_bin_and_revision(scenes: Scenes, repository: Path, command: str) -> None:
    items = scenes[command]["plots/nycflights/calibration.csv"]
    n_bins = len(rows(repository / "plots" / "nycflights" / "calibration.csv"))
    intervals = [rule["stroke"] for rule in drawn(items, "rule") if rule["stroke"] != GREY]
    wanted = COLOURS[: len(COMMANDS[command])]
    assert {colour: intervals.count(colour) for colour in intervals} == dict.fromkeys(wanted, 2 * n_bins)


def test_intervals_of_revisions_stand_beside_each_other_around_zero(scenes: Scenes) -> None:
    """Above, intervals of one bin share their place and would hide one another."""
    items = scenes[DIFF]["plots/nycflights/calibration.csv"]
    dots = [item for item in items if item.kind == "symbol" and item.role == "mark" and item.drawn["size"] == 30]
    by_colour = {colour: [dot for dot in dots if dot.drawn["fill"] == colour] for colour in COLOURS}
    for one, two, three in zip(*by_colour.values(), strict=True):
        assert one.x + 5 < two.x < three.x - 5


@pytest.mark.parametrize("command", COMMANDS)
def test_the_plot_of_intervals_has_one_for_each_metric_and_revision(
    scenes: Scenes, repository: Path, command: str
) -> None:
    items = scenes[command]["plots/nycflights/intervals.csv"]
    n_metrics = len(rows(repository / "plots" / "nycflights" / "intervals.csv"))
    coloured = [rule["stroke"] for rule in drawn(items, "rule") if rule["stroke"] in COLOURS]
    wanted = COLOURS[: len(COMMANDS[command])]
    assert {colour: coloured.count(colour) for colour in coloured} == dict.fromkeys(wanted, n_metrics)


@pytest.mark.parametrize("command", COMMANDS)
def test_legends_name_the_revisions_in_the_order_of_the_command(scenes: Scenes, command: str) -> None:
    for path in (f"plots/nycflights/{name}.csv" for name in ("roc", "precision_recall", "calibration", "intervals")):
        items = scenes[command][path]
        labels = [item.drawn["text"] for item in items if item.role == "legend-label"]
        assert labels[: len(COMMANDS[command])] == COMMANDS[command], path
        symbols = [item.drawn["fill"] for item in items if item.role == "legend-symbol"]
        assert symbols[: len(COMMANDS[command])] == COLOURS[: len(COMMANDS[command])], path


def boxes(items: list[Item]) -> Iterator[tuple[str, float, float, float, float]]:
    """Where each text lies, judged by half an em a letter, so that only real collisions count."""
    for item in items:
        if item.kind != "text" or not item.drawn.get("text") or item.drawn.get("angle"):
            continue
        lines = item.drawn["text"] if isinstance(item.drawn["text"], list) else [item.drawn["text"]]
        size = item.drawn["fontSize"]
        width, x = 0.5 * size * max(map(len, lines)), item.x + item.drawn.get("dx", 0)
        left = x - {"right": width, "center": width / 2}.get(item.drawn.get("align", "left"), 0)
        top = item.y + item.drawn.get("dy", 0) - {"top": 0, "middle": size / 2}.get(item.drawn.get("baseline"), size)
        yield " ".join(lines), left, top, left + width, top + 0.9 * size * len(lines)


def test_no_two_texts_lie_on_each_other(scenes: Scenes, repository: Path) -> None:
    assert len(scenes[DIFF]) == len([path for path in repository.glob("plots/*/*.csv") if rows(path)])
    for path, items in scenes[DIFF].items():
        placed = list(boxes(items))
        for n, (one, left, top, right, bottom) in enumerate(placed):
            for two, left_2, top_2, right_2, bottom_2 in placed[n + 1 :]:
                apart = right <= left_2 or right_2 <= left or bottom <= top_2 or bottom_2 <= top
                assert apart, f"{path}: {one!r} lies on {two!r}"


@pytest.mark.parametrize(("shift", "strokes"), [(0.0, {GREY}), (0.1, set(COLOURS[:2]))])
def test_the_baseline_has_the_colour_of_a_revision_only_where_it_differs(shift: float, strokes: set[str]) -> None:
    points = [
        {
            "false_positive_rate": x,
            "true_positive_rate": x,
            "low": x,
            "high": x,
            "baseline": x * (1 - extra),
            "rev": rev,
        }
        for rev, extra in (("before", 0.0), ("after", shift))
        for x in (0.0, 0.5, 1.0)
    ]
    chart = VegaRenderer(
        points, "roc", template="roc", template_dir=TEMPLATES, x="false_positive_rate", y="true_positive_rate"
    ).get_filled_template()
    dashed = [line["stroke"] for line in drawn(scene(chart), "line") if line.get("strokeDash") == [5, 3]]
    assert set(dashed) == strokes
    assert len(dashed) == 3 * len(strokes)


def filled(points: list[dict[str, Any]], name: str, x: str, y: str) -> list[Item]:
    """What a template draws of rows as they stand in a table."""
    renderer = VegaRenderer(
        [{"rev": "workspace"} | point for point in points], name, template=name, template_dir=TEMPLATES, x=x, y=y
    )
    return scene(renderer.get_filled_template())


def test_a_metric_without_an_interval_has_a_dot_and_words_and_no_line() -> None:
    known = {"metric": "accuracy", "direction": "higher", "value": "0.9", "low": "0.8", "high": "0.95",
             "baseline": "0.5", "baseline_low": "0.4", "baseline_high": "0.6",
             "difference": "0.4", "difference_low": "0.3", "difference_high": "0.5"}  # fmt: skip
    few = known | {"metric": "brier", **{end: "" for end in known if end.endswith(("low", "high"))}}
    items = filled([known, few], "intervals", "value", "metric")
    assert len([rule for rule in drawn(items, "rule") if rule["stroke"] in COLOURS]) == 1
    texts = [item.drawn["text"] for item in items if item.kind == "text" and item.drawn.get("text")]
    assert "0.900 (too few)" in texts and "0.900 [0.800, 0.950]" in texts
    assert "+0.400 (too few)" in texts


def test_a_group_without_an_interval_is_a_dot() -> None:
    group = {"predicted": "0.5", "observed": "0.6", "low": "0.4", "high": "0.7", "perfect": "0.5", "rows": "50"}
    items = filled([group, group | {"predicted": "0.9", "low": "", "high": ""}], "calibration", "predicted", "observed")
    assert len([rule for rule in drawn(items, "rule") if rule["stroke"] in COLOURS]) == 2  # itself, and around zero
    residual = {
        "predicted": "1",
        "residual": "2",
        "low": "1",
        "high": "3",
        "tenth": "-5",
        "ninetieth": "5",
        "rows": "50",
    }
    both = filled(
        [residual, residual | {"predicted": "2", "low": "", "high": ""}], "residuals", "predicted", "residual"
    )
    one = filled([residual, residual | {"predicted": "2"}], "residuals", "predicted", "residual")
    assert len(drawn(both, "rule")) == len(drawn(one, "rule")) - 1


def test_a_curve_has_no_band_where_it_has_none() -> None:
    curve = [
        {"false_positive_rate": str(x), "true_positive_rate": "1", "low": low, "high": low and "1", "baseline": "0.5"}
        for x, low in ((0.0, "0.8"), (0.25, "0.9"), (0.5, ""), (0.75, ""))
    ]
    areas = drawn(filled(curve, "roc", "false_positive_rate", "true_positive_rate"), "area")
    shown = [point for point in areas if point.get("defined", True)]
    assert len(shown) == 2
    assert all(point["y"] != point["y2"] and point["y"] <= 0.2 * 360 + 1 for point in shown)
