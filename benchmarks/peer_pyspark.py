"""Clean and featurize `ontime` with Spark: two statements over all months, each from files to files (`ontime_sql`).

python -m benchmarks.peer_pyspark RAW OUT TRAIN_UNTIL VALID_UNTIL
"""

import os

from pyspark.sql import DataFrame, SparkSession

from benchmarks import ontime_rules as rules
from benchmarks import ontime_sql as sql

DIALECT = sql.Dialect(
    published="published",
    matches="regexp_like",
    period="date_format(day, 'yyyy-MM')",
    epoch_day="unix_date(day)",
    day_of_week="weekday(day) + 1",
)
MEMORY = "8g"  # of the one process; the default of 1 GiB ends in an error from a few million rows on


def main() -> None:
    options = rules.arguments()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    session = SparkSession.builder.master(f"local[{cores}]").config("spark.driver.memory", MEMORY)
    session = session.config("spark.ui.enabled", False).config("spark.ui.showConsoleProgress", False)
    session = session.config("spark.sql.parquet.compression.codec", "zstd").config("spark.sql.shuffle.partitions", 16)
    session = session.config("spark.sql.sources.partitionColumnTypeInference.enabled", False)
    spark = session.config("spark.local.dir", str(options.out / "spill")).getOrCreate()

    def write(rows: DataFrame, folder: str) -> None:
        rows.repartition("period").write.partitionBy("period").parquet(str(options.out / folder))

    published = spark.read.parquet(str(options.raw / "*.parquet"))
    published = published.selectExpr("*", "_metadata.file_name AS file", "_metadata.row_index AS row_in_file")
    published.createOrReplaceTempView("published")
    write(spark.sql(sql.clean(DIALECT)), "clean")
    spark.read.parquet(str(options.out / "clean")).createOrReplaceTempView("clean")
    spark.sql(sql.flights(DIALECT)).createOrReplaceTempView("flights")
    write(spark.sql(sql.features(DIALECT, options.train_until, options.valid_until)), "features")
    gateway = spark.sparkContext._gateway
    spark.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait()  # otherwise the CPU time of its JVM is nobody's


if __name__ == "__main__":
    main()
