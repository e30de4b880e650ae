#!/bin/sh
# `make bench`: one benchmark by its name, or all; the last line that each prints is one JSON object.
set -eu
cd "$(dirname "$0")/.."
name=${1:-}
if [ -n "$name" ]; then
  [ -f "benchmarks/$name.py" ] || { echo "gatehouse: there is no benchmarks/$name.py" >&2; exit 1; }
  exec .venv/bin/python -m "benchmarks.$name"
fi
code=0
for file in benchmarks/[a-z]*.py; do
  .venv/bin/python -m "benchmarks.$(basename "$file" .py)" || code=1
done
exit $code
