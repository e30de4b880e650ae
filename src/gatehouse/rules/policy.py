"""All that a gateway knows about a site's doors and holders, compiled for deciding.

A `Policy` is built from the entries of the feed (the wire's payloads as plain values) and keeps them
factored: a holder names access groups, a relay knows the schedule of each access group that holds it, and
both meet when a decision is taken. So changing one entry costs that entry alone, and a decision costs as
many look-ups as the holder has access groups, however many the site has. What a people group may at a
relay is remembered once it was asked, since its members come through the same doors every day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from sys import intern
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from gatehouse.rules.credentials import CredentialError, PinMode, keypad, lookup
from gatehouse.rules.schedule import Schedule, ScheduleError, Window, Zone, compiled, local_seconds

CREDENTIAL_METHODS: Final = ("pin", "card", "face", "qr", "bluetooth", "nfc")
"""Methods that present a credential; each is also the kind of the credential."""
HOLDER_METHODS: Final = ("homepage", "talking")
"""Methods of the app, where sign-in has told who asks (OFF-DEV-16)."""

_REMEMBERED: Final = 20_000
"""Pairs of people group and relay for which the hours are remembered: some 4 MB at most."""

Hours = tuple[tuple[str, Schedule], ...]
"""Access groups and when they open."""

Entry = Mapping[str, Any]
"""One payload of the wire as plain values: what JSON decoding gives."""


class EntryError(ValueError):
    """An entry that cannot be compiled; `code` says why. Its key grants nothing any more."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Presented(NamedTuple):
    """What stands before the door: a credential by its lookup, or (from the app) the holder himself.

    Made by `Policy.read` from what a reader saw; `fault` is set when that was no credential at all.
    """

    method: str
    lookup: str = ""
    holder: str = ""
    fault: str = ""


class Door(NamedTuple):
    """A relay as it is judged."""

    owner: str
    """Its device."""
    id: str
    place: tuple[str, int]
    """Kind and position."""
    enabled: bool
    methods: frozenset[str]


class Right(NamedTuple):
    """What a holder may, apart from what his people group and party say; one for each credential and one without."""

    owner: str
    """The holder."""
    credential: str
    """Id of the credential, empty for the holder himself (who opens by the app)."""
    party: str
    people_group: str
    access_groups: tuple[str, ...]
    since: int | None
    """Valid time, local seconds."""
    until: int | None


class Owned(Protocol):
    """A record that belongs to the entry named by `owner`."""

    @property
    def owner(self) -> str: ...


_R = TypeVar("_R", bound=Owned)


class Claims(Generic[_R]):
    """Records by key, where for a moment two owners may claim one key (entries arrive one by one).

    The smallest owner has it meanwhile, so that the result never depends on the order of arrival.
    """

    __slots__ = ("_contested", "by_key")

    def __init__(self) -> None:
        self.by_key: dict[str, _R] = {}
        self._contested: dict[str, dict[str, _R]] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Claims) and self.by_key == other.by_key and self._contested == other._contested

    __hash__ = None  # type: ignore[assignment]  # it changes

    def claim(self, key: str, record: _R) -> None:
        held, rivals = self.by_key.get(key), self._contested.get(key)
        if rivals is None and held is not None and held.owner != record.owner:
            rivals = self._contested[key] = {held.owner: held}
        if rivals is not None:
            rivals[record.owner] = record
            record = rivals[min(rivals)]
        self.by_key[key] = record

    def yield_up(self, key: str, owner: str) -> None:
        rivals = self._contested.get(key)
        if rivals is None:
            if key in self.by_key and self.by_key[key].owner == owner:
                del self.by_key[key]
            return
        rivals.pop(owner, None)
        self.by_key[key] = rivals[min(rivals)]
        if len(rivals) == 1:
            del self._contested[key]


