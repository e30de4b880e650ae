"""The one place where interfaces read the time; services and rules get it as a parameter."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The present instant, aware, UTC."""
    return datetime.now(tz=UTC)
