"""Write a dataset from a CSV: all that CONTRIBUTING.md asks of one that is a plain table; the line runs at once.

Reads   a CSV with a header and its target in the last column, or in the one named; without a CSV, rows made up here
Writes  stages/datasets/<name>/__init__.py   the question, columns, units and ranges, guessed: to be gone over
        params/dataset/<name>.yaml           one line in params/config.yaml, and params.yaml
        sources/<name>.csv                   the rows, where they are few enough for git
        tests/data/<name>/                   a sample with planted faults; expected.yaml: what must become of them
"""

import argparse
import csv
import gzip
import hashlib
import io
import json
import keyword
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stages.metrics.stored import TASKS
from stages.records.lines import LINE, SEPARATORS, likely_cause, read_records
from stages.records.plain import Column, open_text
from stages.workspace.errors import UserError, run_stage
from tools import params
from tools.draft import KEYS, LISTED, NOTHING, Draft, guess

CONTENTS = Path("params/config.yaml")
IN_GIT_BYTES = 1_000_000  # the hook for large files lets no more pass
SAMPLE_ROWS, SAMPLE_BYTES = 60, 40_000
PRESETS = ((1_000, "boosting_few", "boosting_small"), (50_000, "boosting_small", "boosting_small"))  # of fewer rows
LARGEST = ("boosting", "boosting")
WORD = "neither"  # no number, and no category of anybody's
Failure = tuple[str | None, str, str | None]


def main(*arguments: str) -> None:
    """Write the dataset; see ``--help``."""
    options = parse(arguments)
    refuse_name(options.name)
    rows = read_rows(options.csv) if options.csv else made_up(options.task)
    draft = guess(options.name, options.task, rows, options.target or rows.columns[-1])
    content = options.csv.read_bytes() if options.csv else csv_text(rows.columns, rows.rows()).encode()
    source = Path("sources", f"{draft.name}.csv" + (".gz" if options.csv and options.csv.suffix == ".gz" else ""))
    if len(content) > IN_GIT_BYTES:
        source = options.csv.resolve()
    for path, text in files_of(draft, source, content).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
        print(f"wrote {path}")
    params.main()
    if draft.left_out:
        print(f"left out, as names, dates or numbers of rows: {', '.join(draft.left_out)}")
    print(
        f"to run it:    dvc repro report@{draft.name}\n"
        f"to go over:   stages/datasets/{draft.name}/__init__.py: the question, what columns mean, units, ranges\n"
        f"to try it:    python -m pytest tests/contract -k {draft.name}\n"
        f"to keep it:   git add --all, then commit"
    )


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.new_dataset", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", help="what it is to be called: a word in small letters")
    parser.add_argument("--task", choices=list(TASKS), required=True)
    parser.add_argument("--csv", type=Path, help="rows of your own, with a header (.gz is read as well)")
    parser.add_argument("--target", help="the column to be predicted (default: the last)")
    return parser.parse_args(arguments)


