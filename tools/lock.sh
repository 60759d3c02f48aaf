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

# The environments beside it, each with a lock of its own: group, file, and what else `uv` is told.
lock_group() {
    local group=$1 lock=$2
    shift 2
    cp "$lock" "$scratch/$group.lock" 2>/dev/null || true
    "$scratch/venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
        --no-emit-index-url --no-annotate --no-header --generate-hashes \
        --group "pyproject.toml:$group" "$@" -o "$scratch/$group.lock"
    if grep -nE '://|^--' "$scratch/$group.lock"; then
        printf 'error: the lock of %s names a host\n' "$group" >&2
        exit 1
    fi
    mv "$scratch/$group.lock" "$lock"
}
lock_group peers benchmarks/requirements-peers.lock -c requirements.lock "$@"
lock_group forecasting benchmarks/requirements-forecasting.lock --no-emit-package nvidia-nccl-cu12 "$@"
lock_group monitoring benchmarks/requirements-monitoring.lock --no-emit-package nvidia-nccl-cu12 "$@"
lock_group serve deploy/requirements.lock -c requirements.lock "$@" # of each package the version that evaluated the model
lock_group tracking tools/requirements-tracking.lock "$@" # MLflow wants older versions: hence no `-c`
lock_group kubeflow tools/requirements-kubeflow.lock "$@" # and so does kfp

# The optional layer lies on top of the core, so it has the core's versions.  Left out: what PyTorch names for GPUs
# (5 GB), and what `tokenizers` names to fetch files from a hub.
mapfile -t unused < <(printf -- '--no-emit-package\n%s\n' triton cuda-{bindings,pathfinder,toolkit} \
    nvidia-{cublas,cuda-cupti,cuda-nvrtc,cuda-runtime,cudnn-cu13,cufft,cufile,curand,cusolver,cusparse,cusparselt-cu13} \
    nvidia-{nccl-cu13,nvjitlink,nvshmem-cu13,nvtx} \
    huggingface-hub hf-xet httpx2 httpx2-jsfetch httpcore2 truststore anyio h11 idna click)
lock_group networks tools/requirements-networks.lock -c requirements.lock "${unused[@]}" "$@"
# PyTorch's wheel without a GPU, which pip prefers where it finds one; of this version, and no registry lists it
cpu_wheel='torch==2.13.0 6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b' # cp311, Linux, x86_64
sed -i "s/^${cpu_wheel% *} .*/&\n    --hash=sha256:${cpu_wheel#* } \\\\/" tools/requirements-networks.lock
grep -q "${cpu_wheel#* }" tools/requirements-networks.lock || echo "lock: no longer ${cpu_wheel% *}: its wheel without a GPU has another hash"
echo "lock: $(grep -c '^[a-z]' requirements.lock) packages; run \`make setup\` to install them"
