"""The same decision as `gatehouse.rules` takes it, by a plain dictionary and by three rule engines.

Each is built from the feed's entries by one who means it well: everything that can be parsed or indexed
beforehand is, and the engine is used as its documentation recommends. Each builder gives a function from
what was presented, the relay and the instant to allowed or not.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from gatehouse.rules.access import Presented

Entries = dict[str, dict[str, Any]]
Evaluator = Callable[[Presented, str, datetime], bool]

ZONE = ZoneInfo("Europe/Berlin")
"""The zone of the site, known to all of them."""


def parsed(entries: Entries, kind: str) -> dict[str, dict[str, Any]]:
    """The entries of a kind by id, times parsed, lists of ids as sets, as any evaluator would keep them."""

    def moment(text: str | None) -> datetime | None:
        return None if text is None else datetime.fromisoformat(text)

    found = {}
    for key, entry in entries.items():
        if entry["kind"] != kind:
            continue
        entry = dict(entry)
        if kind == "holder":
            entry |= {name: moment(entry.get(name)) for name in ("valid_from", "valid_until")}
        if kind in ("access_group", "party"):
            entry["relays"] = set(entry["relays"])
        if kind == "access_group":
            entry["windows"] = [
                {**w, "from": moment(w.get("from")), "until": moment(w.get("until"))} for w in entry["windows"]
            ]
        found[key.partition(":")[2]] = entry
    return found


def wall_clock(now: datetime) -> datetime:
    return now.astimezone(ZONE).replace(tzinfo=None)


def window_open(w: dict[str, Any], wall: datetime, minute: int, weekday: int) -> bool:
    if w["kind"] == "once":
        return bool(w["from"] <= wall < w["until"])
    end = w["start"] + w["length"]
    if w["start"] <= minute < end and w["days"] >> weekday & 1:
        return True
    return minute < end - 1440 and bool(w["days"] >> (weekday - 1) % 7 & 1)


def plain_dict(entries: Entries) -> Evaluator:
    """What one would write without thinking further: dictionaries by id, sets of relays, a loop over windows."""
    holders, groups, parties = (parsed(entries, kind) for kind in ("holder", "access_group", "party"))
    people = parsed(entries, "people_group")
    doors = {relay["id"]: relay for device in parsed(entries, "device").values() for relay in device["relays"]}
    credentials = {(c["kind"], c["lookup"]): h for h in holders.values() for c in h["credentials"]}

    def evaluate(presented: Presented, relay: str, now: datetime) -> bool:
        holder = credentials.get((presented.method, presented.lookup))
        if holder is None:
            return False
        door = doors[relay]
        if presented.method not in door["methods"] or not door["enabled"]:
            return False
        wall = wall_clock(now)
        since, until = holder["valid_from"], holder["valid_until"]
        if (since is not None and wall < since) or (until is not None and wall >= until):
            return False
        if relay not in parties[holder["party"]]["relays"]:
            return False
        minute, weekday = wall.hour * 60 + wall.minute, wall.weekday()
        for names in (holder.get("access_groups", ()), people[holder["people_group"]]["access_groups"]):
            for name in names:
                group = groups[name]
                if relay in group["relays"]:
                    for w in group["windows"]:
                        if window_open(w, wall, minute, weekday):
                            return True
        return False

    return evaluate


def oso(entries: Entries) -> Evaluator:
    """Oso: the rules in Polar over the application's own objects, as its guide does it."""
    from oso import Oso

    class Visit:
        holder: Any
        groups: Any
        reach: Any
        method: str
        wall: datetime
        minute: int
        weekday: int

    class Door:
        def __init__(self, relay: dict[str, Any]) -> None:
            self.id, self.enabled, self.methods = relay["id"], relay["enabled"], relay["methods"]

    class Group:
        def __init__(self, entry: dict[str, Any]) -> None:
            self.relays, self.windows = entry["relays"], entry["windows"]

        def holds(self, relay: str) -> bool:
            return relay in self.relays

        def open(self, visit: Visit) -> bool:
            return any(window_open(w, visit.wall, visit.minute, visit.weekday) for w in self.windows)

    groups = {name: Group(entry) for name, entry in parsed(entries, "access_group").items()}
    people, parties = parsed(entries, "people_group"), parsed(entries, "party")
    doors = {r["id"]: Door(r) for device in parsed(entries, "device").values() for r in device["relays"]}

    class Holder:
        def __init__(self, entry: dict[str, Any]) -> None:
            self.valid_from, self.valid_until = entry["valid_from"], entry["valid_until"]
            names = [*entry.get("access_groups", ()), *people[entry["people_group"]]["access_groups"]]
            self.groups = [groups[name] for name in names]
            self.reach = parties[entry["party"]]["relays"]

        def valid(self, wall: datetime) -> bool:
            return (self.valid_from is None or self.valid_from <= wall) and (
                self.valid_until is None or wall < self.valid_until
            )

        def reaches(self, relay: str) -> bool:
            return relay in self.reach

    credentials: dict[tuple[str, str], Holder] = {}
    for entry in parsed(entries, "holder").values():
        holder = Holder(entry)
        credentials |= {(c["kind"], c["lookup"]): holder for c in entry["credentials"]}
    engine = Oso()
    for one in (Visit, Door, Group, Holder):
        engine.register_class(one)
    engine.load_str(
        """
        allow(visit: Visit, method: String, door: Door) if
            method in door.methods and
            door.enabled and
            holder = visit.holder and
            holder.valid(visit.wall) and
            holder.reaches(door.id) and
            group in holder.groups and
            group.holds(door.id) and
            group.open(visit);
        """
    )

    def evaluate(presented: Presented, relay: str, now: datetime) -> bool:
        holder = credentials.get((presented.method, presented.lookup))
        if holder is None:
            return False
        visit = Visit()
        visit.holder, visit.wall = holder, wall_clock(now)
        visit.minute, visit.weekday = visit.wall.hour * 60 + visit.wall.minute, visit.wall.weekday()
        return bool(engine.is_allowed(visit, presented.method, doors[relay]))

    return evaluate


