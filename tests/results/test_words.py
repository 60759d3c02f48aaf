"""What the report says is escaped, is made of the facts' own figures, and is never stronger than an interval."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.metrics.curves import COLUMNS
from stages.pages.tables import code, marked
from stages.pages.verdicts import cautions, verdict, verdicts
from stages.results import tables, words
from stages.results.costs import GRID, Cost, CostCurve
from stages.results.effects import Dependence, Effect, Group
from stages.results.facts import Effects, Facts
from stages.results.page import write_page, write_results_card
from stages.results.segments import Figure, SegmentResult

SMALL = st.floats(-10, 10, allow_nan=False)
ODD = "<b>&\"x' | `é` _*] "
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?")


def result(low: float, high: float, direction: str = "higher", **more: Any) -> dict[str, Any]:
    return {
        "value": 0.8123, "low": 0.7234, "high": 0.9345, "level": 0.95, "n": 1234, "direction": direction,
        "baseline": 0.6456, "baseline_low": 0.5567, "baseline_high": 0.7678, "difference": 0.1667,
        "difference_low": low, "difference_high": high, "replicates": 100, "resampled": "day", "units": 61, "block": 5,
        **more,
    }  # fmt: skip


def cost(low: float, high: float) -> Cost:
    return Cost(0.4321, 0.3, 0.5, (low + high) / 2, low, high)


def facts(odd: str = "late", **more: Any) -> Facts:
    """A binary task's facts; ``odd`` is put wherever the data name something."""
    at = {"threshold": 0.2408, "baseline_threshold": 0.3}
    plots = {name: pl.DataFrame(schema=dict.fromkeys(columns, pl.Float64)) for name, columns in COLUMNS.items()}
    classes = ("on time", odd)
    plots["confusion"] = pl.DataFrame(
        [{"actual": a, "predicted": p, "rows": 5.0, "share_of_actual": 0.5, "low": 0.4, "high": 0.6}
         for a in classes for p in classes]
    )  # fmt: skip
    scores = {f"{score}{end}": 0.5 for score in ("precision", "recall", "f1") for end in ("", "_low", "_high")}
    plots["per_class"] = pl.DataFrame([{"class": name, "rows": 10.0} | scores for name in classes])
    plots["learning_curve"] = pl.DataFrame({"round": [0.0, 1.0], "part": ["train", "valid"], "loss": [0.6, 0.5]})
    known = {
        "dataset": "trial", "question": f"Is it {odd}?", "task": "binary", "target": odd, "classes": classes,
        "target_unit": "",
        "columns": {odd: {"about": f"about {odd}", "unit": odd, "kind": "categorical"}},
        "parts": {"train": 600, "valid": 300, "test": 1234}, "training": {"best_round": 1, "features": 1,
        "rows": {"train": 600, "valid": 300}, "train_loss": 0.6, "valid_loss": 0.5},
        "guessed": {"train": 0.8, "valid": 0.625}, "baseline": odd, "plots": plots, "unseen": 3,
        "fitted": "Trees.", "stops_early": True,
        "clean": {"records": {"rows_published": 2200, "rows_in": 2200, "rows_clean": 2190, "rows_quarantined": 10,
                              "labelled": 2134}, "unlabelled": {odd: 56}, "failures": {odd: 10}},
        "selection": {"features": [{"name": odd, "kept": True, "relevance": 0.1, "reason": odd},
                                   {"name": f"not {odd}", "kept": False, "relevance": 0.0, "reason": odd}]},
        "results": {"roc_auc": result(0.1, 0.2), "accuracy": result(-0.2, -0.1, **at),
                    "expected_cost": result(-0.2, -0.1, "lower", **at)},
        "units": [f"2013-11-{day:02d}" for day in range(1, 31)],
        "segments": {odd: [SegmentResult(odd, odd, 100, 40, dict.fromkeys(("roc_auc", "expected_cost"),
                     Figure(0.71, 0.62, 0.83, "worse", "better"))),
                     SegmentResult(odd, "none", 9, 0, dict.fromkeys(("roc_auc", "expected_cost"),
                     Figure(None, None, None)))]},
        "costs": CostCurve(GRID, GRID, GRID, GRID, cost(0, 0), cost(-0.3, -0.1), cost(-0.1, 0.1), cost(0.01, 0.02),
                           0.2, 3.0, 1.0),
        "effects": Effects([Effect(odd, 0.2, 0.1, 0.3, 1.0, True)], [Dependence(odd, 0, False, (
            Group(odd, None, 5, 0.1, 0.05, 0.15, 0.0, 0.2),))], 1000, 30),
    }  # fmt: skip
    return Facts(**(known | more))


