"""Effects are XGBoost's own SHAP values, averaged; their sample and their intervals depend on nothing but the rows."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
import xgboost as xgb
from scipy.special import expit, softmax

from stages.metrics.bootstrap import draw_weights
from stages.models.trees import Trees
from stages.results.effects import (
    MISSING,
    MOST_ROWS,
    MOST_VALUES,
    REST,
    UNKNOWN,
    Sample,
    depend_on,
    mean_effects,
    outputs_of,
    sample_size,
    sampled_places,
)

N, UNITS = 600, 20


def rows(seed: int = 3) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    kinds = pl.Enum([f"kind {k:02d}" for k in range(15)])
    kind = np.minimum(rng.geometric(0.25, N) - 1, 14)
    frame = pl.DataFrame(
        {
            "strong": rng.normal(size=N).astype(np.float32),
            "few": rng.integers(0, 4, N).astype(np.float32),
            "kind": pl.Series([f"kind {k:02d}" for k in kind], dtype=kinds),
            "useless": np.zeros(N, np.float32),
        }
    )
    gone = pl.Series(rng.random(N) < 0.1)
    return frame.with_columns(strong=pl.when(~gone).then("strong"), kind=pl.when(~gone.reverse()).then("kind"))


def fitted(task: str) -> tuple[xgb.Booster, pl.DataFrame]:
    frame, rng = rows(), np.random.default_rng(4)
    strength = 2 * frame["strong"].fill_null(0.5).to_numpy() + frame["few"].to_numpy() + rng.normal(size=N)
    label = {"binary": strength > 1.5, "multiclass": np.digitize(strength, [0.5, 2.5]), "regression": strength}[task]
    objective = {"binary": "binary:logistic", "multiclass": "multi:softprob", "regression": "reg:squarederror"}[task]
    parameters = {"objective": objective, "max_depth": 3, "nthread": 1, "seed": 1}
    if task == "multiclass":
        parameters["num_class"] = 3
    return xgb.train(parameters, xgb.DMatrix(frame, label=label, enable_categorical=True), 12), frame


@pytest.fixture(scope="module")
def sampled() -> Callable[[str], Sample]:
    made: dict[str, Sample] = {}

    def make(task: str) -> Sample:
        if task not in made:
            booster, frame = fitted(task)
            made[task] = Sample(Trees(booster).contributions(frame)[:, :, :-1], frame, np.arange(N) % UNITS, UNITS)
        return made[task]

    return make


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_contributions_and_bias_add_up_to_the_score(task: str) -> None:
    booster, frame = fitted(task)
    margin = Trees(booster).contributions(frame).sum(axis=2)
    told = booster.inplace_predict(frame)
    expected = {"binary": lambda m: expit(m[:, 0]), "multiclass": lambda m: softmax(m, axis=1)}.get(
        task, lambda m: m[:, 0]
    )(margin)
    assert np.allclose(expected, told, atol=1e-4)


def test_rows_in_pieces_contribute_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    booster, frame = fitted("multiclass")
    whole = Trees(booster).contributions(frame)
    monkeypatch.setattr("stages.models.trees.ROWS_AT_ONCE", 77)
    assert np.array_equal(Trees(booster).contributions(frame), whole)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_an_effect_is_the_mean_size_over_rows_and_classes(sampled, task: str) -> None:
    booster, frame = fitted(task)
    direct = booster.predict(xgb.DMatrix(frame, enable_categorical=True), pred_contribs=True)
    sizes = np.abs(direct.reshape(N, -1, frame.width + 1)[:, :, :-1]).mean(axis=(0, 1))
    effects = mean_effects(sampled(task), draw_weights(UNITS, 100, 1), 0.95)
    assert {effect.name: effect.value for effect in effects} == pytest.approx(
        dict(zip(frame.columns, sizes.tolist(), strict=True)), rel=1e-5
    )
    assert [effect.value for effect in effects] == sorted((effect.value for effect in effects), reverse=True)
    assert sum(effect.share for effect in effects) == pytest.approx(1)
    assert effects[-1].name == "useless"
    assert (effects[-1].value, effects[-1].low, effects[-1].high) == (0, 0, 0)


def test_intervals_are_those_of_resampled_rows(sampled) -> None:
    sample, weights = sampled("binary"), draw_weights(UNITS, 200, 5, block=2)
    strong = next(effect for effect in mean_effects(sample, weights, 0.9) if effect.name == "strong")
    sizes = np.abs(sample.values[:, 0, 0]).astype(np.float64)
    means = [np.average(sizes, weights=drawn[sample.units]) for drawn in weights]  # every row as often as its unit
    assert (strong.low, strong.high) == pytest.approx(tuple(np.quantile(means, [0.05, 0.95])))


def test_a_feature_is_ahead_only_where_the_paired_interval_is_above_zero(sampled) -> None:
    sample = sampled("binary")
    twins = Sample(np.repeat(sample.values[:, :, :1], 2, axis=2), sample.inputs.select("strong", twin="strong"),
                   sample.units, UNITS)  # fmt: skip
    weights = draw_weights(UNITS, 100, 1)
    assert [effect.ahead for effect in mean_effects(twins, weights, 0.95)] == [False, False]
    assert mean_effects(sample, weights, 0.95)[0].ahead


@pytest.mark.parametrize("cut", [1, 7, 5000])
def test_the_sample_does_not_depend_on_the_cut_into_partitions(cut: int) -> None:
    total, size = 40_000, 3_000
    bounds = np.linspace(0, total, cut + 1).astype(int)
    places = [start + sampled_places(start, stop - start, total, size)
              for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]  # fmt: skip
    chosen = np.concatenate(places)
    assert np.array_equal(chosen, sampled_places(0, total, total, size))
    assert abs(len(chosen) - size) < 5 * np.sqrt(size)
    assert np.histogram(chosen, bins=10, range=(0, total))[0].min() > 0.7 * size / 10  # from everywhere


def test_few_rows_are_all_taken_and_many_outputs_take_fewer_rows() -> None:
    assert sampled_places(5, 10, 15, 20).tolist() == list(range(10))
    assert sample_size(1, 50) == MOST_ROWS
    assert sample_size(200, 500) * 200 * 501 <= MOST_VALUES


def test_a_number_is_cut_at_its_quantiles_and_what_is_missing_stands_apart(sampled) -> None:
    sample = sampled("regression")
    found = depend_on(sample, "strong", 0, draw_weights(UNITS, 100, 1), 0.95)
    values, given = sample.values[:, 0, 0].astype(np.float64), sample.inputs["strong"].to_numpy()
    *numbers, missing = found.groups
    assert (missing.label, missing.at, missing.rows) == (MISSING, None, int(np.isnan(given).sum()))
    assert missing.mean == pytest.approx(values[np.isnan(given)].mean())
    assert len(numbers) == 12
    assert sum(group.rows for group in found.groups) == N
    starts = [float(group.label.replace("−", "-")) for group in numbers]
    third = (given >= np.float32(starts[2]) - 1e-4) & (given < np.float32(starts[3]) - 1e-4)
    assert numbers[2].mean == pytest.approx(values[third].mean(), rel=0.05)
    for group in numbers:
        assert group.low <= group.mean <= group.high
        assert group.tenth <= group.ninetieth


def test_a_number_with_few_values_has_a_group_for_each(sampled) -> None:
    sample = sampled("binary")
    found = depend_on(sample, "few", 0, draw_weights(UNITS, 50, 1), 0.95)
    assert [(group.label, group.at) for group in found.groups] == [(str(k), float(k)) for k in range(4)]
    for k, group in enumerate(found.groups):
        chosen = sample.values[sample.inputs["few"].to_numpy() == k, 0, 1]
        assert (group.rows, group.mean) == (len(chosen), pytest.approx(chosen.mean(), rel=1e-5))


def test_the_commonest_categories_are_named_and_none_is_lost(sampled) -> None:
    sample = sampled("binary")
    found = depend_on(sample, "kind", 0, draw_weights(UNITS, 50, 1), 0.95)
    assert [group.label for group in found.groups][-2:] == [REST, UNKNOWN]
    named = found.groups[:-2]
    assert [group.mean for group in named] == sorted((group.mean for group in named), reverse=True)
    commonest = sample.inputs["kind"].drop_nulls().value_counts(sort=True)["kind"][:3].to_list()
    assert {*map(str, commonest)} <= {group.label for group in named}
    assert sum(group.rows for group in found.groups) == N


def test_the_class_that_a_feature_moves_most_is_found(sampled) -> None:
    sample = sampled("multiclass")
    sizes = np.abs(sample.values).mean(axis=0)
    assert outputs_of(sample, ["few", "strong"]) == [int(sizes[:, 1].argmax()), int(sizes[:, 0].argmax())]
