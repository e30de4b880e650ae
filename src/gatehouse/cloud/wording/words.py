"""Codes to words. Rules, wire and database hold codes; what people read stands here, once, translatable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from gatehouse.rules import reasons as r

Table = Mapping[str, str | Promise]

REASONS: Final[Table] = {
    r.GRANTED: _("Granted"),
    r.EMERGENCY_OPEN: _("Open for the emergency"),
    r.SITE_UNKNOWN: _("Door not set up yet"),
    r.DEVICE_UNKNOWN: _("Device not set up yet"),
    r.DEVICE_NO_RELAY: _("Device has no door"),
    r.RELAY_UNKNOWN: _("No such door"),
    r.CREDENTIAL_UNKNOWN: _("Nobody has this code"),
    r.HOLDER_UNKNOWN: _("Person not known here"),
    r.PIN_FORMAT: _("Not a PIN"),
    r.PIN_LENGTH: _("PIN too short or too long"),
    r.CARD_FORMAT: _("Card could not be read"),
    r.CARD_RANGE: _("Not a usable card"),
    r.METHOD_UNKNOWN: _("Unknown way of opening"),
    r.METHOD_NOT_ALLOWED: _("Not taken at this door"),
    r.RELAY_OFF: _("Door is switched off"),
    r.VALIDITY_NOT_YET: _("Not valid yet"),
    r.VALIDITY_OVER: _("No longer valid"),
    r.REACH_COMPANY: _("Not a door of the company"),
    r.ACCESS_NO_GROUP: _("No access to this door"),
    r.ACCESS_OUTSIDE_HOURS: _("Outside the hours"),
    r.CLOCK_UNKNOWN: _("Clock of the door not set"),
    "command.late": _("Came too late"),
    "command.session": _("Line was cut meanwhile"),
    "command.interrupted": _("Interrupted by a restart"),
    "command.unsupported": _("Not possible with this device"),
    "command.repeated": _("Asked twice"),
    "command.expired": _("Came too late"),
    "device.unreachable": _("Device does not answer"),
    "device.offline": _("Device does not answer"),
    "disk.full": _("Disk of the gateway is full"),
    "disk.failed": _("Disk of the gateway fails"),
    "store.damaged": _("Store of the gateway is damaged"),
}
"""Short, beside an icon."""

WHY: Final[Table] = {
    r.GRANTED: _("Everything was in order."),
    r.EMERGENCY_OPEN: _("An emergency was in force: doors stood open for everybody."),
    r.SITE_UNKNOWN: _("The door had not received the settings of this site yet."),
    r.DEVICE_UNKNOWN: _("The gateway did not know this device yet."),
    r.DEVICE_NO_RELAY: _("This device has no door to open."),
    r.RELAY_UNKNOWN: _("The gateway did not know this door, or it has been deleted."),
    r.CREDENTIAL_UNKNOWN: _("No live code at this site is the one that was presented."),
    r.HOLDER_UNKNOWN: _("The door did not know this person."),
    r.PIN_FORMAT: _("What was typed is not a PIN: a PIN has digits only."),
    r.PIN_LENGTH: _("A PIN has 2 to 8 digits; what was typed has not."),
    r.CARD_FORMAT: _("What the reader saw is no card number."),
    r.CARD_RANGE: _("The card number is zero or too long."),
    r.METHOD_UNKNOWN: _("The door does not know this way of opening."),
    r.METHOD_NOT_ALLOWED: _("This way of opening is not ticked for this door."),
    r.RELAY_OFF: _("The relay of this door is switched off."),
    r.VALIDITY_NOT_YET: _("The valid time of this person had not begun."),
    r.VALIDITY_OVER: _("The valid time of this person was over."),
    r.REACH_COMPANY: _("This door is not assigned to the person's company."),
    r.ACCESS_NO_GROUP: _("No access group of this person holds this door."),
    r.ACCESS_OUTSIDE_HOURS: _("An access group holds this door, but not at that hour."),
    r.CLOCK_UNKNOWN: _("The door did not know the time, so rights with hours could not be judged."),
    "command.late": _("The order reached the door after its time had run out; a door never opens late."),
    "command.session": _("The order was given before the line was cut, so it was not carried out."),
    "command.interrupted": _("The gateway was restarted while it opened. Look at the door."),
    "command.unsupported": _("This device cannot do that."),
    "command.repeated": _("The same order came twice and was carried out once."),
    "command.expired": _("Nobody answered in time. The door was not opened."),
    "device.unreachable": _("The gateway could not reach the device. The door was not opened."),
    "device.offline": _("The gateway could not reach the device. The door was not opened."),
    "disk.full": _("The gateway could not write the opening down, so it did not open."),
    "disk.failed": _("The gateway could not write the opening down, so it did not open."),
    "store.damaged": _("The gateway could not write the opening down, so it did not open."),
}
"""A sentence for the panel, for people who ask."""

STEPS: Final[Table] = {
    r.EMERGENCY: _("Emergency"),
    r.CREDENTIAL: _("Code"),
    r.METHOD: _("Way of opening"),
    r.RELAY: _("Door"),
    r.VALIDITY: _("Valid time"),
    r.REACH: _("Company door"),
    r.ACCESS: _("Access group"),
    r.RELEASE: _("Release"),
}

PASSED: Final[Table] = {
    r.EMERGENCY_NONE: _("none in force"),
    r.CREDENTIAL_KNOWN: _("live, and known to the door"),
    r.METHOD_ALLOWED: _("taken at this door"),
    r.RELAY_ON: _("switched on"),
    r.VALIDITY_VALID: _("valid at that moment"),
    r.REACH_WITHIN: _("within the company's doors"),
    r.REACH_UNLIMITED: _("not limited to a company"),
    r.ACCESS_OPEN: _("open at that hour"),
    r.EMERGENCY_OPEN: _("in force"),
    r.GRANTED: _("the door was released"),
}

METHODS: Final[Table] = {
    "pin": _("PIN"),
    "card": _("Card"),
    "face": _("Face"),
    "qr": _("QR code"),
    "bluetooth": _("Bluetooth"),
    "nfc": _("NFC"),
    "homepage": _("App"),
    "talking": _("App, in a call"),
    "remote": _("Portal"),
    "exit": _("Exit button"),
    "emergency": _("Emergency"),
    "schedule": _("Always open"),
    "dtmf": _("Keypad of a phone"),
}

UNKNOWN_HOLDERS: Final[Table] = {
    "pin": _("Unknown PIN"),
    "card": _("Unknown card"),
    "face": _("Unknown face"),
    "qr": _("Unknown QR code"),
    "bluetooth": _("Unknown phone"),
    "nfc": _("Unknown phone"),
    "remote": _("From the portal"),
    "exit": _("From inside"),
    "emergency": _("Emergency"),
    "schedule": _("Schedule"),
}
"""Who stands in the log when nobody was recognised."""

DOOR_STATES: Final[Table] = {
    "closed": _("Closed"),
    "open": pgettext_lazy("door", "Open"),
    "held": _("Held open"),
    "forced": _("Forced open"),
    "offline": _("Offline"),
    "unknown": _("No sensor"),
}


class Look(NamedTuple):
    """How a state of a door looks: glyph, icon, class of meaning."""

    glyph: str
    icon: str
    meaning: str


DOOR_LOOKS: Final[Mapping[str, Look]] = {
    "closed": Look("door-closed", "lock", ""),
    "open": Look("door-open", "lock-open", "gh-granted"),
    "held": Look("door-held", "clock-exclamation", "gh-violation"),
    "forced": Look("door-held", "alert-triangle", "gh-violation"),
    "offline": Look("door-offline", "wifi-off", "gh-offline"),
    "unknown": Look("door-closed", "lock", ""),
}

DEVICE_TYPES: Final[Table] = {
    "multi_tenant_door_phone": _("Door phone for many"),
    "single_tenant_door_phone": _("Door phone for one"),
    "indoor_monitor": _("Indoor monitor"),
    "guard_phone": _("Guard phone"),
    "access_terminal": _("Access terminal"),
    "lift_controller": _("Lift controller"),
}

PLACEMENTS: Final[Table] = {"public": _("Public area"), "building": _("Building"), "unit": _("Apartment")}

RELAY_KINDS: Final[Table] = {
    "door": _("Relay"),
    "security": _("Security relay"),
    "monitor": _("Relay of the monitor"),
}

SITE_KINDS: Final[Table] = {"office": _("Office"), "community": _("Community"), "home": _("Home")}

ROLES: Final[Table] = {
    "operator": _("Operator"),
    "distributor": _("Distributor"),
    "installer": _("Installer"),
    "sub_installer": _("Installer"),
    "manager": _("Property manager"),
    "company_admin": _("Company administrator"),
    "guard": _("Guard"),
    "master": _("Resident"),
    "member": _("Family member"),
    "personnel": _("Personnel"),
    "device": _("Device"),
    "system": _("Gatehouse"),
}

VIAS: Final[Table] = {
    "portal": _("Portal"),
    "api": _("API"),
    "resident": _("App"),
    "device": _("Device"),
    "system": _("Gatehouse"),
    "console": _("Console"),
}

CLOCKS: Final[Table] = {
    "set": _("The device knew the time."),
    "placed": _("The device did not know the time; the moment was reckoned from its counter."),
    "unknown": _("The device did not know the time; this is what its clock showed."),
    "future": _("The device's clock was ahead; the time of arrival stands instead."),
}

CREDENTIALS: Final[Table] = {
    "pin": _("PIN"),
    "card": _("Card"),
    "face": _("Face"),
    "qr": _("QR code"),
    "bluetooth": _("Bluetooth"),
    "nfc": _("NFC"),
}

CREDENTIAL_STATES: Final[Table] = {
    "live": pgettext_lazy("code", "Live"),
    "quarantined": _("Withdrawn, until every door has confirmed"),
    "freed": _("Withdrawn"),
}

VERBS: Final[Table] = {
    "access_group.created": _("Access group created"),
    "access_group.given": _("Access group given"),
    "access_group.taken": _("Access group taken away"),
    "access_group.relays": _("Doors of an access group changed"),
    "access_group.windows": _("Hours of an access group changed"),
    "account.created": _("Account created"),
    "account.disable": _("Account disabled"),
    "account.enable": _("Account enabled"),
    "account.password": _("Password set"),
    "account.sign_in_refused": _("Sign-in refused"),
    "account.signed_in": _("Signed in"),
    "account.signed_out": _("Signed out"),
    "building.created": _("Building created"),
    "company.created": _("Company created"),
    "company.doors": _("Doors of a company changed"),
    "credential.added": _("Code given"),
    "credential.withdrawn": _("Code withdrawn"),
    "device.added": _("Device added"),
    "gateway.added": _("Gateway added"),
    "gateway.claim_code": _("Claim code issued"),
    "gateway.claimed": _("Gateway claimed"),
    "gateway.revoked": _("Gateway revoked"),
    "hardware.in_library": _("MAC put into the library"),
    "hardware.out_of_library": _("MAC taken out of the library"),
    "hardware.registered": _("MAC registered"),
    "hardware.unregistered": _("MAC no longer registered"),
    "import.abandoned": _("Import given up"),
    "import.applied": _("File imported"),
    "import.undone": _("Import undone"),
    "membership.given": _("Standing given"),
    "organisation.created": _("Organisation created"),
    "people_group.created": _("Group created"),
    "person.added": _("Person added"),
    "person.removed": _("Person removed"),
    "person.valid_time": _("Valid time changed"),
    "relay.open": _("Door opened by hand"),
    "site.created": _("Site created"),
    "token.created": _("API token created"),
    "token.revoked": _("API token revoked"),
}

TABLES: Final[Mapping[str, Table]] = {
    "reason": REASONS,
    "why": WHY,
    "step": STEPS,
    "passed": PASSED,
    "method": METHODS,
    "door": DOOR_STATES,
    "device_type": DEVICE_TYPES,
    "placement": PLACEMENTS,
    "relay_kind": RELAY_KINDS,
    "site_kind": SITE_KINDS,
    "role": ROLES,
    "via": VIAS,
    "clock": CLOCKS,
    "credential": CREDENTIALS,
    "credential_state": CREDENTIAL_STATES,
    "verb": VERBS,
}


def say(table: str, code: str) -> str:
    """Words for a code in the language of the moment; a code without words, from a newer gateway, as it is."""
    return str(TABLES[table].get(code, code))


def nobody(method: str) -> str:
    """Who stands in the log when a passage has no holder."""
    return str(UNKNOWN_HOLDERS.get(method, METHODS.get(method, method)))
