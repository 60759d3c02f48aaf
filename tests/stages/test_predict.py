"""Scoring new rows: one answer in every format, and a clear word for every file that does not fit."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks import bench_predict
from stages.features.table import open_features, read_selection
from stages.models import row_files
from stages.models.bundle import open_bundle
from stages.predict import main
from stages.workspace.errors import UserError

ROOT = Path(__file__).parents[2]
BUNDLE = "bundles/trial"
TEN_ROWS = """\
flight,hour,carrier,rain,never_known
11,0.1,AA,1,
12,-1.25,B6,0,
13,,AA,0,
14,3e-1,NA,1,
15,0.30000001,a|b,0,
16,1.0,,1,
17,2,B6,0,
18,-0.5,a|b,1,
19,,,1,
20,0.7,NA,0,
"""


@pytest.mark.parametrize(
    ("rows", "cause"),
    [
        (TEN_ROWS.replace(",", ";"), "parted by semicolons"),
        (TEN_ROWS.replace(",", "\t"), "parted by tabs"),
        ("sep=,\n" + TEN_ROWS, "`sed 1d"),
        (TEN_ROWS.encode("utf-16"), "UTF-16"),
        (TEN_ROWS.upper(), "HOUR for hour"),
        (TEN_ROWS.replace("1.0", '"1,0"'), "decimal point"),
    ],
)
def test_a_file_of_another_kind_is_refused_by_its_cause(score: Callable[..., pl.DataFrame], rows, cause) -> None:
    with pytest.raises(UserError) as refused:
        score(rows)
    assert cause in str(refused.value)


@pytest.fixture(autouse=True)
def workspace(packaged: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(packaged("binary"))


@pytest.fixture
def ten_rows() -> pl.DataFrame:
    numbers = dict.fromkeys(("hour", "rain", "never_known"), pl.Float32)
    return pl.read_csv(io.StringIO(TEN_ROWS), schema_overrides={"flight": pl.Int64, **numbers, "carrier": pl.String})


@pytest.fixture
def judged_rows() -> pl.DataFrame:
    rows = pl.concat(open_features("trial", columns=read_selection("trial")).frames("test"))
    return rows.with_columns(pl.col("carrier").cast(pl.String)).filter(
        ~pl.all_horizontal(pl.exclude("target").is_null())
    )


@pytest.fixture
def score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., pl.DataFrame]:
    """Write rows in a file of the given name, score them, and read what came out on standard output."""

    def score_rows(rows: pl.DataFrame | str | bytes, *options: str, name: str = "rows.csv") -> pl.DataFrame:
        path = tmp_path / name
        if isinstance(rows, pl.DataFrame):
            {"csv": rows.write_csv, "parquet": rows.write_parquet, "jsonl": rows.write_ndjson}[path.suffix[1:]](path)
        else:
            path.write_bytes(rows.encode() if isinstance(rows, str) else rows)
        main(BUNDLE, str(path), *options)
        return pl.read_csv(io.StringIO(capsys.readouterr().out), schema_overrides={"probability": pl.Float32})

    return score_rows


def test_ten_hand_written_rows_get_the_same_scores_in_every_format(score, ten_rows: pl.DataFrame) -> None:
    scored = score(TEN_ROWS)
    assert scored.columns == ["flight", "probability", "decision"]
    assert scored["flight"].to_list() == list(range(11, 21))
    for name in ("rows.csv", "rows.parquet", "rows.jsonl", "rows[1].csv"):
        assert score(ten_rows, name=name).equals(scored)
    enums = ten_rows.with_columns(pl.col("carrier").cast(pl.Enum(["AA", "B6", "NA", "a|b"])))
    assert np.array_equal(scored["probability"], open_bundle(Path(BUNDLE)).model.predict(enums))


def test_decisions_over_the_test_part_are_those_of_the_evaluation(tmp_path: Path) -> None:
    rows = pl.concat(open_features("trial", columns=read_selection("trial")).frames("test"))
    rows.write_csv(tmp_path / "rows.csv")
    main(BUNDLE, str(tmp_path / "rows.csv"), "--output", str(tmp_path / "scores.parquet"))
    scored = pl.read_parquet(tmp_path / "scores.parquet")
    classes = pl.Series(["on time", "late"])
    found = scored.group_by(classes[rows["target"].cast(pl.Int64)].alias("actual"), "decision").len()
    counted = pl.read_csv("plots/trial/confusion.csv")
    assert dict(zip(zip(found["actual"], found["decision"], strict=True), found["len"], strict=True)) == dict(
        zip(zip(counted["actual"], counted["predicted"], strict=True), counted["rows"], strict=True)
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl", ".ndjson"])
def test_every_output_format_holds_the_same_table(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "rows.csv").write_text(TEN_ROWS)
    output = tmp_path / f"scores{suffix}"
    main(BUNDLE, str(tmp_path / "rows.csv"), "--output", str(output))
    read = {".csv": pl.read_csv, ".parquet": pl.read_parquet}.get(suffix, pl.read_ndjson)
    table = read(output)
    assert table.columns == ["flight", "probability", "decision"]
    assert len(table) == 10
    assert set(table["decision"]) <= {"on time", "late"}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_other_tasks_name_their_scores(packaged, task: str, monkeypatch, capsys) -> None:
    monkeypatch.chdir(packaged(task))
    main(BUNDLE, f"{BUNDLE}/example.csv")
    scored = pl.read_csv(io.StringIO(capsys.readouterr().out))
    if task == "regression":
        assert scored.columns == ["prediction"]
        return
    names = ["early", "on time", "late"]
    assert scored.columns == ["prediction", *(f"probability_{name}" for name in names)]
    chances = scored.select(pl.exclude("prediction")).to_numpy()
    assert chances.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert scored["prediction"].to_list() == [names[k] for k in chances.argmax(axis=1)]


def test_the_printed_example_scores_as_it_stands(score, capsys) -> None:
    main(BUNDLE, "--example")
    example = capsys.readouterr().out
    assert len(score(example)) == 10


def test_order_of_columns_spaces_and_words_for_missing_make_no_difference(score, ten_rows: pl.DataFrame) -> None:
    scored = score(TEN_ROWS)
    assert score(ten_rows.select(ten_rows.columns[::-1])).select(scored.columns).equals(scored)
    assert score(TEN_ROWS.replace(",B6,", ", B6 ,").replace("-1.25", " -1.25 ")).equals(scored)
    assert score(TEN_ROWS.replace("13,,AA,0,", "13,NaN,AA,0,null").replace("16,1.0,,1,", "16,1.0,null,1,NA")).equals(
        scored
    )


def test_numbers_of_any_type_give_the_same_scores(score, ten_rows: pl.DataFrame) -> None:
    scored = score(TEN_ROWS)
    for kind in (pl.Float64, pl.Int8, pl.UInt32, pl.Boolean, pl.Decimal(10, 2), pl.String):
        given = ten_rows.with_columns(pl.col("rain").cast(pl.Int8).cast(kind))
        assert score(given, name="rows.parquet").equals(scored), kind
    as_words = ten_rows.with_columns(pl.col("rain").cast(pl.Boolean))
    assert score(as_words, name="rows.csv").equals(scored)
    assert score(as_words, name="rows.jsonl").equals(scored)
    with_nan = ten_rows.with_columns(pl.col("hour").fill_null(float("nan")), pl.col("carrier").cast(pl.Categorical))
    assert score(with_nan, name="rows.parquet").equals(scored)


def test_a_missing_column_is_named_with_the_one_that_was_meant(score) -> None:
    with pytest.raises(UserError, match=r"missing column: carrier \(there is 'carier'\)\n +missing column: rain\n"):
        score("hour,carier,never_known\n1,AA,\n")


def test_columns_that_are_no_input_are_passed_through_and_old_scores_replaced(score) -> None:
    scored = score("note,hour,carrier,rain,never_known,probability\nabc,1,AA,0,,9\n")
    assert scored.columns == ["note", "probability", "decision"]
    assert scored["note"].item() == "abc"
    assert 0 < scored["probability"].item() < 1


def test_a_column_given_twice_is_refused(score) -> None:
    with pytest.raises(UserError, match=r"every column of .* once\nfound   twice: hour"):
        score("hour,hour,carrier,rain,never_known\n1,2,AA,0,\n")


@pytest.mark.parametrize("value", ["late", "1.2.3", "inf", "1e39", "12:30"])
def test_what_is_no_number_is_refused_with_its_row(score, value: str) -> None:
    with pytest.raises(UserError, match=f"not a number in 2 rows: hour = '{value}' in row 2\n"):
        score(f"hour,carrier,rain,never_known\n1,AA,0,\n{value},AA,0,\n{value},AA,0,\n")


@pytest.mark.parametrize(
    "values", [pl.Series([[1.0]]), pl.Series([{"a": 1.0}]), pl.Series(["2013-01-01"]).str.to_date(), pl.Series([b"1"])]
)
def test_a_column_of_another_type_is_refused(score, values: pl.Series) -> None:
    dated = values.dtype == pl.Date
    rows = pl.DataFrame({"hour": values, "carrier": ["AA"], "rain": [0], "never_known": [None]})
    with pytest.raises(UserError, match="not a number in 1 rows: hour = "):
        score(rows, name="rows.parquet")
    rows = pl.DataFrame({"carrier": values, "hour": [0], "rain": [0], "never_known": [None]})
    with pytest.raises(
        UserError, match="unknown category in 1 rows: carrier = " if dated else "not a category in 1 rows"
    ):
        score(rows, "--strict", name="rows.parquet")


def test_an_unknown_category_is_scored_as_missing_with_a_warning_or_refused_when_strict(score, caplog) -> None:
    rows = "hour,carrier,rain,never_known\n1,ZZ,0,\n1,,0,\n"
    scored = score(rows)
    assert scored["probability"][0] == scored["probability"][1]
    assert "warning: unknown category in 1 rows: carrier = 'ZZ' in row 1" in caplog.text
    with pytest.raises(UserError, match=r"unknown category in 1 rows: carrier = 'ZZ' in row 1\n.*without `--strict`"):
        score(rows, "--strict")


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.parquet"])
def test_inputs_that_training_had_and_the_rows_lack_are_warned_of_or_refused_when_strict(
    score, judged_rows: pl.DataFrame, caplog, name: str
) -> None:
    score(judged_rows, "--strict", name=name)  # the product takes its own test rows
    assert "missing more often" not in caplog.text
    blanked = judged_rows.with_columns(pl.lit(None, judged_rows.schema["hour"]).alias("hour"))
    score(blanked, name=name)
    told = "missing more often in 750 rows: hour in 100\u202f%, in training in 4.6\u202f%"
    assert f"warning: {told}" in caplog.text
    with pytest.raises(UserError, match=told):
        score(blanked, "--strict", name=name)


def test_blank_lines_are_no_rows_and_are_counted(score, caplog) -> None:
    example = Path(BUNDLE, "example.csv").read_text()
    scored = score(example)
    for text, blank in (
        (example + "\n\n", 2), (example.replace("\n", "\n\n"), 11), (example.replace("\n", "\r\n") + "  \r\n", 1),
        ("\n" + example, 1),
    ):  # fmt: skip
        assert score(text).equals(scored)
        assert f"blank lines skipped: {blank}\n" in caplog.text
        caplog.clear()
    lines = pl.read_csv(io.StringIO(example), infer_schema_length=None).write_ndjson()
    assert score("\n" + lines.replace("\n", "\n \n"), name="rows.jsonl").equals(scored)
    assert "blank lines skipped: 11" in caplog.text


@pytest.mark.parametrize(
    ("text", "fields", "line"),
    [
        ("1,AA\n", 2, 2),
        ("1,AA,0,\n\n1\n", 1, 4),
        ("1,AA,0,,\n1,AA,0\n", 5, 2),  # as many commas as two whole lines
        ('1,"A\nA",0,\n1,"B,6"\n', 2, 4),
        ("1,AA,0,,,,\n", 7, 2),
        ("1,AA,0,\r\n1,AA,0\r\n", 3, 3),
    ],
)
@pytest.mark.parametrize("block", [1, 20, 1 << 24])
def test_a_row_that_lacks_a_field_or_has_one_too_many_is_refused_by_its_line(
    score, monkeypatch: pytest.MonkeyPatch, text: str, fields: int, line: int, block: int
) -> None:
    monkeypatch.setattr(row_files, "BLOCK", block)
    with pytest.raises(UserError, match=rf"4 fields in every line of .*\nfound   {fields} in line {line}\n"):
        score("hour,carrier,rain,never_known\n" + text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{}\n", "line 1 has no key"),
        ("{row}\n\n{}\n", "line 3 has no hour, carrier, rain"),
        ('{row}\n{"hour": 1, "rain": 0, "never_known": null}\n', "line 2 has no carrier\n"),
    ],
)
def test_an_object_that_lacks_an_input_is_refused_by_its_line(score, text: str, found: str) -> None:
    row = json.dumps({"hour": 1, "carrier": "AA", "rain": 0, "never_known": 1.5})
    with pytest.raises(UserError, match=found):
        score(text.replace("{row}", row), name="rows.jsonl")


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.parquet"])
def test_a_row_in_which_no_input_is_filled_is_refused_by_its_number(score, ten_rows: pl.DataFrame, name: str) -> None:
    inputs = [name for name in ten_rows.columns if name != "flight"]
    emptied = pl.col("flight").is_in([13, 15])
    rows = ten_rows.with_columns(pl.when(~emptied).then(pl.col(name)).alias(name) for name in inputs)
    with pytest.raises(UserError, match="no input in 2 rows: the first is row 3\n"):
        score(rows, name=name)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_pieces_of_any_size_give_the_same_table_in_the_same_order(
    tmp_path: Path, ten_rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch, caplog, suffix: str
) -> None:
    ten_rows = ten_rows.with_columns(hour=pl.when(flight=17).then(1000).otherwise("hour"))
    write = {".csv": ten_rows.write_csv, ".parquet": ten_rows.write_parquet, ".jsonl": ten_rows.write_ndjson}
    write[suffix](tmp_path / f"rows{suffix}")
    tables = []
    for size in (1 << 24, 3):
        monkeypatch.setattr(row_files, "BLOCK", 20 * size)
        monkeypatch.setattr(row_files, "ROWS_AT_ONCE", size)
        caplog.clear()
        for output in ("scores.csv", "scores.parquet", "scores.jsonl"):
            main(BUNDLE, str(tmp_path / f"rows{suffix}"), "-o", str(tmp_path / output))
            tables.append((tmp_path / output).read_bytes() if output != "scores.parquet" else b"")
            assert "out of range in 1 rows: hour = 1000 in row 7 (" in caplog.text
        assert pl.read_parquet(tmp_path / "scores.parquet")["flight"].cast(pl.Int64).to_list() == [*range(11, 21)]
    assert tables[:3] == tables[3:]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_plain_script_that_checks_nothing_finds_the_same_scores(kind: str) -> None:
    costs = bench_predict.contest(
        1000, kind, 1, bundle=Path(BUNDLE).resolve(), features=Path("data/features/trial").resolve()
    )
    figures = {figure.name: figure.value for figure in bench_predict.figures(1000, kind, costs)}
    assert len(figures) == 5
    assert all(value > 0 for value in figures.values())


def test_a_refusal_late_in_a_file_leaves_no_output_and_prints_nothing(
    score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(row_files, "BLOCK", 40)
    for options in ((), ("-o", str(tmp_path / "scores.csv"))):
        with pytest.raises(UserError, match="not a number in 2 rows: hour = 'x' in row 11"):
            score(TEN_ROWS + "21,x,AA,1,\n22,1,AA,1,\n23,y,AA,1,\n", *options)
        assert capsys.readouterr().out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_a_number_outside_its_range_is_scored_with_a_warning(score, caplog) -> None:
    scored = score("hour,carrier,rain,never_known\n1000,AA,0,\n4,AA,0,\n")
    assert scored["probability"][0] == scored["probability"][1]
    assert "out of range in 2 rows: hour = 1000 in row 1 (training: " in caplog.text


def test_all_misfits_are_told_at_once(score) -> None:
    with pytest.raises(UserError) as refused:
        score("hour,carrier,rain\nx,ZZ,y\n", "--strict")
    for told in ("not a number in 1 rows: hour", "unknown category", "not a number in 1 rows: rain", "never_known"):
        assert told in refused.value.found


@pytest.mark.parametrize(
    ("content", "name", "found"),
    [
        ("", "rows.csv", "found   none"),
        ("hour,carrier,rain,never_known\n", "rows.csv", "found   none"),
        ("", "rows.jsonl", "found   none"),
        (b"hour,carrier\n1,\xff\xfe\n", "rows.csv", "utf-8"),
        (b'{"carrier": "\xff"}\n', "rows.jsonl", "line 1: 'utf-8' codec"),
        ('{"hour": 1}\n{"hour":\n', "rows.jsonl", "line 2: Expecting value"),
        ('{"hour": 1}\n[1, 2]\n', "rows.jsonl", "a JSON object in every line of .*\nfound   line 2: "),
        ('{"hour": 1} {"hour": 1}\n', "rows.jsonl", "line 1: Extra data"),
        ("hour\n1\n", "rows.parquet", "parquet"),
        ("hour\n1\n", "rows.xlsx", r"wanted  a file of rows in one of \.csv, \.parquet, \.jsonl"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_words(score, content: str | bytes, name: str, found: str) -> None:
    with pytest.raises(UserError, match=found):
        score(content, name=name)


def test_wrong_paths_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.csv\nfound   no such file"):
        main(BUNDLE, str(tmp_path / "none.csv"))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UserError, match=r"folder\.csv\nfound   Is a directory"):
        main(BUNDLE, str(tmp_path / "folder.csv"))
    with pytest.raises(UserError, match="a bundle in bundles/none\nfound   no such folder"):
        main("bundles/none", "rows.csv")
    with pytest.raises(UserError, match="a file of rows\nfound   none"):
        main(BUNDLE)
    with pytest.raises(UserError, match=r"an output in one of .*\nfound   .*scores\.txt"):
        main(BUNDLE, f"{BUNDLE}/example.csv", "-o", str(tmp_path / "scores.txt"))


def test_lists_that_are_passed_through_need_a_format_that_has_them(score, tmp_path: Path) -> None:
    row = json.dumps({"hour": 1, "carrier": "AA", "rain": 0, "never_known": None, "tags": ["a", "b"]})
    with pytest.raises(UserError, match=r"choose \.parquet or \.jsonl"):
        score(row, name="rows.jsonl")
    main(BUNDLE, str(tmp_path / "rows.jsonl"), "-o", str(tmp_path / "scores.jsonl"))
    assert pl.read_ndjson(tmp_path / "scores.jsonl")["tags"].to_list() == [["a", "b"]]


def test_the_command_explains_itself_and_ends_in_words_not_in_a_traceback(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "stages.predict", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}, check=False)

    explained = run("--help").stdout
    for word in ("bundles/nycflights", "--strict", "--example", "--output", ".jsonl", "NA", "probability"):
        assert word in explained
    (tmp_path / "rows.csv").write_text(TEN_ROWS)
    done = run(BUNDLE, str(tmp_path / "rows.csv"))
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "flight,probability,decision"
    assert "10 rows scored by bundles/trial" in done.stderr
    refused = run(BUNDLE, str(tmp_path / "none.csv"))
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "Traceback" not in refused.stderr
    assert "found   no such file" in refused.stderr
