"""Where each artifact of a dataset lives, relative to the repository root."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

DATA = Path("data")


@dataclass(frozen=True)
class Root:
    """The folder of a run, fixed when the run begins: what its threads read and write is not elsewhere after a `chdir`.

    On its way to a worker it becomes the folder in which that worker stands, which may have another path there.
    """

    path: Path = field(default_factory=Path.cwd)

    def __reduce__(self) -> tuple[type[Root], tuple[()]]:
        return Root, ()


def raw(dataset: str) -> Path:
    """The published files, untouched, beside their ``manifest.json``."""
    return DATA / "raw" / dataset


def clean(dataset: str) -> Path:
    """Validated partitions, ``references/`` and ``manifest.json``."""
    return DATA / "clean" / dataset


def quarantine(dataset: str) -> Path:
    """The rows that failed validation, as published, with their reasons."""
    return DATA / "quarantine" / dataset


def features(dataset: str) -> Path:
    """Model inputs by partition, ``manifest.json``, ``sketches.json`` and ``summaries/``."""
    return DATA / "features" / dataset


def selection(dataset: str) -> Path:
    """Which features the model may use, and why."""
    return DATA / "selection" / f"{dataset}.json"


def evaluation(dataset: str) -> Path:
    """The resampling table: what any later comparison needs of the test part."""
    return DATA / "evaluation" / f"{dataset}.parquet"


def trainings(dataset: str) -> Path:
    """The resampling tables of further trainings, one below the other."""
    return DATA / "trainings" / f"{dataset}.parquet"


def models(dataset: str) -> Path:
    """``model.ubj``, ``training.json`` and ``baseline.json``."""
    return Path("models") / dataset


def bundles(dataset: str) -> Path:
    """The self-describing folder that ships."""
    return Path("bundles") / dataset


def metrics(dataset: str) -> Path:
    """Small JSON in git."""
    return Path("metrics") / dataset


def results(dataset: str) -> Path:
    """Every metric with all that is known of it; ``test.json`` beside it has what DVC lists."""
    return metrics(dataset) / "results.json"


def plots(dataset: str) -> Path:
    """Small CSV and JSON in git, drawn by ``dvc plots``."""
    return Path("plots") / dataset


def report(dataset: str) -> Path:
    """The executed exploration notebook as one HTML page."""
    return Path("reports") / dataset / "explore.html"


def results_report(dataset: str) -> Path:
    """The results as one page: what was asked, found and may be concluded."""
    return Path("reports") / dataset / "results.html"


def comparisons(dataset: str) -> Path:
    """Comparisons of revisions, each a folder; not in git."""
    return Path("comparisons") / dataset


def decisions(dataset: str) -> Path:
    """Every decision about the champion, with its evidence, one JSON object a line; in git, only ever added to."""
    return Path("registry") / f"{dataset}.jsonl"


def cycles(dataset: str) -> Path:
    """Every finished cycle that found something new, and what it decided, one JSON object a line; in git."""
    return Path("cycles") / f"{dataset}.jsonl"


def studies(dataset: str) -> Path:
    """What tuning leaves: its study and its tables; not in git."""
    return Path("tuning") / dataset


def state(dataset: str) -> Path:
    """What has been heard of new records since the line ran; not in git."""
    return Path("state") / f"{dataset}.sqlite"


def forecasts(dataset: str) -> Path:
    """What was forecast and what came true; not in git."""
    return Path("forecasts") / f"{dataset}.sqlite"


def monitoring(dataset: str) -> Path:
    """The last look at a model: JSON and parquet in git, metrics for Prometheus."""
    return Path("monitoring") / dataset


def monitor_report(dataset: str) -> Path:
    """The same as a page."""
    return Path("reports") / dataset / "monitor.html"


def dictionary(dataset: str) -> Path:
    """The words of each class and the later documents; the page is ``dictionary.html``."""
    return Path("reports") / dataset / "dictionary"
