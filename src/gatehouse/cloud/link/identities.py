"""The broker's accounts and access rules, rendered from the gateways that exist and are not revoked.

mosquitto reads them from two files; its parent signals it when they change. A file is replaced in one step
and only when its content differs, so a reload never meets half a file and never comes for nothing.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
from pathlib import Path
from uuid import UUID

from django.db import connection, transaction

from gatehouse.wire import topics

log = logging.getLogger(__name__)

LINK = "link"
_HASH = re.compile(r"\$7\$\d+\$[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+")


def reconcile(folder: Path) -> bool:
    """Bring `passwords` and `acl` in the broker's folder up to date; True when something changed.

    Everything that is no gateway's is kept, above all the link's own password line. Raises OSError.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, site_id, broker_hash FROM devices_gateway WHERE revoked_at IS NULL AND broker_hash <> '' ORDER BY id"
        )
        gateways: list[tuple[UUID, UUID, str]] = cursor.fetchall()
    sound = [each for each in gateways if _HASH.fullmatch(each[2])]
    if len(sound) < len(gateways):
        log.error("gateways with an unusable broker hash were left out", extra={"number": len(gateways) - len(sound)})
    passwords = [*_kept(folder / "passwords"), *(f"{id_}:{hash_}" for id_, _, hash_ in sound)]
    rules = [
        f"user {LINK}",
        "topic readwrite gh/#",
        "topic read $SYS/#",
        "",
        f"pattern write {topics.PATTERN_WRITE}",
        f"pattern read {topics.PATTERN_READ}",
        *(line for id_, site, _ in sound for line in ("", f"user {id_}", f"topic readwrite {topics.emergency(site)}")),
    ]
    # Rules first: an account must never be in force without its limits.
    changed = [_replace(folder / name, lines) for name, lines in (("acl", rules), ("passwords", passwords))]
    return any(changed)


def _kept(path: Path) -> list[str]:
    """Password lines of accounts that are no gateways'."""
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        user = line.partition(":")[0]
        try:
            UUID(user)
        except ValueError:
            if line.strip():
                kept.append(line)
    return kept


def _replace(path: Path, lines: list[str]) -> bool:
    text = "\n".join(lines) + "\n"
    try:
        before = path.stat()
        if path.read_text(encoding="utf-8") == text:
            return False
    except FileNotFoundError:
        before = None
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if before is not None and os.geteuid() == 0:
            os.chown(part, before.st_uid, before.st_gid)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return True
