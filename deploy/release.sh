#!/bin/sh
# Build the image of this checkout, try it, scan it with what is there, push it.  What both CIs run on a tag.
#
#   IMAGE     where it goes, without a tag: registry.example/plumbline; without it nothing is pushed
#   VERSION   its tag, and REVISION the commit it is made of; by default git's
#   DOCKER    docker (default), podman or another with the same words
set -eu
cd "$(dirname "$0")/.."
docker=${DOCKER:-docker}
revision=${REVISION:-$(git rev-parse HEAD)}
version=${VERSION:-$(git rev-parse --short=12 HEAD)}
name=${IMAGE:-plumbline}:$version

say() { printf '\n== %s\n' "$*"; }

say "build $name"
if ! ls bundles/*/manifest.json >/dev/null 2>&1; then
    printf 'error: no bundles to put into an image\nwanted  bundles/<dataset>/\nfound   none\nnext    `make repro`, or `dvc pull bundles`\n' >&2
    exit 1
fi
"$docker" build --pull --file deploy/Dockerfile --build-arg "VERSION=$version" --build-arg "REVISION=$revision" --tag "$name" .

say "try it as it will run: on a root that is read-only, without rights"
container=$("$docker" run --detach --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges "$name")
trap '"$docker" rm --force "$container" >/dev/null' EXIT
ask='from urllib.request import urlopen; print(urlopen("http://127.0.0.1:8000/v2/health/ready").read().decode())'
tries=0
until "$docker" exec "$container" python -S -c "$ask" 2>/dev/null; do
    tries=$((tries + 1))
    if [ "$tries" -ge 60 ]; then
        "$docker" logs "$container" >&2
        exit 1
    fi
    sleep 1
done

say "scan"
if command -v trivy >/dev/null; then
    trivy image --exit-code 1 --severity CRITICAL --ignore-unfixed "$name"
elif command -v grype >/dev/null; then
    grype --fail-on critical --only-fixed "$name"
elif "$docker" scout version >/dev/null 2>&1; then
    "$docker" scout cves --exit-code --only-severity critical --only-fixed "$name"
else
    echo "not scanned: neither trivy nor grype nor docker scout is here"
fi

if [ -n "${IMAGE:-}" ]; then
    say "push $name"
    "$docker" push "$name"
fi
