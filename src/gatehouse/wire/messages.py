"""The messages of wire v1.

Conventions: ids are UUIDs as text; `*_ms` are integers, milliseconds, UTC since 1970 unless the name
says `mono` (monotonic since boot); local dates and times are text without zone, `2026-11-21T18:00`,
judged in the site's zone; periods are half-open. A credential travels as its `lookup` (keyed digest of
what the reader sees, 32 hexadecimal digits), never in clear.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar, cast

import msgspec
from msgspec import Meta, Struct

# Patterns end in `(?![\s\S])`: a `$` would let a line end pass in some languages, Python among them.
Id = Annotated[str, Meta(min_length=36, max_length=36, pattern=r"^[0-9a-f-]{36}(?![\s\S])")]
Lookup = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}(?![\s\S])")]
Revision = Annotated[int, Meta(ge=0)]
Millis = Annotated[int, Meta(ge=0, le=253402300800000)]
Local = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(?![\s\S])")]
Method = Literal["pin", "card", "face", "qr", "bluetooth", "nfc", "homepage", "talking"]
Code = Annotated[str, Meta(max_length=64, pattern=r"^[a-z0-9_.]+(?![\s\S])")]

MAX_MESSAGE = 64 * 1024
"""Largest MQTT payload either side sends or accepts, bytes. Larger things are pulled over HTTPS."""
MAX_BATCH = 500
"""Most events in one batch."""


class Message(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Every message; unknown fields are ignored so that a newer sender can be understood."""


# --- Enrolment: POST /link/v1/claim -------------------------------------------------------------


class Claim(Message, frozen=True, kw_only=True):
    """A gateway exchanges a one-time claim code for an identity of its own."""

    code: Annotated[str, Meta(min_length=16, max_length=64)]
    version: Annotated[str, Meta(max_length=64)]
    """Software version of the gateway."""
    macs: Annotated[list[Annotated[str, Meta(pattern=r"^[0-9A-F]{12}(?![\s\S])")]], Meta(max_length=64)] = []
    """MACs of the claiming box itself (a native controller names its own)."""


class Claimed(Message, frozen=True, kw_only=True):
    """Answer to a claim. The secret is shown this once; the cloud keeps a hash."""

    gateway: Id
    site: Id
    secret: str
    """256 random bits, URL-safe base64; broker password and HTTPS basic-auth password alike."""
    mqtt_host: str
    mqtt_port: int
    mqtt_tls: bool
    ca_pem: str | None = None
    """Certificate authority to trust for broker and HTTPS, when it is the installation's own."""


# --- Presence and session -----------------------------------------------------------------------


class Hello(Message, frozen=True, kw_only=True):
    """First message after each connection; answered by `Welcome`."""

    boot: Id
    """Made anew at each start of the gateway's process."""
    spool: Id
    """The spool whose events follow; a new one only when the disk was lost."""
    next_seq: Annotated[int, Meta(ge=1)]
    """Sequence number the gateway will give its next event."""
    sent_mono_ms: Annotated[int, Meta(ge=0)]
    wall_ms: Millis
    epoch: str | None
    """Feed epoch that the gateway holds, None when its store is empty."""
    revision: Revision
    version: str
    schema: int
    tzdata: str


class Welcome(Message, frozen=True, kw_only=True):
    """The cloud's answer to `Hello`: opens the link session."""

    session: Id
    echo_mono_ms: int
    """`sent_mono_ms` of the hello, so that the gateway can halve the round trip."""
    server_ms: Millis
    epoch: str
    revision: Revision
    """Feed revision that this gateway should reach; pull when it differs."""
    acked_seq: Annotated[int, Meta(ge=0)]
    """Last event of this spool that is committed; the gateway resends from the next one."""


class Presence(Message, frozen=True, kw_only=True):
    """`online: false` is the will: the broker sends it when the connection is lost."""

    online: bool
    boot: Id


class DeviceHealth(Message, frozen=True, kw_only=True):
    """Reachability of one device behind the gateway."""

    device: Id
    online: bool
    model: str | None = None
    firmware: str | None = None


