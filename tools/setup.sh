#!/usr/bin/env bash
# Build .venv from requirements.lock: every file pinned by its hash, nothing resolved, nothing else fetched.
#
# The copy of the lock inside .venv says what is installed; it is written last.  The lock leaves out the GPU
# library that xgboost names on Linux (nvidia-nccl-cu12, 400 MB, not needed on a CPU), hence --no-deps.
set -euo pipefail

lock=requirements.lock
if cmp -s "$lock" ".venv/$lock"; then
    touch ".venv/$lock" # a checkout made the lock newer, not different
    exit 0
fi

for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    # The interpreter behind an activated environment, since that environment may be the one to be replaced.
    if python=$("$candidate" -c 'import sys; sys.version_info >= (3, 11) or sys.exit(1); print(sys._base_executable)' 2>/dev/null); then
        break
    fi
done
if [ -z "${python:-}" ]; then
    printf 'error: no suitable Python\nwanted  Python 3.11 or newer\nfound   %s\nnext    install it, or name it: make setup PYTHON=/path/to/python3.11\n' \
        "$(python3 --version 2>&1 || true)" >&2
    exit 1
fi

total=$(grep -c '^[a-z]' "$lock")
echo "setup: building .venv with $("$python" --version): $total packages, about 1.5 GB on disk, a few minutes"
"$python" -m venv --clear .venv

# Two packages come as source; they are built with the pinned setuptools instead of whatever is newest today.
# Modules are compiled when they are first imported: most of them never are.
pip=(.venv/bin/python -m pip --disable-pip-version-check install --require-hashes --no-deps --no-compile --progress-bar off)
sed -n '/^setuptools==/,/[^\\]$/p' "$lock" >.venv/build-requirements.txt
"${pip[@]}" --quiet -r .venv/build-requirements.txt
PYTHONUNBUFFERED=1 "${pip[@]}" --no-build-isolation --use-pep517 -r "$lock" | awk -v total="$total" '
    /^(Collecting|Processing|Requirement already satisfied|Ignoring)/ { if (++n % 25 == 0) { print "setup: " n " of " total " packages"; fflush() } }
    /^Installing collected packages/ { print "setup: installing"; fflush() }'

cp "$lock" ".venv/$lock"
echo "setup: done"
