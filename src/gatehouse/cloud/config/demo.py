"""The demo: an office with people, doors and virtual devices, made through the same acts as everything else.

Loaded once; later starts keep what is there and only give unclaimed gateways a fresh claim code. Every
password and code is made at random at the first start and told on the terminal: there are no default ones.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from gatehouse.cloud.access.models import Window
from gatehouse.cloud.access.services import assign_relays, create_access_group, give_to_people_group
from gatehouse.cloud.accounts.models import Realm
from gatehouse.cloud.accounts.services import create_user
from gatehouse.cloud.authz.actor import enter, system_actor
from gatehouse.cloud.authz.permissions import Role
from gatehouse.cloud.devices.models import METHODS, Device, Gateway, Relay
from gatehouse.cloud.devices.services import add_device, add_gateway, issue_claim_code, register_hardware
from gatehouse.cloud.kit.clock import now
from gatehouse.cloud.kit.seal import subkey
from gatehouse.cloud.people.services import add_card, add_person, set_pin, set_valid_time
from gatehouse.cloud.premises.services import create_company, create_people_group
from gatehouse.cloud.tenants.models import Organisation, Site
from gatehouse.cloud.tenants.services import add_member, create_organisation, create_site

OPERATOR = "Demo operator"
LABEL = "first start"


@dataclass(frozen=True)
class _Phone:
    name: str
    mac: str
    native: bool
    relays: tuple[str, ...]


PHONES = (
    _Phone("Main entrance", "0C11052A7F31", True, ("Main entrance", "Courtyard gate")),
    _Phone("Laboratory", "0C11052A7F32", True, ("Lab corridor",)),
    _Phone("Garage", "0C11052A7F33", False, ("Garage level −1", "Bicycle room")),
)
"""Native ones are their own gateway; the garage's phone hangs on the site's gateway in the technical room."""

NO_PIN = [method for method in METHODS if method != "pin"]
"""The courtyard's gate shows what access methods are for: a card opens both doors, a PIN the entrance only."""

PEOPLE = (
    ("Lumen Diagnostics", "Laboratory", "Amélie", "Rousseau"),
    ("Lumen Diagnostics", "Laboratory", "Minh Khai", "Nguyễn Thị"),
    ("Lumen Diagnostics", "Laboratory", "Owen", "Griffiths"),
    ("Lumen Diagnostics", "Office", "Mara", "Lindqvist"),
    ("Нева Консалтинг", "Team", "Нина Александровна", "Воскресенская"),
    ("Нева Консалтинг", "Team", "فرهاد", "رستمی"),
    ("Kühlhaus-Logistik Verwaltungsgesellschaft", "Night shift", "Krzysztof", "Wawrzyniak-Lewandowski"),
    ("Kühlhaus-Logistik Verwaltungsgesellschaft", "Night shift", "Γεώργιος", "Παπακωνσταντίνου"),
)


def load() -> None:
    """Make the demo when it is not there, then write what gateway, lab and terminal need."""
    told = _read(settings.HOME / "run" / "demo.json")
    with transaction.atomic():
        if not Organisation.objects.filter(name=OPERATOR, kind=Organisation.Kind.OPERATOR).exists():
            told = _make()
    site = told.get("site")
    if site is None:
        return  # somebody else's data: a demo without its memory is left alone
    with transaction.atomic():
        inside = system_actor(UUID(site), label=LABEL)
        enter(inside)
        _hand_out(told)
    _write(settings.HOME / "run" / "demo.json", told)


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return {}


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, ensure_ascii=False, indent=1)
    fresh.replace(path)


def _make() -> dict[str, Any]:
    moment = now()
    system = system_actor(label=LABEL)
    enter(system)
    operator = create_organisation(actor=system, kind=Organisation.Kind.OPERATOR, name=OPERATOR, now=moment)
    distributor = create_organisation(
        actor=system, kind=Organisation.Kind.DISTRIBUTOR, name="Nordlicht Distribution", parent=operator, now=moment
    )
    installer = create_organisation(
        actor=system, kind=Organisation.Kind.INSTALLER, name="Hafen Sicherheitstechnik", parent=distributor, now=moment
    )
    site = create_site(
        actor=system,
        organisation=installer,
        kind=Site.Kind.OFFICE,
        name="Kontorhaus Nordkai",
        zone="Europe/Berlin",
        now=moment,
    )
    sign_ins = _accounts(site, installer)
    inside = system_actor(site.id, label=LABEL)
    enter(inside)
    relays = _devices(site, installer, distributor)
    people = _people(site, relays)
    return {"site": str(site.id), "sign_ins": sign_ins, **people}