class Status(Message, frozen=True, kw_only=True):
    """Health, at least every 60 s; answered by a fresh `Welcome` with the same session (clock measurement)."""

    session: Id
    sent_mono_ms: Annotated[int, Meta(ge=0)]
    wall_ms: Millis
    uptime_s: Annotated[int, Meta(ge=0)]
    clock_offset_ms: int | None
    """True time minus wall clock as last measured in this boot; None = never set since boot."""
    disk_free: int
    memory: int
    spool_depth: int
    spool_oldest_ms: Millis | None = None
    dropped: dict[str, int] = {}
    """Events lost since the store was made, by kind."""
    devices: list[DeviceHealth] = []
    faults: list[Code] = []
    """What is wrong at the moment, e.g. `disk.full`, `store.damaged`, `feed.newer_schema`."""


# --- Feed ---------------------------------------------------------------------------------------


class Window(Message, frozen=True, kw_only=True):
    """When an access group opens. Minutes count from local midnight; `start + length` may pass midnight.

    daily: every day; weekly: on `days` (bit 0 = Monday); once: from `from_` to `until`, start and length
    unused. `from_` and `until` bound daily and weekly windows when present.
    """

    kind: Literal["daily", "weekly", "once"]
    start: Annotated[int, Meta(ge=0, le=1439)] = 0
    length: Annotated[int, Meta(ge=1, le=1440)] = 1440
    days: Annotated[int, Meta(ge=0, le=127)] = 127
    from_: Local | None = msgspec.field(default=None, name="from")
    until: Local | None = None


class SiteEntry(Message, frozen=True, kw_only=True, tag_field="kind", tag="site"):
    """What all doors of a site share."""

    zone: str
    """IANA zone in which every local time of the site is judged."""
    language: str
    lookup_key: str
    """Key of the credential digests, hexadecimal, 32 bytes."""
    pin_mode: Literal["pin", "apt_pin"] = "pin"
    emergency_key: str | None = None
    """Ed25519 public key of the site's emergency state, hexadecimal."""
    emergency_by_input: bool = True
    """A fire input at a device opens the doors of its gateway by itself; false: it is reported only (OFF-EMG-02)."""


class CredentialEntry(Message, frozen=True, kw_only=True):
    """One live credential of a holder."""

    id: Id
    kind: Literal["pin", "card", "face", "qr", "bluetooth", "nfc"]
    lookup: Lookup


class HolderEntry(Message, frozen=True, kw_only=True, tag_field="kind", tag="holder"):
    """A person, courier or visitor who may stand before a door."""

    id: Id
    party: Id | None = None
    """A company, whose doors are the outer limit (`PartyEntry`); while that entry is missing, nothing opens."""
    people_group: Id | None = None
    access_groups: list[Id] = []
    """Own access groups, besides those of the people group."""
    valid_from: Local | None = None
    valid_until: Local | None = None
    """Valid time, half-open; above all other permissions."""
    credentials: list[CredentialEntry] = []


class PeopleGroupEntry(Message, frozen=True, kw_only=True, tag_field="kind", tag="people_group"):
    """What a group of people shares."""

    id: Id
    access_groups: list[Id] = []
    immune: bool = False


class AccessGroupEntry(Message, frozen=True, kw_only=True, tag_field="kind", tag="access_group"):
    """Schedule and relays."""

    id: Id
    windows: list[Window] = []
    relays: list[Id] = []


class PartyEntry(Message, frozen=True, kw_only=True, tag_field="kind", tag="party"):
    """Outer limit of a company: the relays that its people can be granted at all."""

    id: Id
    relays: list[Id] = []


class RelayEntry(Message, frozen=True, kw_only=True):
    """One door of a device."""

    id: Id
    kind: Literal["door", "security", "monitor"]
    position: Annotated[int, Meta(ge=1, le=4)]
    name: str
    enabled: bool = True
    methods: list[Method] = []
    hold_ms: Annotated[int, Meta(ge=100, le=600_000)] = 5_000
    """How long the relay stays released after a granted passage."""


