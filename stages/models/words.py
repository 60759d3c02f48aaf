"""A linear model of the words of a text: which class, and which words say so?

Terms and how rare they are come of the training rows alone, counted a partition at a time and added up
(`stages.models.terms`).  A linear support vector machine for each class against the others (scikit-learn's LinearSVC)
finds the weights in one thread; one number, chosen on the valid part, turns its margins into probabilities.  Fitting
holds the terms of all training rows, but no text of more than one partition.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from stages.models.contract import LOSSES, DamagedModel, Family, FamilySettings, Fit, Float32, mean_loss
from stages.models.terms import Vocabulary, add_documents, choose_terms, count_terms, document_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scipy import sparse

    from stages.features.table import Column
    from stages.models.rows import Training

Float = NDArray[np.float64]
MODEL, WEIGHTS = "model.json", "model_weights.npy"
FORMAT = 1
NEVER = -10.0  # margin of a class that no training row has
BYTES_A_TERM = 60  # of a row while it is counted and fitted: a name, two numbers, and the solver's copy; an estimate
STEEPEST = 100.0  # of what turns margins into log-odds


class WordsSettings(FamilySettings):
    """Which terms count, and how strongly their weights are drawn to zero."""

    longest: int = Field(ge=1, le=4, description="words in a row that count as one term")
    min_documents: int = Field(ge=1, description="training documents that a term must occur in")
    max_share: float = Field(gt=0, le=1, description="of the training documents; a term of more of them is left out")
    penalty: float = Field(gt=0, description="of the squared weights; scikit-learn's 1 / C")
    balanced: bool = Field(description="whether every class counts the same, however many rows it has")


@dataclass(frozen=True)
class Words:
    """Weights of the terms of each text column, one block of ``weights`` (terms, outputs) after the other."""

    task: str
    columns: tuple[str, ...]
    vocabularies: tuple[Vocabulary, ...]
    weights: Float
    intercept: Float
    steepness: float
    """Log-odds for each unit of margin."""

    @property
    def features(self) -> list[str]:
        """The names of its inputs."""
        return list(self.columns)

    def parts(self, rows: pl.DataFrame) -> list[Float]:
        """What each column adds to the raw scores (rows, outputs): log-odds."""
        found, start = [], 0
        for name, vocabulary in zip(self.columns, self.vocabularies, strict=True):
            own = self.weights[start : start + len(vocabulary.terms)]
            found.append(np.asarray(self.steepness * (vocabulary.weigh(rows[name]) @ own)))
            start += len(own)
        return found

    def raw(self, rows: pl.DataFrame) -> Float:
        """Raw scores (rows, outputs)."""
        return np.asarray(sum(self.parts(rows)) + self.steepness * self.intercept)

    def predict(self, rows: pl.DataFrame) -> Float32:
        """Probabilities (rows,), or (rows, classes)."""
        return as_probabilities(self.raw(rows), self.task)

    def contributions(self, rows: pl.DataFrame) -> Float32:
        """Each column by itself (rows, outputs, features + 1); the last is the intercept."""
        rest = np.tile(self.steepness * self.intercept, (len(rows), 1))
        return np.stack([*self.parts(rows), rest], axis=2).astype(np.float32)

    def speaking(self, text: str, column: str) -> list[tuple[str, Float]]:
        """The known terms of one text, and what each adds to the raw score of every output."""
        place = self.columns.index(column)
        before = sum(len(vocabulary.terms) for vocabulary in self.vocabularies[:place])
        row = self.vocabularies[place].weigh(pl.Series([text], dtype=pl.String))
        return [
            (self.vocabularies[place].terms[term], self.steepness * value * self.weights[before + term])
            for term, value in zip(row.indices, row.data, strict=True)
        ]

    def use_threads(self, threads: int) -> None:
        """One thread is always enough."""

    def files(self) -> dict[str, bytes]:
        """Terms as text, weights as an array of numbers."""
        vocabularies = [
            {"column": name, "longest": vocabulary.longest, "rows": vocabulary.rows,
             "terms": vocabulary.terms, "documents": vocabulary.documents.tolist()}
            for name, vocabulary in zip(self.columns, self.vocabularies, strict=True)
        ]  # fmt: skip
        content = {
            "format": FORMAT, "task": self.task, "steepness": self.steepness, "intercept": self.intercept.tolist(),
            "vocabularies": vocabularies,
        }  # fmt: skip
        weights = io.BytesIO()
        np.save(weights, self.weights, allow_pickle=False)
        return {MODEL: (json.dumps(content, ensure_ascii=False) + "\n").encode(), WEIGHTS: weights.getvalue()}


def load(files: Mapping[str, bytes]) -> Words:
    """The inverse of `Words.files`."""
    try:
        content = json.loads(files[MODEL])
        found = [(str(entry["column"]), _vocabulary(entry)) for entry in content["vocabularies"]]
        weights = np.load(io.BytesIO(files[WEIGHTS]), allow_pickle=False).astype(np.float64)
        intercept = np.asarray(content["intercept"], dtype=np.float64)
        if weights.shape != (wanted := (sum(len(each.terms) for _, each in found), len(intercept))):
            raise ValueError(f"{WEIGHTS} holds {weights.shape}, not {wanted}")
        return Words(
            str(content["task"]), tuple(name for name, _ in found), tuple(each for _, each in found),
            weights, intercept, float(content["steepness"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, EOFError) as error:
        raise DamagedModel(f"{MODEL}: {error}") from error


def _vocabulary(entry: Mapping[str, Any]) -> Vocabulary:
    terms, documents = tuple(map(str, entry["terms"])), np.asarray(entry["documents"], dtype=np.uint32)
    if len(terms) != len(documents):
        raise ValueError(f"{len(terms)} terms with {len(documents)} counts")
    return Vocabulary(terms, documents, int(entry["rows"]), int(entry["longest"]))


def as_probabilities(raw: Float, task: str) -> Float32:
    """Log-odds as probabilities of a yes (rows,), or of each class (rows, classes)."""
    if task == "binary":
        return np.asarray(0.5 * (1 + np.tanh(raw[:, 0] / 2)), dtype=np.float32)
    powers = np.exp(raw - raw.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


# ── fitting ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def fit(training: Training, settings: WordsSettings) -> Fit:
    """The model of the train part; the valid part decides how much a margin says."""
    table, share = training.table, training.share
    vocabularies, matrix, labels = read_terms(training, share.train_frames(), settings)
    weights, intercept = solve(matrix, labels, table.task, len(table.classes), settings)
    bare = Words(table.task, tuple(table.names), vocabularies, weights, intercept, 1.0)
    valid = [(bare.raw(frame), frame[table.target].to_numpy().astype(np.int64)) for frame in share.valid_frames()]
    margins, known = (np.concatenate(each) for each in zip(*valid, strict=True))
    steepness = calibrate(margins, known, table.task)
    model = Words(table.task, tuple(table.names), vocabularies, weights, intercept, steepness)
    fitted = steepness * (matrix @ weights + intercept)
    losses = [
        mean_loss(table.task, y, as_probabilities(raw, table.task))
        for raw, y in ((fitted, labels), (steepness * margins, known))
    ]
    training.each_round(0, *losses)
    return Fit(model, LOSSES[table.task], 0, (losses[0],), (losses[1],))


def read_terms(
    training: Training, frames: Iterator[pl.DataFrame], settings: WordsSettings
) -> tuple[tuple[Vocabulary, ...], sparse.csr_array, NDArray[np.int64]]:
    """The vocabulary of each text column, the weighed terms of all rows side by side, and their labels."""
    from scipy import sparse

    table = training.table
    counted: dict[str, list[pl.DataFrame]] = {name: [] for name in table.names}
    labels: list[NDArray[np.int64]] = []
    terms = 0
    for frame in frames:
        labels.append(frame[table.target].to_numpy().astype(np.int64))
        for name, parts in counted.items():
            parts.append(count_terms(frame[name], settings.longest))
            terms += len(parts[-1])
        why = f"the words of texts are counted, {terms // sum(map(len, labels))} terms a row, and fitted all at once"
        training.refuse_beyond_memory(BYTES_A_TERM * terms, why)
    rows = sum(map(len, labels))
    vocabularies, blocks = [], []
    for name, parts in counted.items():
        documents = add_documents([document_counts(part) for part in parts])
        vocabularies.append(
            choose_terms(
                documents, rows, longest=settings.longest,
                min_documents=settings.min_documents, max_share=settings.max_share,
            )
        )  # fmt: skip
        if not vocabularies[-1].terms:
            training.refuse_nothing(f"terms of {name}", "lower `min_documents`, or raise `max_share`")
        weighed = [vocabularies[-1].weigh_counted(parts.pop(0), len(own)) for own in labels]  # each is let go of
        blocks.append(sparse.vstack(weighed, format="csr"))
    return tuple(vocabularies), sparse.hstack(blocks, format="csr"), np.concatenate(labels)


def solve(
    matrix: sparse.csr_array, labels: NDArray[np.int64], task: str, classes: int, settings: WordsSettings
) -> tuple[Float, Float]:
    """Weights (terms, outputs) and intercepts (outputs,) by scikit-learn, in one thread."""
    from sklearn.svm import LinearSVC  # seconds to import, and only needed to fit

    machine = LinearSVC(
        C=1 / settings.penalty, class_weight="balanced" if settings.balanced else None, random_state=0, dual="auto"
    )
    found = machine.fit(matrix, labels)
    weights, intercept = found.coef_.T.astype(np.float64), found.intercept_.astype(np.float64)
    if task == "binary":
        return weights, intercept
    if weights.shape[1] == 1:  # two classes alone occur: one line between them
        weights, intercept = np.concatenate([-weights, weights], axis=1), np.concatenate([-intercept, intercept])
    every, bias = np.zeros((len(weights), classes)), np.full(classes, NEVER)
    every[:, found.classes_], bias[found.classes_] = weights, intercept
    return every, bias


def calibrate(margins: Float, labels: NDArray[np.int64], task: str) -> float:
    """By how much to stretch margins so that as probabilities they lose least: one number cannot change an order."""
    from scipy.optimize import minimize_scalar

    def loss(log_steepness: float) -> float:
        return mean_loss(task, labels, as_probabilities(np.exp(log_steepness) * margins, task))

    found = minimize_scalar(loss, bounds=(-np.log(STEEPEST), np.log(STEEPEST)), method="bounded")
    return float(np.exp(found.x))


def texts(columns: Sequence[Column]) -> Sequence[Column]:
    """What it reads."""
    return [column for column in columns if column.kind == "text"]


def library() -> str:
    """The library that fits, with its version."""
    return f"scikit-learn {version('scikit-learn')}"


def words(_training: Mapping[str, Any], library: str) -> str:
    """What kind of model it is."""
    return f"A linear support vector machine on the words of the text ({library})"


FAMILY = Family(
    name="words", settings=WordsSettings, fit=fit, load=load, library=library, words=words,
    tasks=("binary", "multiclass"), reads=texts, by_chance=False,
)  # fmt: skip
