"""What `-t differences` draws of a comparison: the right side, colour and words for every verdict, on readable scales.

The tables are written here by hand, the command is the one in docs/plots.md, DVC and Vega are real.
"""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import vl_convert

from stages.metrics.paired import Difference
from tools.vega import VEGA_LITE

ROOT = Path(__file__).parents[2]
COLOUR = {"better": "#009e73", "worse": "#d55e00", "no evidence": "#6f7783", "not judged": "#9aa1ab"}
HEADER = "dataset,a_label,b_label,segment,rows,metric,direction,a,b,difference,low,high,p_value,p_adjusted,verdict"
METRICS = """\
roc_auc,higher,0.7566,0.7645,0.0079,0.0042,0.0103,0.0004,0.0007,better
log_loss,lower,0.4790,0.4750,-0.0040,-0.0060,-0.0020,0.0100,0.0200,better
recall,higher,0.6560,0.6210,-0.0350,-0.0490,-0.0210,0.0010,0.0020,worse
expected_cost,lower,0.4738,0.4785,0.0047,0.0018,0.0112,0.0140,0.0280,worse
mae,lower,1234.4,1231.0,-3.4,-20.4,13.4,0.7000,0.9000,no evidence
calibration_error,lower,0.0149,0.0173,0.0025,-0.0028,0.0077,,,descriptive
accuracy,higher,,,,,,,,undefined
"""
FEW = "metric,direction,difference,low,high,verdict\nroc_auc,higher,0.0079,0.0042,0.0103,better\n"
EXPERIMENTS = """\
rank,experiment,commit,changed,metric,direction,a,b,difference,low,high,p_value,p_adjusted,verdict
1,shallow,1ae4,max_depth 5 → 2,log_loss,lower,0.48,0.47,-0.01,-0.015,-0.005,0.01,0.02,better
2,same,2be4,seed 1 → 2,log_loss,lower,0.48,0.48,0.0,-0.004,0.004,0.9,0.9,no evidence
3,deep,3ce4,max_depth 5 → 10,log_loss,lower,0.48,0.50,0.02,0.01,0.03,0.001,0.003,worse
"""
GAINS = {"": 0.01, "carrier=UA": 0.04, "carrier=AA": 0.02}


def tables() -> dict[str, str]:
    """Comparisons by the folder in which `python -m stages.compare --write` would leave them."""
    metrics = [f'flights,main,deep,"",500,{line}' for line in METRICS.splitlines()]
    same = [f'flights,main,main,"",500,{name},higher,0.7,0.7,0,0,0,1,1,no evidence' for name in ("f1", "recall")]
    segments = [
        f"flights,main,deep,{name},500,roc_auc,higher,0.7,{0.7 + gain},{gain},{gain},{gain},0.01,0.02,better"
        for name, gain in GAINS.items()
    ]
    whole = {"main..deep": metrics, "main..main": same, "main..carriers": segments}
    texts = {folder: "\n".join([HEADER, *lines]) + "\n" for folder, lines in whole.items()}
    return texts | {"HEAD..few": FEW, "main..all": EXPERIMENTS}


