"""Plain Polars and XGBoost: the scores of a file of rows, read at once and checked for nothing.

What `stages.predict` is measured against.  Nothing of the line is imported; the threshold and the names of the
categories come from the bundle's signature.

    python benchmarks/peer_predict.py BUNDLE ROWS OUTPUT
"""

import argparse
import json
from pathlib import Path

import polars as pl
import xgboost as xgb


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    signature = json.loads((options.bundle / "signature.json").read_text())
    types = {
        entry["name"]: pl.Enum(entry["categories"]) if entry["kind"] == "categorical" else pl.Float32
        for entry in signature["inputs"]
    }
    if options.rows.suffix == ".csv":
        as_read = {name: pl.String if kind != pl.Float32 else kind for name, kind in types.items()}
        rows = pl.read_csv(options.rows, schema_overrides=as_read)
    else:
        rows = pl.read_parquet(options.rows)
    inputs = rows.select(pl.col(name).cast(kind, strict=False) for name, kind in types.items())
    scores = xgb.Booster(model_file=options.bundle / "model.ubj").inplace_predict(inputs)
    flagged = pl.Series(scores >= signature["threshold"])
    table = rows.drop(types).with_columns(
        probability=pl.Series(scores),
        decision=flagged.replace_strict([False, True], signature["classes"], return_dtype=pl.String),
    )
    if options.output.suffix == ".csv":
        table.write_csv(options.output)
    else:
        table.write_parquet(options.output)


if __name__ == "__main__":
    main()
