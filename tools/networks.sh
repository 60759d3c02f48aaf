#!/usr/bin/env bash
# Install the optional layer (networks, their export, words of texts) into .venv, on top of the core: about 1.1 GB.
#
# In .venv itself, because the stages run there; the core is left as it is (the same versions, checked by `lock.sh`).  The
# copy of the lock in .venv says what is installed and is written last; a rebuilt .venv has lost the layer.
set -euo pipefail

lock=tools/requirements-networks.lock
built=.venv/requirements-networks.lock
python=.venv/bin/python
if cmp -s "$lock" "$built"; then
    exit 0
fi
echo "networks: adding the optional layer to .venv: $(grep -c '^[a-z]' "$lock") packages, most of them there already"
pip=("$python" -m pip --disable-pip-version-check install --require-hashes --no-deps --no-compile --progress-bar off --quiet)
# A wheel of PyTorch for the CPU that lies where pip looks comes first: of a registry's file pip knows the hash before it
# has it, and prefers that one, the build for GPUs.  The lock lists the wheel for the CPU before all others.
sed -n '/^torch==/{N;s/ *\\\n */ /;s/ *\\$//;p;q;}' "$lock" >.venv/torch-requirements.txt
"${pip[@]}" --no-index -r .venv/torch-requirements.txt 2>/dev/null || true
"${pip[@]}" -r "$lock"
if ! reason=$("$python" -c 'import torch, onnxruntime, onnxscript, safetensors, tokenizers' 2>&1); then
    printf 'error: the optional layer does not start\nwanted  PyTorch for the CPU, and what goes with it\nfound   %s\n' "$(tail -n 1 <<<"$reason")" >&2
    printf 'next    PyTorch from a registry may be the build for GPUs, whose libraries (5 GB) are left out here: put its\n' >&2
    printf '        wheel for the CPU where pip looks (PIP_FIND_LINKS), `%s -m pip uninstall torch`, and `make networks`\n' "$python" >&2
    exit 1
fi
cp "$lock" "$built"
echo "networks: done"
