#!/usr/bin/env bash
# Put the two files of ONNX Runtime Web that a page needs (14 MB; MIT licence) into .venv/onnxruntime-web, by npm.
#
# Pinned by version and checksum, and copied beside each exported page, which then asks no other host.  A rebuilt .venv
# has lost them.
set -euo pipefail

version=1.30.0
sha256=d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71
folder=.venv/onnxruntime-web
if [ "$(cat "$folder/version" 2>/dev/null)" = "$version" ]; then
    exit 0
fi
if ! command -v npm >/dev/null; then
    printf 'error: onnx_web\nwanted  npm, to fetch onnxruntime-web %s\nfound   none on this machine\nnext    install Node.js; the export itself needs none\n' "$version" >&2
    exit 1
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
npm pack --silent --pack-destination "$scratch" "onnxruntime-web@$version" >/dev/null
archive="$scratch/onnxruntime-web-$version.tgz"
found=$(.venv/bin/python -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$archive")
if [ "$found" != "$sha256" ]; then
    printf 'error: onnx_web\nwanted  onnxruntime-web %s with sha256 %s\nfound   %s\nnext    run it again; nothing was kept\n' "$version" "$sha256" "$found" >&2
    exit 1
fi
tar -xzf "$archive" -C "$scratch"
mkdir -p "$folder"
for name in ort.wasm.bundle.min.mjs ort-wasm-simd-threaded.wasm; do
    cp "$scratch/package/dist/$name" "$folder/"
done
echo "$version" >"$folder/version" # last: what is there is complete
echo "onnx-web: ONNX Runtime Web $version"
