#!/usr/bin/env bash
# Build .venv/peers from benchmarks/requirements-peers.lock: what only benchmarks run (Spark, LightGBM), about 1 GB;
# and in it .venv/peers/forecasting and .venv/peers/monitoring, whose libraries want an older pandas, 0.6 and 1.8 GB.
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

for group in forecasting monitoring; do
    .venv/peers/bin/python -m venv --clear ".venv/peers/$group"
    ".venv/peers/$group/bin/python" -m pip --disable-pip-version-check install --require-hashes --no-deps --quiet \
        --progress-bar off -r "benchmarks/requirements-$group.lock"
done
echo "peers: $(grep -c '^[a-z]' "$lock") packages in .venv/peers"
if ! command -v java >/dev/null; then
    echo "peers: no java here, so Spark will be left out; it wants 17 or newer"
fi
