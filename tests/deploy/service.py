"""The service as its clients meet it: ready or not, asked over HTTP, beside what `stages.predict` says."""

import json
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import polars as pl

from stages import predict

ROOT = Path(__file__).parents[2]
BUNDLES = sorted(path.parent for path in ROOT.glob("bundles/*/manifest.json"))


def asked(port: int, method: str, path: str, body: bytes | None = None, kind: str = "") -> tuple[int, bytes]:
    """Status and body; status 0 where nobody listens."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, {"content-type": kind} if kind else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


def wait_until_ready(port: int, lives: Callable[[], bool], within_s: float = 60.0) -> None:
    """Return once the service is ready; one that has ended, or takes too long, fails the test."""
    until = time.monotonic() + within_s
    while asked(port, "GET", "/v2/health/ready")[0] != 200:
        assert lives() and time.monotonic() < until, "never ready"
        time.sleep(0.05)


def example_rows(bundle: Path) -> list[dict[str, Any]]:
    """The rows of a bundle's example as JSON has them: numbers as numbers, what is empty as null."""
    inputs = json.loads((bundle / "signature.json").read_text(encoding="utf-8"))["inputs"]
    kinds = {each["name"]: pl.Float64 if each["kind"] == "numeric" else pl.String for each in inputs}
    return pl.read_csv(bundle / "example.csv", schema_overrides=kinds).to_dicts()


def predicted(bundle: Path, aside: Path) -> pl.DataFrame:
    """What `stages.predict` says of a bundle's example."""
    predict.main(str(bundle), str(bundle / "example.csv"), "--output", str(aside))
    return pl.read_parquet(aside)


def check_answers(port: int, bundle: Path, aside: Path) -> None:
    """The service says of the example what `stages.predict` says, to the last digit."""
    truth = predicted(bundle, aside)
    body = json.dumps({"rows": example_rows(bundle)}).encode()
    status, answer = asked(port, "POST", f"/models/{bundle.name}/predict", body, "application/json")
    assert status == 200, answer
    answers = pl.DataFrame(json.loads(answer)["answers"]).select(truth.columns)
    assert answers.cast(dict(truth.schema)).equals(truth)  # JSON has the shortest digits that are the same float32
