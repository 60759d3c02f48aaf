"""Cleaning and featurizing `ontime` as SQL over all months, for the peers that speak it: DuckDB and Spark.

Past windows are RANGE windows over events and questions stacked and added up by group and moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import ontime_rules as rules


@dataclass(frozen=True)
class Dialect:
    """Where the two differ."""

    published: str
    """The rows as published, with their ``file`` and their number ``row_in_file``."""
    matches: str
    """Function of a text and a regular expression."""
    period: str
    """Year and month of ``day``, as YYYY-MM."""
    epoch_day: str
    """Days of ``day`` since 1970."""
    day_of_week: str
    """1 Monday … 7 Sunday."""


def clean(dialect: Dialect) -> str:
    """The rows that pass."""
    number = {**rules.NUMBERS, "is_cancelled": rules.CANCELLED, "is_diverted": rules.DIVERTED}
    cast = [
        f"TRY_CAST({rules.DAY} AS DATE) AS day",
        f"TRY_CAST({rules.FLIGHT} AS SMALLINT) AS flight",
        *(f"TRY_CAST({text} AS INT) AS {name}" for name, text in rules.MINUTES.items()),
        *(f"TRY_CAST({text} AS DOUBLE) AS {name}" for name, text in number.items()),
        *(f"{text} AS {name}" for name, text in rules.CODES.items()),
        *(rules.TAIL, *rules.MINUTES.values(), *rules.NUMBERS.values(), "row_in_file"),
        "regexp_extract(file, '([0-9]+)_([0-9]+)[.]parquet$', 1) AS year",
        "lpad(regexp_extract(file, '([0-9]+)_([0-9]+)[.]parquet$', 2), 2, '0') AS month",
    ]
    clocks, is_time = list(rules.MINUTES), "{0} BETWEEN 0 AND 2400 AND {0} % 100 < 60"
    is_tail = f"{dialect.matches}({rules.TAIL}, '{rules.TAIL_PATTERN}')"
    tidy = [
        *("day", "flight", *rules.CODES, *rules.MINUTES.values(), *rules.NUMBERS.values(), "row_in_file"),
        *(f"CASE WHEN {is_time.format(n)} THEN {n} - 40 * CAST(floor({n} / 100) AS INT) END AS {n}" for n in clocks),
        *(f"CASE WHEN {n} = round({n}) THEN TRY_CAST({n} AS INT) END AS {n}" for n in rules.NUMBERS),
        f"CASE is_cancelled * 2 + is_diverted {_cases()} END AS status",
        f"CASE WHEN {is_tail} AND {rules.TAIL} NOT IN ({_texts(rules.NO_TAIL)}) THEN {rules.TAIL} END AS tailnum",
        "concat(year, '-', month) AS period",
    ]  # fmt: skip
    judged = [
        "*",
        f"row_number() OVER (PARTITION BY {', '.join(rules.KEY)} ORDER BY row_in_file) AS copy",
        *(f"((sched_{e}_min + {e}_delay_min - {e}_min) % 1440 + 1440) % 1440 AS {e}_gap" for e in ("dep", "arr")),
        f"CASE WHEN status = 'flown' THEN CAST(arr_delay_min >= {rules.LATE_FROM_MIN} AS INT) END AS late",
    ]
    checks = [
        "copy = 1",
        *(f"(trim({t}) = '') IS NOT FALSE OR {n} IS NOT NULL" for n, t in (rules.MINUTES | rules.NUMBERS).items()),
        *(f"{name} IS NOT NULL" for name in rules.REQUIRED),
        *(f"{dialect.matches}({name}, '{pattern}')" for name, pattern in rules.PATTERNS.items()),
        *(f"({name} BETWEEN {low} AND {high}) IS NOT FALSE" for name, (low, high) in rules.RANGES.items()),
        f"{dialect.period} = period",
        "sched_dep_min > 0 OR sched_arr_min > 0",
        "status != 'flown' OR dep_delay_min + arr_delay_min + sched_elapsed_min IS NOT NULL",
        "status != 'cancelled' OR arr_delay_min IS NULL",
        "(dep_gap = 0 OR (dep_delay_min = 0 AND dep_gap <= 60)) IS NOT FALSE",
        "(arr_gap = 0) IS NOT FALSE",
    ]
    return f"""
        SELECT period, {", ".join(rules.CLEAN)}
        FROM (SELECT {", ".join(judged)}
            FROM (SELECT {", ".join(tidy)}
                FROM (SELECT {", ".join(cast)} FROM {dialect.published}) AS cast_rows) AS tidy) AS judged
        WHERE {" AND ".join(f"({check})" for check in checks)}"""


def flights(dialect: Dialect) -> str:
    """The clean rows with every moment that a window needs."""
    gone, planned = (
        f"floor((gone - {rules.SUNDAY_1AM}) / {rules.WEEK})",
        f"floor((due - {rules.SUNDAY_3AM}) / {rules.WEEK})",
    )
    until_known = f"sched_elapsed_min + greatest(arr_delay_min, dep_delay_min, 0) + {rules.KNOWN_AFTER_MIN}"
    return f"""
        SELECT *, CAST(floor(sched_dep_min / 60) AS INT) AS sched_dep_hour,
            gone + CASE WHEN {gone} > {planned} THEN 60 ELSE 0 END AS left_at,
            d + CAST(floor((sched_dep_min + {until_known}) / 1440) AS INT) AS known,
            d - CASE WHEN origin IN ({_texts(rules.FAR_PACIFIC)}) THEN 1 ELSE 0 END AS asked
        FROM (SELECT *, d * 1440 + sched_dep_min AS due, d * 1440 + sched_dep_min + greatest(dep_delay_min, 0) AS gone
            FROM (SELECT *, {dialect.epoch_day} AS d FROM clean) AS days) AS planned"""


def sums_before(by: Sequence[str], at: str, window: int, when: str, values: dict[str, str], where: str) -> str:
    """Sums of the events' values over the window before, for every group and moment that is asked for."""
    groups = f"PARTITION BY {', '.join(by)}" if by else ""
    return f"""
        (SELECT {", ".join([*by, at])}, {", ".join(f"coalesce(sum({v}) OVER past, 0) AS {v}" for v in values)}
        FROM (SELECT {", ".join([*by, at])}, {", ".join(f"sum({v}) AS {v}" for v in values)}
            FROM (
                SELECT {", ".join([*by, f"{when} AS {at}"])}, {", ".join(f"{e} AS {v}" for v, e in values.items())}
                FROM flights WHERE {where} IS NOT NULL
                UNION ALL SELECT {", ".join([*by, at])}, {", ".join("0" for _ in values)} FROM flights) AS stacked
            GROUP BY ALL) AS added
        WINDOW past AS ({groups} ORDER BY {at} RANGE BETWEEN {window} PRECEDING AND 1 PRECEDING))"""


