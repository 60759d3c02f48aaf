"""Words of texts are counted and weighed as scikit-learn does it, by any cut into partitions; no pickle is shipped."""

import itertools
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from stages.features.table import Column, FeatureTable
from stages.models import words
from stages.models.contract import DamagedModel
from stages.models.rows import Share, Training
from stages.models.terms import add_documents, choose_terms, count_terms, document_counts
from stages.workspace.errors import UserError

SUBJECTS = {
    "radio": "amateur radio antenna morse beacon packet modem",
    "chess": "chess board pawn opening endgame player engine",
    "mail": "mail server mailbox spam folder message queue",
}
COMMON = "a small program that lets you work with the and of many for this"
STRANGE = [
    "",
    " \n ",
    "e\u0301lan e\u0301lan",
    "🎲🎲 dice",
    "שלום עולם and مرحبا",
    "under_score x1 C++",
    "word" * 3000,
    None,
]
SETTINGS = words.WordsSettings(
    family="words", longest=2, min_documents=2, max_share=0.5, penalty=2.0, balanced=True
)  # fmt: skip
GIB = 2**30


def documents(n: int, classes: int = 3, seed: int = 0) -> pl.DataFrame:
    """Texts of subjects, and which one each is about."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    pools = [f"{subject} {COMMON}".split() for subject in SUBJECTS.values()]
    texts = [" ".join(rng.choice(pools[label], rng.integers(3, 12))) for label in labels]
    return pl.DataFrame({"text": texts, "subject": labels.astype(np.uint8)})


@pytest.fixture
def fitted(tmp_path: Path):
    """A fit to frames of the train and the valid part."""

    def fit(train: list[pl.DataFrame], valid: pl.DataFrame, limit: int = GIB, **changes: object):
        (root := tmp_path / str(len(list(tmp_path.iterdir())))).mkdir()
        parts = [*((frame, "train") for frame in train), (valid, "valid")]
        for place, (frame, part) in enumerate(parts):
            frame.with_columns(pl.lit(part).alias("part")).write_parquet(root / f"{place}.parquet")
        counts = [{name: len(frame) * (name == part) for name in ("train", "valid", "test")} for frame, part in parts]
        names = sorted(set(train[0].columns) - {"subject"})
        classes = tuple(SUBJECTS)[: int(train[0]["subject"].max()) + 1]
        table = FeatureTable(
            root, "trial", "What about?", "binary" if len(classes) == 2 else "multiclass", "subject", "", classes, None,
            tuple(Column(name, "text", "", "") for name in names),
            tuple({"name": str(place), "rows": 0, "parts": count} for place, count in enumerate(counts)),
        )  # fmt: skip
        training = Training(Share(table, table), {}, 0, 1, limit, "trial", lambda *_: None)
        return words.fit(training, SETTINGS.model_copy(update=changes))

    return fit


@pytest.mark.parametrize("longest", [1, 2, 3])
def test_terms_are_weighed_as_scikit_learn_weighs_them(longest: int) -> None:
    texts = [*documents(200)["text"], *(text or "" for text in STRANGE)]
    peer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, longest), min_df=2, max_df=0.4, dtype=np.float64)
    wanted = peer.fit_transform(texts)
    series = pl.Series(texts)
    counted = document_counts(count_terms(series, longest))
    vocabulary = choose_terms(counted, len(texts), longest=longest, min_documents=2, max_share=0.4)
    assert list(vocabulary.terms) == list(peer.get_feature_names_out())
    np.testing.assert_allclose(vocabulary.weigh(series).toarray(), wanted.toarray(), rtol=1e-12, atol=1e-15)


def test_a_vocabulary_is_the_same_however_the_documents_are_cut() -> None:
    texts = documents(300)["text"]
    whole = document_counts(count_terms(texts, 2)).sort("term")
    parts = [document_counts(count_terms(part, 2)) for part in (texts[:7], texts[7:200], texts[200:])]
    assert add_documents(parts).equals(whole)
    assert add_documents(parts[::-1]).equals(whole)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_weights_are_those_of_scikit_learn_and_of_any_cut(fitted, classes: int) -> None:
    train, valid = documents(300, classes), documents(100, classes, seed=1)
    model = fitted([train], valid).model
    peer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2, max_df=0.5, dtype=np.float64)
    machine = LinearSVC(C=0.5, class_weight="balanced", random_state=0)
    margins = machine.fit(peer.fit_transform(train["text"]), train["subject"]).decision_function(
        peer.transform(valid["text"])
    )
    np.testing.assert_allclose(model.raw(valid).squeeze(), model.steepness * margins, atol=2e-3)
    assert (np.argmax(model.predict(valid), axis=-1) if classes > 2 else model.predict(valid) > 0.5).tolist() == (
        machine.predict(peer.transform(valid["text"])).tolist()
    )
    assert fitted([train[:50], train[50:51], train[51:]], valid).model.files() == model.files()


def test_the_vocabulary_knows_the_train_part_alone(fitted) -> None:
    valid = documents(100, seed=1).with_columns(pl.col("text") + " zebra zebras")
    model = fitted([documents(300)], valid).model
    assert not [term for term in model.vocabularies[0].terms if "zebra" in term]


def test_a_row_scores_the_same_alone_and_after_loading(fitted) -> None:
    model = fitted([documents(300)], documents(100, seed=1)).model
    rows = pl.DataFrame({"text": STRANGE + documents(20, seed=2)["text"].to_list()})
    together = model.predict(rows)
    assert np.isfinite(together).all()
    loaded = words.load(model.files())
    alone = np.concatenate([loaded.predict(rows[place : place + 1]) for place in range(len(rows))])
    assert np.array_equal(alone, together)
    assert b"pickle" not in b"".join(model.files().values())


def test_what_words_say_adds_up_to_the_score(fitted) -> None:
    frame = documents(300).with_columns(pl.col("text").str.head(20).alias("title"))
    model = fitted([frame], documents(100, seed=1).with_columns(pl.col("text").str.head(20).alias("title"))).model
    rows = frame.head(5)
    parts = model.contributions(rows)
    np.testing.assert_allclose(parts.sum(axis=2), model.raw(rows), rtol=1e-5)
    for column, own in zip(model.features, np.moveaxis(parts, 2, 0), strict=False):
        told = model.speaking(rows[column][0], column)
        np.testing.assert_allclose(sum(weights for _, weights in told), own[0], rtol=1e-5)
        assert {term for term, _ in told} <= {*rows[column][0].split(), *zip_pairs(rows[column][0])}


def zip_pairs(text: str) -> set[str]:
    """Neighbouring words."""
    found = [word for word in text.split() if len(word) > 1]
    return {f"{one} {other}" for one, other in itertools.pairwise(found)}


def test_the_word_that_a_subject_alone_has_speaks_for_it(fitted) -> None:
    model = fitted([documents(600)], documents(200, seed=1)).model
    told = dict(model.speaking("chess for the radio", "text"))
    assert told["chess"].argmax() == 1
    assert told["radio"].argmax() == 0


def test_a_class_without_a_training_row_is_never_said(fitted) -> None:
    train = documents(300).filter(pl.col("subject") < 2)
    extra = pl.DataFrame({"text": ["mail"], "subject": [2]}, schema=train.schema)
    model = fitted([train.vstack(extra)], documents(100, seed=1)).model
    assert np.isfinite(model.predict(documents(100, seed=1))).all()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"min_documents": 100_000}, "terms of text to learn from"),
        ({"limit": 1000}, "the words of texts are counted"),
    ],
)
def test_what_cannot_be_learnt_is_refused_in_words(fitted, changes: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        fitted([documents(300)], documents(100, seed=1), **changes)


@pytest.mark.parametrize(
    "damage",
    [
        lambda files: files | {words.MODEL: b"{"},
        lambda files: {words.MODEL: files[words.MODEL]},
        lambda files: files | {words.WEIGHTS: files[words.WEIGHTS][:100]},
        lambda files: files | {words.WEIGHTS: b"\x80\x04K\x01."},  # a pickle
        lambda files: files | {words.MODEL: files[words.MODEL].replace(b'"documents": [', b'"documents": [7, ')},
    ],
)
def test_damaged_files_are_named(fitted, damage) -> None:
    files = fitted([documents(300)], documents(100, seed=1)).model.files()
    with pytest.raises(DamagedModel, match="model"):
        words.load(damage(files))


def test_it_reads_texts_alone() -> None:
    columns = [Column(name, kind, "", "") for name, kind in (("a", "numeric"), ("b", "text"), ("c", "categorical"))]
    assert [column.name for column in words.FAMILY.reads(columns)] == ["b"]
