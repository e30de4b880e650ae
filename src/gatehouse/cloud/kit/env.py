"""Settings from the environment: typed, loud, with secrets from files.

`NAME_FILE` may stand for `NAME` and names a file that holds the value. Nonsense refuses the start.
"""

from __future__ import annotations

import os
from pathlib import Path


class BadSetting(SystemExit):
    """An environment variable that cannot be used; the message names it and says what it should be."""


def text(name: str, default: str | None = None) -> str:
    """The value as text; without a default it must be set."""
    if path := os.environ.get(f"{name}_FILE"):
        try:
            return Path(path).read_text().strip()
        except OSError as error:
            raise BadSetting(f"{name}_FILE: cannot read {path}: {error.strerror}") from error
    value = os.environ.get(name, default)
    if value is None:
        raise BadSetting(f"{name} is not set")
    return value


def flag(name: str, default: bool = False) -> bool:
    """1/true/yes/on or 0/false/no/off."""
    value = os.environ.get(name, "").strip().lower()
    if value in ("",):
        return default
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("0", "false", "no", "off"):
        return False
    raise BadSetting(f"{name}: {value!r} is neither on nor off")


def number(name: str, default: int, least: int = 0, most: int = 2**31) -> int:
    """A whole number within bounds."""
    value = os.environ.get(name, "").strip()
    if not value:
        return default
    try:
        result = int(value)
    except ValueError as error:
        raise BadSetting(f"{name}: {value!r} is not a whole number") from error
    if not least <= result <= most:
        raise BadSetting(f"{name}: {result} is not between {least} and {most}")
    return result


def choice(name: str, default: str, values: tuple[str, ...]) -> str:
    """One of the named values."""
    value = os.environ.get(name, default)
    if value not in values:
        raise BadSetting(f"{name}: {value!r} is none of {', '.join(values)}")
    return value


def home() -> Path:
    """The data folder."""
    if value := os.environ.get("GATEHOUSE_HOME"):
        return Path(value)
    if os.geteuid() == 0:
        return Path("/var/lib/gatehouse")
    return Path.home() / ".local/share/gatehouse"
