"""A file of rows as the page tells of it: a preview, rows without a score and why, a histogram, a table to download."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import IO, Any

import polars as pl
from fastapi.responses import Response, StreamingResponse
from starlette.datastructures import UploadFile

from stages.models.row_files import READERS
from stages.models.signature import Tally
from stages.pages.numbers import count_text, elided, share_text, value_text
from stages.pages.tables import Column, Table, table
from stages.serving import pictures
from stages.serving.champion import Served
from stages.serving.form import number_in
from stages.serving.uploads import PLACE, PROBLEM, Look, ScoredPiece, look_at, score_pieces
from stages.workspace.errors import UserError

PREVIEW, BESIDE = 8, 5  # rows and columns that are shown
CHUNK = 1 << 16
LONGEST = 60  # letters of a value or a file's name


def answer_upload(served: Served, upload: UploadFile, *, as_table: bool) -> Response | dict[str, Any]:
    """A table to download, or what the page tells of the file; what is wrong with it is told by its own name."""
    name = elided(PurePath(upload.filename or "").name, LONGEST)
    try:
        with as_file(upload, name) as path:
            try:
                return download(served, path, name) if as_table else tell(served, look_at(served, path), name)
            except UserError as error:
                words = (text.replace(str(path), name) for text in (error.wanted, error.found, error.next_step))
                raise UserError(*words) from None
    except UserError as error:
        return {"name": name, "refused": error}


@contextmanager
def as_file(upload: UploadFile, name: str) -> Iterator[Path]:
    """The upload under a path of our own, with the suffix that says how it is read."""
    suffix = next((known for known in READERS if name.lower().endswith(known)), "")
    if not suffix:
        raise UserError(f"a file that ends in one of {', '.join(READERS)}", name, "convert it, or rename it")
    with tempfile.NamedTemporaryFile(suffix=suffix) as file:
        shutil.copyfileobj(upload.file, file)
        file.flush()
        yield Path(file.name)


def download(served: Served, path: Path, name: str) -> Response:
    """All rows with their answers as CSV, which is complete before its first byte is sent."""
    aside = tempfile.TemporaryFile()  # noqa: SIM115 - closed when all of it has been sent
    try:
        for k, piece in enumerate(score_pieces(served, path, Tally(served.bundle.signature["inputs"]))):
            piece.table.write_csv(aside, include_header=not k)
    except BaseException:
        aside.close()
        raise
    aside.seek(0)
    stem = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in PurePath(name).stem)
    headers = {"Content-Disposition": f'attachment; filename="{stem}-scores.csv"'}
    return StreamingResponse(_chunks(aside), media_type="text/csv", headers=headers)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK):
            yield chunk


def tell(served: Served, look: Look, name: str) -> dict[str, Any]:
    """What the page shows of a file that could be read."""
    signature, task = served.bundle.signature, served.task
    good = look.rows - look.bad
    bad = f", {count_text(look.bad)} without a score" if look.bad else ""
    assert look.head
    return {
        "name": name,
        "refused": None,
        "headline": f"{_rows(good)} answered{bad}",
        "histogram": pictures.histogram(task, signature, look.scores) if good else "",
        "scored": "probability" if task.scored == "probability" else "prediction",
        "by_class": table("Answers", [Column("answer", "name"), "rows", "share"],
                          [[answer, count_text(n), share_text(n / good)] for answer, n in look.by_class.most_common()]),
        "reasons": table("Rows without a score", [Column("why", "name"), "rows", "the first is row"],
                         [[reason, count_text(n), count_text(look.firsts[reason])]
                          for reason, n in look.reasons.most_common()], 10),
        "doubts": [f"{each.kind.capitalize()}: {each.told} ({_rows(each.rows)})." for each in look.doubts],
        "head": preview(look.head, served),
    }  # fmt: skip


def preview(piece: ScoredPiece, served: Served) -> Table:
    """The first rows with their answers, and a few of their columns, the inputs that matter most among them."""
    inputs = sorted(served.bundle.signature["inputs"], key=lambda entry: -entry.get("effect", 0.0))
    given = pl.concat([piece.beside, piece.inputs.select(entry["name"] for entry in inputs)], how="horizontal")
    of_classes = [f"probability_{name}" for name in served.bundle.signature["classes"]]
    answers = piece.answers.drop(of_classes, strict=False)
    shown = pl.concat([answers, given[:, :BESIDE].drop(answers.columns, strict=False)], how="horizontal").head(PREVIEW)
    if shown[PROBLEM].is_null().all():
        shown = shown.drop(PROBLEM)
    columns = [Column("row", "name") if column.name == PLACE else
               Column(column.name, "number" if column.dtype.is_numeric() else "short") for column in shown]  # fmt: skip
    rows = [["" if value is None else _seen(value) for value in row] for row in shown.iter_rows()]
    return table(f"The first {count_text(len(rows))} rows", columns, rows)


def _seen(value: Any) -> str:
    number = number_in(str(value))
    return elided(str(value), LONGEST) if number is None else value_text(number)


def _rows(n: int) -> str:
    return f"{count_text(n)} row{'' if n == 1 else 's'}"
