"""What do the results say, in sentences?  Every figure is one of the facts, no sentence stronger than its interval.

"Better" and "worse" are said only where the interval of the difference leaves zero out; of anything else it is said
that it has not been shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from stages.pages.numbers import count_text, decimals_of, estimate_text, figure, level_text, share_text
from stages.pages.verdicts import (
    AGAINST,
    BETTER,
    OPEN,
    TOO_FEW,
    WORSE,
    cautions,
    decimals_in,
    metric_name,
    sentences,
    verdict,
    verdicts,
)
from stages.results.costs import Cost
from stages.results.effects import Effect
from stages.results.facts import Facts
from stages.results.segments import Figure, SegmentResult

STABLE = 0.9  # share of the resamples that keep a feature
NAMED = 8  # segments that a sentence names before it counts


def headline(facts: Facts) -> str:
    """The verdict on the leading metric, and whether the others agree."""
    told, name = verdicts(facts.results), metric_name(facts.lead_name)
    others = len(told) - 1
    worse = sum(v == WORSE for v in told.values())
    if told[facts.lead_name] == TOO_FEW:
        return f"The model {AGAINST[TOO_FEW]}"
    if told[facts.lead_name] == OPEN:
        return f"The model has not been shown to beat the baseline on {name}"
    if told[facts.lead_name] == WORSE:
        return f"The model does worse than the baseline on {name}"
    if others and all(v == BETTER for v in told.values()):
        return f"The model beats the baseline on all {len(told)} metrics"
    if worse:
        return f"The model beats the baseline on {name}, and does worse on {worse} of {others} other metrics"
    return f"The model beats the baseline on {name}"


def answer(facts: Facts) -> list[str]:
    """The conclusion in a few short paragraphs."""
    told = " ".join(sentences(facts.results, facts.baseline))
    return [text for text in (told, " ".join(units(facts)), " ".join(decision(facts))) if text]


def units(facts: Facts) -> list[str]:
    """In what unit the target is, and which metrics share it; nothing where it has none."""
    if not facts.target_unit:
        return []
    alike = [metric_name(name) for name, metric in facts.kind.metrics.items() if metric.in_target_unit]
    named = ", ".join(alike[:-1]) + (" and " if len(alike) > 1 else "") + "".join(alike[-1:])
    shared = f"; {named} {'is' if len(alike) == 1 else 'are'} in the same unit" if alike else ""
    return [f"{facts.target} is predicted in {facts.target_unit}{shared}."]


def trainings(facts: Facts) -> list[str]:
    """By how much another seed would have moved the figures, beside what other rows would have."""
    spread = facts.spread(facts.lead_name)
    if spread is None:
        return []
    n, decimals = len(facts.trainings) - bool(facts.redrawn), decimals_of(facts.lead["value"])
    rows = f"with the training {facts.redrawn} drawn again" if facts.redrawn else "on the same rows"
    told = [
        f"Trained {n} times from different seeds {rows}, {metric_name(facts.lead_name)} has a standard "
        f"deviation of {figure(spread, decimals=decimals)}.  The intervals do not hold that; the test of a change does."
    ]
    metric = max((m for m in facts.results if m in facts.kind.at_threshold), key=facts.spread, default="")  # type: ignore[arg-type]
    if metric:
        moved = figure(facts.spread(metric), decimals=decimals)
        told.append(f"Of the figures at the threshold, {metric_name(metric)} moves most: {moved}.")
    return told


def decision(facts: Facts) -> list[str]:
    """What acting on the model costs, beside the baseline, never acting and always acting."""
    if facts.costs is None or facts.threshold is None:
        return []
    cost, costs, positive = facts.results["expected_cost"], facts.costs, facts.positive
    against = {BETTER: "less than", WORSE: "more than", OPEN: "not shown to differ from",
               TOO_FEW: "on rows too few to compare it with"}[verdict(cost)]  # fmt: skip
    told = [
        f"A row is called “{positive}” from a probability of {figure(facts.threshold)} on: there, by the valid part, "
        f"both mistakes cost the same, a miss {costs.cost_of_miss:g} and a false alarm {costs.cost_of_false_alarm:g}.  "
        f"That costs {estimate_text(cost['value'], cost['low'], cost['high'])} a row, {against} the baseline's "
        f"{figure(cost['baseline'], decimals=decimals_in(cost))}.",
        f"Never acting would cost {_beside(costs.never)}, always acting {_beside(costs.always)}.",
    ]
    if verdict(cost) == BETTER and verdict(facts.results["accuracy"]) == WORSE:
        told.append("The threshold was chosen for its cost, not for accuracy, which is worse than the baseline's.")
    return told


def _beside(cost: Cost) -> str:
    """A cost, and whether the chosen threshold is cheaper."""
    gap, decimals = -cost.difference, decimals_of(cost.value)
    if cost.difference_low is None or cost.difference_high is None:
        return f"{figure(cost.value)} (a difference of {estimate_text(gap, None, None, True, decimals)})"
    low, high = -cost.difference_high, -cost.difference_low
    if low > 0:
        return f"{figure(cost.value)} (dearer by {estimate_text(gap, low, high, decimals=decimals)})"
    if high < 0:
        return f"{figure(cost.value)} (cheaper by {estimate_text(-gap, -high, -low, decimals=decimals)})"
    return f"{figure(cost.value)} (not shown to differ: {estimate_text(gap, low, high, True, decimals)})"


def data(facts: Facts) -> list[str]:
    """Where the rows went."""
    records, calendar = facts.clean["records"], facts.clean.get("calendar", {})
    told = []
    if facts.clean.get("simulated"):
        told.append("These rows are simulated: nothing here tells of the world.")
    told.append(
        f"Of {count_text(records['rows_in'])} rows that were read, {count_text(records['rows_quarantined'])} failed a "
        f"check and went to quarantine, {count_text(records['rows_clean'])} are clean, and "
        f"{count_text(records['labelled'])} of those have a label."
    )
    if beside := facts.clean.get("references"):
        bad, every = (sum(table[key] for table in beside.values()) for key in ("rows_quarantined", "rows_in"))
        told.append(f"Of the tables beside them, {count_text(bad)} of {count_text(every)} rows are in quarantine.")
    if records["rows_published"] != records["rows_in"]:
        told.append(f"{count_text(records['rows_published'])} rows were published; the rest was not read.")
    if calendar:
        missing = calendar["missing_days"]
        told.append(
            f"They span {count_text(calendar['days'])} days, "
            + ("none of them missing." if not missing else f"and {count_text(missing)} days have no row.")
        )
    if facts.days:
        told.append(f"The test part spans {len(facts.units)} days, {facts.days[0]} to {facts.days[1]}.")
    return told


def selection(facts: Facts) -> list[str]:
    """How features were chosen."""
    chosen, features = facts.selection, facts.selection["features"]
    kept = sum(bool(feature["kept"]) for feature in features)
    told = [f"{kept} of {len(features)} features were kept, looking at the training rows only."]
    if (read := facts.training["features"]) < kept:
        told.append(f"The model reads {read} of them: what its family can.")
    if resamples := chosen.get("resamples"):
        of = "rows" if resamples.get("of") in (None, "rows") else f"{resamples['groups']} units of “{resamples['of']}”"
        told.append(f"Stability is the share of {resamples['n']} resamples of {of} in which a feature is kept again.")
        shaky = [f for f in features if f["kept"] and f.get("stability") is not None and f["stability"] < STABLE]
        often = level_text(STABLE)
        told.append(
            f"{len(shaky)} of the kept ones {'is' if len(shaky) == 1 else 'are'} kept in fewer than {often} of them."
            if shaky
            else f"Every kept feature is kept again in at least {often} of them."
        )
    return told


def calibration(facts: Facts) -> list[str]:
    """In how many groups the observed share agrees with the predicted one."""
    groups = facts.plots["calibration"]
    if not len(groups):
        return ["Too few rows in every group of predictions to say."]
    judged = groups.filter(pl.col("low").is_not_null())
    if facts.kind.scored == "forecast":
        told = [
            f"{share_text(row['observed'])} ({share_text(row['low'])} to {share_text(row['high'])}) of outcomes lie "
            f"at or below the {level_text(row['predicted'])} quantile"
            for row in groups.drop_nulls(["low", "high"]).iter_rows(named=True)
        ]
        return [f"{'; '.join(told)}." if told else "Too few days to say."]
    what, few = "share" if facts.kind.scored == "probability" else "mean", len(groups) - len(judged)
    off = judged.filter((pl.col("predicted") < pl.col("low")) | (pl.col("predicted") > pl.col("high")))
    told = [
        f"In {len(judged) - len(off)} of {len(judged)} groups of predictions the {facts.level} interval of the "
        f"observed {what} holds the mean prediction."
    ]
    if len(off):
        pairs = [f"{figure(row['predicted'])} predicted, {figure(row['observed'])} observed"
                 for row in off.iter_rows(named=True)]  # fmt: skip
        told.append(f"Where it does not: {'; '.join(pairs)}.")
    if few:
        told.append(f"In {few} more the rows are too few for an interval.")
    return told


def learning(facts: Facts) -> list[str]:
    """Why the loss is lower on rows that the model was not fitted to; nothing where it is not."""
    valid, train = (facts.training[f"{part}_loss"] for part in ("valid", "train"))
    if valid >= train:
        return []
    easy, hard = (facts.guessed[part] for part in ("valid", "train"))
    decimals = decimals_of(train, valid)
    shown = [figure(loss, decimals=decimals) for loss in (valid, train, easy, hard)]
    told = f"The validation loss ({shown[0]}) lies below that of the rows that were learned from ({shown[1]})"
    if not 0 < easy < hard:
        return [f"{told}, and its rows are no easier to guess: see whether they are among the training rows."]
    saved = [1 - loss / guess for loss, guess in ((valid, easy), (train, hard))]
    usual = "less, as it should be" if saved[0] < saved[1] else "more: see whether it knows these rows"
    constant = "mean" if facts.kind.scored == "number" else "shares"
    return [
        f"{told}: the valid part is easier to guess. Answering every row with its part's own {constant} would "
        f"lose {shown[2]} there and {shown[3]} in the train part. Of that the model saves {share_text(saved[0])} there "
        f"and {share_text(saved[1])} in the train part, {usual}."
    ]


def residuals(facts: Facts) -> list[str]:
    """How far single rows lie from their prediction, and whether that depends on it; nothing for classes."""
    groups = facts.plots["residuals"]
    if not len(groups):
        return []
    spreads = groups.with_columns((pl.col("ninetieth") - pl.col("tenth")).alias("spread")).sort("spread")
    ends = [spreads.row(k, named=True) for k in (0, -1)]
    told = [
        f"from {figure(row['tenth'], sign=True)} to {figure(row['ninetieth'], sign=True)} around "
        f"{figure(row['predicted'])}"
        for row in ends
    ]
    if len(groups) == 1:
        return [f"The middle {level_text(0.8)} of the rows lie {told[0]}."]
    return [
        f"The middle {level_text(0.8)} of single rows lie {told[0]}, where they are closest, and {told[1]}, where they "
        "scatter most."
    ]


def segments(facts: Facts) -> list[str]:
    """Which segments stand apart from all rows, and where the model does not beat the baseline."""
    every = list(looked_at(facts.segments))
    if not every:
        return []
    told = []
    for metric in facts.kind.shown:
        apart = {side: [s for s in every if s.figures[metric].apart == side] for side in ("better", "worse")}
        if any(apart.values()):
            sides = [f"{side} in {_listed(found)}" for side, found in apart.items() if found]
            told.append(f"Compared with all rows, {metric_name(metric)} is {', and '.join(sides)}.")
        else:
            told.append(f"No segment has been shown to differ from all rows in {metric_name(metric)}.")
    lead = facts.kind.shown[0]
    beaten = [s for s in every if s.figures[lead].verdict == "worse"]
    ahead = sum(s.figures[lead].verdict == "better" for s in every)
    told.append(
        f"In {ahead} of {len(every)} segments the model beats the baseline on {metric_name(lead)}"
        + (f"; it does worse in {_listed(beaten)}." if beaten else "; in none has it been shown to do worse.")
    )
    if facts.positive is not None:
        told.append(f"Cost depends on how many rows are “{facts.positive}” too, not on the model alone.")
    chance = len(every) * (1 - facts.lead["level"])
    told.append(
        f"These are {len(every)} looks at each metric, every one at {facts.level} and none corrected for the others: "
        f"about {chance:.2g} would stand out by chance if none differed."
    )
    return told


def looked_at(judged: Mapping[str, Sequence[SegmentResult]]) -> Iterator[SegmentResult]:
    """Every segment for which anything could be said."""
    return (s for found in judged.values() for s in found if any(_is_told(f) for f in s.figures.values()))


def _is_told(found: Figure) -> bool:
    return found.low is not None


def _listed(found: Sequence[SegmentResult]) -> str:
    names = [f"{segment.column} {segment.name}" for segment in found[:NAMED]]
    return ", ".join(names) + (f" and {len(found) - NAMED} more" if len(found) > NAMED else "")


def effects(facts: Facts) -> list[str]:
    """What moves the answer most."""
    known = facts.effects
    if not known.every:
        return ["This family of models has no exact share of each feature in a row's score, so none is shown."]
    unit = "log-odds" if facts.kind.scored == "probability" else facts.target_unit or "the target's unit"
    over = " and classes" if facts.by_class else ""
    return [
        f"Mean size of the SHAP values over {count_text(known.rows)} test rows{over}, in {unit}, with intervals that "
        f"resample {count_text(known.units)} units.",
        _strongest(known.every),
    ]


def _strongest(every: Sequence[Effect]) -> str:
    """The feature that moves the answer most, or those of which it is not shown which one does."""
    leading = next((k + 1 for k, effect in enumerate(every) if effect.ahead), len(every))
    first = every[0]
    if leading == 1:
        return (
            f"{first.name} moves the answer most: by {estimate_text(first.value, first.low, first.high)} on "
            f"average, {share_text(first.share)} of what all features do together."
        )
    names = ", ".join(f"{effect.name} ({figure(effect.value)})" for effect in every[: min(leading, NAMED)])
    more = f" and {leading - NAMED} more" if leading > NAMED else ""
    return f"Which feature moves the answer most is not shown; it is one of {names}{more}."


def limits(facts: Facts) -> list[str]:
    """What the figures do not tell."""
    told = cautions(facts.results)
    where = f" from {facts.days[0]} to {facts.days[1]}" if facts.days else ""
    told.insert(0, f"The figures hold for rows like those of the test part{where}, and for nothing else.")
    if unlabelled := facts.clean.get("unlabelled"):
        reasons = ", ".join(f"{reason} {count_text(n)}" for reason, n in unlabelled.items())
        told.append(f"Rows without a label are neither learned from nor judged: {reasons}.")
    if any(column.get("kind") == "categorical" for column in facts.columns.values()):
        seen = f"{count_text(facts.unseen)} of {count_text(facts.parts['test'])} test rows have one"
        told.append(f"A category that training never saw is scored as missing: {seen}.")
    if facts.costs is not None:
        told.append(
            f"The costs of {facts.costs.cost_of_miss:g} and {facts.costs.cost_of_false_alarm:g} are declared, not "
            "measured; with other costs another threshold is best."
        )
    told.append(
        "Effects tell what this fitted model uses.  They are no causes, and features that vary together share them in "
        "a way that another fit may change."
    )
    if facts.clean.get("simulated"):
        told.insert(0, "The rows are simulated.")
    return told
