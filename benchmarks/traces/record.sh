#!/bin/sh
# Records all traces, as root, with nothing else running; from the root of the repository.
for name in gcc make sh redis; do
    python3 -m benchmarks.record --guests "$name" -- .venv/bin/exo-um run \
        sh "benchmarks/traces/$name.sh" || exit 1
done
python3 -m benchmarks.record --guests python -- .venv/bin/exo-um run \
    python3 benchmarks/traces/python.py
