"""The part of `gatehouse check` that looks at the machine: programs, ports, room, secrets, certificate."""

import contextlib
import datetime as dt
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509

from gatehouse.run import broker, database, home, postgres, secrets
from gatehouse.run.home import CannotStart
from gatehouse.run.tls import RENEW_BEFORE


def check(folder: Path) -> list[str]:
    """Prints what was looked at, and returns what is wrong, one sentence each."""
    wrong: list[str] = []
    try:
        found = "yours, from DATABASE_URL" if database.is_external() else postgres.find_binaries(folder / "postgres")
        print(f"  {'PostgreSQL':<14}{found}")
    except CannotStart as problem:
        wrong.append(str(problem))
    try:
        print(f"  {'broker':<14}{broker.find_binary()}")
    except CannotStart as problem:
        wrong.append(str(problem))
    print(f"  {'data':<14}{folder}")
    if folder.exists():
        print(f"  {'room':<14}{shutil.disk_usage(folder).free // 1024**2} MB free")
        if shutil.disk_usage(folder).free < home.LEAST_FREE_BYTES:
            wrong.append(str(home.full_disk(folder)))
    print("\n  port    listener    where       setting")
    for name in home.PORTS:
        where = "network" if name in home.ON_ALL_INTERFACES else "loopback"
        print(f"  {home.port(name):<8}{name:<12}{where:<12}GATEHOUSE_PORT_{name}")
    wrong += _readable_secrets(folder)
    wrong += _ending_certificates(folder)
    return wrong


def _readable_secrets(folder: Path) -> Iterator[str]:
    paths = [folder / secrets.MASTER_KEY, folder / "tls" / "server.key", folder / "tls" / "authority.key"]
    with contextlib.suppress(OSError):
        paths += sorted((folder / "secrets").iterdir())
    for path in paths:
        with contextlib.suppress(OSError):
            if path.stat().st_mode & 0o077:
                yield f"The secret {path} can be read by other accounts: run `chmod 600 {path}`."
    if (folder / secrets.MASTER_KEY).exists() and os.access(folder / secrets.MASTER_KEY, os.R_OK):
        with contextlib.suppress(OSError):
            if len((folder / secrets.MASTER_KEY).read_text().strip()) != 64:
                yield f"{folder / secrets.MASTER_KEY} does not hold 32 bytes in hexadecimal: put the original back."


def _ending_certificates(folder: Path) -> Iterator[str]:
    for path in sorted((folder / "tls").glob("*.crt")):
        with contextlib.suppress(OSError, ValueError):
            left = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc - dt.datetime.now(dt.UTC)
            if left < RENEW_BEFORE:
                yield f"The certificate {path} ends in {left.days} days: start Gatehouse again, or renew your own."
