"""Write the model of a bundle as ONNX, for where Python and the bundle's library are not: edge, mobile, browser.

Reads   bundles/<dataset>/, and with --rows a file of rows (.csv, .parquet, .jsonl) that both shall score alike
Writes  exports/<dataset>/   model.onnx; inputs.json: what goes in and in which order, what comes out, from where on
                             that is a yes, and how far the scores lie from the bundle's; with --page a page that
                             runs it in a browser: index.html and what it needs

Nothing is written unless the graph scores as the bundle does: on the bundle's example, on rows made to find a
difference, and on those of --rows.  Needs the optional layer (`make networks`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stages.exports.graphs import graph_of
from stages.exports.page_files import RUNTIME, page_files
from stages.exports.parity import Parity, Runner, code_rows, compare, refuse_apart
from stages.exports.sweep import made_rows
from stages.models.bundle import EXAMPLE, PUBLISHED, Bundle, open_bundle
from stages.models.row_files import SUFFIXES, read_pieces
from stages.models.signature import REFUSED, Tally
from stages.runtime.log import log, start_log
from stages.workspace.errors import UserError, plain_words, run_stage
from stages.workspace.files import require_writable, whole_file, write_json

FORMAT = 1
EXPORTS = Path("exports")
ONNX_WEB = Path(sys.prefix) / "onnxruntime-web"
MODEL, INPUTS = "model.onnx", "inputs.json"
TOLD = ("dataset", "question", "task", "target", "target_unit", "classes", "threshold", "family", "library")
OF_AN_INPUT = ("name", "kind", "unit", "about", "categories", "shape", "low", "high")
CODING = (
    "float32, inputs in this order; a category is its place in `categories`, from 0; missing or unknown is NaN; "
    "a picture is its pixels, from 0 to 255, row after row, channels last"
)


def main(*arguments: str) -> None:
    """Export one bundle; see ``--help``."""
    options = parse(arguments)
    require_layer()
    bundle = open_bundle(options.bundle, threads=1)
    folder = options.output or EXPORTS / str(bundle.signature["dataset"])
    require_writable(folder)
    with plain_words():
        graph = graph_of(bundle.model, bundle.signature)
        content = graph.SerializeToString(deterministic=True)
        found = hold_together(bundle, graph, content, options.rows)
        page = page_of(bundle) if options.page else {}
    for name, bytes_of_it in {**page, MODEL: content}.items():
        with whole_file(folder / name) as aside:
            aside.write_bytes(bytes_of_it)
    write_json(folder / INPUTS, describe(bundle, content, found))
    log.info(
        "%s written: %s rows scored as %s scores them, at most %.2g apart, every decision the same",
        folder / MODEL, f"{found.rows:,}", bundle.folder, found.largest_difference,
    )  # fmt: skip


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.export", description="Write the model of a bundle as ONNX, if it scores the same."
    )
    parser.add_argument("bundle", type=Path, help="a bundle, such as bundles/nycflights")
    parser.add_argument("-o", "--output", type=Path, help="the folder to write (exports/<dataset>)")
    parser.add_argument("--rows", type=Path, help=f"further rows that both shall score alike: {SUFFIXES}")
    parser.add_argument("--page", action="store_true", help="and a page to draw on, for pictures of 8 × 8 pixels")
    return parser.parse_args(arguments)


def require_layer() -> None:
    """Refuse to begin without the packages that write and run ONNX."""
    if lacking := [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]:
        raise UserError(
            "the optional layer, for ONNX", f"no {' and no '.join(lacking)} in this environment", "run `make networks`"
        )


def hold_together(bundle: Bundle, graph: Any, content: bytes, rows: Path | None) -> Parity:
    """How far graph and bundle lie apart; a refusal where that is too far."""
    runner, inputs = Runner(content), bundle.signature["inputs"]
    example = pl.concat(fitted_rows(bundle, bundle.folder / EXAMPLE))
    made = made_rows(inputs, code_rows(example)[0], graph)
    found = Parity(0, 0.0, 0.0, 0)
    for part in (example, made, *(fitted_rows(bundle, rows) if rows else ())):
        found = found.joined(compare(bundle.model, runner, part, bundle.signature))
    scale = float(np.abs(bundle.model.predict(example)).max())
    refuse_apart(found, scale)
    return found


def fitted_rows(bundle: Bundle, path: Path) -> Iterator[pl.DataFrame]:
    """The rows of a file as the bundle wants them, a piece at a time."""
    tally = Tally(bundle.signature["inputs"])
    for piece in read_pieces(path, {str(entry["name"]): str(entry["kind"]) for entry in tally.inputs}):
        fitted = tally.fit(piece.rows)
        if wrong := [misfit for misfit in tally.found.values() if misfit.kind in REFUSED]:
            raise UserError(
                f"rows in {path} that fit the bundle", f"{wrong[0].kind}: {wrong[0].told}",
                f"`python -m stages.predict {bundle.folder} --example` prints rows that do",
            )  # fmt: skip
        yield fitted


def page_of(bundle: Bundle) -> dict[str, bytes]:
    """The files of the page by name."""
    if not bundle.folder.joinpath(PUBLISHED).exists():
        raise UserError(f"rows as published in {bundle.folder}, for examples", f"no {PUBLISHED}", "run `dvc repro`")
    own = page_files(bundle.signature, pl.read_csv(bundle.folder / PUBLISHED, infer_schema=False))
    runtime = [ONNX_WEB / name for name in RUNTIME]
    if not all(path.exists() for path in runtime):
        raise UserError(f"ONNX Runtime Web in {ONNX_WEB}", "none", "run `make onnx-web`, which asks npm for it")
    return own | {path.name: path.read_bytes() for path in runtime}


def describe(bundle: Bundle, content: bytes, found: Parity) -> dict[str, Any]:
    """What whoever runs the graph must know."""
    signature = bundle.signature
    return {
        "format": FORMAT,
        **{name: signature[name] for name in TOLD if name in signature},
        "model": {"file": MODEL, "sha256": sha256(content).hexdigest(), "input": "inputs", "output": "scores"},
        "coding": CODING,
        "inputs": [{name: entry[name] for name in OF_AN_INPUT if name in entry} for entry in signature["inputs"]],
        "parity": {**found.to_json(), "runtime": f"ONNX Runtime {version('onnxruntime')}"},
    }


if __name__ == "__main__":
    start_log()
    run_stage(main)
