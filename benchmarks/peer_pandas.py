"""Clean and featurize `ontime` with pandas and NumPy, month by month: all months at once would not fit in memory.

Texts are read as categories, so that each distinct text is parsed once; past windows are found by binary search among
sorted keys of (group, moment).  One pass: of the month before, only the outcomes are kept.

    python -m benchmarks.peer_pandas RAW OUT TRAIN_UNTIL VALID_UNTIL
"""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import union_categoricals

from benchmarks import ontime_rules as rules

APART = 1 << 32  # farther than any two moments
OUTCOME = ["carrier", "origin", "dest", "sched_dep_hour", "known", "late"]


def parse(path: Path) -> tuple[pd.DataFrame, pd.Series]:
    """Tidy columns, and whether a text was present that did not parse."""
    published = pd.read_parquet(path, columns=rules.PUBLISHED, read_dictionary=rules.PUBLISHED)

    def numbers(text: str) -> pd.Series:
        values = pd.to_numeric(pd.Series(published[text].cat.categories), errors="coerce")
        values = values.where(values == values.round()).to_numpy(dtype="float64")
        return pd.Series(np.append(values, np.nan)[published[text].cat.codes])  # code -1, no text: the last one

    tidy = {name: numbers(text) for name, text in rules.NUMBERS.items()} | {"flight": numbers(rules.FLIGHT)}
    for name, text in rules.MINUTES.items():
        clock = numbers(text)
        is_time = (clock >= 0) & (clock <= 2400) & (clock % 100 < 60)
        tidy[name] = (clock // 100 * 60 + clock % 100).where(is_time)
    parsed = rules.MINUTES | rules.NUMBERS
    lost = pd.concat([published[t].notna() & (published[t] != "") & tidy[n].isna() for n, t in parsed.items()], axis=1)
    tidy |= {name: published[text] for name, text in rules.CODES.items()}
    days = published[rules.DAY]
    tidy["day"] = days.map(pd.Series(pd.to_datetime(days.cat.categories, errors="coerce"), index=days.cat.categories))
    tidy["day"] = tidy["day"].astype("datetime64[s]")
    tails = pd.Series(published[rules.TAIL].cat.categories.astype("str"))
    bad = tails[~tails.str.match(rules.TAIL_PATTERN) | tails.isin(rules.NO_TAIL)]
    tidy["tailnum"] = published[rules.TAIL].cat.remove_categories(bad)
    tidy["status"] = (numbers(rules.CANCELLED) * 2 + numbers(rules.DIVERTED)).map(rules.STATUSES)
    return pd.DataFrame(tidy), lost.any(axis=1)


def clean(path: Path, period: str) -> pd.DataFrame:
    flights, lost = parse(path)
    dep_delay, arr_delay, flown = flights["dep_delay_min"], flights["arr_delay_min"], flights["status"] == "flown"
    dep_gap = (flights["sched_dep_min"] + dep_delay - flights["dep_min"]) % 1440
    arr_gap = (flights["sched_arr_min"] + arr_delay - flights["arr_min"]) % 1440
    first, last = pd.Period(period).start_time, pd.Period(period).end_time
    good = ~lost & ~flights.duplicated(rules.KEY) & flights[rules.REQUIRED].notna().all(axis=1)
    good &= flights["day"].between(first, last) & ((flights["sched_dep_min"] > 0) | (flights["sched_arr_min"] > 0))
    good &= ~flown | flights[["dep_delay_min", "arr_delay_min", "sched_elapsed_min"]].notna().all(axis=1)
    good &= (flights["status"] != "cancelled") | arr_delay.isna()
    good &= dep_gap.isna() | (dep_gap == 0) | ((dep_delay == 0) & (dep_gap <= 60))
    good &= arr_gap.isna() | (arr_gap == 0)
    for name, pattern in rules.PATTERNS.items():
        codes = pd.Series(flights[name].cat.categories.astype("str"))
        good &= ~flights[name].isin(codes[~codes.str.match(pattern)])
    for name, ends in rules.RANGES.items():
        good &= flights[name].between(*ends) | flights[name].isna()
    flights["late"] = (arr_delay >= rules.LATE_FROM_MIN).astype("float").where(flown)
    whole = dict.fromkeys(("flight", *rules.MINUTES, *rules.NUMBERS), "Int16") | {"late": "UInt8"}
    return flights.loc[good, rules.CLEAN].astype(whole).reset_index(drop=True)


def with_moments(flights: pd.DataFrame) -> pd.DataFrame:
    day = flights["day"].to_numpy().astype("datetime64[D]").astype("int64")
    sched, delay = flights["sched_dep_min"].to_numpy("int64"), flights["dep_delay_min"].to_numpy("int64", na_value=0)
    longest = np.maximum(delay, flights["arr_delay_min"].to_numpy("int64", na_value=0)).clip(0)
    elapsed = flights["sched_elapsed_min"].to_numpy("int64", na_value=0)
    at = day * 1440 + sched
    left = at + delay.clip(0)
    changed = (left - rules.SUNDAY_1AM) // rules.WEEK > (at - rules.SUNDAY_3AM) // rules.WEEK
    known = day + (sched + elapsed + longest + rules.KNOWN_AFTER_MIN) // 1440
    asked = day - flights["origin"].isin(rules.FAR_PACIFIC).to_numpy()
    moments = {"at": at, "left": left + 60 * changed, "known": known, "asked": asked, "sched_dep_hour": sched // 60}
    return flights.assign(**moments)


def sums_before(
    events: pd.DataFrame, asked: pd.DataFrame, by: list[str], moments: tuple[str, str], window: int, *values: NDArray
) -> list[NDArray]:
    """How many events of the same group the window before holds, and the sums of their values."""
    group = np.zeros(len(events) + len(asked), dtype="int64")
    if by:
        both = pd.concat([events[by], asked[by]], ignore_index=True)
        group = both.groupby(by, sort=False, observed=True).ngroup().to_numpy() * APART
    keys = group[: len(events)] + events[moments[0]].to_numpy()
    order = np.argsort(keys)
    now = group[len(events) :] + asked[moments[1]].to_numpy()
    first, last = np.searchsorted(keys[order], now - window), np.searchsorted(keys[order], now)
    running = [np.concatenate([[0], np.cumsum(value[order])]) for value in values]
    return [last - first, *(sums[last] - sums[first] for sums in running)]


def featurize(flights: pd.DataFrame, outcomes: pd.DataFrame, train_until: date, valid_until: date) -> pd.DataFrame:
    late = outcomes["late"].to_numpy("int64")
    found = flights[rules.SCHEDULE].copy()
    for days in (1, 7):
        n, k = sums_before(outcomes, flights, [], ("known", "asked"), days, late)
        found[f"all_late_share_{days}d"] = prior = np.divide(k, n, out=np.full(len(n), np.nan), where=n > 0)
    for name, (by, days) in rules.PAST.items():
        n, k = sums_before(outcomes, flights, by, ("known", "asked"), days, late)
        found[f"{name}_late_share_{days}d"] = (k + rules.WEIGHT * prior) / (n + rules.WEIGHT)
    left = flights[flights["dep_delay_min"].notna()]
    delay = left["dep_delay_min"].to_numpy("int64")
    for name, by in rules.RECENT.items():
        window = (("left", "at"), rules.RECENT_MIN)
        n, d, b = sums_before(left, flights, by, *window, delay.clip(-30, 300), (delay >= 15).astype("int64"))
        n = np.where(n > 0, n, np.nan)
        found[f"{name}_mean_delay_3h"], found[f"{name}_behind_share_3h"] = d / n, b / n
    found["sched_speed_mph"] = found["distance_mi"].astype("float64") * 60 / found["sched_elapsed_min"]
    found = found.astype({name: "float32" for name in found if "share" in name or name[-3:] in ("_3h", "mph")})
    day = flights["day"]
    part = np.select([day <= pd.Timestamp(train_until), day <= pd.Timestamp(valid_until)], ["train", "valid"], "test")
    return found.assign(month=day.dt.month, day_of_week=day.dt.day_of_week + 1, part=part)


def share_categories(frames: list[pd.DataFrame]) -> None:
    """Categories of different months cannot be stacked."""
    for name in rules.CODES:
        every = union_categoricals([frame[name] for frame in frames]).categories
        for frame in frames:
            frame[name] = frame[name].cat.set_categories(every)


def write(rows: pd.DataFrame, folder: Path) -> None:
    folder.mkdir(parents=True)
    rows.to_parquet(folder / "0.parquet", compression="zstd", index=False)


def main() -> None:
    options = rules.arguments()
    before = None
    for period, path in rules.months_in(options.raw).items():
        flights = clean(path, period)
        write(flights, options.out / "clean" / f"period={period}")
        flights = with_moments(flights)
        outcomes = flights.loc[flights["late"].notna(), OUTCOME]
        known = [outcomes] if before is None else [before, outcomes]
        share_categories([flights, *known])
        features = featurize(flights, pd.concat(known), options.train_until, options.valid_until)
        write(features, options.out / "features" / f"period={period}")
        before = outcomes


if __name__ == "__main__":
    main()