class Policy:
    """All that is known about a site's doors and holders, ready for `decide`.

    `entries` are (key, payload) as the feed has them, key being `<kind>:<id>`; any order gives the same
    policy. Raises EntryError for the first that cannot be compiled.
    """

    __slots__ = (
        "_known",
        "_known_count",
        "_lookups",
        "access_groups",
        "credentials",
        "devices",
        "doors",
        "holders",
        "lookup_key",
        "people_groups",
        "pin_mode",
        "reach",
        "schedules",
        "site",
        "zone",
    )

    def __init__(self, entries: Iterable[tuple[str, Entry]] = ()) -> None:
        self.zone: Zone | None = None
        """The site's zone; None until its site entry has come, and then nothing opens."""
        self.lookup_key: bytes = b""
        self.pin_mode: PinMode = "pin"
        self.site = ""
        self.holders: dict[str, Right] = {}
        self.credentials: dict[str, Claims[Right]] = {kind: Claims() for kind in CREDENTIAL_METHODS}
        """By kind, then by lookup."""
        self._lookups: dict[str, tuple[tuple[str, str], ...]] = {}  # holder > (kind, lookup) of his credentials
        self.people_groups: dict[str, tuple[str, ...]] = {}
        """Access groups of each."""
        self.access_groups: dict[str, tuple[Schedule, tuple[str, ...]]] = {}
        """Hours and relays."""
        self.schedules: dict[str, dict[str, Schedule]] = {}
        """The same by relay, then by access group: what `decide` asks."""
        self.reach: dict[str, frozenset[str]] = {}
        """Relays within the outer limit of a party; who names a party that is not here reaches nothing."""
        self.devices: dict[str, tuple[str, ...]] = {}
        self.doors: Claims[Door] = Claims()
        self._known: dict[str, dict[str, Hours]] = {}  # people group > relay
        self._known_count = 0
        for key, payload in entries:
            self.apply(key, payload)

    def __eq__(self, other: object) -> bool:
        """Whether both decide alike in every case because they hold the same."""
        held = [name for name in self.__slots__ if not name.startswith("_known")]
        return isinstance(other, Policy) and all(getattr(self, name) == getattr(other, name) for name in held)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def apply(self, key: str, payload: Entry | None) -> None:
        """Put, replace or (with None) remove one entry; costs that entry's own size.

        Raises EntryError: `entry.key` for a key that is none of the six kinds, `entry.shape` for a payload
        of another kind or with missing or wrong fields, or the code of the local time, window or zone that
        cannot be read. The entry then counts as removed: what cannot be understood grants nothing.
        """
        kind, _, name = key.partition(":")
        apply = self._applier(kind)
        if apply is None or not name:
            raise EntryError("entry.key")
        try:
            if payload is not None and payload["kind"] != kind:
                raise ValueError("a payload of another kind")
            apply(name, payload)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            apply(name, None)
            raise EntryError(error.code if isinstance(error, ScheduleError) else "entry.shape") from error

    def read(self, method: str, text: str) -> Presented:
        """What a reader or keypad saw, as it is judged here: normalised, and by its digest.

        A text that cannot be such a credential gives a `Presented` with a fault, which `decide` refuses.
        """
        try:
            if method == "pin":
                text = keypad(text, self.pin_mode).text
            return Presented(method, lookup(self.lookup_key, method, text))
        except CredentialError as error:
            return Presented(method, fault=error.code)

    def hours(self, relay: str, people_group: str, own: tuple[str, ...]) -> Hours:
        """Which access groups hold the relay, among a people group's and a holder's own, and when they open."""
        known = self._known.get(people_group)
        found = known.get(relay) if known is not None else None
        if found is None:
            found = self._learn(relay, people_group)
        return found + self._holding(relay, own) if own else found

    def relays_of(self, device: str) -> tuple[str, ...]:
        """Ids of a device's relays: doors, then monitor and security relays, each by position."""
        return self.devices.get(device, ())

    def knows_device(self, device: str) -> bool:
        """Whether an entry of this device is in force."""
        return device in self.devices

    def _holding(self, relay: str, groups: Iterable[str]) -> Hours:
        schedules = self.schedules.get(relay)
        if schedules is None:
            return ()
        return tuple((group, schedules[group]) for group in groups if group in schedules)

    def _learn(self, relay: str, people_group: str) -> Hours:
        if self._known_count >= _REMEMBERED:
            self._forget()
        found = self._holding(relay, self.people_groups.get(people_group, ()))
        self._known.setdefault(people_group, {})[relay] = found
        self._known_count += 1
        return found

    def _forget(self) -> None:
        self._known.clear()
        self._known_count = 0

    # Each of these reads the whole payload before it changes anything.

    def _apply_site(self, name: str, payload: Entry | None) -> None:
        if payload is not None:
            key, mode = bytes.fromhex(payload["lookup_key"]), payload.get("pin_mode", "pin")
            if len(key) != 32 or mode not in ("pin", "apt_pin"):
                raise ValueError("no such key or mode")
            self.zone = Zone(payload["zone"])
            self.site, self.lookup_key, self.pin_mode = name, key, mode
        elif name == self.site:
            self.site, self.zone, self.lookup_key, self.pin_mode = "", None, b"", "pin"

    def _apply_holder(self, name: str, payload: Entry | None) -> None:
        rights: list[tuple[str, str, Right]] = []
        himself = None
        if payload is not None:
            since, until = payload.get("valid_from"), payload.get("valid_until")
            name = intern(name)
            himself = Right(
                name,
                "",
                intern(payload.get("party") or ""),
                intern(payload.get("people_group") or ""),
                _ids(payload.get("access_groups", ())),
                None if since is None else local_seconds(since),
                None if until is None else local_seconds(until),
            )
            for credential in payload.get("credentials", ()):
                kind, text = intern(credential["kind"]), credential["lookup"]
                if kind not in self.credentials or not isinstance(text, str):
                    raise ValueError("no such credential")
                rights.append((kind, text, himself._replace(credential=credential["id"])))
        for kind, text in self._lookups.pop(name, ()):
            self.credentials[kind].yield_up(text, name)
        self.holders.pop(name, None)
        if himself is not None:
            self.holders[name] = himself
            if rights:
                self._lookups[name] = tuple((kind, text) for kind, text, _ in rights)
            for kind, text, right in rights:
                self.credentials[kind].claim(text, right)

    def _apply_people_group(self, name: str, payload: Entry | None) -> None:
        if payload is None:
            self.people_groups.pop(name, None)
        else:
            self.people_groups[name] = _ids(payload.get("access_groups", ()))
        self._forget()

    def _apply_access_group(self, name: str, payload: Entry | None) -> None:
        group = None
        if payload is not None:
            windows = tuple(Window.read(window) for window in payload.get("windows", ()))
            group = compiled(windows), _ids(payload.get("relays", ()))
        _, relays = self.access_groups.pop(name, (None, ()))
        for relay in relays:
            schedules = self.schedules[relay]
            del schedules[name]
            if not schedules:
                del self.schedules[relay]
        if group is not None:
            name = intern(name)
            self.access_groups[name] = group
            for relay in group[1]:
                self.schedules.setdefault(relay, {})[name] = group[0]
        self._forget()

    def _apply_party(self, name: str, payload: Entry | None) -> None:
        if payload is None:
            self.reach.pop(name, None)
        else:
            self.reach[name] = frozenset(_ids(payload.get("relays", ())))

    def _apply_device(self, name: str, payload: Entry | None) -> None:
        doors = []
        if payload is not None:
            doors = [
                Door(
                    name,
                    intern(relay["id"]),
                    (relay["kind"], relay["position"]),
                    relay.get("enabled", True),
                    frozenset(relay.get("methods", ())),
                )
                for relay in payload.get("relays", ())
            ]
            doors.sort(key=lambda door: door.place)
        for relay in self.devices.pop(name, ()):
            self.doors.yield_up(relay, name)
        if payload is not None:
            self.devices[name] = tuple(door.id for door in doors)
            for door in doors:
                self.doors.claim(door.id, door)

    def _applier(self, kind: str) -> Callable[[str, Entry | None], None] | None:
        match kind:
            case "site":
                return self._apply_site
            case "holder":
                return self._apply_holder
            case "people_group":
                return self._apply_people_group
            case "access_group":
                return self._apply_access_group
            case "party":
                return self._apply_party
            case "device":
                return self._apply_device
        return None


def _ids(ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(intern, ids)))
