"""What an agent is told when it is made. No environment is read here; `process` does that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gatehouse import __version__


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """One agent, one folder: two agents never share one."""

    folder: Path
    """Identity, keys and store; made with mode 0700."""
    base_url: str
    """Where the cloud answers HTTP, e.g. http://127.0.0.1:8000 (no path)."""
    spool_limit: int = 200_000
    """Most events kept on disk, acknowledged ones included."""
    keep_acknowledged_s: int = 7 * 86_400
    """How long events stay after the cloud confirmed them, so that a restored cloud can ask again."""
    status_every_s: float = 60.0
    answer_within_s: float = 10.0
    """After so long without `Welcome` or `Ack` the question is sent again."""
    version: str = __version__
