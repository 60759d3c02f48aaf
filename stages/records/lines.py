"""How does delimited text become rows?  Every line is one; a line with another number of fields keeps only its text.

Text is counted and parsed in small blocks, so only the needed columns are ever held.  Names of columns count, not their
places; blank lines are no rows, but where a row has a single field.  A line break ends a line within quotes as well.

What is wrong with a file whose header lacks what is wanted?  Most often not the names: see `lacking_words`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np
import polars as pl

LINE = "(line)"
"""The column for the text of a line that does not have the wanted number of fields; null for any other."""
BLOCK_BYTES = 4 << 20  # measured: from 4 MiB on the parser costs no less, and a block's memory is reused by the next
NO_LINE_ENDS_SO_FAR = 64 << 20
Count = Callable[[bytes], tuple[int, int]]
"""Of a block: its lines, and the separators that part fields."""
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class Format:
    """How fields are set: ``separator`` between them; without ``quotes`` a quote is a letter like any other."""

    separator: str = ","
    quotes: bool = True

    def fields(self, line: str) -> list[str]:
        """The fields of one line; none where its quotes do not match."""
        if not self.quotes:
            return line.split(self.separator)
        try:
            return next(csv.reader([line], delimiter=self.separator, strict=True), [])
        except csv.Error:
            return []

    def count(self, block: bytes) -> tuple[int, int]:
        """Lines, and separators outside of quotes."""
        text = np.frombuffer(block, np.uint8)
        parts = text == ord(self.separator)
        if self.quotes and b'"' in block:
            parts &= ~np.logical_xor.accumulate(text == ord('"'))
        ends = int(np.count_nonzero(text == ord("\n")))
        return ends + (len(text) > 0 and text[-1] != ord("\n")), int(np.count_nonzero(parts))


PLAIN = Format()


def read_lines(
    file: IO[bytes],
    columns: Sequence[str] | None = None,
    *,
    names: Sequence[str] | None = None,
    form: Format = PLAIN,
    called: Mapping[str, str] | None = None,
    count: Count | None = None,
) -> pl.DataFrame:
    """``columns`` (all by default) and `LINE` of every line, as text, in order; bytes that are no UTF-8 become U+FFFD.

    Parameters
    ----------
    names
        Of the fields, where the file has no header.
    called
        Names of a header that are known by others: there → here.
    count
        A cheaper way than `Format.count`, for a publisher who is known.

    Raises
    ------
    ValueError
        Where there is no line, a name stands twice in the header, or one of ``columns`` is lacking, with the cause.
    """
    if names is None:
        head = next((line for line in iter(lambda: file.readline(1 << 16), b"") if line.strip()), None)
        if head is None:
            raise ValueError("an empty file: no line with names of columns")
        fields = form.fields(head.decode("utf-8-sig", errors="replace").rstrip("\r\n"))
        names = [(called or {}).get(name.strip(), name.strip()) for name in fields]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"columns that stand twice in the header: {', '.join(twice)}")
    wanted = list(names) if columns is None else list(columns)
    if lacking := lacking_words(names, wanted):
        raise ValueError(lacking)
    places = [names.index(name) for name in wanted]
    blocks = [_parse_block(block, len(names), places, wanted, form, count or form.count) for block in _blocks(file)]
    empty = pl.DataFrame(schema=dict.fromkeys((*wanted, LINE), pl.String))
    return pl.concat(blocks or [empty], rechunk=False)


def read_records(file: IO[bytes], *, form: Format = PLAIN) -> pl.DataFrame:
    """Every column and `LINE`, as `read_lines` has them, of fields that may hold line breaks within quotes.

    Slower by far, and a quote that nobody closes swallows what follows: for texts, which have paragraphs.
    """
    csv.field_size_limit(NO_LINE_ENDS_SO_FAR)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")
    records = csv.reader(text, delimiter=form.separator, quoting=csv.QUOTE_MINIMAL if form.quotes else csv.QUOTE_NONE)
    try:
        names = [name.strip() for name in next((record for record in records if any(record)), [])]
        rows = [
            (*record, None) if len(record) == len(names) else (*(None for _ in names), form.separator.join(record))
            for record in records
            if record
        ]
    except csv.Error as error:
        raise ValueError(f"line {records.line_num}: {error}") from error
    if not names:
        raise ValueError("an empty file: no line with names of columns")
    if len(set(names)) < len(names):
        raise ValueError(f"a header that names a column twice: {', '.join(names)}")
    return pl.DataFrame(rows, schema=dict.fromkeys((*names, LINE), pl.String), orient="row")


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Pieces of about `BLOCK_BYTES` that end where a line ends."""
    rest = b""
    while piece := file.read(BLOCK_BYTES):
        cut = piece.rfind(b"\n") + 1
        if cut:
            yield rest + piece[:cut]
            rest = piece[cut:]
        else:
            rest += piece
        if len(rest) > NO_LINE_ENDS_SO_FAR:
            raise ValueError("wanted lines of text; found none that ends")
    if rest:
        yield rest


