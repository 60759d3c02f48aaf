"""Small real repositories for the tests of this room: git and DVC as anyone has them, in a folder of their own."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
BINARIES = Path(sys.executable).parent


PIPELINE = """\
stages:
  draw:
    foreach: ${datasets}
    do:
      cmd: python draw.py ${key}
      deps: [draw.py]
      params: ["datasets.${key}.n"]
      outs: ["data/${key}.txt"]
  count:
    foreach: ${datasets}
    do:
      cmd: python count.py ${key}
      deps: [count.py, "data/${key}.txt"]
      metrics: [{"metrics/${key}/count.json": {cache: false}}]
"""
DRAW = """\
import os, sys
from pathlib import Path
import yaml
n = yaml.safe_load(Path("params.yaml").read_text())["datasets"][sys.argv[1]]["n"]
Path("data").mkdir(exist_ok=True)
Path(f"data/{sys.argv[1]}.txt").write_text("x" * n)
"""
COUNT = """\
import json, sys
from pathlib import Path
text = Path(f"data/{sys.argv[1]}.txt").read_text()
Path(f"metrics/{sys.argv[1]}").mkdir(parents=True, exist_ok=True)
Path(f"metrics/{sys.argv[1]}/count.json").write_text(json.dumps({"length": {"value": len(text)}}) + "\\n")
"""
HYDRA = """\
[core]
    analytics = false
[hydra]
    enabled = true
    config_dir = params
