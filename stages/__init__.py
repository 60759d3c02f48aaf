"""The house: a verb is a file, a noun is a folder.

Verbs of the line, in its order (`dvc.yaml` runs them for every dataset):
  download          published files, in whole and checked
  clean             tidy rows, and those in quarantine with their reasons
  featurize         model inputs, a target, a part for each row
  explore           a page on the clean data
  select_features   which inputs the model may see
  train             the model, and the baseline that it must beat
  evaluate          metrics with intervals, the resampling table, curves
  retrain           the same training from other seeds: how far chance moves a figure
  package           the bundle that ships
  report            a page on the results

Verbs around the line:
  arrive            what a source has published since, kept if it is good
  predict           scores of new rows, by a bundle
  serve             the same over HTTP
  export            a bundle as ONNX, for where Python is not
  ingest            new records into the state
  forecast          what is said of the future from now on, kept beside what came true
  monitor           whether later rows have moved away, and whether it matters
  dictionary        of texts: the words of each class, and what later ones bring
  compare           any two revisions, or all experiments, with a test
  cross_validate    folds in order of time
  tune              a search for better settings
  promote           the champion, on evidence
  cycle             from what has arrived to a new champion, or to none
  mirror            a run on an MLflow server

Nouns, in the order of the line; each imports only what stands above it or in the ground:
  sources           where published files come from
  records           what a dataset promises, and how its published rows become features
  datasets          one package each: all that is peculiar to it
  features          the feature table, sketches, bins, selection
  exploration       for explore: summaries, findings, charts
  models            families of models behind one contract, the baseline, the bundle
  state             what has been heard since the line ran, and requests answered with it
  metrics           tasks behind one contract, resampling, intervals, paired tests
  forecasts         the log of forecasts, what came true, and how they did
  monitoring        drift of columns and scores, quality beside that of the test
  exports           for export: graphs, and whether they score as the bundle
  texts             for dictionary: characteristic words, unknown words, one page
  results           for report: facts, effects, costs, segments, one page
  experiments       revisions, comparison, folds, tuning, promotion, cycle, tracking
  serving           for serve: answers, champions, limits, routes

The ground:
  pages             how numbers, verdicts, tables and pictures are written for people
  workspace         parameters and their origin, paths, whole files, turns, git, errors, the terminal
  runtime           threads, workers, cache, log: nothing here changes a result
"""

import os
import sys
from importlib.util import find_spec

# OpenMP's threads spin while they wait, which is fastest alone and many times slower beside anybody else; it reads its
# environment once, when its library is loaded, and every process that computes imports this first
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# `dvc` may be installed for everybody and this project's packages for itself: then the `python` that it finds has none
if lacking := [name for name in ("polars", "pydantic", "tqdm", "yaml") if find_spec(name) is None]:
    sys.exit(
        f"error: not the environment of this project\nwanted  the packages of requirements.lock\n"
        f"found   no {', '.join(lacking)} where {sys.executable or 'python'} looks\n"
        "next    `make setup` builds .venv; then `make repro`, or `. .venv/bin/activate` and `dvc repro`"
    )
