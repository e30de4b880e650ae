"""What a gateway knows, on its own disk: feed, spool, seen commands, last true time.

One SQLite file in write-ahead mode with a full sync at each commit: what a method returned from is
there after `kill -9` and after the power went. A file that proves damaged is set aside, never repaired
by guessing: the agent begins with an empty one, which opens nothing, and says so. Feed payloads are
sealed with a key that stands beside the file (a stolen file alone tells nothing; a stolen box is
answered by revoking the gateway). All methods block; one thread calls them.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gatehouse.gateway.clock import Measured
from gatehouse.gateway.identity import write_private
from gatehouse.wire.messages import Emergency, FeedEntry, Payload

FILE = "store.sqlite3"
KEY_FILE = "store.key"
ASIDE = "aside"
KEPT_ASIDE = 2
"""Damaged stores kept for the curious; older ones are deleted, so that they cannot fill the disk."""
LAYOUT = 1

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE entry (key TEXT PRIMARY KEY, revision INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TABLE staged (key TEXT PRIMARY KEY, revision INTEGER NOT NULL, payload BLOB);
CREATE TABLE tombstone (key TEXT PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE event (seq INTEGER PRIMARY KEY AUTOINCREMENT, rank INTEGER NOT NULL, kind TEXT NOT NULL,
    at_ms INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX event_by_rank ON event (rank, seq);
CREATE TABLE gap (first INTEGER PRIMARY KEY, upto INTEGER NOT NULL, counts TEXT NOT NULL);
CREATE TABLE acknowledged (upto INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL);
CREATE TABLE command (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, ended INTEGER NOT NULL);
"""

T = TypeVar("T")

_payload_decoder: msgspec.json.Decoder[Payload] = msgspec.json.Decoder(Payload)


class Damaged(Exception):
    """The file is no store, or not whole. The text is a reason code."""


