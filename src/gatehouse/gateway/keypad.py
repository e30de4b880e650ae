"""Slowing down people who try codes. Cards are never slowed: nobody guesses a card number by hand.

Each device counts the wrong codes typed at it. The first few cost nothing, since people mistype; after
that every further one doubles the pause in which the keypad takes nothing. The count falls with time
only: a right code does not clear it, or whoever has one could guess others between two of his own.
"""

from __future__ import annotations

from dataclasses import dataclass

FREE = 5
"""Wrong codes without a pause."""
FIRST_PAUSE_MS = 5_000
LONGEST_PAUSE_MS = 900_000
FORGIVE_MS = 600_000
"""One wrong code is forgiven after so long."""
THROTTLED = "keypad.throttled"


@dataclass(slots=True)
class _Pad:
    wrong: int = 0
    since_ms: int = 0
    shut_until_ms: int = 0


class Keypads:
    """Wrong codes by device. Times on the agent's counter, milliseconds."""

    def __init__(self) -> None:
        self._pads: dict[str, _Pad] = {}

    def wait_ms(self, device: str, now_ms: int) -> int:
        """How long this keypad still takes nothing, 0 = it does."""
        pad = self._pads.get(device)
        return 0 if pad is None else max(0, pad.shut_until_ms - now_ms)

    def wrong(self, device: str, now_ms: int) -> int:
        """A code that nobody has was typed; returns the pause that follows."""
        pad = self._pads.setdefault(device, _Pad(since_ms=now_ms))
        forgiven = (now_ms - pad.since_ms) // FORGIVE_MS
        if forgiven >= pad.wrong:
            pad.wrong, pad.since_ms = 0, now_ms
        else:
            pad.wrong -= forgiven
            pad.since_ms += forgiven * FORGIVE_MS
        pad.wrong += 1
        surplus = pad.wrong - FREE
        pause = 0 if surplus <= 0 else min(FIRST_PAUSE_MS << min(surplus - 1, 16), LONGEST_PAUSE_MS)
        pad.shut_until_ms = now_ms + pause
        return pause
