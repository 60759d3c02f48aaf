"""The published indexes of a Debian release: what each package is called and filed under, and what it says of itself.

``Packages`` and ``Translation-en`` are paragraphs of ``Field: value``, apart by a blank line; a value goes on in lines
that begin with a space, and a line of a single dot stands for a blank one (Debian Policy 5.1).  They are joined by the
md5 of the description, as apt does.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import polars as pl

RELEASES = ("bookworm", "trixie")  # in the order in which they came out
TOPICS = (
    "admin", "database", "editors", "electronics", "fonts", "games", "graphics", "hamradio", "mail", "math", "net",
    "science", "sound", "vcs", "video", "web",
)  # fmt: skip
"""Sections that say what software is about; the others say of what kind it is: a library, documentation, Python."""
SHELVES = {"0-f": r"[0-9a-f]", "g-l": r"[g-l]", "m-r": r"[m-r]", "s-z": r"[s-z]"}
"""First letters of a source, which cut a release in partitions of about equal size."""
COLUMNS = ("release", "package", "source", "section", "description")
NUMBERS = r"[-.]?[0-9][0-9.]*"
"""What tells a source from its older sister: python3.11, llvm-toolchain-14."""
FIELDS = re.compile(rb"^(Package|Source|Section|Description-md5): *([^\n]*)", re.MULTILINE)
TRANSLATED = re.compile(rb"^Description-md5: *([0-9a-f]{32})\nDescription-en: *(.*)", re.MULTILINE | re.DOTALL)


def shelves(_raw: Path) -> list[str]:
    """A few partitions for each release."""
    return [f"{release}-{shelf}" for release in RELEASES for shelf in SHELVES]


SHELF = pl.coalesce(
    *(pl.when(pl.col("source").str.contains(f"^(?i:{first})")).then(pl.lit(shelf)) for shelf, first in SHELVES.items()),
    pl.lit("s-z"),
)
PARTITION_OF = pl.when(pl.col("release").is_in(RELEASES)).then(pl.col("release") + "-" + SHELF)


def files_of(_raw: Path, partition: str) -> list[str]:
    """The indexes of the release, and of an earlier one that it is told apart from."""
    release = partition.partition("-")[0]
    earlier = RELEASES[: RELEASES.index(release)]
    return [*(f"{other}-Packages" for other in earlier), f"{release}-Packages", f"{release}-Translation-en"]


def read(raw: Path, partition: str) -> pl.DataFrame:
    """The documents of one shelf as published; of a later release those whose source is new, under any number.

    A document is what the first package of its source in a topical section says: its sisters say nearly the same.
    """
    release, _, shelf = partition.partition("-")
    packages = _indexed(*_changed(raw / f"{release}-Packages")).filter(SHELF.eq(shelf), pl.col("section").is_in(TOPICS))
    project = pl.col("source").str.replace_all(NUMBERS, "")
    for other in RELEASES[: RELEASES.index(release)]:
        known = _indexed(*_changed(raw / f"{other}-Packages")).select(project.unique())["source"]
        packages = packages.filter(~project.is_in(known.implode()))
    packages = packages.unique(["source", "section"], keep="first", maintain_order=True)
    texts = _translated(*_changed(raw / f"{release}-Translation-en"))
    joined = packages.join(texts, on="md5", how="left", maintain_order="left")
    return joined.select(pl.lit(release).alias("release"), *COLUMNS[1:])


def _changed(path: Path) -> tuple[Path, int]:
    return path, path.stat().st_mtime_ns


@lru_cache(maxsize=2)
def _indexed(path: Path, _changed_ns: int) -> pl.DataFrame:
    """Package, source, section and md5 of every paragraph."""
    rows = []
    for paragraph in path.read_bytes().split(b"\n\n"):
        found: dict[bytes, bytes] = dict(FIELDS.findall(paragraph))
        if found:
            package = found.get(b"Package", b"")
            source = found.get(b"Source", package).split(b" ")[0]  # a version may follow in brackets
            rows.append((package, source, found.get(b"Section"), found.get(b"Description-md5")))
    if not rows:
        raise ValueError(f"wanted paragraphs with Package: in {path.name}; found none")
    decoded = [[None if value is None else value.decode(errors="replace") for value in row] for row in rows]
    return pl.DataFrame(decoded, dict.fromkeys(("package", "source", "section", "md5"), pl.String), orient="row")


@lru_cache(maxsize=2)
def _translated(path: Path, _changed_ns: int) -> pl.DataFrame:
    """Each description once, by its md5."""
    found = (TRANSLATED.search(paragraph) for paragraph in path.read_bytes().split(b"\n\n"))
    rows = [(match[1].decode(), match[2].decode(errors="replace")) for match in found if match]
    if not rows:
        raise ValueError(f"wanted paragraphs with Description-en: in {path.name}; found none")
    frame = pl.DataFrame(rows, dict.fromkeys(("md5", "description"), pl.String), orient="row")
    return frame.unique("md5", keep="first", maintain_order=True)
