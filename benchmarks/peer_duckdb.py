"""Clean and featurize `ontime` with DuckDB: two statements over all months, each from files to files (`ontime_sql`).

DuckDB spills to OUT/spill where its own limit (80 % of memory) is reached.

    python -m benchmarks.peer_duckdb RAW OUT TRAIN_UNTIL VALID_UNTIL
"""

import duckdb

from benchmarks import ontime_rules as rules
from benchmarks import ontime_sql as sql

PUBLISHED = """(SELECT *, filename AS file, file_row_number AS row_in_file
    FROM read_parquet('{}/*.parquet', filename = true, file_row_number = true))"""
PARQUET = "(FORMAT parquet, COMPRESSION zstd, PARTITION_BY (period))"


def main() -> None:
    options = rules.arguments()
    dialect = sql.Dialect(
        published=PUBLISHED.format(options.raw),
        matches="regexp_matches",
        period="strftime(day, '%Y-%m')",
        epoch_day="CAST(day - DATE '1970-01-01' AS INT)",
        day_of_week="isodow(day)",
    )
    options.out.mkdir(parents=True, exist_ok=True)
    db = duckdb.connect()
    db.execute("SET preserve_insertion_order = false")
    db.execute(f"SET temp_directory = '{options.out}/spill'")
    db.execute(f"COPY ({sql.clean(dialect)}) TO '{options.out}/clean' {PARQUET}")
    db.execute(
        f"CREATE VIEW clean AS FROM read_parquet('{options.out}/clean/*/*.parquet', hive_types_autocast = false)"
    )
    db.execute(f"CREATE VIEW flights AS {sql.flights(dialect)}")
    features = sql.features(dialect, options.train_until, options.valid_until)
    db.execute(f"COPY ({features}) TO '{options.out}/features' {PARQUET}")


if __name__ == "__main__":
    main()