def _accounts(site: Site, installer: Organisation) -> list[dict[str, str]]:
    moment, system = now(), system_actor(site.id, label=LABEL)
    sign_ins = []
    for login, name, role in (
        ("alice", "Alice Moreau", Role.MANAGER),
        ("ivan", "Ivan Petrov", Role.INSTALLER),
        ("bob", "Bob Okafor", Role.GUARD),
    ):
        password = "-".join(secrets.choice(_WORDS) for _ in range(4))
        user = create_user(actor=system, realm=Realm.STAFF, login=login, name=name, password=password, now=moment)
        place: dict[str, Any] = {"organisation": installer} if role is Role.INSTALLER else {"site": site}
        add_member(actor=system, user=user, role=role, now=moment, **place)
        sign_ins.append({"role": role.value, "login": login, "password": password})
    return sign_ins


def _devices(site: Site, installer: Organisation, distributor: Organisation) -> dict[str, Relay]:
    moment, inside = now(), system_actor(site.id, label=LABEL)
    technical_room = add_gateway(actor=inside, site=site, name="Technical room", now=moment)
    relays: dict[str, Relay] = {}
    for phone in PHONES:
        gateway = (
            add_gateway(actor=inside, site=site, name=phone.name, native=True, now=moment)
            if phone.native
            else technical_room
        )
        register_hardware(
            actor=inside,
            mac=phone.mac,
            distributor=distributor,
            installer=installer,
            site=site,
            model="Lab phone",
            now=moment,
        )
        device = add_device(
            actor=inside,
            site=site,
            name=phone.name,
            type=Device.Type.MULTI_TENANT_DOOR_PHONE,
            mac=phone.mac,
            gateway=gateway,
            relays=[
                {"name": name} | ({"methods": NO_PIN} if name == "Courtyard gate" else {}) for name in phone.relays
            ],
            now=moment,
        )
        relays |= {relay.name: relay for relay in device.relays.all()}
    return relays


def _people(site: Site, relays: dict[str, Relay]) -> dict[str, Any]:
    moment, inside = now(), system_actor(site.id, label=LABEL)
    everything = list(relays.values())
    always = create_access_group(
        actor=inside, site=site, name="Always", windows=[{"kind": Window.Kind.DAILY}], relays=everything, now=moment
    )
    front = [relay for name, relay in relays.items() if name != "Lab corridor"]
    hours = create_access_group(
        actor=inside,
        site=site,
        name="Office hours",
        windows=[{"kind": Window.Kind.WEEKLY, "days": 0b0011111, "start_min": 7 * 60, "length_min": 12 * 60}],
        relays=front,
        now=moment,
    )
    night = create_access_group(
        actor=inside,
        site=site,
        name="Night shift, dock",
        windows=[{"kind": Window.Kind.DAILY, "start_min": 22 * 60, "length_min": 8 * 60 + 30}],
        relays=[relays["Garage level −1"], relays["Main entrance"]],
        now=moment,
    )
    given = {"Laboratory": always, "Office": always, "Team": hours, "Night shift": night}
    companies: dict[str, Any] = {}
    groups: dict[tuple[str, str], Any] = {}
    cards: list[dict[str, str]] = []
    pins: list[dict[str, str]] = []
    for number, (company, group, first, last) in enumerate(PEOPLE, 1):
        if company not in companies:
            companies[company] = create_company(actor=inside, site=site, name=company, now=moment)
            assign_relays(actor=inside, company=companies[company], relays=everything, now=moment)
        if (company, group) not in groups:
            groups[company, group] = create_people_group(
                actor=inside, company=companies[company], name=group, now=moment
            )
            give_to_people_group(
                actor=inside, access_group=given[group], people_group=groups[company, group], now=moment
            )
        person = add_person(
            actor=inside,
            company=companies[company],
            people_group=groups[company, group],
            first_name=first,
            last_name=last,
            staff_no=str(1000 + number),
            now=moment,
        )
        pin = f"{secrets.randbelow(900_000) + 100_000}"
        set_pin(actor=inside, holder=person.holder, pin=pin, now=moment)
        pins.append({"label": f"{first} {last}", "text": pin, "note": group})
        if number <= 3:
            card = secrets.token_hex(4).upper()
            add_card(actor=inside, holder=person.holder, card=f"0x{card}", now=moment)
            cards.append(
                {"label": f"{first} {last}", "text": f"0x{card}", "notation": "hex", "person": f"{first} {last}"}
            )
        if number == 3:
            local = moment.replace(tzinfo=None)
            set_valid_time(
                actor=inside,
                holder=person.holder,
                valid_from=None,
                valid_until=local.replace(year=local.year - 1),
                now=moment,
            )
            cards[-1]["label"] += " (over)"
    cards.append({"label": "Blank", "text": "0x00BADA55", "notation": "hex", "person": ""})
    return {
        "pins": pins,
        "cards": cards,
        "try": [
            f"Sign in to the portal as alice, open the lab from the menu, and type {pins[0]['text']} at the Main entrance.",
            "Cut the cable at the panel: the door still opens. Mend it: the lines arrive, once, with their own times.",
            "Change a PIN in the portal and watch its receipt; then hold a door's button to open it.",
        ],
    }


