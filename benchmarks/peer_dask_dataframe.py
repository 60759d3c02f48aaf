"""Clean and featurize `ontime` with dask.dataframe: one partition a month, on its default scheduler (threads).

A partition is a pandas frame, so what happens inside one is the pandas peer's own code; dask.dataframe reads, hands
every month the outcomes of the month before, schedules and writes.  Its groupby and merge would shuffle all rows.

    python -m benchmarks.peer_dask_dataframe RAW OUT TRAIN_UNTIL VALID_UNTIL
"""

from pathlib import Path

import dask
import dask.dataframe as dd
import pandas as pd

from benchmarks import ontime_rules as rules
from benchmarks.peer_pandas import OUTCOME, clean, featurize, share_categories, with_moments


def read_month(path: Path, period: str) -> pd.DataFrame:
    return with_moments(clean(path, period)).assign(period=period)


def outcomes_of(flights: pd.DataFrame) -> pd.DataFrame:
    return flights.loc[flights["late"].notna(), OUTCOME]


def featurize_month(flights: pd.DataFrame, before: pd.DataFrame, *ends: pd.Timestamp) -> pd.DataFrame:
    frames = [flights.copy(deep=False), before.copy(deep=False), outcomes_of(flights)]
    share_categories(frames)
    return featurize(frames[0], pd.concat(frames[1:]), *ends).assign(period=flights["period"])


def main() -> None:
    options = rules.arguments()
    ends = (options.train_until, options.valid_until)
    months = rules.months_in(options.raw)
    period, path = next(iter(months.items()))
    like = read_month(path, period).head(1000)  # what dask calls meta
    flights = dd.from_map(read_month, list(months.values()), list(months), meta=like.head(0))
    outcomes = flights.map_partitions(outcomes_of, meta=outcomes_of(like).head(0))
    nothing = outcomes.partitions[:1].map_partitions(lambda rows: rows.head(0), meta=outcomes_of(like).head(0))
    before = dd.concat([nothing, outcomes.partitions[:-1]]) if len(months) > 1 else nothing
    meta = featurize_month(like, outcomes_of(like), *ends).head(0)
    features = flights.map_partitions(featurize_month, before, *ends, meta=meta, align_dataframes=False)
    kept = {"compression": "zstd", "partition_on": "period", "write_index": False, "compute": False, "schema": None}
    dask.compute(
        flights[["period", *rules.CLEAN]].to_parquet(options.out / "clean", **kept),
        features.to_parquet(options.out / "features", **kept),
    )


if __name__ == "__main__":
    main()