def refuse_name(name: str) -> None:
    """A name must be one of a package, and new."""
    if not re.fullmatch("[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UserError("a name of small letters, digits and _", f"{name!r}", "NAME=my_rows, for example")
    places = Path("stages/datasets", name), Path(f"params/dataset/{name}.yaml"), Path("tests/data", name)
    if taken := [path for path in places if path.exists()]:
        raise UserError(f"a name that is not taken: {name}", f"{taken[0]} exists", "choose another name")


def read_rows(path: Path) -> pl.DataFrame:
    """Every line of the file that has as many fields as its header, as text."""
    try:
        with open_text(path) as lines:
            rows = read_records(lines)
    except (OSError, ValueError) as error:
        raise UserError(f"a CSV with a header: {path}", str(error), "name one: CSV=rows.csv") from None
    names = [name for name in rows.columns if name != LINE]
    if len(names) < 2:
        split = max((names[0].split(separator) for separator in SEPARATORS), key=len)
        found = likely_cause(names, split) or f"one: {names[0]}"
        raise UserError(f"at least two columns in {path}", found, "write a CSV with commas")
    return rows.filter(pl.col(LINE).is_null()).drop(LINE).select(pl.all().str.strip_chars())


def made_up(task: str) -> pl.DataFrame:
    """Rows to start from: three inputs, and a target that two of them tell something of."""
    rng, n = np.random.default_rng(1), 600
    age, width = rng.integers(18, 90, n), rng.normal(20, 4, n).round(2)
    region = rng.choice(["east", "north", "west"], n)
    hidden = age / 20 + (region == "north") + rng.normal(0, 0.7, n)
    thirds = np.digitize(hidden, np.quantile(hidden, [1 / 3, 2 / 3]))
    targets: dict[str, Any] = {
        "binary": np.where(hidden > np.median(hidden), "yes", "no"),
        "multiclass": np.array(["low", "middle", "high"])[thirds],
    }
    outcome = targets.get(task, (10 * hidden).round(1))
    rows = pl.DataFrame({"age_years": age, "width_mm": width, "region": region, "outcome": outcome})
    return rows.select(pl.all().cast(pl.String))


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def files_of(draft: Draft, source: Path, content: bytes) -> dict[Path, bytes]:
    """All that is written; the rows too, unless they lie outside of the repository."""
    sample, expected = plant(draft)
    texts = {
        Path("stages/datasets", draft.name, "__init__.py"): module_text(draft, source.name),
        Path(f"params/dataset/{draft.name}.yaml"): params_text(draft, source, content),
        Path("tests/data", draft.name, "expected.yaml"): expected,
        CONTENTS: with_dataset(CONTENTS.read_text(encoding="utf-8"), draft.name),
    }
    packed = gzip.compress(sample.encode(), mtime=0) if source.suffix == ".gz" else sample.encode()
    rows = {} if source.is_absolute() else {source: content}
    rows[Path("tests/data", draft.name, source.name)] = packed
    return rows | {path: text.encode() for path, text in texts.items()}


def csv_text(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows as text with commas."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([header, *rows])
    return out.getvalue()


def with_dataset(contents: str, name: str) -> str:
    """The table of contents of the parameters with one more line."""
    lines = contents.splitlines(keepends=True)
    last = max(place for place, line in enumerate(lines) if "- dataset@datasets." in line)
    return "".join([*lines[: last + 1], f"  - dataset@datasets.{name}: {name}\n", *lines[last + 1 :]])


def module_text(draft: Draft, file: str) -> str:
    """The dataset as a value."""
    question = f"What is the {draft.target.about} of a row?"
    columns = "".join(f"        {_column_text(column, 8)},\n" for column in draft.columns)
    classes = f"    classes={_listed(draft.classes)},\n" if draft.classes else ""
    key = next(name for name in KEYS if name not in draft.rows.columns)
    own_key = f"    row={_quoted(key)},\n" if key != KEYS[0] else ""
    return f'''"""{draft.name}: {question[0].lower()}{question[1:]}

{len(draft.rows):,} rows of {file}, as `make new-dataset` found them.  Go over the question, what the columns mean,
their units, and the ranges and categories that may occur: they are guesses from these rows.
"""

from stages.records.plain import Column, plain_dataset

DATASET = plain_dataset(
    __name__,
    {_quoted(question)},
    task={_quoted(draft.task)},
    file={_quoted(file)},
    columns=(
{columns}    ),
    target={_column_text(draft.target, 11)},
{classes}{own_key})
'''


def _column_text(column: Column, indent: int) -> str:
    words = [_quoted(column.name), _quoted(column.kind), _quoted(column.about)]
    words += [f"unit={_quoted(column.unit)}"] if column.unit else []
    words += [f"{end}={value!r}" for end, value in (("low", column.low), ("high", column.high)) if value is not None]
    words += [f"among={_listed(column.among)}"] if column.among else []
    words += ["nullable=True"] if column.nullable else []
    words += [f"published={_quoted(column.published)}"] if column.published else []
    text = ", ".join(words)
    return f"Column({text})" if indent + len(text) < 110 else f"Column(\n            {text}\n        )"


def _listed(texts: Sequence[str]) -> str:
    return f"({', '.join(map(_quoted, texts))}{',' if len(texts) == 1 else ''})"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def params_text(draft: Draft, source: Path, content: bytes) -> str:
    """The parameters, with the presets of the task and of so many rows."""
    model, tune = next(((few, its) for below, few, its in PRESETS if len(draft.rows) < below), LARGEST)
    if draft.classes and any(column.kind == "text" for column in draft.columns):
        model = tune = "words"
    within = "within each class" if draft.classes else "within strata of the target"
    segments = ", ".join([column.name for column in draft.columns if 1 < len(column.among) <= LISTED][:2])
    return f"""# {draft.name}: a plain table, as `make new-dataset` wrote it.
defaults:
  - /model@model: {model}
  - /evaluate@evaluate: {draft.task}
  - /tune@tune: {tune}
  - /promote@promote: {draft.task}
  - _self_

download:
  mirror: null
  attempts: 5
  timeout_s: 60.0
  sources:          # say where it comes from, and under which licence
    - location: {_quoted(source.as_posix())}
      bytes: {len(content)}
      sha256: {hashlib.sha256(content).hexdigest()}

clean:
  sample: 1.0
  max_quarantined_share: 0.05
  max_missing_days: 0

featurize:
  split:            # shares of the rows, drawn {within}
    train: 0.6
    valid: 0.2

select_features:
  bins: {8 if len(draft.rows) < PRESETS[0][0] else 16}
  max_null_share: 0.95    # above it a feature is near-empty
  max_association: 0.95   # Cramér's V from which the less relevant of two features goes
  min_relevance: 0.001    # share of the target's entropy that a feature must explain
  pair_rows: 100000
  resamples: ${{scale.resamples}}

evaluate:
  segments: [{segments}]   # categories for which results are told apart
"""


# ── the sample ───────────────────────────────────────────────────────────────────────────────────────────────────────
def plant(draft: Draft) -> tuple[str, str]:
    """Some good rows and then a faulty one of each kind; and what must be said of those."""
    good = draft.rows.filter(pl.all_horizontal(_is_good(column, draft) for column in (*draft.columns, draft.target)))
    if good.is_empty():
        raise UserError("a row without a missing field", "none", "leave out columns that are mostly empty")
    each = max(6, SAMPLE_ROWS // max(1, len(draft.classes)))
    by = pl.col(draft.target.source) if draft.classes else pl.lit(1)
    sample = good.filter(pl.int_range(pl.len()).over(by) < each)
    while len(csv_text(sample.columns, sample.rows())) > SAMPLE_BYTES and len(sample) > 12:
        sample = sample[::2]
    lines = csv_text(sample.columns, sample.rows())
    told = ["# Rows as published, then the faults below.", "split: {train: 0.6, valid: 0.2}"]
    told += ["faults:                 # where: table, partition, row; failures: column, check, value"]
    for row, (why, line, failure) in enumerate(_faults(draft, sample.row(0, named=True)), start=len(sample)):
        lines += line
        told += [f"  - why: {why}", f"    where: [rows, rows, {row}]"]
        told += ["    failures:", f"      - {json.dumps(failure, ensure_ascii=False)}"]
    return lines, "\n".join(told) + "\n"


def _is_good(column: Column, draft: Draft) -> pl.Expr:
    text = pl.col(column.source)
    if column is draft.target and draft.classes:
        return text.is_in(draft.classes)
    if column.kind == "numeric":
        return text.cast(pl.Float64, strict=False).is_finite().fill_null(False)
    return ~text.is_in(NOTHING)


def _faults(draft: Draft, row: dict[str, str]) -> Iterator[tuple[str, str, Failure]]:
    """Why, the line, and what fails in it."""

    def line(column: Column, text: str) -> str:
        return csv_text([], [[*(row | {column.source: text}).values()]]).lstrip("\n")

    number = next((column for column in draft.columns if column.kind == "numeric"), None)
    listed = next((column for column in draft.columns if column.among), None)
    needed = next((column for column in draft.columns if not column.nullable), None)
    target = draft.target
    label = f"parses as one of {', '.join(draft.classes)}" if draft.classes else "parses as Float64"
    yield "a target that is none", line(target, WORD), (target.name, label, WORD)
    if number is not None:
        beyond = repr(2.0 * (number.high or 0) + 1)
        yield "a word for a number", line(number, WORD), (number.name, "parses as Float64", WORD)
        ends = f"in_range({number.low!r}, {number.high!r})"
        yield "a number beyond its range", line(number, beyond), (number.name, ends, beyond)
        yield "a comma for a decimal point", line(number, "1,5"), (number.name, "decimal point", "1,5")
    if listed is not None:
        yield "a category that nobody knows", line(listed, WORD), (listed.name, f"isin({list(listed.among)})", WORD)
    if needed is not None:
        yield "a field left empty", line(needed, ""), (needed.name, "not_nullable", None)
    cut = csv_text([], [[*row.values()][:-1]]).strip("\n")
    yield "a line cut short", cut + "\n", (None, "number_of_fields", cut)


if __name__ == "__main__":
    run_stage(main)
