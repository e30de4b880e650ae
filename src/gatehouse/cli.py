"""The `gatehouse` command.

Each process is a subcommand, and each subcommand imports only what it needs: the gateway runs on boxes that have
neither Django nor PostgreSQL.
"""

import argparse
import importlib
import os
import subprocess
import sys
import zoneinfo
from collections.abc import Callable, Sequence
from pathlib import Path

_CLOUD = {
    "web": ("app", "the portal and the API"),
    "worker": ("system", "compiles feeds and runs jobs"),
    "link": ("system", "talks to the gateways over MQTT"),
    "migrate": ("owner", "brings the database to this version"),
    "demo": ("app", "loads the demo site"),
    "user": ("app", "creates, disables, resets and lists accounts"),
}
"""Commands that are the cloud's, with the database role that each takes."""

_EDGE = {
    "gateway": ("gatehouse.gateway.process", "the agent on a site's network"),
    "lab": ("gatehouse.lab.process", "virtual devices to try everything with"),
    "swarm": ("gatehouse.lab.swarm", "thousands of virtual gateways, for load"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code (0 good, 1 refused or failed, 2 not understood)."""
    # Cloud and edge judge hours by the pinned tzdata package alone, never by what a machine happens to have.
    zoneinfo.reset_tzpath(to=())
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    own: dict[str, Callable[[argparse.Namespace], int]] = {"up": _up, "reset": _reset, "check": _check}
    command: str = arguments.command
    if command in own:
        if rest:
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        return own[command](arguments)
    if command in _CLOUD:
        return _cloud(command, rest)
    if command == "requirements":
        return _in_checkout("tests/requirements.py", rest)
    if command == "bench":
        return _in_checkout(f"benchmarks/{arguments.name}.py", rest)
    return _call(_EDGE[command][0], "main", rest)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gatehouse", description="A self-hosted cloud for intercoms and doors.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start everything on this machine")
    up.add_argument("--reset-demo", action="store_true", help="begin the demo anew first")
    up.add_argument("--verbose", action="store_true", help="show all that the processes say")
    reset = commands.add_parser("reset", help="delete this machine's data, after asking")
    reset.add_argument("--yes", action="store_true", help="do not ask")
    commands.add_parser("check", help="look whether this machine and the database are in order")
    bench = commands.add_parser("bench", help="run one benchmark of the sources")
    bench.add_argument("name", help="the name of a file in benchmarks/, without .py")
    commands.add_parser("requirements", help="count the requirements that tests prove", add_help=False)
    for name, (_, text) in (_CLOUD | _EDGE).items():
        commands.add_parser(name, help=text, add_help=False)
    return parser


def _up(arguments: argparse.Namespace) -> int:
    from gatehouse.run import home, reset, up

    if arguments.reset_demo:
        try:
            if not up.is_demo():
                return _say("--reset-demo is for the demo: leave it away, or see `gatehouse reset`.")
        except home.CannotStart as problem:
            return _say(str(problem))
        if code := reset.reset(yes=True, keep_authority=True):
            return code
    return up.up(verbose=arguments.verbose)


def _reset(arguments: argparse.Namespace) -> int:
    from gatehouse.run import reset

    return reset.reset(yes=arguments.yes)


def _check(arguments: argparse.Namespace) -> int:
    from gatehouse.run import check, home

    try:
        wrong = check.check(home.home())
    except home.CannotStart as problem:
        return _say(str(problem))
    code = 0
    for sentence in wrong:
        print(f"gatehouse: {sentence}", file=sys.stderr)
    _know_database()
    if "DATABASE_URL" in os.environ:
        print()
        code = max(code, _cloud("check", []))
    return 1 if wrong else code


def _cloud(command: str, argv: Sequence[str]) -> int:
    _know_database()
    os.environ.setdefault("GATEHOUSE_DB_ROLE", _CLOUD.get(command, ("app", ""))[0])
    return _call("gatehouse.cloud.config.processes", command, argv)


def _know_database() -> None:
    """By hand, a command finds the private server by itself; under `up` it is told."""
    from gatehouse.run import database, home

    if "DATABASE_URL" not in os.environ:
        try:
            os.environ["DATABASE_URL"] = database.database_url(home.home())
        except FileNotFoundError:
            return
        except PermissionError as problem:
            _say(f"{problem.filename} cannot be read: run this as root or as the account that runs Gatehouse.")


def _call(module: str, function: str, argv: Sequence[str]) -> int:
    try:
        run: Callable[[list[str]], int] = getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as problem:
        if problem.name is None or not module.startswith(problem.name):
            raise
        return _say(f"This installation has no `{function if function != 'main' else module}`: install it again.")
    return run(list(argv))


def _in_checkout(script: str, argv: Sequence[str]) -> int:
    """Benchmarks and the requirement count belong to the sources; an installed package has neither."""
    root = Path(__file__).parents[2]
    if not (root / script).is_file():
        return _say(f"{script} is part of the sources: run this in a checkout.")
    return subprocess.run(
        [sys.executable, "-m", script.removesuffix(".py").replace("/", "."), *argv], cwd=root
    ).returncode


def _say(text: str) -> int:
    print(f"gatehouse: {text}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
