"""Agents that reach the test's cloud, and what tests ask of both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gatehouse.gateway.agent import Agent
from gatehouse.gateway.settings import AgentSettings
from gatehouse.wire.messages import Lost, Passage
from tests.gateway.cloud import Cloud
from tests.gateway.site import (
    Hands,
    Time,
    enrol,
    eventually,
)

Connect = Callable[..., AbstractAsyncContextManager[Agent]]


@pytest.fixture
def connected(cloud: Cloud, tmp_path: Path) -> Connect:
    """Starts an agent that reaches this cloud; the folder stays the same from start to start."""

    @asynccontextmanager
    async def connect(
        hands: Hands | None = None, time: Time | None = None, wait: bool = True, machine: str | None = None, **more: Any
    ) -> AsyncIterator[Agent]:
        folder = enrol(tmp_path / "agent", cloud.broker.port)
        settings = AgentSettings(folder, cloud.base_url, **{"answer_within_s": 1.0, "status_every_s": 5.0} | more)
        agent = Agent(settings, hands or Hands(), (time or Time()).clock(machine))
        await agent.start()
        try:
            if wait:
                await eventually(lambda: in_step(agent, cloud), what="in step with the cloud")
            yield agent
        finally:
            await agent.stop()

    return connect


def in_step(agent: Agent, cloud: Cloud) -> bool:
    """In session, the feed at the cloud's revision, the cloud told so, no event waiting."""
    applied = cloud.applied()
    return (
        not agent.uplink.alone
        and agent.feed.state == (cloud.epoch, cloud.revision)
        and applied is not None
        and (applied.epoch, applied.revision) == (cloud.epoch, cloud.revision)
        and agent.recorder.spool.depth == 0
    )


def passages(cloud: Cloud) -> list[Passage]:
    return [event for event in cloud.events() if isinstance(event, Passage)]


def gapless(cloud: Cloud) -> None:
    """Every spool arrived whole, each number once, in order."""
    for rows in cloud.committed.values():
        expected = 1
        for event in rows:
            assert event.seq == expected
            expected = (event.upto if isinstance(event, Lost) else event.seq) + 1