class DeviceEntry(Message, frozen=True, kw_only=True, tag_field="kind", tag="device"):
    """A device of the gateway: a place in the building, and the hardware that fills it at the moment."""

    id: Id
    type: Literal[
        "multi_tenant_door_phone",
        "single_tenant_door_phone",
        "indoor_monitor",
        "guard_phone",
        "access_terminal",
        "lift_controller",
    ]
    name: str
    mac: str | None = None
    in_emergency: bool = True
    """Its enabled doors open in an emergency; false for devices of apartments (GH-PMC-12)."""
    relays: list[RelayEntry] = []
    settings: dict[str, str] = {}


Payload = SiteEntry | HolderEntry | PeopleGroupEntry | AccessGroupEntry | PartyEntry | DeviceEntry


class FeedEntry(Message, frozen=True, kw_only=True):
    """One keyed entry at one revision; `payload` None removes the key."""

    key: Annotated[str, Meta(max_length=64)]
    """`<kind>:<id>`, kind being the payload's tag."""
    revision: Revision
    priority: Literal[0, 1] = 1
    """0 = takes something away, or emergency: applied before everything else."""
    payload: Payload | None = None


class FeedDelta(Message, frozen=True, kw_only=True):
    """Down: the gateway's feed moved from one revision to another.

    With `entries` it may be applied by a gateway that holds exactly (`epoch`, `since`); without, or when
    it holds anything else, the gateway pulls. `since` 0 never comes with entries.
    """

    epoch: str
    since: Revision
    revision: Revision
    entries: list[FeedEntry] | None = None


class FeedPage(Message, frozen=True, kw_only=True):
    """Answer to GET /link/v1/feed?epoch=&since=&cursor=: one page, removals and emergency first.

    `reset` true: forget everything below `revision` once the last page is here (first pull, restored
    cloud, or `since` below the horizon). What entries of priority 0 take away is in force at once, all the
    rest in one step with the page without `cursor`; then the gateway is at `revision`. All pages of a pull
    carry the same epoch, revision and reset.
    """

    epoch: str
    schema: int
    revision: Revision
    reset: bool
    entries: list[FeedEntry]
    cursor: str | None = None


class Refused(Message, frozen=True, kw_only=True):
    """An entry that one device could not take."""

    device: Id
    key: str
    reason: Code


class Applied(Message, frozen=True, kw_only=True):
    """Up: what the gateway and each of its devices hold. A receipt is a comparison with it."""

    epoch: str
    revision: Revision
    devices: dict[Id, Revision]
    refused: list[Refused] = []


# --- Events -------------------------------------------------------------------------------------


class Event(Message, frozen=True, kw_only=True, tag_field="event"):
    """Common to all events. Identity is (spool, seq); nothing else tells two events apart."""

    seq: Annotated[int, Meta(ge=1)]
    boot: Id
    mono_ms: Annotated[int, Meta(ge=0)]
    wall_ms: Millis
    """What the gateway's wall clock showed; kept as evidence."""
    true_ms: Millis | None = None
    """The same moment by the clock as set from the cloud in this boot; None when never set."""
    device: Id | None = None
    relay: Id | None = None


class Passage(Event, frozen=True, kw_only=True, tag="passage"):
    """One decision at one relay (or at a device, when no relay was chosen)."""

    method: Code
    """pin, card, face, qr, bluetooth, nfc, homepage, talking, remote, exit, emergency, schedule."""
    allowed: bool
    reason: Code
    holder: Id | None = None
    credential: Id | None = None
    command: Id | None = None
    """The command that asked for it, for remote openings."""
    epoch: str | None = None
    revision: Revision = 0
    """Feed state by which it was decided."""
    alone: bool = False
    """Decided while the line to the cloud was cut."""
    decide_us: int = 0


class DoorMoved(Event, frozen=True, kw_only=True, tag="door"):
    """The door itself: from its sensor."""

    state: Literal["open", "closed", "held", "forced"]


class InputMoved(Event, frozen=True, kw_only=True, tag="input"):
    """An input: exit button, fire, tamper, motion."""

    use: Literal["exit", "fire", "tamper", "motion"]
    active: bool


class CommandEnded(Event, frozen=True, kw_only=True, tag="command"):
    """What became of a command."""

    command: Id
    state: Literal["done", "failed", "refused"]
    reason: Code = "ok"


