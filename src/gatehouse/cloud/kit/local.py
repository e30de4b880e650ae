"""Local times: wall-clock values without zone, judged in the site's zone and never converted (CONVENTIONS: time)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    _Field = models.Field[datetime | str | None, datetime | None]
else:
    _Field = models.Field


class LocalDateTimeField(_Field):
    """`timestamp without time zone`; takes and gives naive datetimes only."""

    description = "Local date and time"

    def db_type(self, connection: Any) -> str:
        return "timestamp without time zone"

    def to_python(self, value: Any) -> datetime | None:
        if value is None or value == "":
            return None
        parsed = parse_datetime(value) if isinstance(value, str) else value
        if not isinstance(parsed, datetime):
            raise ValidationError(_("Give a date and a time."), code="invalid")
        if parsed.tzinfo is not None:
            raise ValidationError(_("A local time has no zone."), code="zone")
        return parsed

    def get_prep_value(self, value: Any) -> datetime | None:
        return self.to_python(super().get_prep_value(value))
