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

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from stages.records.lines import Format, read_lines
from stages.records.plain import Column, numbered, open_text, plain_dataset

if TYPE_CHECKING:
    import pandera.polars as pa

MEASURED, FOLLOWED_UP = "diabetes_data_raw.csv.gz", "diabetes_target.csv.gz"
FRIEDEWALD_MG_DL = 0.5  # how far off rounded figures may be; the published ones are at most 0.4

COLUMNS = (  # each with the range that a patient can have
    Column("age_years", "numeric", "age", "years", 0, 120),
    Column("sex", "categorical", "sex, as published: 1 or 2", among=("1", "2")),
    Column("bmi_kg_m2", "numeric", "body mass index", "kg/m²", 10, 80),
    Column("blood_pressure_mmhg", "numeric", "average blood pressure", "mmHg", 30, 200),
    Column("total_cholesterol_mg_dl", "numeric", "total serum cholesterol", "mg/dl", 50, 600),
    Column("ldl_mg_dl", "numeric", "low-density lipoproteins", "mg/dl", 0, 500),
    Column("hdl_mg_dl", "numeric", "high-density lipoproteins", "mg/dl", 5, 200),
    Column("cholesterol_to_hdl", "numeric", "total cholesterol over HDL, as published: rounded for most", "", 1, 20),
    Column("log_triglycerides", "numeric", "natural logarithm of serum triglycerides in mg/dl", "", 2, 8),
    Column("glucose_mg_dl", "numeric", "blood sugar", "mg/dl", 20, 600),
)
PROGRESSION = Column("progression", "numeric", "disease progression", "points of the progression measure", 0, 1000)


def read_patients(raw: Path, _partition: str) -> pl.DataFrame:
    """Both files side by side, with the position of each patient in them."""
    measured = _published(raw / MEASURED, [column.name for column in COLUMNS])
    followed_up = _published(raw / FOLLOWED_UP, [PROGRESSION.name])
    if len(measured) != len(followed_up):
        raise ValueError(
            f"wanted a line of {FOLLOWED_UP} for each one of {MEASURED}, because nothing but their order joins them; "
            f"found {len(followed_up)} and {len(measured)}"
        )
    # a line of several numbers that lacks one is told by its text; one of a single number cannot lack any
    return numbered(pl.concat([measured, followed_up.select(PROGRESSION.name)], how="horizontal"), "patient")


def _published(path: Path, names: list[str]) -> pl.DataFrame:
    with open_text(path) as lines:
        return read_lines(lines, names=names, form=Format(" "))


def friedewald() -> list[pa.Check]:
    """The lipids are in keeping with each other."""
    import pandera.polars as pa  # most of a second to import; only `clean` validates

    measured = pl.col("total_cholesterol_mg_dl") - pl.col("hdl_mg_dl") - pl.col("ldl_mg_dl")
    gap = (measured - pl.col("log_triglycerides").exp() / 5).abs()
    return [pa.Check(lambda data: data.lazyframe.select(gap < FRIEDEWALD_MG_DL), name="friedewald")]


DATASET = plain_dataset(
    __name__,
    "How far will diabetes have progressed one year after baseline?",
    task="regression",
    columns=COLUMNS,
    target=PROGRESSION,
    row="patient",
    checks=friedewald,
    table={"name": "patients", "partitions": lambda _raw: ["patients"], "read": read_patients},
)
PATIENTS = DATASET.records