class DiskFailed(Exception):
    """The disk took or gave nothing (full, read-only, failing); the store itself may be whole.

    `code` is a reason code: `disk.full` or `disk.failed`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class FeedState(NamedTuple):
    """How far the feed in force is; epoch None = nothing was ever received."""

    epoch: str | None
    revision: int


class EmergencyState(msgspec.Struct, frozen=True):
    """The emergency as this gateway holds it."""

    signed: Emergency | None = None
    """The last signed state that was accepted."""
    raised: bool = False
    """A local fire input started one that no signed state has ended yet."""
    raised_at_ms: int | None = None
    """True time of that, None while it is not known."""

    @property
    def open(self) -> bool:
        """Whether relays are to be held open."""
        return self.raised or (self.signed is not None and self.signed.state == "open")

    @property
    def counter(self) -> int:
        """Counter of the last signed state, 0 before the first."""
        return 0 if self.signed is None else self.signed.counter


def failure(error: sqlite3.Error) -> DiskFailed | Damaged:
    """What an error of SQLite means to us."""
    primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if primary == sqlite3.SQLITE_FULL:
        return DiskFailed("disk.full")
    if primary in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY):
        return DiskFailed("disk.failed")
    return Damaged("store.damaged")


class Store:
    """The open file. Raises DiskFailed or Damaged from every method that touches it."""

    def __init__(self, folder: Path, max_pages: int | None = None) -> None:
        """Open or make the store in `folder`.

        `max_pages` bounds the file, in pages of 4 KiB. A damaged store raises Damaged; see `open_store`.
        """
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)
            self._seal = AESGCM(_key(folder))
        except OSError as error:
            raise DiskFailed("disk.failed") from error
        except ValueError as error:
            raise Damaged("store.key_lost") from error
        self.db = sqlite3.connect(folder / FILE, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(max_pages)
        except sqlite3.Error as error:
            self.db.close()
            raise failure(error) from error
        except (Damaged, DiskFailed):
            self.db.close()
            raise

    def _prepare(self, max_pages: int | None) -> None:
        run = self.db.execute
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run("PRAGMA cache_size = -1024")
        run("PRAGMA journal_size_limit = 4194304")
        if max_pages is not None:
            run(f"PRAGMA max_page_count = {int(max_pages)}")
        (layout,) = run("PRAGMA user_version").fetchone()
        if layout == 0:
            with self.transaction():
                for statement in _TABLES.split(";"):
                    run(statement)
                run(f"PRAGMA user_version = {LAYOUT}")
        elif layout != LAYOUT:
            raise Damaged("store.other_layout")
        elif run("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise Damaged("store.damaged")
        (self.folder / FILE).chmod(0o600)
        with self.transaction():
            run("DELETE FROM staged")

    def close(self) -> None:
        """Give the file back."""
        self.db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, on disk when it returns."""
        try:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                # SQLite has already rolled back by itself when the disk is full.
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise failure(error) from error

    def rows(self, query: str, values: tuple[int | str, ...] = ()) -> list[Any]:
        """What a query finds."""
        try:
            return self.db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise failure(error) from error

    # --- small things ---------------------------------------------------------------------------

    def get(self, name: str) -> str | None:
        """A small value by name."""
        found = self.rows("SELECT value FROM meta WHERE name = ?", (name,))
        return str(found[0][0]) if found else None

    def put(self, name: str, value: str) -> None:
        """Keep a small value; inside a transaction or as one of its own."""
        if self.db.in_transaction:
            self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))
        else:
            with self.transaction():
                self.put(name, value)

    def emergency(self) -> EmergencyState:
        """The emergency state as last kept."""
        kept = self.get("emergency")
        return EmergencyState() if kept is None else _decoded(kept, EmergencyState)

    def keep_emergency(self, state: EmergencyState) -> None:
        """Keep it, so that a restarted gateway resumes."""
        self.put("emergency", msgspec.json.encode(state).decode())

    def keep_time(self, machine: str | None, measured: Measured) -> None:
        """Keep the last clock measurement with the machine boot whose counter it refers to."""
        self.put("time", msgspec.json.encode([machine, *measured]).decode())

    def last_time(self) -> tuple[str | None, Measured] | None:
        """(machine boot, measurement) as last kept."""
        kept = self.get("time")
        if kept is None:
            return None
        machine, *values = _decoded(kept, tuple[str | None, int, int, int])
        return machine, Measured(*values)

    # --- feed -----------------------------------------------------------------------------------

    def feed_state(self) -> FeedState:
        """Epoch and revision in force."""
        kept = self.get("feed")
        return FeedState(None, 0) if kept is None else FeedState(*_decoded(kept, tuple[str | None, int]))

    def entries(self) -> Iterator[tuple[str, int, Payload]]:
        """Everything in force: (key, revision, payload). Raises Damaged when an entry does not open."""
        try:
            rows = self.db.execute("SELECT key, revision, payload FROM entry")
            for key, revision, sealed in rows:
                yield key, revision, self._open(key, revision, sealed)
        except sqlite3.Error as error:
            raise failure(error) from error

    def entry(self, key: str) -> tuple[int, Payload] | None:
        """One entry in force."""
        found = self.rows("SELECT revision, payload FROM entry WHERE key = ?", (key,))
        return (found[0][0], self._open(key, *found[0])) if found else None

    def change(self, state: FeedState, entries: Iterable[FeedEntry]) -> list[str]:
        """Bring a whole delta into force; returns the keys that moved."""
        with self.transaction():
            moved = [entry.key for entry in entries if self._write(entry)]
            self._arrived(state)
        return moved

    def narrow(self, changes: Iterable[tuple[str, Payload | None, int]]) -> None:
        """Take away at once what later entries take away: (key, what is left, revision of the later entry).

        None removes the key, and nothing of that revision or older brings it back. What is left otherwise
        keeps the present entry's revision, for the later one is yet to come.
        """
        run = self.db.execute
        with self.transaction():
            for key, left, revision in changes:
                if left is None:
                    run("DELETE FROM entry WHERE key = ?", (key,))
                    run("INSERT OR REPLACE INTO tombstone VALUES (?, ?)", (key, revision))
                    continue
                row = run("SELECT revision FROM entry WHERE key = ?", (key,)).fetchone()
                if row is not None:
                    run("UPDATE entry SET payload = ? WHERE key = ?", (self._sealed(key, row[0], left), key))

    def stage(self, entries: Iterable[FeedEntry], first: bool) -> None:
        """Lay a page of a pull aside; `first` forgets what was laid aside before. Nothing of it is in force."""
        with self.transaction():
            if first:
                self.db.execute("DELETE FROM staged")
            for entry in entries:
                sealed = None if entry.payload is None else self._sealed(entry.key, entry.revision, entry.payload)
                self.db.execute("INSERT OR REPLACE INTO staged VALUES (?, ?, ?)", (entry.key, entry.revision, sealed))

    def switch(self, state: FeedState, reset: bool) -> list[str] | None:
        """Bring everything laid aside into force in one step.

        Returns the keys that moved, None when everything did (`reset`).
        """
        run = self.db.execute
        with self.transaction():
            if reset:
                run("DELETE FROM entry")
                # A new epoch counts anew; removals of the old one must not hold its entries back.
                if self.feed_state().epoch != state.epoch:
                    run("DELETE FROM tombstone")
            buried = "SELECT 1 FROM tombstone t WHERE t.key = staged.key AND t.revision >= staged.revision"
            run(f"DELETE FROM staged WHERE EXISTS ({buried})")
            moved = [row[0] for row in run("SELECT key FROM staged")]
            run("DELETE FROM entry WHERE key IN (SELECT key FROM staged WHERE payload IS NULL)")
            run("INSERT OR REPLACE INTO entry SELECT key, revision, payload FROM staged WHERE payload IS NOT NULL")
            run("DELETE FROM staged")
            self._arrived(state)
        return None if reset else moved

    def _write(self, entry: FeedEntry) -> bool:
        run = self.db.execute
        if run("SELECT 1 FROM tombstone WHERE key = ? AND revision >= ?", (entry.key, entry.revision)).fetchone():
            return False
        if entry.payload is None:
            run("DELETE FROM entry WHERE key = ?", (entry.key,))
        else:
            sealed = self._sealed(entry.key, entry.revision, entry.payload)
            run("INSERT OR REPLACE INTO entry VALUES (?, ?, ?)", (entry.key, entry.revision, sealed))
        return True

    def _arrived(self, state: FeedState) -> None:
        self.put("feed", msgspec.json.encode([state.epoch, state.revision]).decode())
        self.db.execute("DELETE FROM tombstone WHERE revision <= ?", (state.revision,))

    def _sealed(self, key: str, revision: int, payload: Payload) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._seal.encrypt(nonce, msgspec.json.encode(payload), f"{key}\n{revision}".encode())

    def _open(self, key: str, revision: int, sealed: bytes) -> Payload:
        try:
            return _payload_decoder.decode(self._seal.decrypt(sealed[:12], sealed[12:], f"{key}\n{revision}".encode()))
        except (InvalidTag, ValueError) as error:
            raise Damaged("store.damaged") from error


