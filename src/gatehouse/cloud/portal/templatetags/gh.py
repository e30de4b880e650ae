"""What templates need beside the language: icons, hashed assets, the site's times and digits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from django import template
from django.conf import settings
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, pgettext

from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.events.queries import Row
from gatehouse.cloud.feed.queries import Receipt
from gatehouse.cloud.tenants.models import Site
from gatehouse.cloud.wording import times, words

register = template.Library()


@lru_cache(maxsize=4)
def _manifest(path: Path, changed: float) -> dict[str, str]:
    return dict(json.loads(path.read_text()))


@register.simple_tag
def asset(name: str) -> str:
    """Address of a built file; its plain name as long as the front end was not built."""
    path = settings.FRONTEND_MANIFEST
    names = _manifest(path, path.stat().st_mtime) if path.exists() else {}
    return f"{settings.STATIC_URL}dist/{names.get(name, name)}"


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """An icon of the sprite, hidden from screen readers: the word stands beside it."""
    return format_html(
        '<svg class="gh-i{}" aria-hidden="true"><use href="{}#{}"/></svg>',
        f" {extra}" if extra else "",
        asset("icons.svg"),
        name,
    )


@register.simple_tag
def glyph(state: str, size: str = "") -> SafeString:
    """The door's own sign for a state of `words.DOOR_STATES`."""
    look = words.DOOR_LOOKS.get(state, words.DOOR_LOOKS["unknown"])
    classes = " ".join(filter(None, ("gh-glyph", look.meaning, size)))
    return format_html(
        '<svg class="{}" aria-hidden="true"><use href="{}#{}"/></svg>', classes, asset("icons.svg"), look.glyph
    )


@register.filter
def word(code: str, table: str) -> str:
    """Words for a code, from a named table: `{{ passage.reason|word:"reason" }}`."""
    return words.say(table, code)


def _local(site: Site) -> times.Local:
    return times.Local(site.zone, site.time_format, site.date_format)


@register.simple_tag
def moment(at: datetime | None, site: Site, form: str = "stamp") -> SafeString | str:
    """`<time>` in the site's zone and format; form is clock, day or stamp."""
    if at is None:
        return "–"
    text = getattr(_local(site), form)(at)
    form_class = SafeString("") if form == "clock" else SafeString(' class="gh-date"')
    return format_html(
        '<time datetime="{}"{}>{}</time>', at.isoformat(timespec="milliseconds"), form_class, digits(text)
    )


@register.simple_tag
def ago(at: datetime | None, site: Site) -> SafeString | str:
    """`<time>` that the browser keeps as "4 sec. ago"; until then, and in print, the stamp."""
    if at is None:
        return "–"
    text = digits(_local(site).stamp(at))
    return format_html(
        '<time data-gh-ago datetime="{}" title="{}">{}</time>', at.isoformat(timespec="milliseconds"), text, text
    )


@register.filter
def digits(value: Any) -> str:
    """Numbers in the digits of the page's language."""
    return times.in_digits(str(value), get_language() or "en")


@register.filter
def number(value: int) -> str:
    """A whole number with thousands apart, in the digits of the page's language."""
    return times.grouped(value, get_language() or "en")


@register.filter
def initials(name: str) -> str:
    """Two letters for an avatar."""
    parts = name.split()
    return "".join(part[0] for part in (parts[:1] + parts[-1:] if len(parts) > 1 else parts)).upper()


@register.filter
def who(row: Row) -> str:
    """Whose passage it was: the name of the time, or what was presented when nobody was recognised."""
    return row.name or words.nobody(row.method)


@register.filter
def may(actor: Actor, permission: str) -> bool:
    """For drawing: `{% if actor|may:"device.view" %}`."""
    return actor.may(P(permission))


@register.filter
def mac(text: str) -> str:
    """Twelve digits in pairs."""
    return ":".join(text[start : start + 2] for start in range(0, len(text), 2))


@register.filter
def at(mapping: Mapping[object, object], key: object) -> object:
    """The mapping's value for a key that is only known in the template."""
    return mapping[key]


@register.filter
def seconds(milliseconds: int) -> str:
    """Milliseconds as seconds with one place, sign first."""
    return digits(f"{milliseconds / 1000:+.1f}" if abs(milliseconds) >= 50 else "0.0")


@register.filter
def found(mapping: Mapping[object, object], key: object) -> object | None:
    """As `at`, or None."""
    return mapping.get(key)


@register.filter
def confirmed(receipt: Receipt) -> int:
    """How many devices of a receipt have nothing to confirm any more."""
    return receipt.count("confirmed", "removed")


@register.filter
def day(value: date | None, site: Site) -> str:
    """A day in the site's form; nothing for none."""
    return digits(_local(site).day(value)) if value else ""


@register.filter
def local(value: datetime, site: Site) -> str:
    """A local time, which has no zone, in the site's form."""
    return digits(_local(site).wall(value))


@register.simple_tag
def comma() -> str:
    """What stands between the things of a list."""
    return pgettext("between the things of a list", ", ")
