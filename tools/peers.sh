#!/usr/bin/env bash
# Build .venv/peers from benchmarks/requirements-peers.lock: what only benchmarks run (Spark, LightGBM), about 1 GB;
# and in it .venv/peers/forecasting, whose libraries want an older pandas, about 0.6 GB.
#
# An environment of its own, because pandera imports pyspark wherever it finds it: in .venv, every start of `clean`
# would take seconds longer.  A rebuilt .venv has lost it.
set -euo pipefail

lock=benchmarks/requirements-peers.lock
python=.venv/peers/bin/python
"${PYTHON:-.venv/bin/python}" -m venv --clear .venv/peers

# pyspark comes as source; it is built with the pinned setuptools instead of whatever is newest today
pip=("$python" -m pip --disable-pip-version-check install --require-hashes --no-deps --progress-bar off --quiet)
sed -n '/^setuptools==/,/[^\\]$/p' "$lock" >.venv/peers/build-requirements.txt
"${pip[@]}" -r .venv/peers/build-requirements.txt
"${pip[@]}" --no-build-isolation --use-pep517 -r "$lock"

.venv/peers/bin/python -m venv --clear .venv/peers/forecasting
.venv/peers/forecasting/bin/python -m pip --disable-pip-version-check install --require-hashes --no-deps --progress-bar off \
    --quiet -r benchmarks/requirements-forecasting.lock
echo "peers: $(grep -c '^[a-z]' "$lock") packages in .venv/peers"
if ! command -v java >/dev/null; then
    echo "peers: no java here, so Spark will be left out; it wants 17 or newer"
fi
