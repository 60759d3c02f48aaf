"""diabetes: how far will a patient's diabetes have progressed one year from now?

The 442 patients of Efron, Hastie, Johnstone & Tibshirani, "Least Angle Regression" (Annals of Statistics 32, 2004), as
scikit-learn ships them: ten measurements at baseline in one file, and in another, row by row in the same order, "a
quantitative measure of disease progression one year after baseline".  A number to predict, where the other datasets ask
for classes.

Neither file has a header; the names are those of scikit-learn's description, where s1 … s6 are blood serum.  It states
no units and calls s5 "possibly log of serum triglycerides level".  The rows themselves settle it: in all 442 of them

    LDL = total cholesterol - HDL - exp(s5)/5    (Friedewald, Levy & Fredrickson, Clinical Chemistry 18, 1972)

within 0.4, a formula that holds in mg/dl only.  `clean` checks it.  What sex 1 and sex 2 are is not said anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from stages.records.contract import Dataset, Feature, Table, split_values

if TYPE_CHECKING:
    import pandera.polars as pa

MEASURED, FOLLOWED_UP = "diabetes_data_raw.csv.gz", "diabetes_target.csv.gz"
PARTITION = "patients"
FRIEDEWALD_MG_DL = 0.5  # how far off rounded figures may be; the published ones are at most 0.4
STRATUM_ROWS = 10  # with neighbouring targets, from which each part takes its share

NUMBERS = {  # the range that a patient can have
    "age_years": (0, 120),
    "bmi_kg_m2": (10, 80),
    "blood_pressure_mmhg": (30, 200),
    "total_cholesterol_mg_dl": (50, 600),
    "ldl_mg_dl": (0, 500),
    "hdl_mg_dl": (5, 200),
    "cholesterol_to_hdl": (1, 20),
    "log_triglycerides": (2, 8),
    "glucose_mg_dl": (20, 600),
    "progression": (0, 1000),
}
PUBLISHED = (
    "age_years", "sex", "bmi_kg_m2", "blood_pressure_mmhg", "total_cholesterol_mg_dl", "ldl_mg_dl", "hdl_mg_dl",
    "cholesterol_to_hdl", "log_triglycerides", "glucose_mg_dl",
)  # fmt: skip
COLUMNS = (*PUBLISHED, "progression")


# ── the published patients ───────────────────────────────────────────────────────────────────────────────────────────
def read_patients(raw: Path, _partition: str) -> pl.DataFrame:
    """Both files side by side, with the position of each patient in them."""
    measured = _published(raw / MEASURED, PUBLISHED)
    followed_up = _published(raw / FOLLOWED_UP, ("progression",))
    if len(measured) != len(followed_up):
        raise ValueError(
            f"wanted a line of {FOLLOWED_UP} for each one of {MEASURED}, because nothing but their order joins them; "
            f"found {len(followed_up)} and {len(measured)}"
        )
    return pl.concat([measured, followed_up], how="horizontal").select(
        pl.int_range(pl.len()).cast(pl.String).alias("patient"), pl.all()
    )


def _published(path: Path, names: tuple[str, ...]) -> pl.DataFrame:
    rows = pl.read_csv(path, separator=" ", has_header=False, infer_schema=False, empty_string_is_null=False)
    rows.columns = [*names, *(f"{path.name}_{n + 1}" for n in range(len(names), rows.width))][: rows.width]
    return rows


def parse(raw: pl.DataFrame) -> pl.DataFrame:
    """Numbers as float64; the file writes whole ones as 1.510000000000000000e+02."""
    numbers = {name: pl.col(name).str.strip_chars().cast(pl.Float64, strict=False) for name in NUMBERS}
    return raw.select(pl.col("patient").cast(pl.Int32), *(numbers.get(name, pl.col(name)) for name in COLUMNS))


def schema(_partition: str) -> pa.DataFrameSchema:
    """Every figure in a range that patients have, sex 1 or 2, and the lipids in keeping with each other."""
    import pandera.polars as pa  # most of a second to import; only `clean` validates

    measured = pl.col("total_cholesterol_mg_dl") - pl.col("hdl_mg_dl") - pl.col("ldl_mg_dl")
    gap = (measured - pl.col("log_triglycerides").exp() / 5).abs()
    lipids = pa.Check(lambda data: data.lazyframe.select(gap < FRIEDEWALD_MG_DL), name="friedewald")
    return pa.DataFrameSchema(
        {
            "patient": pa.Column(pl.Int32, pa.Check.ge(0)),
            "sex": pa.Column(pl.String, pa.Check.isin(["1", "2"])),
            **{name: pa.Column(pl.Float64, pa.Check.in_range(*ends)) for name, ends in NUMBERS.items()},
        },
        checks=[lipids],
        unique=["patient"],
        strict=True,
    )


PATIENTS = Table(
    name="patients",
    columns=("patient", *COLUMNS),
    partitions=lambda _raw: [PARTITION],
    read=read_patients,
    parse=parse,
    schema=schema,
    key=("patient",),
    parsed_from={name: name for name in COLUMNS},
)


# ── features ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def featurize(patients: pl.DataFrame, _context: None) -> pl.DataFrame:
    """The ten measurements at baseline."""
    inputs = [pl.col(feature.name) for feature in FEATURES]
    return patients.select("patient", "progression", *(
        column if feature.kind == "categorical" else column.cast(pl.Float32)
        for column, feature in zip(inputs, FEATURES, strict=True)
    ))  # fmt: skip


FEATURES = (
    Feature("age_years", "numeric", "age", "years"),
    Feature("sex", "categorical", "sex, as published: 1 or 2"),
    Feature("bmi_kg_m2", "numeric", "body mass index", "kg/m²"),
    Feature("blood_pressure_mmhg", "numeric", "average blood pressure", "mmHg"),
    Feature("total_cholesterol_mg_dl", "numeric", "total serum cholesterol", "mg/dl"),
    Feature("ldl_mg_dl", "numeric", "low-density lipoproteins", "mg/dl"),
    Feature("hdl_mg_dl", "numeric", "high-density lipoproteins", "mg/dl"),
    Feature("cholesterol_to_hdl", "numeric", "total cholesterol over HDL, as published: rounded for most"),
    Feature("log_triglycerides", "numeric", "natural logarithm of serum triglycerides in mg/dl"),
    Feature("glucose_mg_dl", "numeric", "blood sugar", "mg/dl"),
)


def split_within_strata(frame: pl.DataFrame, settings: Mapping[str, Any], seed: int) -> pl.Series:
    """Random shares within strata of the target, so that every part holds mild and severe courses alike."""
    train, valid = split_values(settings, "train", "valid")
    numbers = all(isinstance(share, (int, float)) for share in (train, valid))
    if not (numbers and 0 < train < 1 and 0 < valid < 1 and train + valid < 1):
        raise ValueError(f"wanted shares that leave something for the test; found train {train!r}, valid {valid!r}")
    draw = pl.Series("draw", np.random.default_rng(seed).random(len(frame)))
    stratum = (pl.col("progression").rank("ordinal") - 1) // STRATUM_ROWS
    drawn = frame.select(stratum.alias("stratum"), draw)
    place = drawn.select(((pl.col("draw").rank("ordinal") - 0.5) / pl.len()).over("stratum").alias("place"))
    return place.select(
        pl.when(pl.col("place") < train)
        .then(pl.lit("train"))
        .when(pl.col("place") < train + valid)
        .then(pl.lit("valid"))
        .otherwise(pl.lit("test"))
        .alias("part")
    )["part"]


DATASET = Dataset(
    name="diabetes",
    question="How far will diabetes have progressed one year after baseline?",
    task="regression",
    target="progression",
    target_unit="points of the progression measure",
    classes=(),
    records=PATIENTS,
    references=(),
    identity=("patient",),
    features=FEATURES,
    forbidden=frozenset({"progression"}),
    summarize=lambda patients: pl.DataFrame({"patients": [len(patients)]}),
    context=lambda _summaries, _references: None,
    featurize=featurize,
    split=split_within_strata,
    unlabelled=lambda patients: pl.Series("why", [None] * len(patients), dtype=pl.String),
    cluster=None,
)
