"""Say in Markdown how the workspace differs from a branch: what a pull request shows beside its checks.

Reads   the resampling tables of both: from the workspace, the DVC cache, its remote, or the folder of kept tables
Writes  comparisons/pull-request.md, also at the end of the file that GITHUB_STEP_SUMMARY names
        .dvc/tmp/tables/   the tables of this run, by hash: what a CI keeps of a run of the main branch

A base that cannot be compared with, because it is not known here or nobody kept its tables, is told in the page and is
no error: the pull request is not to blame.  Tables are small (25 KiB for nycflights), so only they are kept between
runs, and `make repro` in CI goes on starting from nothing.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from stages.experiments.revisions.objects import cache_folder
from stages.workspace import layout
from stages.workspace.terminal import write_plainly

KEPT = Path(".dvc/tmp/tables")
PAGE = Path("comparisons/pull-request.md")


def main() -> int:
    """What CI calls, and what can be tried at home."""
    write_plainly()
    parser = argparse.ArgumentParser(prog="python -m tools.comparison", description="Write a pull request's page.")
    parser.add_argument("base", nargs="?", default="origin/main", help="what to compare with (default: %(default)s)")
    base = parser.parse_args().base
    bring_tables()
    page, failed = write_page(base)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page, encoding="utf-8")
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(page)
    keep_tables()
    print(page)
    return int(failed)


def write_page(base: str) -> tuple[str, bool]:
    """The page, and whether the comparison broke down instead of refusing."""
    compare = [sys.executable, "-m", "stages.compare", base, "workspace", "--markdown"]
    told = {**os.environ, "PYTHONIOENCODING": "utf-8"}  # the page is UTF-8 whatever the terminal is
    done = subprocess.run(
        compare, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", env=told, check=False
    )
    at = done.stderr.find("wanted  ")  # of an error in plain words; a traceback has none
    refused = done.stderr[max(at, 0) :].strip()
    said = [done.stdout.strip()] if done.stdout.strip() else [f"## Comparison with {base}"]
    if done.returncode:
        said.append(f"Not everything could be compared with `{base}`:\n\n```text\n{refused}\n```")
    return "\n\n".join(said) + "\n", done.returncode != 0 and at < 0


def bring_tables() -> None:
    """Put the kept tables into the DVC cache, where a comparison looks for them."""
    for table in _kept_under(KEPT):
        place = cache_folder() / "files" / "md5" / table.parent.name / table.name
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(table, place)


def keep_tables() -> None:
    """Put this run's tables beside those that are kept already."""
    for table in sorted(
        path for kind in ("evaluation", "trainings") for path in (layout.DATA / kind).glob("*.parquet")
    ):
        md5 = hashlib.md5(table.read_bytes(), usedforsecurity=False).hexdigest()
        place = KEPT / md5[:2] / md5[2:]
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(table, place)


def _kept_under(folder: Path) -> Sequence[Path]:
    return sorted(path for path in folder.glob("??/*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
