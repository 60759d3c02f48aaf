"""Is this the file that was asked for?  Size, checksum, and what the bytes themselves betray.

Publishers answer with an HTML page where a zip was asked for, and connections end early without saying so.
"""

import bz2
import gzip
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

HEAD_BYTES = 1024
MAGIC: dict[str, tuple[bytes, ...]] = {
    ".zip": (b"PK\x03\x04", b"PK\x05\x06"),
    ".gz": (b"\x1f\x8b",),
    ".tgz": (b"\x1f\x8b",),
    ".bz2": (b"BZh",),
    ".xz": (b"\xfd7zXZ\x00",),
    ".zst": (b"\x28\xb5\x2f\xfd",),
    ".parquet": (b"PAR1", b"PARE"),
}
STREAMS: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".tgz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
MARKUP_NAMES = (".html", ".htm", ".xhtml", ".xml", ".svg")
MARKUP = re.compile(r"<(!doctype\s+html|html|head|body|title|script|meta|\?xml|error)\b", re.IGNORECASE)
COMMENT = re.compile(r"<!--.*?(-->|\Z)", re.DOTALL)
TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


def find_page(name: str, head: bytes, media_type: str = "") -> str | None:
    """Describe the web page in ``head``, the first bytes of a file that was not meant to be one; else None.

    The bytes decide.  The media type is believed only where they cannot: servers call many a zip ``text/html``.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in MARKUP_NAMES or head.startswith(MAGIC.get(suffix, ())):
        return None
    text = _decode(head)
    opening = COMMENT.sub("", text).lstrip()
    if not MARKUP.match(opening) and media_type not in ("text/html", "application/xhtml+xml"):
        return None
    title = TITLE.search(text)
    return f"a web page titled {' '.join(title[1].split())!r}" if title else "a web page"


def find_damage(name: str, path: Path, *, thorough: bool) -> str | None:
    """What is wrong with the container that ``name`` promises; None for a sound one and for plain text.

    A zip and a parquet file end in their table of contents, so a cut is seen at once; a compressed stream has to be
    read to its end, which only a ``thorough`` check does.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in MAGIC:
        return None
    with path.open("rb") as file:
        if not file.read(8).startswith(MAGIC[suffix]):
            return f"not a {suffix[1:]} file: wrong first bytes"
        file.seek(-min(4, path.stat().st_size), 2)
        tail = file.read()
    if suffix == ".parquet" and tail not in MAGIC[suffix]:
        return "a truncated parquet file: its end is missing"
    if suffix == ".zip":
        return _zip_damage(path)
    return _stream_damage(suffix, path) if thorough and suffix in STREAMS else None


def _zip_damage(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except zipfile.BadZipFile:
        return "a truncated or damaged zip: it has no table of contents at its end"
    return None if members else "an empty zip: no file in it"


def _stream_damage(suffix: str, path: Path) -> str | None:
    try:
        with STREAMS[suffix](path) as stream:
            while stream.read(1 << 20):
                pass
    except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        return f"a truncated or damaged {suffix[1:]} file: {error}"
    return None


def _decode(head: bytes) -> str:
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    return head.decode("utf-16" if wide else "utf-8-sig", errors="replace")
