"""What the worker does beside compiling: partitions ahead, ended sign-ins and imports cleared."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from django.db import close_old_connections, connection, connections, transaction
from django.db.utils import DatabaseError, InterfaceError

from gatehouse.cloud.accounts.services import clear_sign_ins
from gatehouse.cloud.authz.actor import system_actor
from gatehouse.cloud.imports.services import seal_imports
from gatehouse.cloud.kit import clock

log = logging.getLogger(__name__)

MINUTE = 60.0
PARTITIONED = ("events_passage", "events_alarm")


def make_partitions() -> None:
    """Log partitions for this month and three ahead; making them twice changes nothing."""
    with connection.cursor() as cursor:
        for table in PARTITIONED:
            cursor.execute("SELECT gatehouse_make_partitions(%s::regclass, 3)", [table])


def clear_old_sign_ins() -> None:
    """Sessions that have ended, and tries at the sign-in form that are forgotten."""
    clear_sign_ins(clock.now())


@transaction.atomic
def seal_old_imports() -> None:
    """Imports whose undo time is over: their rows, which hold codes and names, go."""
    seal_imports(actor=system_actor(label="worker"), now=clock.now())


CHORES: tuple[Callable[[], None], ...] = (make_partitions, clear_old_sign_ins, seal_old_imports)


def run(stop: threading.Event) -> None:
    """Each minute, until stopped. A database that is away is waited for; one failing chore does not stop the others."""
    while not stop.is_set():
        for chore in CHORES:
            close_old_connections()
            try:
                chore()
            except (DatabaseError, InterfaceError):
                log.warning("chore waits for the database", extra={"chore": chore.__name__}, exc_info=True)
        connections.close_all()
        stop.wait(MINUTE)
