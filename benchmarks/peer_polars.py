"""Clean and featurize `ontime` with Polars: lazy queries over all months, scan to sink, run by the streaming engine.

With ``--by-month`` the same expressions run month after month, each beside the cleaned month before it: what a user may
write who knows that no feature looks back any further.

    python -m benchmarks.peer_polars RAW OUT TRAIN_UNTIL VALID_UNTIL [--by-month]
"""

from datetime import date
from pathlib import Path

import polars as pl

from benchmarks import ontime_rules as rules

DELAY, ONE = pl.col("dep_delay_min"), pl.lit(1, pl.Int32)


def parse(published: pl.LazyFrame) -> pl.LazyFrame:
    clock = {name: pl.col(text).cast(pl.Int16, strict=False) for name, text in rules.MINUTES.items()}
    number = {name: pl.col(text).cast(pl.Float64, strict=False) for name, text in rules.NUMBERS.items()}
    cancelled, diverted = (pl.col(name).cast(pl.Float64, strict=False) for name in (rules.CANCELLED, rules.DIVERTED))
    is_time = {name: (value >= 0) & (value <= 2400) & (value % 100 < 60) for name, value in clock.items()}
    is_tail = pl.col(rules.TAIL).str.contains(rules.TAIL_PATTERN) & ~pl.col(rules.TAIL).is_in(rules.NO_TAIL)
    return published.with_columns(
        pl.col(rules.DAY).str.to_date("%Y-%m-%d", strict=False).alias("day"),
        pl.col(rules.FLIGHT).cast(pl.Int16, strict=False).alias("flight"),
        *(pl.when(is_time[name]).then(c // 100 * 60 + c % 100).alias(name) for name, c in clock.items()),
        *(pl.when(v == v.round()).then(v).cast(pl.Int16, strict=False).alias(name) for name, v in number.items()),
        (cancelled * 2 + diverted).replace_strict(rules.STATUSES, default=None).alias("status"),
        tailnum=pl.when(is_tail).then(rules.TAIL),
        **rules.CODES,
    )


def clean(path: Path, period: str) -> pl.LazyFrame:
    arr_delay, flown = pl.col("arr_delay_min"), pl.col("status") == "flown"
    dep_gap = (pl.col("sched_dep_min") + DELAY - pl.col("dep_min")) % 1440
    arr_gap = (pl.col("sched_arr_min") + arr_delay - pl.col("arr_min")) % 1440
    parsed = rules.MINUTES | rules.NUMBERS
    checks = [
        *((pl.col(text).str.strip_chars() == "") | pl.col(name).is_not_null() for name, text in parsed.items()),
        *(pl.col(name).str.contains(pattern) for name, pattern in rules.PATTERNS.items()),
        *(pl.col(name).is_between(low, high) for name, (low, high) in rules.RANGES.items()),
        pl.col("day").dt.strftime("%Y-%m") == period,
        (pl.col("sched_dep_min") > 0) | (pl.col("sched_arr_min") > 0),
        ~flown | pl.all_horizontal(pl.col("dep_delay_min", "arr_delay_min", "sched_elapsed_min").is_not_null()),
        (pl.col("status") != "cancelled") | arr_delay.is_null(),
        (dep_gap == 0) | ((DELAY == 0) & (dep_gap <= 60)),
        arr_gap == 0,
    ]
    good = pl.struct(rules.KEY).is_first_distinct() & pl.all_horizontal(pl.col(rules.REQUIRED).is_not_null())
    flights = parse(pl.scan_parquet(path)).filter(good, *(check.fill_null(True) for check in checks))
    late = pl.when(flown).then(arr_delay >= rules.LATE_FROM_MIN).cast(pl.UInt8)
    return flights.with_columns(late=late, period=pl.lit(period)).select("period", *rules.CLEAN)


def with_moments(flights: pl.LazyFrame) -> pl.LazyFrame:
    day = pl.col("day").cast(pl.Int32)
    at = day * 1440 + pl.col("sched_dep_min")
    left = at + DELAY.clip(0)
    changed = (left - rules.SUNDAY_1AM) // rules.WEEK > (at - rules.SUNDAY_3AM) // rules.WEEK
    until_known = pl.col("sched_elapsed_min") + pl.max_horizontal("arr_delay_min", DELAY, 0) + rules.KNOWN_AFTER_MIN
    return flights.with_columns(
        pl.col("carrier", "origin", "dest").cast(pl.Categorical),
        at=at,
        left=left + 60 * changed,
        sched_dep_hour=pl.col("sched_dep_min") // 60,
        known=day + (pl.col("sched_dep_min") + until_known) // 1440,
        asked=day - pl.col("origin").is_in(rules.FAR_PACIFIC),
        month=pl.col("day").dt.year().cast(pl.Int32) * 12 + pl.col("day").dt.month(),
    )


def sums_before(asked: pl.LazyFrame, events: pl.LazyFrame, by: list[str], at: str, window: int) -> pl.LazyFrame:
    """Sums of the events' values over the ``window`` before each moment that is asked for, within its group."""
    values = [name for name in events.collect_schema() if name not in (*by, at)]
    nothing = asked.select(*by, at).with_columns(pl.lit(0, pl.Int32).alias(name) for name in values)
    stacked = pl.concat([events, nothing], how="diagonal_relaxed").group_by(*by, at).agg(pl.col(values).sum())
    sums = pl.col(values).rolling_sum_by(at, f"{window}i", closed="left")
    return stacked.sort(*by, at).with_columns(sums.over(by) if by else sums)


def featurize(flights: pl.LazyFrame, outcomes: pl.LazyFrame, train_until: date, valid_until: date) -> pl.LazyFrame:
    flights, n, k = with_moments(flights), pl.col("n"), pl.col("k")
    known = (
        with_moments(outcomes).drop_nulls("late").with_columns(asked="known", n=ONE, k=pl.col("late").cast(pl.Int32))
    )
    found = flights
    for days in (1, 7):
        sums = sums_before(flights, known.select("asked", "n", "k"), [], "asked", days)
        share = pl.when(n > 0).then(k / n).alias(f"all_late_share_{days}d")
        found = found.join(sums.select("asked", share), on="asked", how="left")
    for name, (by, days) in rules.PAST.items():
        share = (k + rules.WEIGHT * pl.col("all_late_share_7d")) / (n + rules.WEIGHT)
        sums = sums_before(flights, known.select(*by, "asked", "n", "k"), by, "asked", days)
        found = found.join(sums, on=[*by, "asked"], how="left")
        found = found.with_columns(share.cast(pl.Float32).alias(f"{name}_late_share_{days}d")).drop("n", "k")
    late = {"mean_delay": DELAY.clip(-30, 300).cast(pl.Int32), "behind_share": (DELAY >= 15).cast(pl.Int32)}
    left = flights.drop_nulls("dep_delay_min").with_columns(at="left", n=ONE, **late)
    for name, columns in rules.RECENT.items():
        by = ["month", *columns, "at"]
        sums = sums_before(flights, left.select(*by, "n", *late), by[:-1], "at", rules.RECENT_MIN)
        means = (pl.when(n > 0).then(pl.col(v) / n).cast(pl.Float32).alias(f"{name}_{v}_3h") for v in late)
        found = found.join(sums.select(*by, *means), on=by, how="left")
    day = pl.col("day")
    part = pl.when(day <= train_until).then(pl.lit("train")).when(day <= valid_until).then(pl.lit("valid"))
    return found.select(
        *("period", *rules.SCHEDULE),
        pl.col("^.*_(late|behind)_share_.*$", "^.*_mean_delay_3h$").cast(pl.Float32),
        (pl.col("distance_mi") * 60.0 / pl.col("sched_elapsed_min")).cast(pl.Float32).alias("sched_speed_mph"),
        part.otherwise(pl.lit("test")).alias("part"),
        day.dt.month().alias("month"),
        day.dt.weekday().alias("day_of_week"),
    )


def main() -> None:
    options = rules.arguments("--by-month")
    months, ends = rules.months_in(options.raw), (options.train_until, options.valid_until)

    def sink(rows: pl.LazyFrame, folder: str) -> None:
        rows.sink_parquet(pl.PartitionBy(options.out / folder, key="period"), compression="zstd", mkdir=True)

    def read(period: str) -> pl.LazyFrame:
        return pl.scan_parquet(options.out / "clean" / f"period={period}" / "*.parquet", hive_partitioning=True)

    if not options.by_month:
        sink(pl.concat([clean(path, period) for period, path in months.items()]), "clean")
        return sink(featurize(read("*"), read("*"), *ends), "features")
    before = ""
    for period, path in months.items():
        sink(clean(path, period), "clean")
        outcomes = pl.concat([read(month) for month in (before, period) if month])
        sink(featurize(read(period), outcomes, *ends), "features")
        before = period


if __name__ == "__main__":
    main()