def _parse_block(
    block: bytes, n_fields: int, places: Sequence[int], columns: Sequence[str], form: Format, count: Count
) -> pl.DataFrame:
    """One row per line.  Where the parser and a plain count disagree, each line is read on its own.

    The parser fills short lines up without a word, and refuses long ones where all fields are wanted: a right sum then
    leaves room for neither.  Where some are wanted it cuts long lines off, and a short and a long one may make up for
    each other within a block.
    """
    lines, separators = count(block)
    if separators == lines * (n_fields - 1):
        try:
            rows = pl.read_csv(
                block,
                has_header=False,
                schema={f"column_{place + 1}": pl.String for place in range(n_fields)},
                columns=sorted(places) if len(places) < n_fields else None,
                separator=form.separator,
                quote_char='"' if form.quotes else None,
                empty_string_is_null=False,
                encoding="utf8-lossy",
            )
        except pl.exceptions.PolarsError:  # a stray quote
            return _parse_lines(block, n_fields, places, columns, form)
        if len(rows) == lines:
            rows.columns = [columns[places.index(place)] for place in sorted(places)]
            return rows.select(*columns, pl.lit(None, pl.String).alias(LINE))
    return _parse_lines(block, n_fields, places, columns, form)


def _parse_lines(
    block: bytes, n_fields: int, places: Sequence[int], columns: Sequence[str], form: Format
) -> pl.DataFrame:
    """One row per line that holds anything; one with another number of fields keeps only its text, in `LINE`."""
    rows: list[tuple[str | None, ...]] = []
    for line in block.removesuffix(b"\n").split(b"\n"):
        text = line.decode(errors="replace").rstrip("\r")
        if not text.strip() and n_fields > 1:
            continue
        fields = form.fields(text) if text else [""]
        if len(fields) == n_fields:
            rows.append((*(fields[place] for place in places), None))
        else:
            rows.append((*(None for _ in places), text))
    return pl.DataFrame(rows, schema=dict.fromkeys((*columns, LINE), pl.String), orient="row")


# ── what a header tells ──────────────────────────────────────────────────────────────────────────────────────────────
def lacking_words(found: Sequence[str], wanted: Sequence[str]) -> str:
    """Which ``wanted`` columns are not among those ``found``, and the likely cause; empty when none is lacking."""
    lacking = [name for name in wanted if name not in found]
    if not lacking:
        return ""
    cause = likely_cause(found, wanted)
    return f"no column {', '.join(lacking)} among {', '.join(found[:30])}" + (f": {cause}" if cause else "")


def likely_cause(found: Sequence[str], wanted: Sequence[str]) -> str:
    """Why a header may lack columns, and the command that mends it; empty where nothing tells."""
    head = ",".join(found)
    if "\0" in head or head.startswith(("\ufffd\ufffd", "\xff\xfe", "\xfe\xff")):
        return "the file is UTF-16, not UTF-8: `iconv -f UTF-16 -t UTF-8 OLD > NEW` converts it"
    if head.lower().replace('"', "").startswith("sep="):
        return "the first line is a spreadsheet's note, not the header: `sed 1d OLD > NEW` takes it away"
    names = {_bare(name): name for name in found}
    asked = {_bare(name) for name in wanted}
    for separator, word in SEPARATORS.items():
        if len(asked & {_bare(name) for name in head.split(separator)}) > len(asked & set(names)):
            convert = f"csv.writer(sys.stdout).writerows(csv.reader(sys.stdin, delimiter={separator!r}))"
            return f'fields are parted by {word}: `python -c "import csv, sys; {convert}" < OLD > NEW` writes commas'
    alike = [f"{names[_bare(name)]} for {name}" for name in wanted if name not in found and _bare(name) in names]
    return f"names count to the letter, and the header has {', '.join(alike)}" if alike else ""


def _bare(name: str) -> str:
    """A name without what people add to one: capitals, quotes, spaces."""
    return name.strip(' "\ufeff').casefold()
