"""May this credential open this door now? The one function that decides, in cloud, gateway and lab alike."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from gatehouse.rules import reasons
from gatehouse.rules.policy import CREDENTIAL_METHODS, HOLDER_METHODS, EntryError, Policy, Presented

__all__ = [
    "NOTHING",
    "Decision",
    "DeviceDecision",
    "EntryError",
    "Memory",
    "Policy",
    "Presented",
    "decide",
    "decide_device",
]


class Memory(NamedTuple):
    """What the decider remembers besides the policy. Later: who is inside which area, uses of counted passes."""

    emergency: bool = False
    """The site's doors stand open for an emergency (OFF-EMG-18)."""


NOTHING: Final = Memory()

_NONE: Final[tuple[str, ...]] = ()

Step = tuple[str, str, tuple[str, ...]]
"""(step, code, ids that the code speaks of)"""


class Decision(NamedTuple):
    """Outcome at one relay, with the facts from which `chain` tells how it came about."""

    allowed: bool
    reason: str
    """One of `rules.reasons`: the first step that failed, or how it was granted."""
    method: str
    relay: str
    holder: str = ""
    credential: str = ""
    party: str = ""
    """The party whose reach was looked at; empty when the holder names none."""
    groups: tuple[str, ...] = ()
    """Access groups: the one that opened, or those that hold the relay and are shut now."""

    @property
    def chain(self) -> tuple[Step, ...]:
        """Every step in the order it was judged, up to the one that decided: (step, code, ids).

        Ids: credential and holder; method (its word) and relay; relay; holder; party; access groups;
        relay. Empty ones are left out.
        """
        ids = {
            reasons.EMERGENCY: (),
            reasons.CREDENTIAL: (self.credential, self.holder),
            reasons.METHOD: (self.method, self.relay),
            reasons.RELAY: (self.relay,),
            reasons.VALIDITY: (self.holder,),
            reasons.REACH: (self.party,),
            reasons.ACCESS: self.groups,
            reasons.RELEASE: (self.relay,),
        }
        passed: tuple[tuple[str, str], ...] = _PASSED
        if self.reason == reasons.EMERGENCY_OPEN:
            passed = ((reasons.EMERGENCY, reasons.EMERGENCY_OPEN),)
            last = reasons.RELEASE
        elif self.allowed:
            last = reasons.RELEASE
        elif self.reason == reasons.CLOCK_UNKNOWN:
            last = reasons.ACCESS if self.groups else reasons.VALIDITY
        else:
            last = _STEP_OF[self.reason]
        chain: list[Step] = []
        for step, code in passed:
            if step == last:
                break
            if step == reasons.REACH and not self.party:
                code = reasons.REACH_UNLIMITED
            chain.append((step, code, tuple(filter(None, ids[step]))))
        chain.append((last, self.reason, tuple(filter(None, ids[last]))))
        return tuple(chain)


class DeviceDecision(NamedTuple):
    """Outcome at a device: which of its relays are released, or one refusal for all (OFF-DVC-05)."""

    allowed: bool
    reason: str
    relays: tuple[str, ...]
    """Ids of the relays to release, by kind and position; no others."""
    decisions: tuple[Decision, ...]
    """One for each relay of the device, in the same order."""
    decisive: Decision | None
    """The first release, else the refusal that came furthest; None when the device has no relay."""