START = datetime(2020, 1, 1)  # noqa: DTZ001 (local time)


def seconds(wall: datetime) -> int:
    return (wall - START) // timedelta(seconds=1)


def cedar(entries: Entries) -> Evaluator:
    """Cedar: one policy for each access group, forbids for what stands above; policies and entities parsed before."""
    import cedarpy

    def uid(kind: str, name: str) -> dict[str, str]:
        return {"type": kind, "id": name}

    holders, groups, parties = (parsed(entries, kind) for kind in ("holder", "access_group", "party"))
    policies = [
        "forbid(principal, action, resource) unless { resource.enabled && resource.methods.contains(context.method) };",
        "forbid(principal, action, resource) when { principal has since && context.wall < principal.since };",
        "forbid(principal, action, resource) when { principal has until && context.wall >= principal.until };",
        "forbid(principal, action, resource) unless { resource in principal.party };",
    ]
    for name, group in groups.items():
        conditions = []
        for w in group["windows"]:
            if w["kind"] == "once":
                conditions.append(f"(context.wall >= {seconds(w['from'])} && context.wall < {seconds(w['until'])})")
                continue
            today = f"[{','.join(str(d) for d in range(7) if w['days'] >> d & 1)}].contains(context.weekday)"
            yesterday = (
                f"[{','.join(str((d + 1) % 7) for d in range(7) if w['days'] >> d & 1)}].contains(context.weekday)"
            )
            end = w["start"] + w["length"]
            conditions.append(f"(context.minute >= {w['start']} && context.minute < {end} && {today})")
            if end > 1440:
                conditions.append(f"(context.minute < {end - 1440} && {yesterday})")
        policies.append(
            f'permit(principal in Group::"{name}", action, resource in Doors::"{name}") when {{ {" || ".join(conditions)} }};'
        )
    within: dict[str, list[dict[str, str]]] = {}
    for name, group in groups.items():
        for relay in group["relays"]:
            within.setdefault(relay, []).append(uid("Doors", name))
    for name, party in parties.items():
        for relay in party["relays"]:
            within.setdefault(relay, []).append(uid("Party", name))
    graph: list[dict[str, Any]] = []
    for device in parsed(entries, "device").values():
        for relay in device["relays"]:
            attrs = {"enabled": relay["enabled"], "methods": relay["methods"]}
            graph.append({"uid": uid("Relay", relay["id"]), "attrs": attrs, "parents": within.get(relay["id"], [])})
    for name, people in parsed(entries, "people_group").items():
        parents = [uid("Group", g) for g in people["access_groups"]]
        graph.append({"uid": uid("People", name), "attrs": {}, "parents": parents})
    for name in parties:
        graph.append({"uid": uid("Party", name), "attrs": {}, "parents": []})
    credentials = {}
    for name, holder in holders.items():
        attrs = {"party": {"__entity": uid("Party", holder["party"])}}
        if holder["valid_from"]:
            attrs["since"] = seconds(holder["valid_from"])
        if holder["valid_until"]:
            attrs["until"] = seconds(holder["valid_until"])
        parents = [uid("People", holder["people_group"]), *(uid("Group", g) for g in holder.get("access_groups", ()))]
        graph.append({"uid": uid("Holder", name), "attrs": attrs, "parents": parents})
        credentials |= {(c["kind"], c["lookup"]): name for c in holder["credentials"]}
    policy_set = cedarpy.PolicySet.from_str("\n".join(policies))
    entity_set = cedarpy.Entities.from_json_str(json.dumps(graph))

    def evaluate(presented: Presented, relay: str, now: datetime) -> bool:
        name = credentials.get((presented.method, presented.lookup))
        if name is None:
            return False
        wall = wall_clock(now)
        context = {
            "method": presented.method,
            "wall": seconds(wall),
            "minute": wall.hour * 60 + wall.minute,
            "weekday": wall.weekday(),
        }
        question = {
            "principal": uid("Holder", name),
            "action": uid("Action", "open"),
            "resource": uid("Relay", relay),
            "context": context,
        }
        return bool(cedarpy.is_authorized(question, policy_set, entity_set).allowed)

    return evaluate