class Text(HTMLParser):
    """The words of a page, and the tags that hold them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.said: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.said += [value or "" for name, value in attrs if name in ("aria-label", "title", "data-label")]

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def read(page: str) -> Text:
    text = Text()
    text.feed(page)
    return text


def test_whatever_the_data_are_called_is_shown_and_does_nothing() -> None:
    plain, odd = read(write_page(facts("zebra"))), read(write_page(facts(ODD)))
    assert odd.tags == plain.tags
    shown, wanted = " ".join(odd.said).count(ODD.strip()), " ".join(plain.said).count("zebra")
    assert wanted > 30
    assert wanted - shown <= 1  # a picture of categories cuts long names


@pytest.mark.parametrize("script", ["<script>alert(1)</script>", "{{ 7 * 7 }}", "</style><h1>", '"><img src=x>', "]]>"])
def test_no_name_becomes_part_of_the_page(script: str) -> None:
    assert read(write_page(facts(script))).tags == read(write_page(facts())).tags


def test_the_card_escapes_what_would_set_or_link() -> None:
    card = write_results_card(facts("a|b <i> [x](http://e.org) _y_ *z*"))
    assert "<i>" not in re.sub(r"`[^`]*`", "", card).replace("\\<i\\>", "")
    assert "](http" not in re.sub(r"`[^`]*`", "", card).replace("\\](", "")
    for block in re.findall(r"(?:^\|.*\n?)+", card, re.MULTILINE):
        assert len({line.replace("\\|", "").count("|") for line in block.splitlines()}) == 1
    assert marked("a_b in_range(-1, 2)") == "a_b in_range(-1, 2)"
    assert code("a`b|c") == "`a′b\\|c`"


@given(SMALL, SMALL, st.sampled_from(["higher", "lower"]))
def test_the_headline_claims_a_win_only_where_the_interval_of_the_leading_metric_does(
    one: float, other: float, direction: str
) -> None:
    low, high = sorted((one, other))
    told = words.headline(facts(results={"roc_auc": result(low, high, direction)}))
    claims = {"better": "model beats", "worse": "model does worse", "not shown to differ": "has not been shown to beat"}
    assert [kind for kind, claim in claims.items() if claim in told] == [verdict(result(low, high, direction))]


@given(st.lists(st.tuples(SMALL, SMALL), min_size=1, max_size=5))
def test_all_metrics_are_claimed_only_where_each_is_better(ends: list[tuple[float, float]]) -> None:
    results = {f"m{k}": result(*sorted(pair)) for k, pair in enumerate(ends)}
    told = words.headline(facts(results=results))
    assert ("on all" in told) == (len(ends) > 1 and set(verdicts(results).values()) == {"better"})


@given(SMALL, SMALL)
def test_never_acting_is_called_dearer_only_where_the_interval_says_so(one: float, other: float) -> None:
    low, high = sorted((one, other))
    known = facts()
    assert known.costs is not None
    told = words.decision(replace(known, costs=replace(known.costs, never=cost(low, high))))[1].split(", always")[0]
    assert ("dearer" in told) == (high < 0)
    assert ("cheaper" in told) == (low > 0)
    assert ("not shown to differ" in told) == (low <= 0 <= high)


def test_every_figure_in_the_words_is_one_of_the_facts() -> None:
    known = facts()
    texts = [words.headline(known), *words.answer(known), *words.decision(known), *words.data(known)]
    assert known.costs is not None
    numbers = [value for r in known.results.values() for value in r.values() if isinstance(value, int | float)]
    numbers += [v for c in (known.costs.never, known.costs.always) for v in vars(c).values()]
    numbers += [*known.clean["records"].values(), len(known.units), 3, 1]
    forms = (words.figure, *(form.format for form in ("{:.4g}", "{:.4f}", "{:,}", "{:g}")))
    allowed = {form(abs(n)) for n in numbers for form in forms}
    allowed |= {str(n) for n in range(4)} | {"95"}  # how many metrics are better, worse or open
    for text in texts:
        bare = re.sub(r"\d{4}-\d\d-\d\d", "", text)
        assert set(NUMBER.findall(bare)) <= allowed, text


def test_segments_are_told_apart_only_where_the_interval_says_so() -> None:
    known = facts()
    assert "worse in late late." in " ".join(words.segments(known))
    same = Figure(0.71, 0.62, 0.83)
    alike = {"carrier": [SegmentResult("carrier", "UA", 100, 40, {"roc_auc": same, "expected_cost": same})]}
    told = " ".join(words.segments(replace(known, segments=alike)))
    assert "No segment has been shown to differ from all rows in ROC-AUC." in told
    assert "In 0 of 1 segments the model beats the baseline" in told
    assert words.segments(replace(known, segments={})) == []


def test_the_strongest_feature_is_named_only_where_it_is_shown_to_be() -> None:
    open_ = [Effect("a", 0.2, 0.1, 0.3, 0.6, False), Effect("b", 0.19, 0.1, 0.3, 0.3, True),
             Effect("c", 0.01, 0.0, 0.02, 0.1, False)]  # fmt: skip
    told = " ".join(words.effects(replace(facts(), effects=Effects(open_, [], 10, 5))))
    assert "Which feature moves the answer most is not shown; it is one of a (0.2000), b (0.1900)." in told
    assert "late moves the answer most" in " ".join(words.effects(facts()))


def test_limits_tell_of_few_units_unseen_categories_and_rows_without_a_label() -> None:
    told = " ".join(words.limits(facts()))
    assert "from 2013-11-01 to 2013-11-30" in told
    assert "61 units of “day” are only 12 runs of 5" in told
    assert "3 of 1,234 test rows have one" in told
    assert "late 56" in told
    assert "simulated" not in told
    simulated = replace(facts(), clean=facts().clean | {"simulated": True})
    assert words.limits(simulated)[0] == "The rows are simulated."
    assert "simulated" in words.data(simulated)[0]


def test_groups_without_an_interval_are_counted_apart() -> None:
    groups = pl.DataFrame({"predicted": [0.5, 0.98], "observed": [0.5, 1.0], "low": [0.4, None], "high": [0.6, None]})
    told = words.calibration(replace(facts(), plots={**facts().plots, "calibration": groups}))
    assert told[0].startswith("In 1 of 1 groups")
    assert told[-1] == "In 1 more the rows are too few for an interval."


def test_rows_that_are_their_own_units_are_not_called_few() -> None:
    plain = cautions({"accuracy": result(0.1, 0.2, resampled="rows", units=12, block=1)})
    assert not any("too narrow" in line for line in plain)
    assert any("too narrow" in line for line in cautions({"accuracy": result(0.1, 0.2, units=12, block=1)}))


@pytest.mark.parametrize(
    ("valid_loss", "guessed", "said"),
    [
        (0.5, 0.625, "lose 0.6250 there and 0.8000 in the train part. Of that the model saves 20.0 % there and 25.0 %"),
        (0.4, 0.625, "saves 36.0 % there and 25.0 % in the train part, more: see whether it knows these rows."),
        (0.5, 0.9, "no easier to guess: see whether they are among the training rows."),
        (0.5, 0.0, "no easier to guess"),
        (0.6, 0.5, ""),
    ],
)
def test_a_validation_loss_below_the_training_loss_is_explained_by_what_there_is_to_guess(
    valid_loss: float, guessed: float, said: str
) -> None:
    training = {**facts().training, "valid_loss": valid_loss}
    told = " ".join(words.learning(facts(training=training, guessed={"train": 0.8, "valid": guessed})))
    assert said in told.replace("\u202f", " ")
    assert bool(told) == bool(said)


def test_a_page_tells_by_how_much_another_seed_moves_its_figures() -> None:
    values = {"roc_auc": (0.8123, 0.8133, 0.8113), "accuracy": (0.81, 0.83, 0.79), "expected_cost": (0.8, 0.8, 0.8)}
    trainings = [{name: each[place] for name, each in values.items()} for place in range(3)]
    told = " ".join(words.trainings(facts(trainings=trainings)))
    assert "Trained 3 times" in told and "deviation of 0.0010" in told and "accuracy moves most: 0.0200" in told
    shown = tables.trainings(facts(trainings=trainings))
    assert [row[-1].text for row in shown.rows] == ["± 0.0010", "± 0.0200", "± 0.0000"]
    assert [cell.text for cell in shown.rows[0][1:4]] == ["0.8123", "0.8133", "0.8113"]
    assert words.trainings(facts(trainings=trainings[:2])) == []
    assert not tables.trainings(facts()).rows and not tables.trainings(facts(trainings=trainings[:2])).rows


def test_a_family_that_reads_some_of_the_features_says_so() -> None:
    assert not any("its family can" in sentence for sentence in words.selection(facts()))
    narrow = facts(training=facts().training | {"features": 0})
    assert "The model reads 0 of them: what its family can." in words.selection(narrow)
