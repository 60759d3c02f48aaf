"""Texts through the stages: trained on, shipped, asked about, told of by their words; later ones beside the test."""

import csv
import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import yaml

from stages import dictionary, evaluate, package, train
from stages.features.sketch import sketch_column, sketch_to_json, sum_up
from stages.serving.champion import open_served
from stages.serving.raw import Knowledge
from stages.serving.shown import open_shown, reply
from stages.texts.dictionary import PRIOR, rank_words
from stages.texts.later import unknown_shares
from stages.workspace.errors import UserError

NAME = "trial"
SUBJECTS = {
    "radio": "radio antenna morse beacon packet modem",
    "chess": "chess board pawn opening endgame engine",
    "mail": "mail server mailbox spam folder queue",
}
COMMON = "small program lets you work with this many for"
MODEL = yaml.safe_load(Path(__file__).parents[2].joinpath("params/model/words.yaml").read_text())


def documents(n: int = 400, later: int = 60) -> pl.DataFrame:
    """Texts of five words and more; a later one has a new word besides."""
    rng = np.random.default_rng(3)
    labels = rng.integers(len(SUBJECTS), size=n + later)
    pools = [(subject.split(), COMMON.split()) for subject in SUBJECTS.values()]
    texts = [" ".join([*rng.choice(pools[k][0], 2), *rng.choice(pools[k][1], 2)]) for k in labels]
    texts[n:] = [f"{text} newcomer" for text in texts[n:]]
    parts = [*rng.choice(["train", "valid", "test"], n, p=[0.6, 0.2, 0.2]), *[None] * later]
    sources = [f"{'a' if k < n else 'b'}{k // 2:04}" for k in range(n + later)]
    return pl.DataFrame({"day": sources, "part": parts, "target": labels.astype(np.int8), "said": texts})


@pytest.fixture(scope="module")
def workspace(planted: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory):
    """A folder in which a model of words was trained, judged and packaged."""
    root = tmp_path_factory.mktemp("texts")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        rows = documents()
        planted.write(rows, "multiclass", list(SUBJECTS))
        folder = Path("data/features") / NAME
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["columns"] = [{"name": "said", "kind": "text", "about": "what is said", "unit": "", "always": True}]
        (folder / "manifest.json").write_text(json.dumps(manifest))
        lengths = sum_up(rows.filter(pl.col("part") == "train")["said"])
        (folder / "sketches.json").write_text(json.dumps({"said": sketch_to_json(sketch_column(lengths))}))
        params = yaml.safe_load(Path("params.yaml").read_text())
        params["datasets"][NAME]["model"] = MODEL
        Path("params.yaml").write_text(yaml.safe_dump(params))
        Path("metrics", NAME).mkdir(parents=True, exist_ok=True)
        for stage in (train, evaluate, package):
            stage.main(NAME)
        dictionary.main(NAME, "--words", "4", "--resamples", "20")
    return root


@pytest.fixture(autouse=True)
def _there(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)


def table(name: str) -> list[dict[str, str]]:
    with Path("reports", NAME, "dictionary", f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_words_of_a_class_are_those_that_it_was_planted_with() -> None:
    words = table("words")
    for name, planted_words in SUBJECTS.items():
        own = [row for row in words if row["class"] == name]
        assert len(own) == 4
        assert {row["word"] for row in own} <= set(planted_words.split())
        assert all(float(row["share"]) == 1 and 0 < float(row["stability"]) <= 1 for row in own)


def test_later_documents_are_told_with_their_new_words_beside_the_test() -> None:
    groups = json.loads(Path("reports", NAME, "dictionary", "later.json").read_text())["groups"]
    assert groups["documents"]["later"] == len(table("later")) == 60
    assert groups["unknown words"]["test"]["value"] == 0
    assert groups["unknown words"]["later"]["value"] == pytest.approx(0.2)
    assert groups["unknown words"]["difference"]["low"] > 0.15
    right = np.mean([row["filed"] == row["answer"] for row in table("later")])
    assert groups["accuracy"]["later"]["value"] == pytest.approx(right, abs=1e-5)
    assert [(row["word"], row["sources"], row["documents"]) for row in table("new_words")] == [("newcomer", "30", "60")]
    for row in table("later"):
        assert row["speaking"].split(", ")[0].split()[0] in SUBJECTS[row["answer"]].split()


def test_the_page_escapes_what_texts_hold() -> None:
    page = Path("reports", NAME, "dictionary.html").read_text(encoding="utf-8")
    assert "newcomer" in page
    assert "<script" not in page


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("chess on a board", "What speaks for and against “chess”"),
        ("zzzz qqqq", "The model knows not one of these words"),
        ("", "Write a text."),
        ("🎲 \u202eשלום chess", "What speaks for"),
    ],
)
def test_a_text_is_asked_about_in_the_form(text: str, told: str) -> None:
    served = open_served(Path("bundles") / NAME)
    shown = open_shown(served, Knowledge(None))
    assert [field.whole for field in shown.inputs.form.fields] == ["text"]
    replied = reply(shown, shown.inputs, {"said": text})
    assert told in str(replied)
    if replied.answer and "chess" in text:
        assert {line.label for line in replied.answer["speaking"]} >= {"chess"}


def test_a_dataset_without_texts_is_refused(planted: SimpleNamespace, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    planted.write(planted.rows("binary", n=200), "binary")
    with pytest.raises(UserError, match="no column of texts"):
        dictionary.main(NAME)


# ── the formulas, by hand ────────────────────────────────────────────────────────────────────────────────────────────
def test_log_odds_are_those_of_the_paper() -> None:
    counts, totals = np.array([[8.0, 1.0, 3.0], [1.0, 9.0, 4.0]]), np.array([20.0, 30.0])
    found, every = rank_words(counts, totals), counts.sum(axis=0)
    for k in (0, 1):
        for w in range(3):
            a = PRIOR * every[w] / every.sum()
            y, other, n, m = counts[k, w], counts[1 - k, w], totals[k], totals[1 - k]
            delta = math.log((y + a) / (n + PRIOR - y - a)) - math.log((other + a) / (m + PRIOR - other - a))
            assert found[k, w] == pytest.approx(delta / math.sqrt(1 / (y + a) + 1 / (other + a)), rel=1e-6)


def test_a_share_of_unknown_words_counts_every_word() -> None:
    texts = pl.Series(["old new new", "", "old OLD", "🎲"])
    assert unknown_shares(texts, {"old"}).tolist() == [2 / 3, 0, 0, 0]
