"""Measure and write the figures into RESULTS.md: ``python -m benchmarks.run [NAME …]``, all without a name."""

import argparse
import time
from collections.abc import Callable

from benchmarks import (
    bench_bootstrap,
    bench_compare,
    bench_export,
    bench_forecast,
    bench_growth,
    bench_line,
    bench_monitor,
    bench_peers,
    bench_predict,
    bench_scale,
    bench_serve,
    bench_stages,
    bench_train,
    bench_tune,
    study_drift,
)
from benchmarks.report import write_block
from stages.workspace.terminal import write_plainly

BENCHMARKS: dict[str, Callable[..., str]] = {
    "line": bench_line.main,
    "bootstrap": bench_bootstrap.main,
    "compare": bench_compare.main,
    "stages": bench_stages.main,
    "train": bench_train.main,
    "tune": bench_tune.main,
    "predict": bench_predict.main,
    "export": bench_export.main,
    "serve": bench_serve.main,
    "peers": bench_peers.main,
    "scale": bench_scale.main,
    "growth": bench_growth.main,
    "forecast": bench_forecast.main,
    "monitor": bench_monitor.main,
    "drift": study_drift.main,
}


def main() -> None:
    """Run the named benchmarks, all without a name."""
    write_plainly()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; all when none is named")
    parser.add_argument("--runs", type=int, default=5, help="rounds of each (5)")
    parser.add_argument("--patience", type=float, default=600.0, help="seconds to wait for a quiet machine (600)")
    options = parser.parse_args()
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    for name in options.names or BENCHMARKS:
        print(f"benchmark {name}: {options.runs} runs", flush=True)
        started = time.monotonic()
        text = BENCHMARKS[name](runs=options.runs, patience_s=options.patience)
        write_block(name, text)
        print(f"{text}\n\nbenchmark {name}: {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
