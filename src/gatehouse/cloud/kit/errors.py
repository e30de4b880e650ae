"""Expected refusals.

    DomainError
    ├── NotFound      gone, or in another site: looks the same
    ├── Denied        visible, but this actor may not
    ├── Invalid       bad input; `fields` says where
    ├── Conflict      the rest of the world stands in the way (in use, taken, changed meanwhile)
    └── Unavailable   not now; trying again has sense

Concrete classes stand beside the service that raises them. Each interface translates once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise


class DomainError(Exception):
    """`code` is dotted, stable and for machines; `message` is translatable and for people."""

    def __init__(self, code: str, message: str | Promise, /, **data: Any) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.data = data

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class NotFound(DomainError):
    """Gone, or behind a wall; the two are never told apart."""


class Denied(DomainError):
    """The actor sees the thing and may not do this with it."""


class Invalid(DomainError):
    """Bad input. `fields` maps a field's name to what is wrong with it."""

    def __init__(
        self, code: str, message: str | Promise, /, *, fields: Mapping[str, str | Promise] | None = None, **data: Any
    ) -> None:
        super().__init__(code, message, **data)
        self.fields: Mapping[str, str | Promise] = fields or {}


class Conflict(DomainError):
    """Somebody or something else stands in the way: in use, taken, or changed meanwhile."""


class Unavailable(DomainError):
    """Not now; the same request may succeed later."""
