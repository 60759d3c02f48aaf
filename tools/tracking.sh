#!/usr/bin/env bash
# Build .venv/tracking from tools/requirements-tracking.lock: an MLflow server to look at runs with, about 650 MB.
# With `serve`, start it as well, on this machine alone and with its files in mlruns/ (Ctrl-C stops it).
#
# An environment of its own, because MLflow asks for older versions of what the line is built on.  Only a server needs
# it: runs are mirrored over MLflow's REST API (stages/experiments/tracking/server.py).  A rebuilt .venv has lost it.
set -euo pipefail

lock=tools/requirements-tracking.lock
built=.venv/tracking/requirements.lock
python=.venv/tracking/bin/python
if ! cmp -s "$lock" "$built"; then
    echo "tracking: building .venv/tracking: $(grep -c '^[a-z]' "$lock") packages"
    "${PYTHON:-.venv/bin/python}" -m venv --clear .venv/tracking
    "$python" -m pip --disable-pip-version-check install --require-hashes --no-deps --no-compile --progress-bar off --quiet -r "$lock"
    cp "$lock" "$built"
    echo "tracking: done; \`make tracking ARGS=serve\` starts a server"
fi

if [ "${1:-}" = serve ]; then
    mkdir -p mlruns
    export MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false # neither is of use here
    exec "$python" -m mlflow server --host 127.0.0.1 --port "${PORT:-5000}" --workers 1 \
        --backend-store-uri sqlite:///mlruns/runs.db --artifacts-destination mlruns/files
fi
