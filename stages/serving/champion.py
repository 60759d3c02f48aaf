"""A bundle that is fit to answer: checked, loaded, tried on its own example, and described."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.metrics.contract import Task
from stages.metrics.stored import task_named
from stages.models.bundle import CARD, EXAMPLE, REFERENCE, Bundle, open_bundle
from stages.models.contract import ByCodes
from stages.models.signature import REFUSED, as_texts, fit_rows
from stages.serving.objects import Inputs
from stages.workspace.errors import UserError, plain_words
from stages.workspace.files import MANIFEST, sha256_of

SHORT = 12  # digits of a hash that people compare
SHOWN = 2  # rows of the example in the description of the API


@dataclass(frozen=True)
class Served:
    """Everything that an answer needs of a bundle."""

    name: str
    bundle: Bundle
    task: Task
    manifest: str
    """The first digits of the sha256 of its manifest: its contents in a word."""
    version: str
    """The registry's, or the same digits."""
    data: str
    """The first digits of the sha256 of `reference.json`: by which rows it was trained, told by their distributions."""
    inputs: Inputs
    by_codes: ByCodes | None
    """The model, where it scores without a frame as it does with one."""
    outputs: Mapping[str, pl.DataType]
    """What it answers: name and type of every column."""
    examples: Sequence[Mapping[str, Any]]
    """Rows that the bundle brings, as JSON has them."""
    card: str


def open_served(folder: Path, version: str = "") -> Served:
    """Check a bundle, load it and try it; it scores on one thread, for serving scales by processes.

    Whatever is wrong with it is a `UserError`: a bundle that was made wrong is as good as one that was damaged.
    """
    try:
        return _opened(open_bundle(folder, threads=1), version)
    except (KeyError, TypeError, ValueError, AttributeError, pl.exceptions.PolarsError) as error:
        found = f"{type(error).__name__}: {error}"
        raise UserError(f"a bundle in {folder} that can answer", found, "build it again with `dvc repro`") from None


def _opened(bundle: Bundle, version: str) -> Served:
    with plain_words():
        task = task_named(bundle.signature["task"])
    manifest, data = (sha256_of(bundle.folder / name)[:SHORT] for name in (MANIFEST, REFERENCE))
    inputs = Inputs.of(bundle.signature, bundle.model.features)
    example, scores, by_codes = _tried(bundle, inputs)
    return Served(
        name=str(bundle.signature["dataset"]),
        bundle=bundle,
        task=task,
        manifest=manifest,
        version=version or manifest,
        data=data,
        inputs=inputs,
        by_codes=by_codes,
        outputs=task.name_scores(scores, bundle.signature).schema,
        examples=_plain(as_texts(example, bundle.signature["inputs"]))[:SHOWN],
        card=(bundle.folder / CARD).read_text(encoding="utf-8"),
    )


def _plain(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON has them: float32 numbers with as many digits as tell them from any other."""
    columns = [[None if text is None else float(text) for text in column.cast(pl.String)]
               if column.dtype == pl.Float32 else column.cast(pl.String).to_list() for column in rows]  # fmt: skip
    return [dict(zip(rows.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def _tried(bundle: Bundle, inputs: Inputs) -> tuple[pl.DataFrame, NDArray[np.float32], ByCodes | None]:
    """Score the example as a frame and by codes; a bundle that cannot is refused."""
    example = pl.read_csv(bundle.folder / EXAMPLE, infer_schema=False)
    fitted, misfits = fit_rows(example, bundle.signature["inputs"])
    if wrong := [misfit.told for misfit in misfits if misfit.kind in REFUSED]:
        raise UserError(
            f"{bundle.folder} to score its own example", "; ".join(wrong), "build it again with `dvc repro`"
        )
    scores = bundle.model.predict(fitted)
    if len(scores) != len(example) or not np.isfinite(scores).all():
        raise UserError(f"a score of every row of the example of {bundle.folder}", f"{scores}", "build it again")
    if not isinstance(bundle.model, ByCodes):
        return fitted, scores, None
    coded = fitted.select(pl.col(inputs.names).to_physical().cast(pl.Float32).fill_null(np.nan)).to_numpy()
    alike = np.array_equal(scores, bundle.model.predict_coded(np.ascontiguousarray(coded)))
    return fitted, scores, bundle.model if alike else None