class Picture:
    """What Vega lays out: marks with their place in the whole picture."""

    def __init__(self, chart: dict[str, Any]) -> None:
        def walk(node: dict[str, Any], x: float, y: float) -> Iterator[dict[str, Any]]:
            for item in node["items"]:
                place = {"x": x + item.get("x", 0.0), "y": y + item.get("y", 0.0)}
                yield item | place | {"kind": node["marktype"], "role": node.get("role"), "own_x": item.get("x")}
                for below in item.get("items", []):
                    yield from walk(below, place["x"], place["y"])

        self.marks = list(walk(vl_convert.vegalite_to_scenegraph(chart, vl_version=VEGA_LITE)["scenegraph"], 0, 0))

    def dots(self) -> list[dict[str, Any]]:
        """The points of the differences, from above, with their row."""
        large = [mark for mark in self.marks if mark["kind"] == "symbol" and mark.get("size") == 80]
        return [{**dot, "row": next(name for name, y in self.rows().items() if abs(y - dot["y"]) < 1)} for dot in large]

    def rows(self) -> dict[str, float]:
        """How high each row stands, by its label."""
        labels = [mark for mark in self.marks if mark["role"] == "axis-label" and mark["kind"] == "text"]
        return {label["text"].split("¦")[-1]: label["y"] for label in labels}

    def words(self, row: str) -> list[str]:
        """What is printed in a row, from the left."""
        texts = [mark for mark in self.marks if mark["kind"] == "text" and mark["role"] == "mark"]
        here = [text for text in texts if abs(text["y"] - self.rows()[row]) < 1 and text["text"]]
        return [text["text"] for text in sorted(here, key=lambda text: text["x"])]

    def headings(self) -> list[str]:
        """Over the columns, and over the groups of rows."""
        rows = self.rows().values()
        return [
            mark["text"]
            for mark in self.marks
            if isinstance(mark.get("text"), str) and not any(abs(mark["y"] - y) < 1 for y in rows)
        ]

    def zeros(self) -> set[float]:
        """Where "no difference" lies."""
        ticks = [mark for mark in self.marks if mark["kind"] == "rect" and mark.get("fill") == "#5b6472"]
        return {round(tick["own_x"] + tick["width"] / 2, 1) for tick in ticks}


@pytest.fixture(scope="module")
def pictures(run, tmp_path_factory) -> dict[str, Picture]:
    """Every table in a folder that git ignores, drawn by the command of the documentation."""
    repository = tmp_path_factory.mktemp("differences")
    run("git", "init", "--quiet", cwd=repository)
    run("dvc", "init", "--quiet", cwd=repository)
    shutil.copytree(ROOT / ".dvc" / "plots", repository / ".dvc" / "plots", dirs_exist_ok=True)
    (repository / ".gitignore").write_text("/comparisons/\n/dvc_plots/\n", encoding="utf-8")
    targets = {folder: f"comparisons/flights/{folder}/comparison.csv" for folder in tables()}
    for folder, table in tables().items():
        (repository / targets[folder]).parent.mkdir(parents=True)
        (repository / targets[folder]).write_text(table, encoding="utf-8")
    shown = run("dvc", "plots", "show", *targets.values(), "-t", "differences", "--json", cwd=repository)
    answer = json.loads(shown.stdout)
    assert not answer.get("errors"), answer["errors"]
    contents = {folder: answer["data"][target][0]["content"] for folder, target in targets.items()}
    return {name: Picture(json.loads(c) if isinstance(c, str) else c) for name, c in contents.items()}


@pytest.fixture
def picture(pictures: dict[str, Picture]) -> Picture:
    return pictures["main..deep"]


def test_better_is_to_the_right_whichever_way_the_metric_runs(picture: Picture) -> None:
    (zero,) = picture.zeros()
    sides = {dot["row"]: "right" if dot["own_x"] > zero else "left" for dot in picture.dots()}
    assert sides == {
        "roc auc ▲": "right",
        "log loss ▼": "right",
        "recall ▲": "left",
        "expected cost ▼": "left",
        "mae ▼": "right",
        "calibration error ▼": "left",
    }


def test_the_colour_is_that_of_the_verdict_and_the_word_stands_beside_it(picture: Picture) -> None:
    verdicts = {dot["row"]: dot["fill"] for dot in picture.dots()}
    for line in METRICS.splitlines()[:-1]:
        name, direction, *_, verdict = line.split(",")
        row = f"{name.replace('_', ' ')} {'▼' if direction == 'lower' else '▲'}"
        assert verdicts[row] == COLOUR.get(verdict, COLOUR["not judged"])
        assert picture.words(row)[-1] == verdict
    legend = [mark for mark in picture.marks if mark["role"] in {"legend-label", "legend-symbol"}]
    assert [mark["text"] for mark in legend if "text" in mark] == list(COLOUR)
    assert [mark["fill"] for mark in legend if mark["kind"] == "symbol"] == list(COLOUR.values())


