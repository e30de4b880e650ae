"""What takes away is in force at once; what gives waits for the whole.

A pull that breaks off half way must not leave a mixture that neither the old nor the new state would
allow. But a removal must not wait for the rest either. So of an entry that takes something away (priority
0) only the taking is done at once: what is left grants nothing that the present entry did not grant, and
since rights only ever add up, no decision can come out wider than before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from msgspec.structs import replace

from gatehouse.wire.messages import (
    AccessGroupEntry,
    DeviceEntry,
    HolderEntry,
    PartyEntry,
    Payload,
    PeopleGroupEntry,
)

T = TypeVar("T")


def narrowed(present: Payload, coming: Payload | None) -> Payload | None:
    """What may stay of `present` until `coming` is in force with everything that belongs to it; None = nothing."""
    match present, coming:
        case _, None:
            return None
        case HolderEntry(), HolderEntry():
            return replace(
                present,
                people_group=present.people_group if present.people_group == coming.people_group else None,
                access_groups=_both(present.access_groups, coming.access_groups),
                valid_from=max(filter(None, (present.valid_from, coming.valid_from)), default=None),
                valid_until=min(filter(None, (present.valid_until, coming.valid_until)), default=None),
                # Two limits cannot be joined in one entry, so a change of party lets nobody in meanwhile.
                credentials=_both(present.credentials, coming.credentials) if present.party == coming.party else [],
            )
        case PeopleGroupEntry(), PeopleGroupEntry():
            return replace(
                present,
                access_groups=_both(present.access_groups, coming.access_groups),
                immune=present.immune and coming.immune,
            )
        case AccessGroupEntry(), AccessGroupEntry():
            return replace(
                present,
                windows=_both(present.windows, coming.windows),
                relays=_both(present.relays, coming.relays),
            )
        case PartyEntry(), PartyEntry():
            return replace(present, relays=_both(present.relays, coming.relays))
        case DeviceEntry(), DeviceEntry():
            after = {relay.id: relay for relay in coming.relays}
            return replace(
                present,
                relays=[
                    replace(
                        relay,
                        enabled=relay.enabled and after[relay.id].enabled,
                        methods=_both(relay.methods, after[relay.id].methods),
                    )
                    for relay in present.relays
                    if relay.id in after
                ],
            )
    return present


def _both(present: Sequence[T], coming: Sequence[T]) -> list[T]:
    return [item for item in present if item in coming]
