"""News for live screens: ids only, at most one notification each 50 ms and process.

A notification per transaction would serialise all commits of the database (measured: half the throughput).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from uuid import UUID

_HEAD = 64  # site and braces
CHANNEL = "gatehouse_live"
EVERY_S = 0.05
MOST_BYTES = 7_000
MOST_IDS = 600
"""Ids of one kind and site in one go; a screen that sees `more` looks for itself."""


class News:
    """What has become new since the last notification, by site and kind. Used from one event loop only."""

    def __init__(self) -> None:
        self.fresh = asyncio.Event()
        """Set while there is something to be told."""
        self._waiting: dict[UUID, dict[str, dict[str, None]]] = {}

    def add(self, site: UUID, kind: str, ids: Iterable[str]) -> None:
        """Kinds: passages, alarms, doors (relays whose state moved), devices, gateways, commands."""
        if told := dict.fromkeys(ids):
            self._waiting.setdefault(site, {}).setdefault(kind, {}).update(told)
            self.fresh.set()

    def take(self) -> list[str]:
        """Everything as payloads `{"site": ..., "<kind>": [ids]}`, each below 7 kB; empties the news."""
        payloads: list[str] = []
        for site, kinds in self._waiting.items():
            payload: dict[str, object] = {"site": str(site)}
            size = _HEAD
            for kind, known in kinds.items():
                ids = list(known)
                if len(ids) > MOST_IDS:
                    ids = ids[-MOST_IDS:]
                    payload["more"] = True
                while ids:
                    room = max(1, (MOST_BYTES - size - len(kind) - 8) // 39)
                    chunk, ids = ids[:room], ids[room:]
                    payload[kind] = chunk
                    size += len(kind) + 8 + 39 * len(chunk)
                    if ids or size > MOST_BYTES - 100:
                        payloads.append(json.dumps(payload, separators=(",", ":")))
                        payload, size = {"site": str(site)}, _HEAD
            if len(payload) > 1:
                payloads.append(json.dumps(payload, separators=(",", ":")))
        self._waiting = {}
        self.fresh.clear()
        return payloads
