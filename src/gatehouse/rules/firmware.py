"""Firmware versions of devices: comparing them, and whether a model is new enough for a feature.

Which feature needs what is data (the device catalogue); here is only how it is judged (OFF-DEV-34).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

_VERSION: Final = re.compile(r"([0-9]{1,5})\.([0-9]{1,5})\.([0-9]{1,5})\.([0-9]{1,5})")

PASSED: Final = "firmware.passed"
TOO_OLD: Final = "firmware.too_old"
NOT_LISTED: Final = "firmware.not_listed"
NOT_REPORTED: Final = "firmware.not_reported"


class FirmwareError(ValueError):
    """A text that is no firmware version; `code` is `firmware.format`."""

    def __init__(self) -> None:
        super().__init__("firmware.format")
        self.code = "firmware.format"


class Version(NamedTuple):
    """Four numbers, compared as numbers; the first is the line of the model (216 = E16 V2)."""

    line: int
    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Version:
        """From `216.30.10.106`. Raises FirmwareError for anything else."""
        match = _VERSION.fullmatch(text.strip())
        if match is None:
            raise FirmwareError
        return cls(*map(int, match.groups()))

    def __str__(self) -> str:
        return ".".join(map(str, self))


class Gate(NamedTuple):
    """Whether a device may be offered a feature, and the version it would need."""

    code: str
    """`firmware.passed`, `firmware.too_old`, `firmware.not_listed` (this line never has the feature) or
    `firmware.not_reported` (the device has not said yet what it runs)."""
    needed: Version | None = None


def gate(version: Version | None, least: Iterable[Version]) -> Gate:
    """Judge a device's version against the least version of each line that has the feature.

    Versions of different lines say nothing about each other, so only a minimum of the same line counts.
    """
    if version is None:
        return Gate(NOT_REPORTED)
    needed = next((minimum for minimum in least if minimum.line == version.line), None)
    if needed is None:
        return Gate(NOT_LISTED)
    return Gate(PASSED if version >= needed else TOO_OLD, needed)
