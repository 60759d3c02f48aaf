"""Tell the words of each class of texts, and what later texts bring: do the answers hold, and which words are new?

Reads   data/features/<dataset>             texts of the train and the test part, and those that belong to no part
        models/<dataset>                    a model that reads texts
Writes  reports/<dataset>/dictionary/       words.csv, later.csv, new_words.csv, later.json
        reports/<dataset>/dictionary.html   the same to look at
Params  datasets.<dataset>.evaluate (level, replicates), seed, cluster

Characteristic words come of the training documents alone; unknown is a word that not one of them holds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from stages.features.table import FeatureTable, open_features, read_selection
from stages.metrics.contract import round_figures
from stages.metrics.settings import EvaluateSettings
from stages.models.contract import ByTerms, Model
from stages.models.families import open_model
from stages.runtime.commands import run_command
from stages.runtime.log import log, start_log
from stages.texts.dictionary import make_dictionary, read_words
from stages.texts.later import compare, new_words, unknown_shares
from stages.texts.page import tell, write_page
from stages.workspace import layout
from stages.workspace.errors import UserError
from stages.workspace.files import require_writable, whole_file, write_csv, write_json
from stages.workspace.seeds import child_seed
from stages.workspace.settings import read_params, read_seed, read_settings, read_workers

SPEAKING = 5  # words told of each later document
GROUPS = {"test": "test", "later": None}


def main(*arguments: str) -> None:
    """Write the dictionary of one dataset; see ``--help``."""
    options = parse(arguments)
    name = options.dataset or next(iter(read_params()["datasets"]))
    settings, folder = read_settings(EvaluateSettings, name, "evaluate"), layout.dictionary(name)
    require_writable(folder)
    table = open_features(name)
    text = text_of(table, options.column)
    model = open_model(table.with_columns(read_selection(name)), read_workers().training_threads)
    if not isinstance(model, ByTerms) or text not in model.features:
        found, choose = f"one of {', '.join(model.features)}", f"-S model@datasets.{name}.model=words"
        raise UserError(f"a model of the words of {text}", found, f"train one: `dvc exp run {choose} train@{name}`")

    of_part = {part: list(read_part(table, part, text)) for part in ("train", "test", None)}
    read = read_words([(rows["text"], rows[table.target], rows["source"]) for rows in of_part["train"]])
    seed = child_seed(read_seed(), "dictionary", name)
    words = make_dictionary(read, table.classes, size=options.words, resamples=options.resamples, seed=seed)
    judged = {group: judge(table, model, text, of_part[part], read.known) for group, part in GROUPS.items()}
    later = judged["later"]
    fresh = new_words(later, read.known)
    told: dict[str, Any] = round_figures({
        "dataset": name, "question": table.question, "classes": list(table.classes), "level": settings.level,
        "rows": len(read.labels), "vocabulary": len(read.known), "words": options.words, "resamples": options.resamples,
        "groups": compare(judged, level=settings.level, replicates=settings.replicates, seed=seed),
    })  # fmt: skip
    for file, frame in (("words", words), ("later", later.drop("text")), ("new_words", fresh)):
        write_csv(folder / f"{file}.csv", frame)
    write_json(folder / "later.json", told)
    with whole_file(folder.with_suffix(".html")) as aside:
        aside.write_text(write_page(told, words, later, fresh), encoding="utf-8")
    print(tell(told))
    log.info("%s: see %s", name, folder.with_suffix(".html"))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.dictionary",
        description="The characteristic words of each class of texts, and what later texts bring.",
    )
    parser.add_argument("dataset", nargs="?", help="default: the first of params.yaml")
    parser.add_argument("--column", help="which text, where the dataset has several")
    parser.add_argument("--words", type=int, default=20, help="of each class (default: %(default)s)")
    parser.add_argument("--resamples", type=int, default=100, help="behind the stability (default: %(default)s)")
    return parser.parse_args(arguments)


def text_of(table: FeatureTable, asked: str | None) -> str:
    """The text column that is meant."""
    texts = [column.name for column in table.columns if column.kind == "text"]
    if not table.classes or not (texts if asked is None else asked in texts):
        found = f"the columns {', '.join(texts)}" if texts else f"no column of texts, the task {table.task}"
        raise UserError(f"a text to tell the classes of {table.dataset} by", found, "name a dataset with texts")
    return asked or texts[0]


def read_part(table: FeatureTable, part: str | None, text: str) -> Iterator[pl.DataFrame]:
    """Labelled rows of one part, or of none, a partition at a time: text, target, source."""
    chosen = pl.col("part").is_null() if part is None else pl.col("part") == part
    source = pl.col(table.cluster) if table.cluster else pl.concat_str(pl.lit(f"{part} "), pl.int_range(pl.len()))
    for partition in table.partitions:
        rows = pl.scan_parquet(table.path_of(partition["name"])).filter(chosen, pl.col(table.target).is_not_null())
        if len(found := rows.select(pl.col(text).alias("text"), table.target, source.alias("source")).collect()):
            yield found


def judge(
    table: FeatureTable, model: Model, text: str, frames: Sequence[pl.DataFrame], known: frozenset[str]
) -> pl.DataFrame:
    """Each document with its answer, the words that speak for it, and the share of its words that are unknown."""
    schema = {"source": pl.String, "filed": pl.String, "answer": pl.String, "probability": pl.Float64,
              "speaking": pl.String, "unknown_share": pl.Float64, "text": pl.String}  # fmt: skip
    return pl.concat([pl.DataFrame(schema=schema), *(_judge(table, model, text, rows, known) for rows in frames)])


def _judge(table: FeatureTable, model: Model, text: str, rows: pl.DataFrame, known: frozenset[str]) -> pl.DataFrame:
    scores = model.predict(rows.rename({"text": text})).astype(np.float64)
    by_class = scores if scores.ndim == 2 else np.stack([1 - scores, scores], axis=1)
    names, answers = pl.Series(table.classes, dtype=pl.String), by_class.argmax(axis=1)
    return pl.DataFrame({
        "source": rows["source"].cast(pl.String),
        "filed": names.gather(rows[table.target].cast(pl.UInt32)),
        "answer": names.gather(answers),
        "probability": by_class.max(axis=1),
        "speaking": [
            speaking(model, value, text, answer) for value, answer in zip(rows["text"], answers.tolist(), strict=True)
        ],
        "unknown_share": unknown_shares(rows["text"], known),
        "text": rows["text"],
    })  # fmt: skip


def speaking(model: Any, text: str, column: str, answer: int) -> str:
    """The words that speak most for an answer."""
    told = [(float(added[min(answer, len(added) - 1)]), term) for term, added in model.speaking(text, column)]
    return ", ".join(term for added, term in sorted(told, reverse=True)[:SPEAKING] if added > 0)


if __name__ == "__main__":
    start_log()
    run_command(main)