"""


def environment(**more: str) -> dict[str, str]:
    """The environment of this run without what belongs to an enclosing git command or pre-commit."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PRE_COMMIT", "AWS_"))}
    people = {f"GIT_{who}_{what}": "test@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return {**kept, **people, "PATH": f"{BINARIES}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT), **more}


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository under test."""
    return ROOT


@pytest.fixture(scope="session")
def run() -> Run:
    """Run a program in a folder; fails the test on a non-zero exit unless ``check=False``."""

    def run_program(
        *command: str | Path, cwd: Path, check: bool = True, **more: str
    ) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env=environment(**more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if check and done.returncode:
            pytest.fail(f"{' '.join(map(str, command))} → {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    return run_program


@pytest.fixture(scope="session")
def start() -> "Callable[..., subprocess.Popen[str]]":
    """Start a program in a folder and let it run; what it says on both streams is read from ``stdout``."""

    def start_program(*command: str | Path, cwd: Path, **more: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env=environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start_program


@pytest.fixture(scope="session")
def write_files() -> Callable[[Path, Mapping[str, str]], None]:
    """Write texts by relative path."""

    def write(folder: Path, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")

    return write


@pytest.fixture(scope="session")
def clone(run: Run) -> Callable[[Path], Path]:
    """Copy what git knows or would add into a new git repository with one commit, ``.venv`` beside it."""

    def clone_working_tree(to: Path) -> Path:
        listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).stdout
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (to / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, to / name)
        run("git", "init", "--quiet", "--initial-branch=main", cwd=to)
        (to / ".git" / "info" / "exclude").write_text("/.venv\n", encoding="utf-8")  # a link here, not a folder
        (to / ".venv").symlink_to(BINARIES.parent)
        run("git", "add", "--all", cwd=to)
        run("git", "commit", "--quiet", "--no-verify", "-m", "as it stands", cwd=to)
        return to

    return clone_working_tree


@pytest.fixture
def line(committed_line: Path, tmp_path: Path) -> Path:
    """A committed two-stage line whose lock is up to date; a copy to work in."""
    return Path(shutil.copytree(committed_line, tmp_path / "line", symlinks=True))


@pytest.fixture(scope="session")
def committed_line(tmp_path_factory: pytest.TempPathFactory, run, write_files) -> Path:
    """The original of it; nobody writes to it."""
    repository = tmp_path_factory.mktemp("original") / "line"
    write_files(
        repository,
        {
            "dvc.yaml": PIPELINE,
            "draw.py": DRAW,
            "count.py": COUNT,
            "params/config.yaml": "datasets:\n  pears:\n    n: 5\n  plums:\n    n: 7\n",
            ".gitignore": "/data/\n",
        },
    )
    run("git", "init", "--quiet", cwd=repository)
    run("dvc", "init", "--quiet", cwd=repository)
    (repository / ".dvc" / "config").write_text(HYDRA, encoding="utf-8")
    run("python", "-m", "tools.params", cwd=repository)
    run("dvc", "repro", "--quiet", cwd=repository)
    run("git", "add", "--all", cwd=repository)
    run("git", "commit", "--quiet", "-m", "a run", cwd=repository)
    return repository


# ── a month of flights as the publisher has it ───────────────────────────────────────────────────────────────────────
PLACE = ("AirportID", "AirportSeqID", "CityMarketID", "", "CityName", "State", "StateFips", "StateName", "Wac")
STOP = ("Airport", "AirportID", "AirportSeqID", "WheelsOn", "TotalGTime", "LongestGTime", "WheelsOff", "TailNum")
COLUMNS = (
    "Year Quarter Month DayofMonth DayOfWeek FlightDate Reporting_Airline DOT_ID_Reporting_Airline "
    "IATA_CODE_Reporting_Airline Tail_Number Flight_Number_Reporting_Airline "
    + " ".join(f"{end}{what}" for end in ("Origin", "Dest") for what in PLACE)
    + " CRSDepTime DepTime DepDelay DepDelayMinutes DepDel15 DepartureDelayGroups DepTimeBlk TaxiOut WheelsOff "
    "WheelsOn TaxiIn CRSArrTime ArrTime ArrDelay ArrDelayMinutes ArrDel15 ArrivalDelayGroups ArrTimeBlk Cancelled "
    "CancellationCode Diverted CRSElapsedTime ActualElapsedTime AirTime Flights Distance DistanceGroup CarrierDelay "
    "WeatherDelay NASDelay SecurityDelay LateAircraftDelay FirstDepTime TotalAddGTime LongestAddGTime "
    "DivAirportLandings DivReachedDest DivActualElapsedTime DivArrDelay DivDistance "
    + " ".join(f"Div{stop}{what}" for stop in range(1, 6) for what in STOP)
).split()
TEXTS = ("Reporting_Airline", "IATA_CODE_Reporting_Airline", "Tail_Number", "Flight_Number_Reporting_Airline", "Origin",
         "Dest", "OriginCityName", "CRSDepTime", "DepTime", "CRSArrTime", "ArrTime", "DepTimeBlk",
         "CancellationCode")  # fmt: skip
CAUSES = ("CarrierDelay", "WeatherDelay", "NASDelay", "SecurityDelay", "LateAircraftDelay")
BLOCKS = ["0001-0559"] * 6 + [f"{hour:02d}00-{hour:02d}59" for hour in range(6, 24)]
PUBLISHED = "On_Time_Reporting_Carrier_On_Time_Performance"


def hhmm(minute: int) -> str:
    minute = (minute - 1) % 1440 + 1
    return f"{minute // 60:02d}{minute % 60:02d}"


def flight(n: int, day: date, draw: np.random.Generator) -> dict[str, str]:
    """One flight in the publisher's words: one in twenty cancelled, about one in four late."""
    carrier, planned, lasts = ("AA", "UA", "WN")[n % 3], int(draw.integers(1, 1440)), int(draw.integers(40, 300))
    left = int(draw.exponential(15)) - 5
    came = left + int(draw.integers(-9, 12))
    words = {
        "Year": str(day.year), "Quarter": str((day.month + 2) // 3), "Month": str(day.month),
        "DayofMonth": str(day.day), "DayOfWeek": str(day.isoweekday()), "FlightDate": str(day),
        "Reporting_Airline": carrier, "IATA_CODE_Reporting_Airline": carrier,
        "Tail_Number": f"N{100 + n % 40}{carrier}",
        "Flight_Number_Reporting_Airline": str(100 + n % 250), "Origin": ("ATL", "ORD", "DFW", "SEA")[n % 4],
        "OriginCityName": "Atlanta, GA", "Dest": ("BOS", "MIA")[n % 2], "CRSDepTime": hhmm(planned),
        "DepTimeBlk": BLOCKS[planned // 60], "CRSArrTime": hhmm(planned + lasts),
        "Cancelled": "0.00", "Diverted": "0.00", "CRSElapsedTime": f"{lasts}.00", "Flights": "1.00",
        "Distance": f"{lasts * 7}.00",
    }  # fmt: skip
    if n % 20 == 0:
        return {**words, "Cancelled": "1.00", "CancellationCode": "B"}
    for name, delay, at in (("Dep", left, planned + left), ("Arr", came, planned + lasts + came)):
        words |= {
            f"{name}Time": hhmm(at), f"{name}Delay": f"{delay}.00", f"{name}DelayMinutes": f"{max(delay, 0)}.00",
            f"{name}Del15": f"{int(delay >= 15)}.00",
        }  # fmt: skip
    words |= {"DepartureDelayGroups": str(min(max(left // 15, -2), 12)), "AirTime": f"{lasts - 20}.00"}
    words |= {"ArrivalDelayGroups": str(min(max(came // 15, -2), 12)), "ActualElapsedTime": f"{lasts + came - left}.00"}
    if came >= 15:
        words |= dict.fromkeys(CAUSES, "0.00") | {"NASDelay": f"{came - 4}.00", "WeatherDelay": "4.00"}
    return words


def write_month(folder: Path, year: int, month: int, rows: int = 600) -> bytes:
    """The published zip of a month with made-up flights, and the bytes of its CSV; spelled out here, by hand."""
    draw = np.random.default_rng([year, month])
    last = 28 if month == 2 else 30
    flights = [flight(n, date(year, month, 1 + n * last // rows), draw) for n in range(rows)]
    lines = ["".join(f'"{name}",' for name in COLUMNS)]
    for words in flights:
        lines.append(
            "".join((f'"{words[c]}",' if c in TEXTS else f"{words[c]},") if c in words else "," for c in COLUMNS)
        )
    text = ("\n".join(lines) + "\n").encode()
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{PUBLISHED}_1987_present_{year}_{month}.zip", "w") as archive:
        archive.writestr(f"{PUBLISHED}_(1987_present)_{year}_{month}.csv", text)
        archive.writestr("readme.html", "<html></html>")
    return text


@pytest.fixture(scope="session")
def publish_month() -> Callable[..., bytes]:
    """Write the published zip of a month with made-up flights; returns the bytes of its CSV."""
    return write_month
