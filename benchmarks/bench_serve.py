"""What does `stages.serve` cost beside a bare FastAPI script on the same model?

nycflights' bundle, one row over connections that are kept alive, asked by wrk: one connection for the time of an
answer, sixteen for how many a second.  In every round each server is started, asked and stopped in turn.  A flight as
published and a file go to ours alone, the file also to `stages.predict`.

    python -m benchmarks.bench_serve [--runs 3] [--rows 1000000] [--seconds 5]
"""

import argparse
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench_predict import BUNDLE, DATASET, write_rows
from benchmarks.measure import MIB, PAGE, PROC, TICKS, measure, others_cores, quiet_rounds, tree_bytes
from benchmarks.report import Figure, conditions, table, write_block
from benchmarks.workspace import ROOT

FEATURES = ROOT / "data" / "features" / DATASET
ROWS, SECONDS, WARM_S, CONNECTIONS = 1_000_000, 5, 20, 16
WARMING_ROWS = 200_000  # several pieces of a file, after which the allocators hold what they need
SETTLES_S = 5.0  # what rows as published need is opened once the server answers
PREDICT = f"/models/{DATASET}/predict"
LUA = """\
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.body = io.open(os.getenv("BODY")):read("*a")
"""
FLIGHT = {
    "year": 2013, "month": 12, "day": 31, "sched_dep_time": "1830", "sched_arr_time": "2110", "carrier": "B6",
    "flight": "1", "tailnum": "N595JB", "origin": "JFK", "dest": "MIA", "distance": 1089,
}  # fmt: skip
# written down before the first run
PREDICTED = {"p50": 1.2, "ready": 2.5, "resident": 260.0, "raw": 60.0, "file": 1.1}
UNITS = {"µs": 1e-3, "us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True)
class Asked:
    """What wrk saw."""

    p50_ms: float
    per_s: float
    cpu_ms: float
    """Processor time of the server's processes for each request: what neighbours of the machine change least."""


@contextmanager
def serving(*command: str, ready: str = "/v2/health/ready") -> Iterator[tuple[subprocess.Popen[bytes], int, float]]:
    """A server on a free port: process, port, seconds until it answered."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    began = time.perf_counter()
    process = subprocess.Popen(
        [word.format(port=port) for word in command], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while process.poll() is None:
            try:
                get(port, ready)
                break
            except OSError:
                time.sleep(0.01)
        yield process, port, time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def get(port: int, path: str) -> None:
    """Ask for a path and leave the answer; what is no answer is an `OSError`."""
    urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60).close()


def ask(server: subprocess.Popen[bytes], port: int, path: str, body: object, connections: int, seconds: int) -> Asked:
    """Ask with wrk for so many seconds; an answer that is no 200 is an error."""
    with tempfile.TemporaryDirectory() as name:
        script, content = Path(name) / "post.lua", Path(name) / "body.json"
        script.write_text(LUA)
        content.write_text(json.dumps(body))
        before = cpu_s(server.pid)
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency", "--timeout", "60s", "-s", str(script),
             f"http://127.0.0.1:{port}{path}"],
            env={"BODY": str(content), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        spent = cpu_s(server.pid) - before
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise AssertionError(done.stdout)
    value, unit = re.findall(r"50%\s+([\d.]+)(\S+)", done.stdout)[0]
    requests = int(re.findall(r"(\d+) requests in", done.stdout)[0])
    per_s = float(re.findall(r"Requests/sec:\s+([\d.]+)", done.stdout)[0])
    return Asked(float(value) * UNITS[unit], per_s, 1000 * spent / max(requests, 1))


def cpu_s(root: int) -> float:
    """Processor time of a process and its children so far."""
    total = 0.0
    for process in [root, *children_of(root)]:
        fields = (PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def children_of(root: int) -> list[int]:
    """The processes that a process started, and theirs."""
    threads = (PROC / str(root) / "task").glob("*/children")  # each thread has its own
    own = [int(child) for thread in threads for child in thread.read_text().split()]
    return [*own, *(grandchild for child in own for grandchild in children_of(child))]


def resident_mib(process: int) -> float:
    """Resident memory of one process."""
    return int((PROC / str(process) / "statm").read_text().split()[1]) * PAGE / MIB


def example() -> dict[str, object]:
    """A row of inputs, as JSON has it."""
    from stages.serving.champion import open_served

    return dict(open_served(BUNDLE).examples[0])


def measure_rows(costs: dict[str, list[float]], seconds: int) -> None:
    """One round of single rows on both servers, and on ours with two workers."""
    row = example()
    with serving(sys.executable, "benchmarks/peer_fastapi.py", str(BUNDLE), "{port}", ready="/docs") as (
        server,
        port,
        ready_s,
    ):
        alone = ask(server, port, "/predict", row, 1, seconds)
        costs["peer ready"].append(ready_s)
        costs["peer p50"].append(alone.p50_ms)
        costs["peer cpu"].append(alone.cpu_ms)
        costs["peer per s"].append(ask(server, port, "/predict", row, CONNECTIONS, seconds).per_s)
        costs["peer resident"].append(resident_mib(server.pid))
    with tempfile.TemporaryDirectory() as keep:
        command = (sys.executable, "-m", "stages.serve", str(BUNDLE), "--port", "{port}", "--keep", keep)
        with serving(*command) as (server, port, ready_s):
            get(port, "/openapi.json")  # which names the columns as published, so what they need is open by then
            time.sleep(SETTLES_S)
            alone = ask(server, port, PREDICT, row, 1, seconds)
            costs["ready"].append(ready_s)
            costs["p50"].append(alone.p50_ms)
            costs["cpu"].append(alone.cpu_ms)
            costs["per s"].append(ask(server, port, PREDICT, row, CONNECTIONS, seconds).per_s)
            costs["resident"].append(resident_mib(server.pid))
            if (BUNDLE / "state.json").exists():
                ask(server, port, PREDICT, FLIGHT, 1, WARM_S)
                raw = ask(server, port, PREDICT, FLIGHT, 1, seconds)
                costs["raw p50"].append(raw.p50_ms)
                costs["raw resident"].append(resident_mib(server.pid))
        with serving(*command, "--workers", "2") as (server, port, _):
            time.sleep(SETTLES_S)  # `serving` has seen one of them answer
            costs["per s, 2 workers"].append(ask(server, port, PREDICT, row, CONNECTIONS, seconds).per_s)


def measure_file(costs: dict[str, list[float]], rows: int) -> None:
    """One round of a file: CSV up and down, and the same by `stages.predict`."""
    with tempfile.TemporaryDirectory(prefix="plumbline-benchmark-") as name:
        file, served, predicted = (Path(name) / each for each in ("rows.csv", "served.csv", "predicted.csv"))
        write_rows(file, rows, BUNDLE, FEATURES)
        command = (sys.executable, "-m", "stages.serve", str(BUNDLE), "--port", "{port}", "--keep", f"{name}/kept")
        with serving(*command) as (server, port, _):
            url = f"http://127.0.0.1:{port}/models/{DATASET}/predict-file"
            warming = Path(name) / "warming.csv"
            write_rows(warming, min(rows, WARMING_ROWS), BUNDLE, FEATURES)
            upload(url, warming, served)  # the process that scores files is warm, as it is from the second file on
            before, resting = cpu_s(server.pid), tree_bytes(server.pid, set())
            upload(url, file, served)
            costs["file cpu"].append(cpu_s(server.pid) - before)
            costs["file growth"].append((tree_bytes(server.pid, set()) - resting) / MIB)
        cost = measure([sys.executable, "-m", "stages.predict", str(BUNDLE), str(file), "-o", str(predicted)], cwd=ROOT)
        costs["predict cpu"].append(cost.cpu_s)
        if served.read_bytes() != predicted.read_bytes():
            raise AssertionError("the server and `stages.predict` wrote other scores")


def upload(url: str, file: Path, into: Path) -> None:
    """Send a file as it is, and keep the answer."""
    subprocess.run(["curl", "-sf", "-H", "content-type: text/csv", "-T", str(file), "-X", "POST", "-o", str(into), url],
                   check=True)  # fmt: skip


def ratios(costs: dict[str, list[float]], one: str, other: str) -> list[float]:
    """Run by run."""
    return [a / b for a, b in zip(costs[one], costs[other], strict=True)]


def figures(costs: dict[str, list[float]], rows: int) -> list[Figure]:
    """The table."""
    size = f"file of {rows / 1e6:g} M rows of inputs"
    told = [
        Figure("one row, p50: a bare script", costs["peer p50"], "ms"),
        Figure("one row, p50: `stages.serve`", costs["p50"], "ms"),
        Figure("p50 ÷ bare script", ratios(costs, "p50", "peer p50"), "×", PREDICTED["p50"], at_most=1.3),
        Figure("CPU a request: a bare script", costs["peer cpu"], "ms"),
        Figure("CPU a request: `stages.serve`", costs["cpu"], "ms"),
        Figure("CPU a request ÷ bare script", ratios(costs, "cpu", "peer cpu"), "×", PREDICTED["p50"]),
        Figure("rows a second, 16 connections: a bare script", costs["peer per s"]),
        Figure("rows a second: `stages.serve`, one worker", costs["per s"]),
        Figure("rows a second: `stages.serve`, two workers", costs["per s, 2 workers"]),
        Figure("two workers ÷ one", ratios(costs, "per s, 2 workers", "per s"), "×", 1.7, at_least=1.7),
        Figure("start to ready: a bare script", costs["peer ready"], "s"),
        Figure("start to ready: `stages.serve`", costs["ready"], "s", PREDICTED["ready"], at_most=3.0),
        Figure("resident: a bare script", costs["peer resident"], "MiB"),
        Figure("resident: `stages.serve`, a worker", costs["resident"], "MiB", PREDICTED["resident"], at_most=300.0),
    ]  # fmt: skip
    if costs["raw p50"]:
        ratio = ratios(costs, "raw p50", "p50")
        told += [
            Figure("one flight as published, p50", costs["raw p50"], "ms", PREDICTED["raw"]),
            Figure("as published ÷ features given", ratio, "×", at_most=3.0),
            Figure("resident with what rows as published need", costs["raw resident"], "MiB", at_most=300.0),
        ]
    if costs["file cpu"]:
        told += [
            Figure(f"{size}: `stages.serve`, CPU", costs["file cpu"], "s"),
            Figure(f"{size}: `stages.predict`, CPU", costs["predict cpu"], "s"),
            Figure("file, CPU ÷ `stages.predict`", ratios(costs, "file cpu", "predict cpu"), "×", PREDICTED["file"],
                   at_most=1.3),
            Figure("file: what the server has grown by afterwards", costs["file growth"], "MiB", at_most=100.0),
        ]  # fmt: skip
    return told


def main(runs: int = 5, patience_s: float = 0.0, rows: int = ROWS, seconds: int = SECONDS) -> str:
    """Measure and return the block for RESULTS.md."""
    if shutil.which("wrk") is None:
        raise SystemExit("error: no wrk on the search path (apt-get install wrk)")
    costs: dict[str, list[float]] = defaultdict(list)
    busy = []
    for _ in quiet_rounds(runs, patience_s):
        busy.append(others_cores())
        measure_rows(costs, seconds)
        if rows:
            measure_file(costs, rows)
    return "\n\n".join([
        f"`{DATASET}`, 52 inputs; wrk on the same machine, {seconds} s a figure, one connection for p50 and "
        f"{CONNECTIONS} for rows a second; rounds: {runs}, interleaved, every server from a cold start. Ours checks, "
        "counts and logs; the script checks types alone.",
        conditions(busy),
        table(figures(costs, rows)),
    ])  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=ROWS, help="of the file; 0 leaves it out")
    parser.add_argument("--seconds", type=int, default=SECONDS)
    options = parser.parse_args()
    text = main(options.runs, rows=options.rows, seconds=options.seconds)
    print(text)
    write_block("serve", text)