def decide(
    policy: Policy, presented: Presented, relay: str, now: datetime | None, memory: Memory = NOTHING
) -> Decision:
    """Whether what was presented opens this relay at this instant, and why.

    `now` is an aware datetime, or None when the clock was never set: then only rights without any time
    limit open (GH-GW-06). Order of judgement (OFF-DVC-04): emergency, known credential, method ticked for
    the relay, relay on, valid time, reach of the party, access group and its hours. The first that fails
    gives the reason; nothing is raised for a refusal.
    """
    method, key, name, _ = presented
    door = policy.doors.by_key.get(relay)
    if door is None:
        return Decision(False, reasons.RELAY_UNKNOWN, method, relay)

    if key:
        credentials = policy.credentials.get(method)
        right = credentials.by_key.get(key) if credentials is not None else None
    else:
        right = policy.holders.get(name)

    if memory is not NOTHING and memory.emergency:
        reason = reasons.EMERGENCY_OPEN if door.enabled else reasons.RELAY_OFF
        return Decision(door.enabled, reason, method, relay, *(right[:2] if right else ()))
    zone = policy.zone
    if zone is None:
        return Decision(False, reasons.SITE_UNKNOWN, method, relay)
    if right is None:
        return Decision(False, _unknown(presented), method, relay)
    name, credential, party, people_group, groups, since, until = right
    _, _, _, enabled, methods = door
    if method not in methods:
        return Decision(False, reasons.METHOD_NOT_ALLOWED, method, relay, name, credential)
    if not enabled:
        return Decision(False, reasons.RELAY_OFF, method, relay, name, credential)

    local = None if now is None else zone.local(now)
    if since is not None or until is not None:
        if local is None:
            return Decision(False, reasons.CLOCK_UNKNOWN, method, relay, name, credential)
        if since is not None and local < since:
            return Decision(False, reasons.VALIDITY_NOT_YET, method, relay, name, credential)
        if until is not None and local >= until:
            return Decision(False, reasons.VALIDITY_OVER, method, relay, name, credential)

    if party:
        reach = policy.reach.get(party)
        if reach is None or relay not in reach:  # a limit that is not known (yet) lets nobody through
            return Decision(False, reasons.REACH_COMPANY, method, relay, name, credential, party)

    allowed, reason, held = False, reasons.ACCESS_NO_GROUP, _NONE
    for group, schedule in policy.hours(relay, people_group, groups):
        if schedule.always if local is None else schedule.open_at(local):
            allowed, reason, held = True, reasons.GRANTED, (group,)
            break
        if group not in held:  # his own may be his people group's as well
            held += (group,)
        reason = reasons.CLOCK_UNKNOWN if local is None else reasons.ACCESS_OUTSIDE_HOURS
    # Past the class's own constructor, which costs as much as a third of what was done so far.
    return tuple.__new__(Decision, (allowed, reason, method, relay, name, credential, party, held))


def decide_device(
    policy: Policy, presented: Presented, device: str, now: datetime | None, memory: Memory = NOTHING
) -> DeviceDecision:
    """What a device releases: exactly those of its relays that `decide` allows (OFF-DVC-05).

    With none allowed, the reason is that of the relay whose judgement came furthest, which says most
    about what is missing; `device.unknown` and `device.no_relay` when there is nothing to judge.
    """
    relays = policy.relays_of(device)
    if not relays:
        known = policy.knows_device(device)
        return DeviceDecision(False, reasons.DEVICE_NO_RELAY if known else reasons.DEVICE_UNKNOWN, (), (), None)
    decisions = tuple(decide(policy, presented, relay, now, memory) for relay in relays)
    released = tuple(decision.relay for decision in decisions if decision.allowed)
    decisive = next((d for d in decisions if d.allowed), None) or max(decisions, key=lambda d: len(d.chain))
    return DeviceDecision(bool(released), decisive.reason, released, decisions, decisive)


def _unknown(presented: Presented) -> str:
    if presented.fault:
        return presented.fault
    if presented.method not in CREDENTIAL_METHODS and presented.method not in HOLDER_METHODS:
        return reasons.METHOD_UNKNOWN
    if presented.holder and not presented.lookup:
        return reasons.HOLDER_UNKNOWN
    return reasons.CREDENTIAL_UNKNOWN


_PASSED: Final = (
    (reasons.EMERGENCY, reasons.EMERGENCY_NONE),
    (reasons.CREDENTIAL, reasons.CREDENTIAL_KNOWN),
    (reasons.METHOD, reasons.METHOD_ALLOWED),
    (reasons.RELAY, reasons.RELAY_ON),
    (reasons.VALIDITY, reasons.VALIDITY_VALID),
    (reasons.REACH, reasons.REACH_WITHIN),
    (reasons.ACCESS, reasons.ACCESS_OPEN),
    (reasons.RELEASE, reasons.GRANTED),
)

_STEP_OF: Final = {
    reasons.SITE_UNKNOWN: reasons.EMERGENCY,
    reasons.RELAY_UNKNOWN: reasons.EMERGENCY,
    reasons.METHOD_UNKNOWN: reasons.CREDENTIAL,
    reasons.CREDENTIAL_UNKNOWN: reasons.CREDENTIAL,
    reasons.HOLDER_UNKNOWN: reasons.CREDENTIAL,
    reasons.PIN_FORMAT: reasons.CREDENTIAL,
    reasons.PIN_LENGTH: reasons.CREDENTIAL,
    reasons.CARD_FORMAT: reasons.CREDENTIAL,
    reasons.CARD_RANGE: reasons.CREDENTIAL,
    reasons.METHOD_NOT_ALLOWED: reasons.METHOD,
    reasons.RELAY_OFF: reasons.RELAY,
    reasons.VALIDITY_NOT_YET: reasons.VALIDITY,
    reasons.VALIDITY_OVER: reasons.VALIDITY,
    reasons.REACH_COMPANY: reasons.REACH,
    reasons.ACCESS_NO_GROUP: reasons.ACCESS,
    reasons.ACCESS_OUTSIDE_HOURS: reasons.ACCESS,
}
