"""How a gateway is: for its local page, the lab, and the report to the cloud. No person, no code."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gatehouse.wire.messages import DeviceHealth

LOW_DISK = 50 * 1024 * 1024
"""Free bytes below which the disk is called nearly full."""


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """One moment of an agent, plain values. Times are milliseconds."""

    gateway: str
    site: str
    link: Literal["cut", "connecting", "connected", "open"]
    """cut: the cable is pulled; connecting: no broker; connected: the cloud has not answered yet."""
    alone: bool
    """Deciding without the cloud."""
    alone_since_ms: int | None
    """Wall clock; None when not alone."""
    true_ms: int | None
    clock_offset_ms: int | None
    epoch: str | None
    revision: int
    spool_depth: int
    """Events that the cloud has not confirmed, those in memory included."""
    unwritten: int
    """Of them in memory only, because the disk takes nothing."""
    dropped: dict[str, int]
    devices: list[DeviceHealth]
    device_names: dict[str, str]
    emergency: bool
    faults: list[str]
    """Reason codes of what is wrong now."""
    last_error: str | None
    counts: dict[str, int]
    """What was ignored or went wrong since the start, by dotted word."""
    uptime_s: int


def memory_bytes() -> int:
    """Resident memory of this process."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def disk_free(folder: Path) -> int:
    """Free bytes where the store is."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0
