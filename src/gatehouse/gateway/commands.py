"""Acts that the cloud asks for: now or never, and once.

A command is refused when the link session has changed, when its time has run out - by the set clock from
its issue and by the counter from its receipt - or when the clock was never set: a door never opens ten
minutes after the finger left the button. Its id is on disk before anything moves, so that neither a
doubled message nor a restart does it twice; the price is that a process killed in between leaves it
undone, and says so.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

from gatehouse.gateway.store import Damaged, DiskFailed
from gatehouse.rules import reasons
from gatehouse.wire.messages import AnyEvent, Command, CommandEnded

if TYPE_CHECKING:
    from gatehouse.gateway.agent import Agent

log = logging.getLogger(__name__)

LATE = "command.late"
OTHER_SESSION = "command.session"
INTERRUPTED = "command.interrupted"
UNSUPPORTED = "command.unsupported"
REPEATED = "command.repeated"
UNREACHABLE = "device.unreachable"
AHEAD_MS = 10_000
"""By how much a command may seem to come from the future before its clock is not believed."""


class Commands:
    """Takes commands for one agent."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def settle_interrupted(self) -> None:
        """Say of commands that an earlier process began and never ended that they failed."""
        recorder = self._agent.recorder
        try:
            for command in await recorder.on_disk(recorder.spool.begun):
                ended = self._ended(command, None, None, "failed", INTERRUPTED)
                await recorder.on_disk(recorder.spool.end, command, [ended])
        except DiskFailed as error:
            recorder.fault = str(error)

    async def take(self, command: Command, received_mono_ms: int) -> None:
        """Do it, or say why not."""
        agent = self._agent
        spool, on_disk = agent.recorder.spool, agent.recorder.on_disk
        refusal = self._refusal(command, received_mono_ms)
        try:
            if refusal is not None:
                if not await on_disk(spool.begin, command.id, self._refused(command, refusal), True):
                    agent.counts[REPEATED] += 1
                return
            opening = command.verb == "relay.open"
            before = [agent.passage(command.device, command.relay, "remote", True, reasons.GRANTED, command.id)]
            if not await on_disk(spool.begin, command.id, before if opening else []):
                agent.counts[REPEATED] += 1
                return
            if not opening:
                agent.feed.ask_anew()
                after: list[AnyEvent] = [self._ended(command.id, command.device, command.relay, "done")]
            elif self._late(command, received_mono_ms):
                # The disk took longer than the finger may wait.
                after = self._refused(command, LATE)
            elif await agent.relays.open(command.device or "", command.relay or ""):
                after = [self._ended(command.id, command.device, command.relay, "done")]
            else:
                after = [self._ended(command.id, command.device, command.relay, "failed", UNREACHABLE)]
            await on_disk(spool.end, command.id, after)
        except (DiskFailed, Damaged) as error:
            # Without a record nothing may move; whether it has moved already is told as the failure it is.
            agent.recorder.fault = str(error)
            await agent.recorder.record(self._ended(command.id, command.device, command.relay, "failed", str(error)))
        finally:
            agent.recorder.written.ring()

    def _refusal(self, command: Command, received_mono_ms: int) -> str | None:
        agent = self._agent
        if agent.clock.true_ms() is None:
            return reasons.CLOCK_UNKNOWN
        if command.session != agent.uplink.session:
            return OTHER_SESSION
        if self._late(command, received_mono_ms):
            return LATE
        if command.verb == "relay.open":
            relay = agent.relays.find(command.device, command.relay)
            if relay is None:
                return reasons.RELAY_UNKNOWN
            return None if relay.enabled else reasons.RELAY_OFF
        return None if command.verb == "feed.resend" else UNSUPPORTED

    def _late(self, command: Command, received_mono_ms: int) -> bool:
        clock = self._agent.clock
        now = clock.mono_ms()
        true = clock.true_at(now)
        age = None if true is None else true - command.issued_ms
        return age is None or not -AHEAD_MS <= age < command.ttl_ms or now - received_mono_ms >= command.ttl_ms

    def _refused(self, command: Command, reason: str) -> list[AnyEvent]:
        ended = self._ended(command.id, command.device, command.relay, "refused", reason)
        if command.verb != "relay.open":
            return [ended]
        return [self._agent.passage(command.device, command.relay, "remote", False, reason, command.id), ended]

    def _ended(
        self,
        command: str,
        device: str | None,
        relay: str | None,
        state: Literal["done", "failed", "refused"],
        reason: str = "ok",
    ) -> CommandEnded:
        return CommandEnded(**self._agent.common(device, relay), command=command, state=state, reason=reason)