def test_a_row_prints_the_true_figures_in_digits_that_suit_its_scale(picture: Picture) -> None:
    assert picture.words("log loss ▼") == [
        "+0.0060", "−0.0060", "0.4790", "0.4750", "−0.0040 [−0.0060, −0.0020]", "0.020", "better",
    ]  # fmt: skip
    assert picture.words("roc auc ▲")[4:6] == ["+0.0079 [+0.0042, +0.0103]", "< 0.001"]
    assert picture.words("mae ▼")[:5] == ["+20", "−20", "1,234", "1,231", "−3 [−20, +13]"]
    assert picture.words("accuracy ▲") == ["undefined"]


def test_headings_say_who_is_who_and_which_side_is_better(picture: Picture) -> None:
    headings = picture.headings()
    assert {"A: main, B: deep", "← B worse", "B better →", "A", "B", "B − A", "corrected p"} <= set(headings)
    assert "p" not in headings


def test_a_table_with_differences_only_is_drawn_without_empty_headings(pictures: dict[str, Picture]) -> None:
    picture = pictures["HEAD..few"]
    assert {"A", "B", "p", "corrected p"}.isdisjoint(picture.headings())
    assert {"A: HEAD, B: few", "B − A"} <= set(picture.headings())
    assert [dot["fill"] for dot in picture.dots()] == [COLOUR["better"]]


def test_identical_revisions_lie_on_the_line_of_no_difference(pictures: dict[str, Picture]) -> None:
    picture = pictures["main..main"]
    (zero,) = picture.zeros()
    assert {round(dot["own_x"], 1) for dot in picture.dots()} == {zero}


def test_segments_of_a_metric_share_one_scale_apart_from_that_of_all_rows(pictures: dict[str, Picture]) -> None:
    picture = pictures["main..carriers"]
    assert {"A: main, B: deep", "roc auc ▲ by segment, A: main, B: deep"} <= set(picture.headings())
    (zero,) = picture.zeros()
    reach = {dot["row"]: dot["own_x"] - zero for dot in picture.dots()}
    assert reach["carrier=UA"] == pytest.approx(2 * reach["carrier=AA"], abs=1.0)
    assert reach["roc auc ▲"] == pytest.approx(reach["carrier=UA"], abs=1.0)


def test_experiments_are_rows_in_the_order_of_the_ranking(pictures: dict[str, Picture]) -> None:
    picture = pictures["main..all"]
    assert "log loss ▼, A: main, B: an experiment a row" in picture.headings()
    rows = sorted(picture.rows().items(), key=lambda row: row[1])
    assert [name for name, _ in rows] == ["shallow", "same", "deep"]
    assert [dot["fill"] for dot in picture.dots()] == [COLOUR[word] for word in ("better", "no evidence", "worse")]


def test_nothing_is_drawn_from_a_number_that_does_not_exist(pictures: dict[str, Picture]) -> None:
    for name, picture in pictures.items():
        texts = [mark["text"] for mark in picture.marks if isinstance(mark.get("text"), str)]
        wrong = [text for text in texts if re.search("NaN|Infinity|null|undefined.", text)]
        assert not wrong, name
        assert all(mark["x"] == mark["x"] and mark["y"] == mark["y"] for mark in picture.marks), name


def test_the_template_reads_columns_that_a_comparison_has() -> None:
    template = json.loads((ROOT / ".dvc" / "plots" / "differences.json").read_text(encoding="utf-8"))
    names = {"a_label", "b_label", "segment", "experiment"}
    known = {field.name for field in fields(Difference)} | names | {"rev", "filename"}
    made = set(re.findall(r'"as": "(\w+)"', json.dumps(template)))
    used = set(re.findall(r"datum\.(\w+)", json.dumps(template["transform"])))
    assert used - made <= known


def test_the_documentation_names_the_command(root: Path) -> None:
    text = (root / "docs" / "plots.md").read_text(encoding="utf-8")
    assert "dvc plots show comparisons/nycflights/main..deep/comparison.csv -t differences" in text
    for template in (root / ".dvc" / "plots").glob("*.json"):
        assert f"`{template.stem}`" in text