def features(dialect: Dialect, train_until: object, valid_until: object) -> str:
    """Every feature of every flight."""
    found, joins = [], []
    outcome, delay = {"n": "1", "k": "late"}, "greatest(least(dep_delay_min, 300), -30)"
    departure = {"n": "1", "delay": delay, "behind": "CASE WHEN dep_delay_min >= 15 THEN 1 ELSE 0 END"}
    for name, (by, days) in {"1d": ([], 1), "7d": ([], 7), **rules.PAST}.items():
        sums = sums_before(by, "asked", days, "known", outcome, "late")
        joins.append(f"LEFT JOIN {sums} AS past_{name} USING ({', '.join([*by, 'asked'])})")
        share = (
            f"(past_{name}.k + {rules.WEIGHT} * past_7d.k / nullif(past_7d.n, 0)) / (past_{name}.n + {rules.WEIGHT})"
        )
        found.append(
            f"{share} AS {name}_late_share_{days}d"
            if by
            else f"past_{name}.k / nullif(past_{name}.n, 0) AS all_late_share_{name}"
        )
    for name, columns in rules.RECENT.items():
        sums = sums_before(["period", *columns], "due", rules.RECENT_MIN, "left_at", departure, "dep_delay_min")
        joins.append(f"LEFT JOIN {sums} AS recent_{name} USING ({', '.join(['period', *columns, 'due'])})")
        for value, word in {"delay": "mean_delay", "behind": "behind_share"}.items():
            found.append(f"recent_{name}.{value} / nullif(recent_{name}.n, 0) AS {name}_{word}_3h")
    found.append("distance_mi * CAST(60 AS DOUBLE) / sched_elapsed_min AS sched_speed_mph")
    narrow = [f"CAST({value.rpartition(' AS ')[0]} AS FLOAT) AS {value.rpartition(' AS ')[2]}" for value in found]
    return f"""
        SELECT period, {", ".join([*rules.SCHEDULE, *narrow])},
            month(day) AS month, {dialect.day_of_week} AS day_of_week,
            CASE WHEN day <= DATE '{train_until}' THEN 'train' WHEN day <= DATE '{valid_until}' THEN 'valid'
                ELSE 'test' END AS part
        FROM flights {" ".join(joins)}"""


def _texts(values: Sequence[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def _cases() -> str:
    return " ".join(f"WHEN {code} THEN '{status}'" for code, status in rules.STATUSES.items())
