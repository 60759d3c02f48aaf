"""The block of RESULTS.md about the peers: who cost what at which size, and whether the bars are met."""

from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.contenders import MAIN_PEER, OURS, OURS_PREDICTED, PEERS, Run, by_name
from benchmarks.report import Figure, conditions, number, table, text_table
from benchmarks.simulated_months import DATASET
from benchmarks.workspace import ROOT

PICTURE = ROOT / "benchmarks" / "peers.svg"
COST_AT_MOST, MEMORY_AT_MOST, GROWTH_AT_MOST = 1.0, 0.5, 1.1
WHAT = ("wall_s", "cpu_s", "peak_mib")
HEADER = ("", "predicted: wall, CPU, peak", "wall (min – max)", "CPU (min – max)", "peak", "wall ÷ Polars",
          "CPU ÷ Polars", "peak ÷ Polars")  # fmt: skip


def ratios(ours: Sequence[Run], theirs: Sequence[Run], what: str) -> list[float]:
    """One ratio a round: wall_s, cpu_s or peak_mib."""
    return [getattr(a, what) / getattr(b, what) for a, b in zip(ours, theirs, strict=True)]


def cost_rows(found: Mapping[str, Sequence[Run]]) -> list[tuple[str, ...]]:
    """One line a contender: predicted, measured, and relative to Polars within the same round."""
    predicted = {OURS: OURS_PREDICTED, **{peer.name: peer.predicted for peer in PEERS}}
    beside, rows = found.get(MAIN_PEER, []), []
    for name, runs in found.items():
        if any(run.failed for run in runs):
            rows.append((name, f"failed: {runs[-1].failed}", *("" for _ in HEADER[2:])))
            continue
        millions = runs[0].rows / 1e6
        wall, cpu, mib = predicted[name]
        relative = [median(ratios(runs, beside, what)) for what in WHAT] if len(beside) == len(runs) else []
        rows.append((
            name, f"{number(wall * millions)} s, {number(cpu * millions)} s, {number(mib)} MiB",
            *(f"{number(median(values))} s ({number(min(values))} – {number(max(values))})"
              for values in ([run.wall_s for run in runs], [run.cpu_s for run in runs])),
            f"{number(median(run.peak_mib for run in runs))} MiB",
            *(f"{number(value)} ×" for value in relative or ()), *("" for _ in WHAT[len(relative):]),
        ))  # fmt: skip
    return rows


WHAT = ("wall_s", "cpu_s", "peak_mib")
HEADER = ("", "predicted: wall, CPU, peak", "wall (min – max)", "CPU (min – max)", "peak", "wall ÷ Polars",
          "CPU ÷ Polars", "peak ÷ Polars")  # fmt: skip


def bars(runs: Sequence[Run]) -> list[Figure]:
    """What has to hold at the largest size that the peers ran at, and of memory between the sizes."""
    sizes = [rows for rows in sorted({run.rows for run in runs}) if MAIN_PEER in by_name(runs, rows)]
    found = by_name(runs, sizes[-1]) if sizes else by_name([], 0)
    done = {name: some for name, some in found.items() if not any(run.failed for run in some)}
    ours, figures = done.get(OURS, []), []
    for name, theirs in done.items():
        if name != OURS:
            for what, word in {"wall_s": "wall", "cpu_s": "CPU"}.items():
                found_ratios = ratios(ours, theirs, what)
                figures.append(Figure(f"{word} ÷ {name}", found_ratios, "×", at_most=COST_AT_MOST))
    if MAIN_PEER in done:
        peaks = ratios(ours, done[MAIN_PEER], "peak_mib")
        figures.append(Figure(f"peak memory ÷ {MAIN_PEER}", peaks, "×", at_most=MEMORY_AT_MOST))
    measured = {rows: by_name(runs, rows)[OURS] for rows in sorted({run.rows for run in runs})}
    if len(measured) > 1:
        small, large = (measured[rows] for rows in sorted(measured)[-2:])
        name = f"peak memory at {large[0].rows / 1e6:g} M rows ÷ at {small[0].rows / 1e6:g} M"
        grown = max(run.peak_mib for run in large) / max(run.peak_mib for run in small)
        figures.append(Figure(name, [grown], "×", 1.0, at_most=GROWTH_AT_MOST))
    return figures


def block(runs: Sequence[Run], others_cores: Sequence[float], absent: Sequence[str]) -> str:
    """The block for RESULTS.md."""
    sizes = sorted({run.rows for run in runs})
    versions = sorted({run.version for run in runs if run.version})
    told = [
        f"{DATASET}, **simulated** months of half a million flights (`benchmarks.simulate`, parquet of texts), every "
        "process from a cold start, warm disk cache, the cache of partitions off. All write the same clean rows and "
        "the same features as zstd parquet by month: compared row by row, floats to 1e-5. The line also says of every "
        "row that it drops why, counts it, keeps it, and sketches every feature; the peers drop it without a word. A "
        f"ratio is taken within a round. Peers: {', '.join(versions)}."
        + (f" Not installed, so not measured: {', '.join(absent)}." if absent else ""),
        conditions(others_cores),
    ]
    for rows in sizes:
        found = by_name(runs, rows)
        rounds = max(len(some) for some in found.values())
        told.append(f"{rows:,} rows, {rounds} round{'s' * (rounds > 1)}:")
        told.append(text_table(HEADER, cost_rows(found), left=(0, 1)))
    told += ["plumbline against the bars:", table(bars(runs)), f"![cost against rows]({PICTURE.name})"]
    return "\n\n".join(told)
