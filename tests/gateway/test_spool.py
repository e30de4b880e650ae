"""The spool: gapless numbers, bounded, every loss told exactly, nothing recorded lost."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gatehouse.gateway import spool as spools
from gatehouse.gateway.clock import Clock
from gatehouse.gateway.spool import Spool
from gatehouse.gateway.store import Damaged, DiskFailed, FeedState, Store, open_store
from gatehouse.wire.messages import (
    MAX_MESSAGE,
    AnyEvent,
    CommandEnded,
    DoorMoved,
    EmergencyMoved,
    EventBatch,
    InputMoved,
    Lost,
    Passage,
    encode,
)
from tests.gateway.site import FRONT, PHONE, Time, fresh, page, standard, uid

DAY_MS = 86_400_000


class Box:
    """A store with its spool, that can be closed and opened again."""

    def __init__(self, folder: Path, limit: int = 1_000, max_pages: int | None = None) -> None:
        self.folder, self.limit, self.max_pages = folder, limit, max_pages
        self.time = Time()
        self.open()

    def open(self) -> None:
        self.store, self.aside = open_store(self.folder, self.max_pages)
        self.clock: Clock = self.time.clock()
        self.spool = Spool(self.store, self.clock, self.limit, 7 * DAY_MS)

    def common(self) -> dict[str, Any]:
        now = self.clock.mono_ms()
        true = self.clock.true_at(now)
        return {"seq": 1, "boot": self.clock.boot, "mono_ms": now, "wall_ms": 1, "true_ms": true, "device": PHONE}

    def granted(self, mark: int = 0) -> Passage:
        """An ordinary passage; `mark` tells it apart."""
        return Passage(**self.common(), relay=FRONT, method="pin", allowed=True, reason="granted", decide_us=mark)

    def refused(self, mark: int = 0) -> Passage:
        return Passage(**self.common(), method="pin", allowed=False, reason="credential.unknown", decide_us=mark)

    def drain(self) -> list[AnyEvent]:
        """Everything that is not confirmed, as the cloud would get it; checks that numbers are gapless."""
        taken: list[AnyEvent] = []
        while batch := self.spool.batch():
            assert batch[0].seq == self.spool.acked + 1
            for event, following in zip(batch, [*batch[1:], None], strict=True):
                last = event.upto if isinstance(event, Lost) else event.seq
                assert last >= event.seq
                if following is not None:
                    assert following.seq == last + 1
            taken += batch
            self.spool.acknowledge(last)
        assert self.spool.acked == self.spool.next_seq - 1
        return taken


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_numbers_begin_at_one_and_go_on_after_a_restart(box: Box) -> None:
    box.spool.append([box.granted(), box.refused()])
    box.store.close()
    box.open()
    box.spool.append([box.granted()])
    assert [event.seq for event in box.spool.batch()] == [1, 2, 3]


def test_numbers_go_on_when_everything_was_confirmed_and_forgotten(box: Box) -> None:
    box.time.set(box.clock)
    box.spool.append([box.granted() for _ in range(5)])
    box.spool.acknowledge(5)
    box.time.later_ms += 8 * DAY_MS
    box.spool.append([box.granted()])
    box.spool.acknowledge(6)
    assert box.store.rows("SELECT count(*) FROM event WHERE seq <= 5") == [(0,)]
    box.store.close()
    box.open()
    assert box.spool.next_seq == 7


def test_a_batch_fits_into_one_message_whatever_it_holds(box: Box) -> None:
    full = Passage(
        **box.common() | {"true_ms": 1, "wall_ms": 253402300800000, "mono_ms": 1 << 52},
        relay=FRONT, method="bluetooth", allowed=True, reason="a" * 64, holder=uid(1), credential=uid(2),
        command=uid(3), epoch="e" * 36, revision=1 << 52, alone=True, decide_us=1 << 52,
    )  # fmt: skip
    box.spool.append([full] * 700)
    seen = 0
    while events := box.spool.batch():
        batch = EventBatch(spool=box.spool.id, boot=box.clock.boot, sent_mono_ms=1 << 52, events=events)
        assert len(encode(batch)) <= MAX_MESSAGE
        seen += len(events)
        box.spool.acknowledge(events[-1].seq)
    assert seen == 700


def test_confirmed_events_stay_seven_days_and_go_out_again_when_a_restored_cloud_asks(box: Box) -> None:
    box.time.set(box.clock)
    box.spool.append([box.granted(mark) for mark in range(1, 11)])
    box.spool.acknowledge(10)
    box.time.later_ms += 6 * DAY_MS
    box.spool.append([box.granted(11)])
    box.spool.acknowledge(11)
    assert box.spool.batch() == []
    box.spool.acknowledge(4)
    assert [e.decide_us for e in box.drain() if isinstance(e, Passage)] == list(range(5, 12))


def test_what_is_older_than_seven_days_is_told_as_lost_to_a_cloud_that_asks(box: Box) -> None:
    box.time.set(box.clock)
    box.spool.append([box.granted(mark) for mark in range(1, 11)])
    box.spool.acknowledge(10)
    box.time.later_ms += 8 * DAY_MS
    box.spool.append([box.granted(11)])
    box.spool.acknowledge(11)
    box.spool.acknowledge(4)
    lost, passage = box.drain()
    assert isinstance(lost, Lost)
    assert (lost.seq, lost.upto, lost.counts) == (5, 10, {"expired": 6})
    assert (passage.seq, passage.decide_us) == (11, 11)  # type: ignore[union-attr]


@pytest.mark.req("GH-GW-07")
def test_a_full_spool_drops_old_ordinary_passages_first_and_alarms_last(fast_folder: Path) -> None:
    box = Box(fast_folder, limit=1_000)
    important: list[AnyEvent] = [
        box.refused(),
        EmergencyMoved(**box.common(), counter=1, state="opened"),
        InputMoved(**box.common(), use="fire", active=True),
        DoorMoved(**box.common(), state="forced"),
        CommandEnded(**box.common(), command=uid(7), state="done"),
    ]
    assert {spools.rank(event) for event in important} == {spools.IMPORTANT}
    box.spool.append(important)
    for mark in range(3_000):
        box.spool.append([box.granted(mark)])
    events = box.drain()
    assert [type(event) for event in events[:5]] == [type(event) for event in important]
    lost = events[5]
    assert isinstance(lost, Lost)
    passages = [event for event in events if isinstance(event, Passage) and event.allowed]
    assert [event.decide_us for event in passages] == list(range(3_000 - len(passages), 3_000)), "the oldest went"
    assert 900 <= len(passages) <= 995
    assert (lost.seq, lost.upto) == (6, 5 + 3_000 - len(passages))
    assert lost.counts == {"passage.granted": 3_000 - len(passages)} == box.spool.dropped


@pytest.mark.req("GH-GW-07")
def test_every_loss_is_told_exactly_whatever_happens_in_whatever_order(fast_folder: Path) -> None:
    """Random events, acknowledgements, restarts and rewinds: each number arrives as event or inside one loss."""
    for seed in range(6):
        chance = random.Random(seed)
        box = Box(fast_folder / str(seed), limit=1_000)
        box.time.set(box.clock)
        made: dict[int, str] = {}
        heard: dict[int, AnyEvent] = {}
        confirmed = 0
        for _ in range(500):
            what = chance.random()
            if what < 0.92:
                events = [
                    chance.choice([box.granted, box.granted, box.granted, box.refused])(chance.randrange(10**6))
                    for _ in range(chance.randrange(1, 25))
                ]
                first = box.spool.next_seq
                box.spool.append(events)
                made |= {first + n: spools.kind(event) for n, event in enumerate(events)}
            elif what < 0.95:
                batch = box.spool.batch()
                if batch:
                    last = batch[-1]
                    box.spool.sent = last.upto if isinstance(last, Lost) else last.seq
                    if chance.random() < 0.6:  # else the acknowledgement was lost
                        heard |= {event.seq: event for event in batch if event.seq > confirmed}
                        confirmed = box.spool.sent
                        box.spool.acknowledge(confirmed)
            elif what < 0.98:
                box.store.close()
                box.open()
                box.time.set(box.clock)
            else:
                box.time.later_ms += DAY_MS // 2
        heard |= {event.seq: event for event in box.drain()}
        expected, told = 1, Counter[str]()
        for seq in sorted(heard):
            event = heard[seq]
            assert seq == expected
            if isinstance(event, Lost):
                kinds = Counter(made[number] for number in range(seq, event.upto + 1))
                assert Counter(event.counts) == kinds
                told += kinds
                expected = event.upto + 1
            else:
                assert spools.kind(event) == made[seq]
                expected = seq + 1
        assert expected == box.spool.next_seq == len(made) + 1
        assert told == Counter(box.spool.dropped)
        assert box.store.rows("SELECT count(*) FROM event")[0][0] <= 1_000
        assert box.store.rows("SELECT count(*) FROM gap")[0][0] <= 1_000
        assert told["passage.granted"] > 1_000
        assert told["passage.refused"] < told["passage.granted"] / 10
        box.store.close()


def test_a_batch_in_flight_is_never_thinned_out_under_the_clouds_hands(tmp_path: Path) -> None:
    box = Box(tmp_path, limit=1_000)
    box.spool.append([box.granted(mark) for mark in range(1_000)])
    before = box.spool.batch()
    box.spool.sent = before[-1].seq
    box.spool.append([box.granted(mark) for mark in range(700)])
    assert box.spool.batch()[: len(before)] == before


def test_a_disk_put_back_to_an_earlier_state_begins_a_new_spool(box: Box) -> None:
    box.spool.append([box.granted(mark) for mark in range(10)])
    box.spool.acknowledge(4)
    old = box.spool.id
    box.spool.renumber()
    assert box.spool.id != old
    assert [(event.seq, event.decide_us) for event in box.spool.batch() if isinstance(event, Passage)] == [
        (1, 4), (2, 5), (3, 6), (4, 7), (5, 8), (6, 9),
    ]  # fmt: skip
    box.store.close()
    box.open()
    box.spool.append([box.granted(10)])
    assert [event.seq for event in box.drain()] == [1, 2, 3, 4, 5, 6, 7]


def test_a_command_is_begun_once_for_ever(box: Box) -> None:
    command = fresh()
    assert box.spool.begin(command, [box.granted()])
    assert not box.spool.begin(command, [box.granted()])
    box.store.close()
    box.open()
    assert not box.spool.begin(command, [])
    assert box.spool.begun() == [command]
    box.spool.end(command, [CommandEnded(**box.common(), command=command, state="done")])
    assert box.spool.begun() == []
    assert not box.spool.begin(command, [])
    assert box.spool.next_seq == 3, "what was refused as repeated left nothing behind"


@pytest.mark.req("GH-GW-E4")
def test_a_full_disk_refuses_whole_and_takes_again_when_there_is_room(fast_folder: Path) -> None:
    box = Box(fast_folder, limit=100_000, max_pages=60)
    written = 0
    with pytest.raises(DiskFailed) as caught:
        for _ in range(2_000):
            box.spool.append([box.granted(written), box.granted(written + 1)])
            written += 2
    assert caught.value.code == "disk.full"
    assert box.spool.next_seq == written + 1, "a pair is kept whole or not at all"
    box.store.db.execute("PRAGMA max_page_count = 1000")
    box.spool.append([box.granted(written)])
    assert [event.decide_us for event in box.drain() if isinstance(event, Passage)] == list(range(written + 1))


@pytest.mark.req("GH-GW-E4")
@pytest.mark.parametrize("harm", ["garbage", "cut short", "page", "key lost", "key damaged", "sealed by another key"])
def test_a_damaged_store_is_set_aside_and_a_new_spool_begins(harm: str, tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.spool.append([box.granted(mark) for mark in range(2_000)])
    box.store.change(FeedState("epoch-1", 1), page(standard()).entries)
    old = box.spool.id
    box.store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    box.store.close()
    path, key = tmp_path / "store.sqlite3", tmp_path / "store.key"
    content = bytearray(path.read_bytes())
    match harm:
        case "garbage":
            path.write_bytes(b"this is no store" * 1000)
        case "cut short":
            path.write_bytes(content[: len(content) // 2])
        case "page":
            content[8_192:20_480] = b"\xa5" * 12_288
            path.write_bytes(content)
        case "key lost":
            key.unlink()
        case "key damaged":
            key.write_bytes(b"short")
        case _:
            key.write_bytes(bytes(32))
    box.open()
    assert box.aside in ("store.damaged", "store.key_lost")
    assert box.spool.id != old
    assert list(box.store.entries()) == [], "nothing opens until the feed has come again"
    assert (tmp_path / "aside" / "1" / "store.sqlite3").exists()
    box.spool.append([box.granted()])
    box.store.close()
    box.open()
    assert box.aside is None


def test_damaged_stores_that_are_kept_do_not_fill_the_disk(tmp_path: Path) -> None:
    for _ in range(5):
        Box(tmp_path).store.close()
        (tmp_path / "store.sqlite3").write_bytes(b"no store")
    Box(tmp_path).store.close()
    assert sorted(path.name for path in (tmp_path / "aside").iterdir()) == ["4", "5"]


def test_a_store_of_a_later_version_is_not_read(tmp_path: Path) -> None:
    Box(tmp_path).store.close()
    with sqlite3.connect(tmp_path / "store.sqlite3") as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(Damaged, match=r"store\.other_layout"):
        Store(tmp_path)


def test_every_commit_waits_for_the_disk(box: Box) -> None:
    assert box.store.rows("PRAGMA synchronous") == [(2,)], "FULL: what was kept survives a power cut"
    assert box.store.rows("PRAGMA journal_mode") == [("wal",)]