def _decoded(kept: str, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(kept, type=kind)
    except msgspec.DecodeError as error:
        raise Damaged("store.damaged") from error


def _key(folder: Path) -> bytes:
    """The sealing key; made when there is no store yet. Raises OSError, or ValueError when it is lost."""
    path = folder / KEY_FILE
    if not path.exists():
        if (folder / FILE).exists():
            raise ValueError("key missing")
        write_private(path, os.urandom(32))
    key = path.read_bytes()
    if len(key) != 32:
        raise ValueError("key damaged")
    return key


def open_store(folder: Path, max_pages: int | None = None) -> tuple[Store, str | None]:
    """The store, and the reason code why an earlier one had to be set aside (None when it was whole).

    Reads everything once, so that damage shows now and not at a door. Raises DiskFailed.
    """
    try:
        store = Store(folder, max_pages)
        try:
            for _ in store.entries():
                pass
            store.emergency(), store.last_time(), store.feed_state()
        except Damaged:
            store.close()
            raise
        return store, None
    except Damaged as damage:
        try:
            set_aside(folder)
        except OSError as error:
            raise DiskFailed("disk.failed") from error
        return Store(folder, max_pages), str(damage)


def set_aside(folder: Path) -> None:
    """Move a damaged store and its key away; keeps the newest few. Raises OSError."""
    aside = folder / ASIDE
    aside.mkdir(exist_ok=True, mode=0o700)
    taken = sorted(int(old.name) for old in aside.iterdir() if old.name.isdigit())
    for old in taken[: max(0, len(taken) + 1 - KEPT_ASIDE)]:
        for file in (aside / str(old)).iterdir():
            file.unlink()
        (aside / str(old)).rmdir()
    place = aside / str(taken[-1] + 1 if taken else 1)
    place.mkdir(mode=0o700)
    for name in (FILE, f"{FILE}-wal", f"{FILE}-shm", KEY_FILE):
        if (folder / name).exists():
            (folder / name).rename(place / name)
