#!/usr/bin/env bash
# Resolve pyproject.toml into requirements.lock: one file for every platform and Python from 3.11 on, each package
# pinned by version and hash, and no word of which registry or mirror served them.
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip --disable-pip-version-check install --quiet uv

cp requirements.lock "$scratch/requirements.lock" 2>/dev/null || true # today's pins are preferred unless --upgrade
"$scratch/venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
    --no-emit-index-url --no-annotate --no-header --generate-hashes --no-emit-package nvidia-nccl-cu12 \
    --group dev "$@" pyproject.toml -o "$scratch/requirements.lock"

if grep -nE '://|^--' "$scratch/requirements.lock"; then
    printf 'error: the lock names a host\nwanted  names, versions and hashes only\nfound   the lines above\nnext    resolve without direct references or index options\n' >&2
    exit 1
fi
mv "$scratch/requirements.lock" requirements.lock

"$scratch/venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
    --no-emit-index-url --no-annotate --no-header --generate-hashes -c requirements.lock \
    --group pyproject.toml:peers -o "$scratch/peers.lock"
if grep -nE '://|^--' "$scratch/peers.lock"; then
    printf 'error: the lock of the peers names a host\n' >&2
    exit 1
fi
mv "$scratch/peers.lock" benchmarks/requirements-peers.lock
echo "lock: $(grep -c '^[a-z]' requirements.lock) packages; run \`make setup\` to install them"
