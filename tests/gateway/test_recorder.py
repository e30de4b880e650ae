"""The queue before the disk: events written together, kept in memory while the disk takes nothing, told when lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gatehouse.gateway import recorder as recorders
from gatehouse.gateway.recorder import Recorder
from gatehouse.wire.messages import Lost, Passage
from tests.gateway.site import GARAGE, FullDisk, Hands, deciding, page, standard
from tests.gateway.test_spool import Box


@pytest.fixture
def box(fast_folder: Path) -> Box:
    return Box(fast_folder)


async def test_events_that_come_while_the_disk_is_busy_share_one_sync(box: Box) -> None:
    recorder = Recorder(box.store, box.spool)
    commits: list[str] = []
    box.store.db.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    assert all(await asyncio.gather(*(recorder.record(box.granted(mark)) for mark in range(200))))
    assert [event.decide_us for event in box.spool.batch() if isinstance(event, Passage)] == list(range(200))
    assert len(commits) <= 3
    await recorder.close()


@pytest.mark.req("GH-GW-E4")
async def test_a_full_disk_stops_no_decision_and_what_happened_is_written_when_there_is_room(tmp_path: Path) -> None:
    hands = Hands()
    async with deciding(tmp_path, hands) as agent:
        await agent.feed.page(page(standard()), True)
        disk = FullDisk(agent.recorder.store)
        for _ in range(10):
            assert (await agent.present(GARAGE, "pin", "1234")).allowed
        assert not (await agent.present(GARAGE, "pin", "9999")).allowed
        assert len(hands.opened()) == 10
        status = agent.status()
        assert (status.unwritten, status.spool_depth) == (11, 11)
        assert "disk.full" in status.faults
        assert agent.recorder.spool.batch() == [], "what is not on disk is not told to the cloud either"
        disk.room()
        assert await agent.recorder.record()
        await agent.door(GARAGE, "", "open")
        assert [event.seq for event in agent.recorder.spool.batch()] == list(range(1, 13))
        assert (agent.status().unwritten, "disk.full" in agent.status().faults) == (0, False)


async def test_it_tries_again_by_itself(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorders, "RETRY_S", 0.05)
    recorder = Recorder(box.store, box.spool)
    task = asyncio.create_task(recorder.run())
    disk = FullDisk(box.store)
    assert not await recorder.record(box.granted(1))
    disk.room()
    rung = recorder.written.count
    await asyncio.wait_for(recorder.written.after(rung), 5)
    assert recorder.unwritten == 0
    assert len(box.spool.batch()) == 1
    task.cancel()
    await recorder.close()


@pytest.mark.req("GH-GW-07")
async def test_what_memory_cannot_hold_either_is_told_as_lost_ordinary_first(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorders, "IN_MEMORY", 20)
    recorder = Recorder(box.store, box.spool)
    await recorder.record(box.granted(0))
    disk = FullDisk(box.store)
    await recorder.record(box.refused(1))
    for mark in range(2, 40):
        await recorder.record(box.granted(mark))
    assert recorder.unwritten == 20
    disk.room()
    assert await recorder.record(box.granted(40))
    events = box.spool.batch()
    lost = events[1]
    assert isinstance(lost, Lost)
    assert (lost.seq, lost.upto, lost.counts) == (2, 20, {"passage.granted": 19})
    assert [event.decide_us for event in events if isinstance(event, Passage)] == [0, 1, *range(21, 41)]
    assert box.spool.dropped == {"passage.granted": 19}
    await recorder.close()


async def test_a_process_that_ends_on_a_full_disk_reuses_no_number_that_the_cloud_has(box: Box) -> None:
    recorder = Recorder(box.store, box.spool)
    await recorder.record(box.granted(0))
    disk = FullDisk(box.store)
    await recorder.record(box.granted(1))
    told = box.spool.batch()
    assert [event.seq for event in told] == [1]
    disk.room()
    box.store.close()
    box.open()
    assert box.spool.next_seq == 2
