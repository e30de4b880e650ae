"""Why a relay is held: a stack of causes.

Ending one cause lets the relay fall only when no other holds it: a passage that runs out during an
emergency closes nothing, an emergency that ends does not cut a passage short.
"""

from __future__ import annotations

from math import inf

EMERGENCY = "emergency"
PASSAGE = "passage"


class Holds:
    """For each relay the causes that hold it and until when, on the agent's counter, milliseconds."""

    def __init__(self) -> None:
        self._until: dict[str, dict[str, float]] = {}

    def hold(self, relay: str, cause: str, until_ms: float = inf) -> None:
        """Hold for this cause; of two times of one cause the later counts."""
        causes = self._until.setdefault(relay, {})
        causes[cause] = max(until_ms, causes.get(cause, -inf))

    def let_go(self, relay: str, cause: str) -> None:
        """This cause holds it no longer."""
        self._until.get(relay, {}).pop(cause, None)

    def until(self, relay: str, now_ms: int) -> float | None:
        """Until when the relay is to be held; `inf` = until told otherwise, None = not at all."""
        until = max(self._until.get(relay, {}).values(), default=-inf)
        return until if until > now_ms else None

    def held_by(self, cause: str) -> set[str]:
        """Relays that this cause holds."""
        return {relay for relay, causes in self._until.items() if cause in causes}
