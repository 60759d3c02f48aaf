"""What if a terminal lacks a sign?  It is spelled in ASCII there: − as -, → as ->, … as ...

So every text is written once, with the signs that it should have, and no encoding ends a command.
"""

import codecs
import io
import sys
import unicodedata

SPELLED = {
    "−": "-", "–": "-", "—": "-", "→": "->", "↑": "up", "↓": "down", "×": "x", "·": "*", "±": "+/-", "≥": ">=",
    "≤": "<=", "≈": "~", "“": '"', "”": '"', "‘": "'", "’": "'", "′": "'", "«": '"', "»": '"', "‹": "<", "›": ">",
    "⁄": "/", "°": " deg", "§": "section ", "€": "EUR", "─": "-", "█": "#", "▲": "^", "▼": "v", "↖": "<-", "↗": "->",
}  # fmt: skip


def write_plainly() -> None:
    """From now on standard output and standard error spell what their encoding lacks."""
    codecs.register_error("spelled", spell)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where the shell has closed it, another class under a notebook
            stream.reconfigure(errors="spelled")


def spell(error: UnicodeError) -> tuple[str, int]:
    """What stands in the place of signs that could not be encoded, and where to go on: a handler for `codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_in_ascii, error.object[error.start : error.end])), error.end


def _in_ascii(sign: str) -> str:
    """Signs as in the table, ² and … as what Unicode takes them for, letters of other scripts by their number."""
    spelled = "".join(SPELLED.get(part, part) for part in unicodedata.normalize("NFKD", sign))
    return spelled if spelled.isascii() else sign.encode("ascii", "backslashreplace").decode()
