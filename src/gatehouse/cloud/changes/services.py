"""Leaving word for the feed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal
from uuid import UUID

from django.db import connection

Kind = Literal["site", "holder", "people_group", "access_group", "party", "device", "gateway"]

CHANNEL = "gatehouse_touched"


def touch(site: UUID, kind: Kind, keys: UUID | Iterable[UUID]) -> None:
    """Note inside the act's transaction that these things changed (also when they were deleted).

    Set-based: one statement for any number of keys. The notification leaves with the commit and wakes
    the site's compiler; when it is lost, the compiler's own look finds the rows.
    """
    ids = [keys] if isinstance(keys, UUID) else list(keys)
    if not ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO changes_touched (site_id, kind, key, at) SELECT %s, %s, unnest(%s::uuid[]), clock_timestamp()",
            [site, kind, ids],
        )
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, str(site)])
