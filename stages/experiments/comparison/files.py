"""A comparison on disk: ``comparison.json``, ``.csv``, ``.md``, and ``differences.csv`` for a forest plot."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stages.workspace import layout
from stages.workspace.errors import UserError
from stages.workspace.files import whole_file, write_csv, write_json

JSON, CSV, MARKDOWN, FOREST = "comparison.json", "comparison.csv", "comparison.md", "differences.csv"


@dataclass(frozen=True)
class Result:
    """What one dataset gave, in every form; ``name`` tells what was compared, such as ``main..deep``."""

    dataset: str
    name: str
    text: str
    markdown: str
    content: dict[str, Any]
    table: pl.DataFrame
    forest: pl.DataFrame


def default_folder(result: Result) -> Path:
    """``comparisons/<dataset>/<name>``, without what cannot stand in a folder's name."""
    return layout.comparisons(result.dataset) / re.sub(r"[^\w.+@~^-]", "-", result.name)


def write_result(result: Result, folder: Path) -> None:
    """Write the four files, each whole; the JSON last, so that where it is, the others are too."""
    try:
        (folder / JSON).unlink(missing_ok=True)
        write_csv(folder / FOREST, result.forest)
        write_csv(folder / CSV, result.table)
        with whole_file(folder / MARKDOWN) as aside:
            aside.write_text(result.markdown, encoding="utf-8")
        write_json(folder / JSON, result.content)
    except (NotADirectoryError, FileExistsError, PermissionError) as error:
        raise UserError(f"a folder {folder} to write to", str(error), "name another with --write") from None