def casbin(entries: Entries) -> Evaluator:
    """Casbin: one policy line for each access group and relay, the fast enforcer with its index by relay."""
    import casbin as library
    from casbin.model import FastModel

    holders, groups, parties = (parsed(entries, kind) for kind in ("holder", "access_group", "party"))
    people = parsed(entries, "people_group")
    doors = {r["id"]: r for device in parsed(entries, "device").values() for r in device["relays"]}
    credentials = {(c["kind"], c["lookup"]): h for h in holders.values() for c in h["credentials"]}
    mine = {
        id(h): frozenset([*h.get("access_groups", ()), *people[h["people_group"]]["access_groups"]])
        for h in holders.values()
    }
    model = FastModel([1])
    model.load_model_from_text(
        "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj\n"
        "[policy_effect]\ne = some(where (p.eft == allow))\n"
        "[matchers]\nm = r.obj == p.obj && member(r.sub, p.sub) && open(r.sub, p.sub)"
        " && ticked(r.obj, r.act) && valid(r.sub) && reaches(r.sub, r.obj)\n"
    )
    enforcer = library.FastEnforcer(model, cache_key_order=[1])

    class Subject:
        def __init__(self, holder: dict[str, Any], wall: datetime) -> None:
            self.holder, self.groups, self.wall = holder, mine[id(holder)], wall
            self.minute, self.weekday = wall.hour * 60 + wall.minute, wall.weekday()

    def open_now(subject: Subject, name: str) -> bool:
        return any(window_open(w, subject.wall, subject.minute, subject.weekday) for w in groups[name]["windows"])

    def valid(subject: Subject) -> bool:
        since, until = subject.holder["valid_from"], subject.holder["valid_until"]
        return (since is None or since <= subject.wall) and (until is None or subject.wall < until)

    enforcer.add_function("member", lambda subject, name: name in subject.groups)
    enforcer.add_function("open", open_now)
    enforcer.add_function("ticked", lambda relay, method: doors[relay]["enabled"] and method in doors[relay]["methods"])
    enforcer.add_function("valid", valid)
    enforcer.add_function("reaches", lambda subject, relay: relay in parties[subject.holder["party"]]["relays"])
    lines = enforcer.model.model["p"]["p"].policy  # its own adding counts all lines for each: hours for so many
    for name, group in groups.items():
        for relay in sorted(group["relays"]):
            lines.append([name, relay])

    def evaluate(presented: Presented, relay: str, now: datetime) -> bool:
        holder = credentials.get((presented.method, presented.lookup))
        if holder is None:
            return False
        return bool(enforcer.enforce(Subject(holder, wall_clock(now)), relay, presented.method))

    return evaluate
