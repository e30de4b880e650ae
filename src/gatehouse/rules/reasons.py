"""Codes that decisions carry. They are stored with every passage and never renamed.

A decision walks through the steps in order (OFF-DVC-04); each passed step leaves one of the passing
codes, the first step that fails gives the reason of the refusal. Words for people are made elsewhere.
"""

from __future__ import annotations

from typing import Final

# Steps, in the order in which they are judged.
EMERGENCY: Final = "emergency"
CREDENTIAL: Final = "credential"
METHOD: Final = "method"
RELAY: Final = "relay"
VALIDITY: Final = "validity"
REACH: Final = "reach"
ACCESS: Final = "access"
RELEASE: Final = "release"

STEPS: Final = (EMERGENCY, CREDENTIAL, METHOD, RELAY, VALIDITY, REACH, ACCESS, RELEASE)

# Outcomes of a whole decision: allowed.
GRANTED: Final = "granted"
EMERGENCY_OPEN: Final = "emergency.open"

# Outcomes of a whole decision: refused.
SITE_UNKNOWN: Final = "site.unknown"
DEVICE_UNKNOWN: Final = "device.unknown"
DEVICE_NO_RELAY: Final = "device.no_relay"
RELAY_UNKNOWN: Final = "relay.unknown"
CREDENTIAL_UNKNOWN: Final = "credential.unknown"
HOLDER_UNKNOWN: Final = "holder.unknown"
PIN_FORMAT: Final = "pin.format"
PIN_LENGTH: Final = "pin.length"
CARD_FORMAT: Final = "card.format"
CARD_RANGE: Final = "card.range"
METHOD_UNKNOWN: Final = "method.unknown"
METHOD_NOT_ALLOWED: Final = "method.not_allowed"
RELAY_OFF: Final = "relay.off"
VALIDITY_NOT_YET: Final = "validity.not_yet"
VALIDITY_OVER: Final = "validity.over"
REACH_COMPANY: Final = "reach.company"
ACCESS_NO_GROUP: Final = "access.no_group"
ACCESS_OUTSIDE_HOURS: Final = "access.outside_hours"
CLOCK_UNKNOWN: Final = "clock.unknown"

# Codes of steps that were passed.
EMERGENCY_NONE: Final = "emergency.none"
CREDENTIAL_KNOWN: Final = "credential.known"
METHOD_ALLOWED: Final = "method.allowed"
RELAY_ON: Final = "relay.on"
VALIDITY_VALID: Final = "validity.valid"
REACH_WITHIN: Final = "reach.within"
REACH_UNLIMITED: Final = "reach.unlimited"
ACCESS_OPEN: Final = "access.open"

REFUSALS: Final = (
    SITE_UNKNOWN,
    DEVICE_UNKNOWN,
    DEVICE_NO_RELAY,
    RELAY_UNKNOWN,
    METHOD_UNKNOWN,
    CREDENTIAL_UNKNOWN,
    HOLDER_UNKNOWN,
    PIN_FORMAT,
    PIN_LENGTH,
    CARD_FORMAT,
    CARD_RANGE,
    METHOD_NOT_ALLOWED,
    RELAY_OFF,
    VALIDITY_NOT_YET,
    VALIDITY_OVER,
    REACH_COMPANY,
    ACCESS_NO_GROUP,
    ACCESS_OUTSIDE_HOURS,
    CLOCK_UNKNOWN,
)
"""Every reason for which a door stays shut, by the step that gives it, earliest first."""
