"""Which files make up a monthly series?  Months and a pattern in, one month and one location per file out; pure."""

import re
import string
from collections.abc import Sequence

MONTH = re.compile(r"([0-9]{4})-([0-9]{2})")
FIELDS = ("year", "month")
PADDING = re.compile(r"(0?[1-9]d?)?")  # of a placeholder: {month:02d}


def expand_months(months: str | Sequence[str]) -> list[str]:
    """Every month ``YYYY-MM`` that is asked for, in order of time.

    ``months`` is one month, one range such as ``1987-10..2026-06`` (both ends belong to it), or a list of them.  A
    month that is asked for twice is an error: one of the two was meant to be another.

    Raises
    ------
    ValueError
        With a text for the user.
    """
    asked = [months] if isinstance(months, str) else list(months)
    if not asked:
        raise ValueError("at least one month, such as 2008-01 or 2004-01..2008-12")
    named_by: dict[int, str] = {}
    for text in asked:
        for month in _expand(text):
            if month in named_by:
                twice = f"in {named_by[month]!r} and in {text!r}" if named_by[month] != text else f"as {text!r}"
                raise ValueError(f"{_name(month)} is asked for twice, {twice}")
            named_by[month] = text
    return [_name(month) for month in sorted(named_by)]


def month_ranges(months: Sequence[str]) -> list[str]:
    """The shortest list of months and ranges that stands for ``months``: the inverse of `expand_months`."""
    ranges: list[list[int]] = []
    for month in sorted(_number(name) for name in months):
        if ranges and month == ranges[-1][1] + 1:
            ranges[-1][1] = month
        else:
            ranges.append([month, month])
    return [_name(first) if first == last else f"{_name(first)}..{_name(last)}" for first, last in ranges]


def check_pattern(pattern: str) -> None:
    """Refuse a pattern with another placeholder than ``{year}`` and ``{month}``, or without either.

    Raises
    ------
    ValueError
        With a text for the user.
    """
    try:
        fields = [part[1:] for part in string.Formatter().parse(pattern) if part[1] is not None]
    except ValueError as error:
        raise ValueError(f"braces only around {{year}} and {{month}}: {error}") from None
    for name, padding, conversion in fields:
        if name not in FIELDS or conversion or not PADDING.fullmatch(padding or ""):
            told = f"{{{name}{'!' + conversion if conversion else ''}{':' + padding if padding else ''}}}"
            raise ValueError(f"no placeholder but {{year}} and {{month}} (or {{month:02d}}), found {told}")
    if missing := [f"{{{field}}}" for field in FIELDS if field not in {name for name, *_ in fields}]:
        raise ValueError(f"a pattern with {' and '.join(missing)}, or all months are one file")


def fill_pattern(pattern: str, month: str) -> str:
    """The pattern for one month ``YYYY-MM``; ``{month}`` has no leading zero, ``{month:02d}`` has."""
    year, _, number = month.partition("-")
    return pattern.format(year=int(year), month=int(number))


def _expand(text: str) -> range:
    first, dots, last = text.partition("..")
    start, end = _number(first), _number(last if dots else first)
    if end < start:
        raise ValueError(f"{text!r} runs backwards: the earlier month comes first, {last}..{first}")
    return range(start, end + 1)


def _number(name: str) -> int:
    match = MONTH.fullmatch(name)
    if not match:
        raise ValueError(f"months are written 2008-01 and ranges 2004-01..2008-12, found {name!r}")
    if not 1 <= int(match[2]) <= 12:
        raise ValueError(f"a year has the months 01 to 12, found {name!r}")
    return int(match[1]) * 12 + int(match[2]) - 1


def _name(number: int) -> str:
    return f"{number // 12:04d}-{number % 12 + 1:02d}"
