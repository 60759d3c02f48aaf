#!/usr/bin/env bash
# Build .venv/kubeflow from tools/requirements-kubeflow.lock, about 80 MB, and compile `dvc.yaml` in it.
#
# An environment of its own, because kfp pins a `kubernetes` of 2024.  Only compiling needs it: a cluster gets the file.
set -euo pipefail

lock=tools/requirements-kubeflow.lock
built=.venv/kubeflow/requirements.lock
python=.venv/kubeflow/bin/python
if ! cmp -s "$lock" "$built"; then
    "${PYTHON:-.venv/bin/python}" -m venv --clear .venv/kubeflow
    "$python" -m pip --disable-pip-version-check install --require-hashes --no-deps --no-compile --progress-bar off --quiet -r "$lock"
    cp "$lock" "$built"
    echo "kubeflow: built .venv/kubeflow: $(grep -c '^[a-z]' "$lock") packages"
fi
"$python" -m tools.kubeflow
