#!/bin/sh
# `make check`: everything that looks at the sources without running the tests. Says which look failed and what it saw.
set -u
cd "$(dirname "$0")/.."
PATH="$(pwd)/.venv/bin:$PATH"
failed=

look() {
  what=$1; shift
  begun=$(date +%s)
  if output=$("$@" 2>&1); then
    printf '  %-58s%6d s\n' "$what" $(($(date +%s) - begun))
  else
    printf '%s\n' "$output"
    printf '  %-58s failed\n' "$what"
    failed="$failed, $what"
  fi
}

templates() {
  # djlint fails on an empty list of files
  found=$(find src -name '*.html' -not -path '*/dist/*' | head -n 1)
  [ -z "$found" ] || djlint src --lint --quiet
}

export DJANGO_SETTINGS_MODULE=gatehouse.cloud.config.settings

look "format" ruff format --check --quiet .
look "lint" ruff check --quiet --output-format concise .
look "types" mypy
look "layers" lint-imports --no-logo
look "migrations" python -W ignore::RuntimeWarning -m django makemigrations --check --dry-run
look "lints of our own" python -m tests.lints
look "templates" templates
look "front end types" env PYTHON="$(pwd)/.venv/bin/python" sh frontend/build.sh check

[ -z "$failed" ] || { echo "make check failed: ${failed#, }"; exit 1; }
