"""Rows of any kind, straight into the tables: for tests of what holds below all acts.

Where a test is about what people do, it stands on the cast (`tests/cast.py`), which acts have made. Here no
act is asked and no right is checked: call it as role owner, in a transaction.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.apps import apps
from django.contrib.postgres.fields import DateTimeRangeField
from django.db import models
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from gatehouse.cloud.kit.ids import new_id
from gatehouse.cloud.kit.local import LocalDateTimeField

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)

Model = type[models.Model]

_count = itertools.count(1)

_LIKE: dict[type[models.Field[Any, Any]], Callable[[], Any]] = {
    DateTimeRangeField: lambda: DateTimeTZRange(NOW + timedelta(days=next(_count)), None),
    LocalDateTimeField: lambda: NOW.replace(tzinfo=None),
    models.BigIntegerField: lambda: next(_count),
    models.BinaryField: lambda: b"\x01",
    models.BooleanField: lambda: True,
    models.DateTimeField: lambda: NOW,
    models.IntegerField: lambda: next(_count) % 30_000,
    models.JSONField: dict,
    models.UUIDField: new_id,
}


def ours() -> list[Model]:
    """Every model of Gatehouse."""
    return [model for model in apps.get_models() if model.__module__.startswith("gatehouse.")]


def site_column(model: Model) -> str | None:
    """The column that names a row's site (`id` for the site itself), None when rows belong to no site."""
    columns = {field.column for field in model._meta.concrete_fields}
    if model._meta.label == "tenants.Site":
        return "id"
    return "site_id" if "site_id" in columns else None


def parent_of(field: models.Field[Any, Any]) -> Model | None:
    """The model that a link leads to."""
    parent = field.related_model
    return parent if isinstance(field, models.ForeignKey) and isinstance(parent, type) else None


class Place:
    """A site, and the rows made in it: links are filled with the row that is there already."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: dict[Model, models.Model] = {}
        self.site = self.row(apps.get_model("tenants", "Site"))

    def row(self, model: Model) -> models.Model:
        """The row of this model in this place; made when there is none."""
        if model not in self.rows:
            self.rows[model] = self.fresh(model)
        return self.rows[model]

    def fresh(self, model: Model) -> models.Model:
        """Another row of this model in this place, with as little filled in as the table allows."""
        particular = PARTICULAR.get(model._meta.label, {})
        values: dict[str, Any] = {}
        for field in model._meta.concrete_fields:
            if field.column == "site_id" and model._meta.label != "tenants.Site":
                values["site_id"] = self.site.pk
            elif field.name in particular:
                values[field.name] = particular[field.name](self)
            elif field.has_default() or field.null or (field.blank and isinstance(field, models.CharField)):
                continue
            elif parent := parent_of(field):
                # A one-to-one link takes its parent for itself.
                values[field.name] = self.fresh(parent) if field.unique else self.row(parent)
            elif not isinstance(field, models.AutoField | models.BigAutoField):
                values[field.name] = self._value(field)
        made = model(**values)
        made.save(force_insert=True)
        return made

    def _value(self, field: models.Field[Any, Any]) -> Any:
        if field.choices:
            return next(iter(field.choices))[0]
        if isinstance(field, models.CharField):
            return f"{self.name}{next(_count)}"[-(field.max_length or 100) :]
        for kind in type(field).__mro__:
            if kind in _LIKE:
                return _LIKE[kind]()
        raise TypeError(f"{field}: say in tests/factories.py what such a field may hold")


PARTICULAR: dict[str, dict[str, Callable[[Place], Any]]] = {
    "devices.Command": {"expires_at": lambda _: NOW + timedelta(seconds=10)},
    "devices.Hardware": {
        "mac": lambda _: f"0C11{next(_count):08X}",
        "installer": lambda place: place.row(apps.get_model("tenants", "Organisation")),
    },
    "devices.Input": {"use": lambda _: "exit"},
    "devices.Relay": {
        "position": lambda _: 1,
        "device": lambda place: place.fresh(apps.get_model("devices", "Device")),
    },
    "people.Credential": {"kind": lambda _: "pin"},
    "people.Person": {"role": lambda _: "staff"},
    "premises.Occupancy": {"closed_at": lambda _: NOW},
    "premises.Unit": {"number": lambda _: str(next(_count))},
    "tenants.Delegation": {"to": lambda place: place.fresh(apps.get_model("tenants", "Organisation"))},
    "tenants.DialNumber": {"value": lambda _: f"{next(_count):010d}"},
    "tenants.Membership": {"role": lambda _: "guard"},
    "tenants.Organisation": {"kind": lambda _: "operator"},
}
"""Values that a constraint asks for and that the field's type does not tell."""


def one_of_everything(name: str) -> Place:
    """A site with a row in every table whose rows belong to a site."""
    place = Place(name)
    for model in ours():
        if site_column(model):
            place.row(model)
    return place
