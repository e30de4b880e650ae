"""MQTT topics of wire v1. Nothing else in the code base spells a topic.

A gateway signs in to the broker with its own id as user name and as client id; the broker's pattern
rules let it write below its `up` and read below its `down`, and one explicit rule lets it read and
write its site's emergency topic (`%u` cannot express a site).
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

PREFIX: Final = "gh/v1"

HELLO: Final = "hello"  # up, down answers with WELCOME
WELCOME: Final = "welcome"
EVENTS: Final = "events"  # up
ACK: Final = "ack"  # down
FEED: Final = "feed"  # down
APPLIED: Final = "applied"  # up
COMMAND: Final = "command"  # down
STATUS: Final = "status"  # up
PRESENCE: Final = "presence"  # up, also the will

UP: Final = (HELLO, EVENTS, APPLIED, STATUS, PRESENCE)
DOWN: Final = (WELCOME, ACK, FEED, COMMAND)

PATTERN_WRITE: Final = f"{PREFIX}/gw/%u/up/#"
PATTERN_READ: Final = f"{PREFIX}/gw/%u/down/#"


def up(gateway: UUID | str, kind: str) -> str:
    """Topic on which a gateway sends messages of this kind."""
    return f"{PREFIX}/gw/{gateway}/up/{kind}"


def down(gateway: UUID | str, kind: str) -> str:
    """Topic on which the cloud sends messages of this kind to one gateway."""
    return f"{PREFIX}/gw/{gateway}/down/{kind}"


def every_up(kind: str) -> str:
    """Subscription of the cloud: messages of this kind from all gateways."""
    return f"{PREFIX}/gw/+/up/{kind}"


def every_down(gateway: UUID | str) -> str:
    """Subscription of a gateway: everything the cloud tells it."""
    return f"{PREFIX}/gw/{gateway}/down/+"


def emergency(site: UUID | str) -> str:
    """Topic of a site's signed emergency state; retained, read and written by its gateways and the cloud."""
    return f"{PREFIX}/site/{site}/emergency"


def sender(topic: str) -> tuple[str, str] | None:
    """(gateway id, kind) of an `up` topic, or None when the topic is not one."""
    parts = topic.split("/")
    if len(parts) == 6 and parts[:3] == ["gh", "v1", "gw"] and parts[4] == "up":
        return parts[3], parts[5]
    return None


def kind_of_down(topic: str) -> str | None:
    """Kind of a `down` topic, or None when the topic is not one."""
    parts = topic.split("/")
    if len(parts) == 6 and parts[:3] == ["gh", "v1", "gw"] and parts[4] == "down":
        return parts[5]
    return None
