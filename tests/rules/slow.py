"""The rules read slowly and obviously, from the specification and not from the code they check.

Works on the feed's payloads as they are, with calendar dates and no compilation of any kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

ONE_DAY = timedelta(days=1)


def window_open(window: Mapping[str, Any], wall: datetime) -> bool:
    """Does this window stand open while the clock on the wall shows `wall`?"""
    if window.get("from") and wall < datetime.fromisoformat(window["from"]):
        return False
    if window.get("until") and wall >= datetime.fromisoformat(window["until"]):
        return False
    if window["kind"] == "once":
        return True
    return any(_begun_on(window, day, wall) for day in (wall.date() - ONE_DAY, wall.date()))


def _begun_on(window: Mapping[str, Any], day: date, wall: datetime) -> bool:
    if window["kind"] == "weekly" and not window.get("days", 127) & 1 << day.weekday():
        return False
    begin = datetime.combine(day, time()) + timedelta(minutes=window.get("start", 0))
    return begin <= wall < begin + timedelta(minutes=window.get("length", 1440))


def reason(entries: Mapping[str, Mapping[str, Any]], method: str, lookup: str, relay: str, now: datetime) -> str:
    """What `decide` should answer for a credential at a relay when the clock is set and nothing burns."""
    site = next(e for e in entries.values() if e["kind"] == "site")
    doors = [r for e in entries.values() if e["kind"] == "device" for r in e["relays"] if r["id"] == relay]
    if not doors:
        return "relay.unknown"
    holders = [
        e
        for e in entries.values()
        if e["kind"] == "holder"
        for c in e["credentials"]
        if c["kind"] == method and c["lookup"] == lookup
    ]
    if not holders:
        return "credential.unknown"
    holder, door = holders[0], doors[0]
    if method not in door["methods"]:
        return "method.not_allowed"
    if not door["enabled"]:
        return "relay.off"
    wall = now.astimezone(ZoneInfo(site["zone"])).replace(tzinfo=None)
    if holder["valid_from"] and wall < datetime.fromisoformat(holder["valid_from"]):
        return "validity.not_yet"
    if holder["valid_until"] and wall >= datetime.fromisoformat(holder["valid_until"]):
        return "validity.over"
    if holder["party"]:
        party = entries.get(f"party:{holder['party']}")
        if party is None or relay not in party["relays"]:
            return "reach.company"
    people = entries.get(f"people_group:{holder['people_group']}", {"access_groups": []})
    named = [*holder["access_groups"], *people["access_groups"]]
    groups = [entries[f"access_group:{name}"] for name in named if f"access_group:{name}" in entries]
    holding = [group for group in groups if relay in group["relays"]]
    if not holding:
        return "access.no_group"
    if any(window_open(window, wall) for group in holding for window in group["windows"]):
        return "granted"
    return "access.outside_hours"
