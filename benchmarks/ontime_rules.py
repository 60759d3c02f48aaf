"""The rules of `ontime` as plain values, for the peers: what is read, what may pass, over what is counted.

Written down a second time on purpose: nothing here comes from `stages`, and what the peers make of it has to equal what
the line makes of its own.  The words behind the numbers are in `stages.datasets.ontime`.
"""

import argparse
import re
from datetime import date
from pathlib import Path

# tidy column → published column, all of them texts
MINUTES = {"sched_dep_min": "CRSDepTime", "sched_arr_min": "CRSArrTime", "dep_min": "DepTime", "arr_min": "ArrTime"}
NUMBERS = {
    "dep_delay_min": "DepDelay",
    "arr_delay_min": "ArrDelay",
    "sched_elapsed_min": "CRSElapsedTime",
    "distance_mi": "Distance",
}
CODES = {"carrier": "Reporting_Airline", "origin": "Origin", "dest": "Dest"}
FLIGHT, DAY, TAIL = "Flight_Number_Reporting_Airline", "FlightDate", "Tail_Number"
CANCELLED, DIVERTED = "Cancelled", "Diverted"
PUBLISHED = [DAY, FLIGHT, TAIL, CANCELLED, DIVERTED, *CODES.values(), *MINUTES.values(), *NUMBERS.values()]
STATUSES = {0: "flown", 1: "diverted", 2: "cancelled"}  # by twice Cancelled plus Diverted

KEY = ["day", "carrier", "flight", "origin", "dest", "sched_dep_min"]  # of several rows the first passes, good or bad
REQUIRED = [*KEY, "sched_arr_min", "status"]
PATTERNS = {"carrier": "^[0-9A-Z]{2,3}( [(][0-9][)])?$", "origin": "^[0-9A-Z]{3}$", "dest": "^[0-9A-Z]{3}$"}
TAIL_PATTERN, NO_TAIL = "^[0-9A-Z]{4,6}$", ["UNKNOW", "000000"]  # others are taken for none; the row passes
RANGES = {  # both ends pass, and so does null
    "flight": (1, 9999),
    "dep_delay_min": (-120, 4320),
    "arr_delay_min": (-120, 4320),
    "sched_elapsed_min": (15, 900),
    "distance_mi": (5, 6000),
}
LATE_FROM_MIN = 15

CLEAN = [*KEY, "tailnum", "sched_arr_min", "dep_min", "arr_min", *NUMBERS, "status", "late"]
SCHEDULE = [
    *KEY,
    "sched_arr_min",
    "distance_mi",
    "sched_elapsed_min",
    "late",
]  # features as they stand in the clean row
PAST = {  # name → columns, days back
    "carrier": (["carrier"], 7),
    "origin": (["origin"], 7),
    "dest": (["dest"], 14),
    "carrier_origin": (["carrier", "origin"], 21),
    "route": (["origin", "dest"], 21),
    "origin_hour": (["origin", "sched_dep_hour"], 14),
}
WEIGHT, KNOWN_AFTER_MIN = 20, 480
RECENT, RECENT_MIN = {"origin": ["origin"], "carrier_origin": ["carrier", "origin"]}, 180
FAR_PACIFIC = ["GUM", "SPN", "ROP", "TIQ", "ROR", "YAP", "TKK", "PNI", "KSA", "KWA", "MAJ"]
SUNDAY_1AM, SUNDAY_3AM, WEEK = 3 * 1440 + 60, 3 * 1440 + 180, 7 * 1440  # minutes since 1970


def arguments(*flags: str) -> argparse.Namespace:
    """What every peer is told: the folder of published months, where to write, where the parts end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("raw", type=Path)
    parser.add_argument("out", type=Path, help="folder for clean/ and features/")
    parser.add_argument("train_until", type=date.fromisoformat)
    parser.add_argument("valid_until", type=date.fromisoformat)
    for flag in flags:
        parser.add_argument(flag, action="store_true")
    return parser.parse_args()


def months_in(raw: Path) -> dict[str, Path]:
    """The published files by month, YYYY-MM, in order."""
    named = {path: re.findall(r"\d+", path.stem)[-2:] for path in raw.glob("*.parquet")}
    return dict(sorted((f"{year}-{int(month):02d}", path) for path, (year, month) in named.items()))
