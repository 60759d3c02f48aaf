"""What does a command cost?  Wall time, CPU time, peak memory, and how busy others kept the machine meanwhile.

The command runs under a small process of its own (this file, without site-packages): on Linux the peak memory of a
process begins with that of the process that started it, and the caller has grown by then.  Standard library only.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

MIB = 1 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE_EVERY_S = 0.1
QUIET_CORES = 0.15
LOOK_S = 2.0
PROC = Path("/proc")


@dataclass(frozen=True)
class Cost:
    """One run of one command."""

    wall_s: float
    cpu_s: float
    """User and system time of the process and of all its descendants that were waited for."""
    process_mib: float
    """Peak resident memory of the largest single process, kept by the kernel."""
    tree_mib: float
    """Peak sum over all processes alive at once, sampled every 100 ms; pages shared by two are counted twice."""
    others_cores: float
    """Cores that everything else on the machine kept busy meanwhile; NaN where /proc does not tell."""
    output: str = ""


class CommandFailed(RuntimeError):
    """The measured command ended with an error; its figures mean nothing."""


def measure(command: list[str], *, cwd: Path, env: dict[str, str] | None = None) -> Cost:
    """Run ``command`` once in ``cwd``; ``env`` is added to the environment."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", __file__, *command],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise CommandFailed(f"{' '.join(command)} in {cwd}\n{done.stderr[-4000:]}")
    return Cost(**json.loads(done.stdout))


def run(command: list[str]) -> tuple[int, Cost, str]:
    """Status, cost and standard error of the command; called in the small process."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        busy_before, started = busy_s(), time.perf_counter()
        child = subprocess.Popen(command, stdout=out, stderr=err)
        with sampled_tree(child.pid) as peaks:
            _, status, usage = os.wait4(child.pid, 0)
            wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        said, errors = whole_text(out), whole_text(err)
    cpu = usage.ru_utime + usage.ru_stime
    others = max(0.0, (busy_s() - busy_before - cpu) / wall)
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return child.returncode, Cost(wall, cpu, peak / MIB, max(peaks[0], peak) / MIB, others, said), errors


def whole_text(stream: IO[bytes]) -> str:
    """Everything that was written to a temporary file."""
    stream.seek(0)
    return stream.read().decode(errors="replace")


def quiet_rounds(rounds: int, patience_s: float) -> Iterator[int]:
    """Count 0 … rounds - 1, each when others leave the machine alone; waiting takes at most ``patience_s`` in all."""
    for number in range(rounds):
        while patience_s > 0 and others_cores() > QUIET_CORES:
            patience_s -= LOOK_S
        yield number


def others_cores() -> float:
    """Cores that are busy while this process waits a moment."""
    before = busy_s()
    time.sleep(LOOK_S)
    return (busy_s() - before) / LOOK_S


@contextmanager
def sampled_tree(root: int) -> Iterator[list[int]]:
    """Resident memory of a process and its descendants, sampled for as long as the block runs."""
    peaks, over = [0], threading.Event()
    strangers: set[int] = set()

    def sample() -> None:
        while not over.wait(SAMPLE_EVERY_S):
            peaks[0] = max(peaks[0], tree_bytes(root, strangers))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peaks
    finally:
        over.set()
        thread.join()


def tree_bytes(root: int, strangers: set[int]) -> int:
    """Resident memory of a process and its descendants; 0 where there is no /proc.

    ``strangers`` remembers processes outside the tree, since none of them can enter it: looking only at new ones
    keeps a sample below a millisecond.
    """
    children, resident = defaultdict(list), {}
    for process in {int(entry.name) for entry in PROC.glob("[0-9]*")} - strangers:
        try:
            fields = (PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # ended in between
            continue
        children[int(fields[1])].append(process)
        resident[process] = int(fields[21]) * PAGE
    total, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        total += resident.pop(process, 0)
        waiting += children[process]
    strangers.update(resident)
    return total


def busy_s() -> float:
    """CPU seconds spent on this machine since it started, idle and waiting left out; NaN where unknown."""
    try:
        fields = [int(field) for field in (PROC / "stat").read_text().splitlines()[0].split()[1:]]
    except OSError:
        return float("nan")
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts = fields[:7]
    return (user + nice + system + interrupts + soft_interrupts) / TICKS


if __name__ == "__main__":
    code, cost, errors = run(sys.argv[1:])
    sys.stderr.write(errors)
    json.dump(asdict(cost), sys.stdout)
    sys.exit(code)