def _hand_out(told: dict[str, Any]) -> None:
    """Configuration of gateway and lab, with claim codes for those that have no identity yet."""
    moment, inside = now(), system_actor(UUID(told["site"]), label=LABEL)
    site = Site.objects.get(id=told["site"])
    base_url = f"http://127.0.0.1:{settings.WEB_PORT}"
    codes: dict[Any, str] = {}
    for gateway in Gateway.objects.visible_to(inside).filter(claimed_at=None, revoked_at=None):
        codes[gateway.id] = issue_claim_code(actor=inside, gateway=gateway, now=moment)
    lab: list[dict[str, Any]] = []
    drivers: list[dict[str, str]] = []
    own_code: str | None = None
    for device in (
        Device.objects.visible_to(inside)
        .filter(deleted_at=None)
        .select_related("gateway")
        .prefetch_related("relays")
        .order_by("id")
    ):
        gateway = device.gateway
        binding = device.bindings.select_related("hardware").order_by("during").last()
        if gateway is None or binding is None or binding.hardware.mac not in {phone.mac for phone in PHONES}:
            continue
        entry: dict[str, Any] = {
            "id": str(device.id),
            "name": device.name,
            "site_name": site.name,
            "zone": site.zone,
            "language": site.language,
            "mac": binding.hardware.mac,
            "type": device.type,
            "native": gateway.native,
            "relays": [
                {"id": str(relay.id), "position": relay.position, "kind": relay.kind, "name": relay.name}
                for relay in device.relays.all()
                if relay.deleted_at is None
            ],
        }
        if gateway.native:
            if gateway.id in codes:
                entry["claim_code"] = codes[gateway.id]
        else:
            own_code = codes.get(gateway.id)
            address = f"/device/{device.id}"
            entry["port_path"] = address
            drivers.append(
                {
                    "device": str(device.id),
                    "family": "virtual",
                    "address": f"ws://127.0.0.1:{settings.LAB_PORT}{address}",
                }
            )
        lab.append(entry)
    _write(
        settings.HOME / "lab" / "config.json",
        {
            "base_url": base_url,
            "sign_in_key": subkey("lab").hex(),
            "devices": lab,
            "cards": told.get("cards", []),
            "pins": told.get("pins", []),
        },
    )
    gateway_config: dict[str, Any] = {"base_url": base_url, "drivers": drivers}
    if own_code:
        gateway_config["claim_code"] = own_code
    _write(settings.HOME / "gateway" / "config.json", gateway_config)


_WORDS = [
    "amber",
    "anchor",
    "april",
    "autumn",
    "basalt",
    "beacon",
    "birch",
    "bridge",
    "bronze",
    "candle",
    "canvas",
    "cedar",
    "cobalt",
    "copper",
    "coral",
    "delta",
    "dune",
    "ember",
    "falcon",
    "fern",
    "flint",
    "forest",
    "garnet",
    "glacier",
    "harbor",
    "hazel",
    "heron",
    "indigo",
    "island",
    "ivory",
    "jasmine",
    "juniper",
    "lagoon",
    "lantern",
    "larch",
    "lemon",
    "linen",
    "maple",
    "marble",
    "meadow",
    "mercury",
    "mint",
    "mosaic",
    "nectar",
    "north",
    "oasis",
    "ocean",
    "olive",
    "onyx",
    "opal",
    "orchid",
    "otter",
    "pebble",
    "pepper",
    "pine",
    "plum",
    "poppy",
    "quartz",
    "quill",
    "raven",
    "reed",
    "river",
    "rowan",
    "saffron",
    "sage",
    "sand",
    "sierra",
    "silver",
    "slate",
    "sorrel",
    "spruce",
    "stone",
    "summit",
    "sunset",
    "tango",
    "thistle",
    "timber",
    "topaz",
    "tulip",
    "umber",
    "valley",
    "velvet",
    "violet",
    "walnut",
    "willow",
    "winter",
    "zephyr",
]
