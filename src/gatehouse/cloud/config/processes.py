"""The cloud's processes and one-shots, as the command line calls them. Each returns an exit code.

A process takes its database role before Django reads the settings: web is `app`; worker and link are
`system`; migrate is `owner`; the demo and the account commands act through services as `app`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

LOG = "gatehouse.process"


def _django(role: str) -> None:
    os.environ["GATEHOUSE_DB_ROLE"] = role
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gatehouse.cloud.config.settings")
    import django

    django.setup()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _fail(text: str) -> int:
    sys.stderr.write(f"gatehouse: {text}\n")
    return 1


def _standing() -> list[str]:
    """What is wrong with the role that this process has in the database; a wall that can be walked through is none."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_user, session_user, bool_or(r.rolsuper), bool_or(r.rolbypassrls) FROM pg_roles r "
            "WHERE r.rolname IN (current_user, session_user)"
        )
        current, session, superuser, bypass = cursor.fetchone() or ("", "", True, True)
        cursor.execute(
            "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND pg_get_userbyid(c.relowner) IN (current_user, session_user)"
        )
        (owned,) = cursor.fetchone() or (0,)
    wrong = []
    if superuser:
        wrong.append(
            f"the database account {session} is a superuser: row security would not hold. Use the login `gatehouse`."
        )
    if bypass:
        wrong.append(f"the database role {current} bypasses row security: ALTER ROLE {current} NOBYPASSRLS.")
    if owned:
        wrong.append(
            f"the database role {current} owns tables: web, worker and link must not. Use the login `gatehouse`."
        )
    return wrong


def _behind() -> list[str]:
    """Migrations that are missing, or that this version does not know."""
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    unknown = set(executor.loader.applied_migrations) - set(executor.loader.disk_migrations)
    wrong = []
    if missing:
        wrong.append(f"the database lacks {len(missing)} migrations: run `gatehouse migrate`.")
    if unknown:
        app, name = sorted(unknown)[0]
        wrong.append(
            f"the database is newer than this program ({app} {name}): install the newer version; going back is not done."
        )
    return wrong


def _ready(role: str) -> list[str]:
    _django(role)
    from django.conf import settings
    from django.db import OperationalError, connections

    if not settings.HAS_MASTER_KEY:
        return [
            f"there is no master key in {settings.MASTER_KEY_FILE}: put the original back; without it no code fits any door."
        ]
    try:
        return _standing() + _behind()
    except OperationalError as problem:
        return [
            f"the database does not answer ({str(problem).strip().splitlines()[0]}): is it running, and is DATABASE_URL right?"
        ]
    finally:
        connections.close_all()


def web(argv: list[str]) -> int:
    """Portal, API and the gateways' HTTPS pages: HTTP on loopback, HTTPS for the network when there is a certificate."""
    if wrong := _ready("app"):
        return _fail(wrong[0])
    import uvicorn
    from django.conf import settings

    from gatehouse.cloud.config.asgi import application

    def server(host: str, port: int, certificate: tuple[str, str] | None) -> uvicorn.Server:
        return uvicorn.Server(
            uvicorn.Config(
                application,
                host=host,
                port=port,
                ssl_certfile=certificate[0] if certificate else None,
                ssl_keyfile=certificate[1] if certificate else None,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=2,
            )
        )

    servers = [server("127.0.0.1", settings.WEB_PORT, None)]
    tls = settings.HOME / "tls"
    certificate, key = tls / "server.crt", tls / "server.key"
    if certificate.exists() and key.exists():
        servers.append(server("0.0.0.0", settings.WEB_TLS_PORT, (str(certificate), str(key))))

    async def serve() -> None:
        loop = asyncio.get_running_loop()

        def stop() -> None:
            for one in servers:
                one.should_exit = True

        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop)
        # uvicorn's own signal handling would be installed once a server; ours serves both
        await asyncio.gather(*(one._serve() for one in servers))

    asyncio.run(serve())
    return 0


def _until_stopped(run: Callable[[threading.Event], None]) -> int:
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda _signal, _frame: stop.set())
    if mark := os.environ.get("GATEHOUSE_READY_FILE"):  # whoever started us waits for this
        Path(mark).touch()
    run(stop)
    return 0


def worker(argv: list[str]) -> int:
    """Compiles the sites' feeds, makes log partitions ahead, ends what has expired."""
    if wrong := _ready("system"):
        return _fail(wrong[0])
    from gatehouse.cloud.config.chores import run as chores
    from gatehouse.cloud.feed.compiler import run as compile_feeds

    def run(stop: threading.Event) -> None:
        beside = threading.Thread(target=chores, args=(stop,), name="chores")
        beside.start()
        try:
            compile_feeds(stop)
        finally:
            stop.set()
            beside.join(timeout=5)

    return _until_stopped(run)


def link(argv: list[str]) -> int:
    """Speaks with the gateways over MQTT."""
    if wrong := _ready("system"):
        return _fail(wrong[0])
    from gatehouse.cloud.link.process import run

    return _until_stopped(run)


def migrate(argv: list[str]) -> int:
    """Brings the database to this version; two at once wait for each other."""
    _django("owner")
    from django.core.management import call_command
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(7130229)")
    try:
        wrong = _behind()
        if any("newer than this program" in line for line in wrong):
            return _fail(next(line for line in wrong if "newer" in line))
        if wrong:
            call_command("migrate", verbosity=0, interactive=False)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(7130229)")
        connection.close()
    return 0


def demo(argv: list[str]) -> int:
    """Loads the demo site once, and prepares what gateway and lab need to claim themselves."""
    _django("app")
    from gatehouse.cloud.config.demo import load

    load()
    return 0


def user(argv: list[str]) -> int:
    """Creates, disables, enables, lists accounts and sets passwords, from the shell; journalled as `console`."""
    parser = argparse.ArgumentParser(prog="gatehouse user")
    acts = parser.add_subparsers(dest="act", required=True)
    create = acts.add_parser("create", help="make an account; prints a first password")
    create.add_argument("login")
    create.add_argument("--name", required=True)
    create.add_argument("--email", default="")
    create.add_argument("--operator", action="store_true", help="give it the operator's console")
    for name in ("disable", "enable", "password"):
        acts.add_parser(name).add_argument("login")
    token = acts.add_parser("token", help="make a token for the REST API; printed this once")
    revoke = acts.add_parser("revoke", help="end the tokens of this name")
    for one in (token, revoke):
        one.add_argument("login")
        one.add_argument("--name", required=True)
    token.add_argument(
        "--scope", action="append", help="a right such as person.view; all that the account has otherwise"
    )
    acts.add_parser("list")
    chosen = parser.parse_args(argv)
    _django("app")
    from gatehouse.cloud.config import console

    try:
        for line in console.act(chosen):
            _say(line)
    except console.Refused as refused:
        return _fail(str(refused))
    return 0


def check(argv: list[str]) -> int:
    """Looks whether the database is in order for each role; says what is wrong and how to mend it."""
    wrong = _ready("app")
    for line in wrong:
        _fail(line)
    from importlib.metadata import version

    _say(f"  {'roles':<14}{'in order' if not wrong else 'see above'}")
    _say(f"  {'zones':<14}tzdata {version('tzdata')}")
    return 1 if wrong else 0
