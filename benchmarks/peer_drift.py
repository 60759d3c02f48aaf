"""Which columns drifted, as Evidently or NannyML say it by default, of every pair of files in a folder.

Nothing of the line is imported.  FOLDER holds NAME-reference.parquet and NAME-batch.parquet.  Evidently runs its
DataDriftPreset; NannyML's univariate calculator learns its limits from pieces of the reference as large as the batch,
which is not timed, for it can be kept.  Writes to OUT, for each pair, the drifted columns and the seconds from frames
in memory to verdicts.

    python benchmarks/peer_drift.py evidently FOLDER OUT
"""

import json
import os
import sys
import time
import warnings
from pathlib import Path

os.environ |= {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1"}  # both would tell their makers of every run

import pandas as pd


def by_evidently(reference: pd.DataFrame, batch: pd.DataFrame) -> tuple[list[str], float]:
    from evidently import Report
    from evidently.presets import DataDriftPreset

    started = time.perf_counter()
    told = Report([DataDriftPreset()]).run(current_data=batch, reference_data=reference).dict()["metrics"]
    drifted = []
    for metric in told[1:]:
        of, value = metric["config"], metric["value"]
        is_p = "p_value" in of["method"]
        if value < of["threshold"] if is_p else value >= of["threshold"]:
            drifted.append(of["column"])
    seconds = time.perf_counter() - started
    assert len(drifted) == told[0]["value"]["count"], "its own count of drifted columns is another"
    return drifted, seconds


def by_nannyml(reference: pd.DataFrame, batch: pd.DataFrame) -> tuple[list[str], float]:
    import nannyml

    names = [*reference.columns]
    texts = [name for name in names if not pd.api.types.is_numeric_dtype(reference[name])]
    calculator = nannyml.UnivariateDriftCalculator(names, treat_as_categorical=texts, chunk_size=len(batch))
    calculator.fit(reference)
    started = time.perf_counter()
    found = calculator.calculate(batch).filter(period="analysis").to_df()
    drifted = [name for name in names if found[name].xs("alert", axis=1, level=1).to_numpy().any()]
    return drifted, time.perf_counter() - started


LIBRARIES = {"evidently": by_evidently, "nannyml": by_nannyml}


def main(library: str, folder: str, out: str) -> None:
    warnings.simplefilter("ignore")
    found = {}
    for path in sorted(Path(folder).glob("*-reference.parquet")):
        name = path.name.removesuffix("-reference.parquet")
        pair = (path, path.with_name(f"{name}-batch.parquet"))
        drifted, seconds = LIBRARIES[library](*(pd.read_parquet(side).drop(columns="day") for side in pair))
        found[name] = {"drifted": drifted, "seconds": seconds}
    Path(out).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
