"""What happened on the site, kept until the cloud has it, and for some days after.

An event's identity is (spool, seq). Sequence numbers are given in the transaction that writes the event,
without gaps; a new spool begins only when the disk was lost or put back to an earlier state. When the
spool is full, events that the cloud confirmed go first, then the oldest ordinary passages, and refusals,
alarms and emergencies last (GH-GW-07). What went leaves a `Lost` record covering exactly the missing
numbers, made when they are read, so that the cloud sees one unbroken sequence. All methods block.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from gatehouse.gateway.clock import Clock
from gatehouse.gateway.store import Store
from gatehouse.wire.messages import (
    MAX_BATCH,
    MAX_MESSAGE,
    AnyEvent,
    CommandEnded,
    DoorMoved,
    EmergencyMoved,
    InputMoved,
    Lost,
    Passage,
)

ORDINARY, IMPORTANT = 0, 1
BATCH_BYTES = MAX_MESSAGE - 2048
"""Most bytes of events in one batch; the rest is the envelope."""
COMMANDS_KEPT = 10_000
"""Ended commands whose ids are remembered; none lives longer than ten minutes or its link session."""

_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_encoder = msgspec.json.Encoder()


def rank(event: AnyEvent) -> int:
    """ORDINARY events are the first to go when the spool is full, IMPORTANT ones the last."""
    match event:
        case Passage():
            ordinary = event.allowed and event.method not in ("remote", "emergency")
        case DoorMoved():
            ordinary = event.state in ("open", "closed")
        case InputMoved():
            ordinary = event.use in ("exit", "motion")
        case _:
            ordinary = False
    return ORDINARY if ordinary else IMPORTANT


def kind(event: AnyEvent) -> str:
    """Under which word the loss of this event is counted; dotted, part of the wire protocol."""
    match event:
        case Passage():
            return "passage.granted" if event.allowed else "passage.refused"
        case DoorMoved():
            return f"door.{event.state}"
        case InputMoved():
            return f"input.{event.use}"
        case EmergencyMoved():
            return "emergency"
        case CommandEnded():
            return "command"
        case _:
            return "lost"


class Following(NamedTuple):
    """What a transaction changed, for when it is on disk."""

    next_seq: int
    events: int
    dropped: dict[str, int] | None


class Spool:
    """The events of one store."""

    def __init__(self, store: Store, clock: Clock, limit: int, keep_ms: int) -> None:
        """`limit` events at most, confirmed ones kept for `keep_ms`. Raises DiskFailed, Damaged."""
        self._store = store
        self._clock = clock
        self._limit = max(limit, 2 * MAX_BATCH)
        self._keep_ms = keep_ms
        self.id = store.get("spool") or self._renamed()
        self.acked = int(store.get("acked") or 0)
        """Last number that the cloud confirmed."""
        written: int
        ((written,),) = store.rows("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'event'")
        self.next_seq = 1 + max(written, int(store.get("lost_upto") or 0))
        ((self._count,),) = store.rows("SELECT count(*) FROM event")
        self.dropped: dict[str, int] = msgspec.json.decode(store.get("dropped") or "{}")
        """How many events were lost since the store was made, by kind."""
        self.sent = self.acked
        """Last number of the batch in flight. Up to here nothing is dropped: the cloud may have it."""

    # --- in -------------------------------------------------------------------------------------

    def append(self, events: Iterable[AnyEvent], lost: dict[str, int] | None = None) -> None:
        """Keep events in this order; their numbers are given here, whatever `seq` they carry.

        `lost` counts events that went before these and never reached the disk; they get numbers too, so
        that the loss is told. Raises DiskFailed, Damaged; then nothing of it is kept.
        """
        with self._store.transaction():
            following = self.appending(events, lost)
        self.appended(following)

    @property
    def depth(self) -> int:
        """Events that the cloud has not confirmed, lost ones included."""
        return int(self.next_seq) - 1 - self.acked

    def oldest_ms(self) -> int | None:
        """When the oldest unconfirmed event happened."""
        found = self._store.rows("SELECT at_ms FROM event WHERE seq > ? ORDER BY seq LIMIT 1", (self.acked,))
        return int(found[0][0]) if found else None

    def appending(self, events: Iterable[AnyEvent], lost: dict[str, int] | None = None) -> Following:
        """`append` as part of a larger transaction; hand the result to `appended` after its commit."""
        run = self._store.db.execute
        seq, count = self.next_seq, self._count
        if lost:
            upto = seq + sum(lost.values()) - 1
            self._store.put("lost_upto", str(upto))
            self._count_lost([(seq, upto, lost)])
            seq = upto + 1
        for event in events:
            at = event.wall_ms if event.true_ms is None else event.true_ms
            row = (seq, rank(event), kind(event), at, _encoder.encode(msgspec.structs.replace(event, seq=seq)))
            run("INSERT INTO event VALUES (?, ?, ?, ?, ?)", row)
            seq, count = seq + 1, count + 1
        surplus = count - self._limit
        if surplus > 0:
            count -= self._drop(surplus)
        dropped = msgspec.json.decode(self._store.get("dropped") or "{}") if lost or surplus > 0 else None
        return Following(seq, count, dropped)

    def appended(self, following: Following) -> None:
        """What `appending` wrote is on disk."""
        self.next_seq, self._count = following.next_seq, following.events
        if following.dropped is not None:
            self.dropped = following.dropped

    def _drop(self, surplus: int) -> int:
        """Make room: a little more than asked, so that a full spool does not search at every event."""
        run = self._store.db.execute
        wanted = surplus + self._limit // 1000
        gone = run(
            "DELETE FROM event WHERE seq IN (SELECT seq FROM event WHERE seq <= ? ORDER BY seq LIMIT ?)",
            (self.acked, wanted),
        ).rowcount
        runs: list[tuple[int, int, dict[str, int]]] = []
        if gone < surplus:
            rows = run(
                "SELECT seq, kind FROM event WHERE seq > ? ORDER BY rank, seq LIMIT ?",
                (max(self.sent, self.acked), wanted - gone),
            ).fetchall()
            run(f"DELETE FROM event WHERE seq IN ({','.join(str(seq) for seq, _ in rows)})")
            gone += len(rows)
            for seq, word in sorted(rows):
                if runs and runs[-1][1] == seq - 1:
                    first, _, counts = runs[-1]
                    runs[-1] = (first, seq, dict(Counter(counts) + Counter({word: 1})))
                else:
                    runs.append((seq, seq, {word: 1}))
            self._count_lost(runs)
        return gone

    def _count_lost(self, runs: list[tuple[int, int, dict[str, int]]]) -> None:
        """Write missing runs down, each joined with its neighbours, so that gaps never outnumber events."""
        run = self._store.db.execute
        total: Counter[str] = Counter(msgspec.json.decode(self._store.get("dropped") or "{}"))
        for first, upto, counts in runs:
            total.update(counts)
            joined: Counter[str] = Counter(counts)
            near = run(
                "SELECT first, upto, counts FROM gap WHERE upto = ? OR first = ?", (first - 1, upto + 1)
            ).fetchall()
            for other_first, other_upto, other in near:
                joined.update(msgspec.json.decode(other, type=dict[str, int]))
                first, upto = min(first, other_first), max(upto, other_upto)
                run("DELETE FROM gap WHERE first = ?", (other_first,))
            run("INSERT INTO gap VALUES (?, ?, ?)", (first, upto, _encoder.encode(joined).decode()))
        self._store.put("dropped", _encoder.encode(total).decode())

    # --- out ------------------------------------------------------------------------------------

    def batch(self) -> list[AnyEvent]:
        """The events after the last confirmed one, gapless, as many as fit into one message; may be empty."""
        rows = self._store.rows(
            "SELECT seq, body FROM event WHERE seq > ? ORDER BY seq LIMIT ?", (self.acked, MAX_BATCH)
        )
        events: list[AnyEvent] = []
        size, expected = 0, self.acked + 1
        # The last pair stands for the end of the spool: numbers may be missing there as well.
        end = (self.next_seq, None) if len(rows) < MAX_BATCH else None
        for seq, body in [*rows, *([end] if end else [])]:
            if seq > expected and len(events) < MAX_BATCH:
                events.append(self._lost(expected, seq - 1))
                size += 256
            expected = seq + 1
            if body is None or len(events) == MAX_BATCH or size + len(body) > BATCH_BYTES:
                break
            events.append(msgspec.structs.replace(_decoder.decode(body), seq=seq))
            size += len(body) + 1
        return events

    def _lost(self, first: int, upto: int) -> Lost:
        counts: Counter[str] = Counter()
        for (kept,) in self._store.rows("SELECT counts FROM gap WHERE first BETWEEN ? AND ?", (first, upto)):
            counts.update(msgspec.json.decode(kept, type=dict[str, int]))
        # Confirmed events whose days were over, asked for again by a cloud that lost them.
        if upto - first + 1 > counts.total():
            counts["expired"] += upto - first + 1 - counts.total()
        now = self._clock.mono_ms()
        return Lost(
            seq=first,
            boot=self._clock.boot,
            mono_ms=now,
            wall_ms=self._clock.wall_ms(),
            true_ms=self._clock.true_at(now),
            upto=upto,
            counts=dict(counts),
        )

    def latest(self, most: int) -> list[AnyEvent]:
        """The newest events that are kept, confirmed or not, oldest first; for whoever looks on."""
        rows = self._store.rows("SELECT seq, body FROM event ORDER BY seq DESC LIMIT ?", (most,))
        return [msgspec.structs.replace(_decoder.decode(body), seq=seq) for seq, body in reversed(rows)]

    def acknowledge(self, seq: int) -> None:
        """The cloud has everything up to `seq`; a number below the present one goes back (restored cloud)."""
        seq = min(max(seq, 0), self.next_seq - 1)
        if seq == self.acked:
            return
        now, forgotten = self._clock.true_ms(), 0
        with self._store.transaction():
            self._store.put("acked", str(seq))
            if now is not None and seq > self.acked:
                self._store.db.execute("INSERT OR IGNORE INTO acknowledged VALUES (?, ?)", (seq, now))
                forgotten = self._forget(now - self._keep_ms, seq)
        self.sent = self.acked = seq
        self._count -= forgotten

    def _forget(self, before_ms: int, confirmed: int) -> int:
        """Delete what was confirmed that long ago; returns how many events went."""
        run = self._store.db.execute
        old = run("SELECT max(upto) FROM acknowledged WHERE at_ms < ?", (before_ms,)).fetchone()[0]
        if old is None:
            return 0
        upto = min(old, confirmed)
        run("DELETE FROM gap WHERE upto <= ?", (upto,))
        run("DELETE FROM acknowledged WHERE upto <= ?", (upto,))
        return run("DELETE FROM event WHERE seq <= ?", (upto,)).rowcount

    def renumber(self) -> None:
        """Begin a new spool with what is not confirmed.

        For the day on which the cloud has more of this spool than the disk ever held: the disk was put
        back to an earlier state, and going on would give numbers a second time.
        """
        run = self._store.db.execute
        shift = self.acked
        with self._store.transaction():
            for table, column in (("event", "seq"), ("gap", "first"), ("acknowledged", "upto")):
                run(f"DELETE FROM {table} WHERE {column} <= ?", (shift,))
            moved = run("SELECT seq, rank, kind, at_ms, body FROM event ORDER BY seq").fetchall()
            run("DELETE FROM event")
            run("DELETE FROM sqlite_sequence WHERE name = 'event'")
            for seq, *rest in moved:
                run("INSERT INTO event VALUES (?, ?, ?, ?, ?)", (seq - shift, *rest))
            gaps = run("SELECT first, upto, counts FROM gap").fetchall()
            run("DELETE FROM gap")
            for first, upto, counts in gaps:
                run("INSERT INTO gap VALUES (?, ?, ?)", (first - shift, upto - shift, counts))
            self._store.put("lost_upto", str(self.next_seq - 1 - shift))
            self._store.put("acked", "0")
            self.id = self._renamed()
        self.next_seq -= shift
        self.acked = self.sent = 0
        self._count = len(moved)

    def _renamed(self) -> str:
        fresh = str(uuid.uuid4())
        self._store.put("spool", fresh)
        return fresh

    # --- commands -------------------------------------------------------------------------------

    def begin(self, command: str, events: Iterable[AnyEvent], ended: bool = False) -> bool:
        """Write down, before anything moves, that a command is being done; True is the only leave to do it.

        False when this id was seen before; then nothing is written. `ended`: there is nothing to do (it was
        refused, and `events` say so).
        """
        run = self._store.db.execute
        with self._store.transaction():
            if run("SELECT 1 FROM command WHERE id = ?", (command,)).fetchone():
                return False
            run("INSERT INTO command (id, ended) VALUES (?, ?)", (command, ended))
            run("DELETE FROM command WHERE ended AND number <= (SELECT max(number) FROM command) - ?", (COMMANDS_KEPT,))
            following = self.appending(events)
        self.appended(following)
        return True

    def end(self, command: str, events: Iterable[AnyEvent]) -> None:
        """Write down what became of a command that was begun."""
        with self._store.transaction():
            self._store.db.execute("UPDATE command SET ended = 1 WHERE id = ?", (command,))
            following = self.appending(events)
        self.appended(following)

    def begun(self) -> list[str]:
        """Commands that were begun and never ended: the process died over them."""
        return [row[0] for row in self._store.rows("SELECT id FROM command WHERE NOT ended ORDER BY number")]
