#!/bin/sh
# Try what an image is about to hold: score the example of every bundle, then start the service and wait until it is
# ready.  What that imports is compiled on the way; of the project's own modules, all: which of them an answer asks for
# depends on the question.
set -eu
python=.venv/bin/python
"$python" -m compileall -q stages
for bundle in bundles/*/; do
    "$python" -m stages.predict "$bundle" "$bundle/example.csv" >/dev/null
done
# rows as published open the state, which a bundle without news of its own does not
"$python" -c "import stages.state.embedded, stages.state.shared"
"$python" -m stages.serve --port 8000 --workers 2 --keep /build/kept &
service=$!
until "$python" -c "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/v2/health/ready')" 2>/dev/null; do
    kill -0 "$service"
    sleep 0.5
done
kill "$service"
wait "$service" || [ $? -eq 143 ]