class EmergencyMoved(Event, frozen=True, kw_only=True, tag="emergency"):
    """One relay during an emergency, or a local fire input that started one."""

    counter: int
    state: Literal["opened", "failed", "released", "raised"]


class Lost(Event, frozen=True, kw_only=True, tag="lost"):
    """The spool had to drop events; `seq` is the first that is missing, `upto` the last."""

    upto: int
    counts: dict[str, int] = {}


AnyEvent = Passage | DoorMoved | InputMoved | CommandEnded | EmergencyMoved | Lost


class EventBatch(Message, frozen=True, kw_only=True):
    """Up: consecutive events of one spool. One batch in flight; the next leaves after its `Ack`."""

    spool: Id
    boot: Id
    sent_mono_ms: Annotated[int, Meta(ge=0)]
    """By which the cloud places events of this boot that have no true time."""
    events: Annotated[list[AnyEvent], Meta(min_length=1, max_length=MAX_BATCH)]


class Ack(Message, frozen=True, kw_only=True):
    """Down: everything up to `seq` of this spool is committed. `resend` asks to start again after `seq`."""

    spool: Id
    seq: Annotated[int, Meta(ge=0)]
    resend: bool = False
    refused: Code | None = None
    """Why a batch was not taken (counted on both sides); the gateway skips nothing by itself."""


# --- Commands -----------------------------------------------------------------------------------


class Command(Message, frozen=True, kw_only=True):
    """Down: an act to be done now or never.

    Refused when `session` is not the present one, when `ttl_ms` has run out counted from receipt and by
    the set clock from `issued_ms`, when the clock was never set, or when the id was seen before.
    """

    id: Id
    session: Id
    verb: Literal["relay.open", "device.reboot", "feed.resend"]
    issued_ms: Millis
    ttl_ms: Annotated[int, Meta(ge=1, le=600_000)]
    device: Id | None = None
    relay: Id | None = None
    args: dict[str, Any] = {}


# --- Emergency ----------------------------------------------------------------------------------


class Emergency(Message, frozen=True, kw_only=True):
    """The signed wanted state of a site. The higher counter wins; a wrong signature is counted and ignored."""

    site: Id
    id: Id
    state: Literal["open", "closed"]
    counter: Annotated[int, Meta(ge=1)]
    at_ms: Millis
    signature: Annotated[str, Meta(pattern=r"^[0-9a-f]{128}(?![\s\S])")]
    """Ed25519 over `emergency_bytes`."""


def emergency_bytes(site: str, emergency: str, state: str, counter: int, at_ms: int) -> bytes:
    """What is signed of an emergency state."""
    # prose: names the purpose inside what is signed, never shown
    return f"gatehouse emergency v1\n{site}\n{emergency}\n{state}\n{counter}\n{at_ms}".encode()


UP_TYPES: dict[str, type[Message]] = {
    "hello": Hello,
    "events": EventBatch,
    "applied": Applied,
    "status": Status,
    "presence": Presence,
}
DOWN_TYPES: dict[str, type[Message]] = {"welcome": Welcome, "ack": Ack, "feed": FeedDelta, "command": Command}
HTTP_TYPES: dict[str, type[Message]] = {"claim": Claim, "claimed": Claimed, "feed_page": FeedPage}

M = TypeVar("M", bound=Message)

_encoder = msgspec.json.Encoder()
_decoders: dict[type[Message], msgspec.json.Decoder[Any]] = {}


class Unreadable(ValueError):
    """A payload that is not a message of the expected kind; the text names the place, never the content."""


def encode(message: Message) -> bytes:
    """The message as JSON."""
    return _encoder.encode(message)


def decode(kind: type[M], payload: bytes, limit: int = MAX_MESSAGE) -> M:
    """Parse and validate.

    `limit` is the largest payload taken, bytes (feed pages over HTTPS may be larger than MQTT messages).
    Raises Unreadable for anything that is not such a message.
    """
    if len(payload) > limit:
        raise Unreadable(f"{kind.__name__}: {len(payload)} bytes, at most {limit}")
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    try:
        return cast(M, decoder.decode(payload))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"{kind.__name__}: {error}") from error
