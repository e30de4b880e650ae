"""What stands around every page: navigation by right, the site, the words that the islands say by themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import get_language, get_language_bidi
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _later

from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.devices.models import Device
from gatehouse.cloud.tenants.models import Site


@dataclass(frozen=True)
class Link:
    """One entry of the navigation; `view` is the name below `portal:`, `area` decides which is the present one."""

    view: str
    label: str | Promise
    icon: str
    right: P
    area: str
    children: tuple[Link, ...] = ()
    only: frozenset[str] = frozenset(Site.Kind.values)
    """Kinds of site that have it: what differs between them is data."""


NAVIGATION = (
    Link("dashboard", _later("Dashboard"), "layout-dashboard", P.SITE_VIEW, "dashboard"),
    Link("people:person_list", _later("Personnel"), "users", P.PERSON_VIEW, "people", only=frozenset({"office"})),
    Link(
        "people:person_list",
        _later("Residents"),
        "users",
        P.PERSON_VIEW,
        "people",
        only=frozenset({"community", "home"}),
    ),
    Link(
        "logs:door_log",
        _later("Logs"),
        "list-details",
        P.LOG_READ,
        "logs",
        (Link("logs:door_log", _later("Door log"), "", P.LOG_READ, "logs:door_log"),),
    ),
    Link("devices:device_list", _later("Devices"), "device-tablet", P.DEVICE_VIEW, "devices"),
    Link("gateways:gateway_list", _later("Gateways"), "router", P.DEVICE_VIEW, "gateways"),
    Link("journal:entry_list", _later("Journal"), "history", P.JOURNAL_READ, "journal"),
)


@dataclass(frozen=True)
class Drawn:
    """A navigation entry as it is drawn for this request."""

    url: str
    label: str
    icon: str
    current: bool
    area: str
    children: list[Drawn] = field(default_factory=list)


class Frame:
    """Read by `base.html`; each part asks the database only when it is drawn."""

    def __init__(self, request: HttpRequest, actor: Actor, site: Site) -> None:
        self._actor = actor
        self._site = site
        match = request.resolver_match
        self._here = match.view_name.removeprefix("portal:") if match else ""

    def _draw(self, link: Link) -> Drawn:
        return Drawn(
            url=reverse(f"portal:{link.view}", args=[self._site.id]),
            label=str(link.label),
            icon=link.icon,
            current=self._here == link.area or self._here.startswith(f"{link.area}:"),
            area=link.area,
            children=[self._draw(child) for child in link.children if self._actor.may(child.right)],
        )

    @property
    def navigation(self) -> list[Drawn]:
        """Entries that this actor may open, in the order of the manuals."""
        return [self._draw(link) for link in NAVIGATION if self._actor.may(link.right) and self._site.kind in link.only]

    @cached_property
    def offline(self) -> int:
        """Devices that cannot be reached at the moment."""
        if not self._actor.may(P.DEVICE_VIEW):
            return 0
        return Device.objects.visible_to(self._actor).filter(deleted_at=None, online=False).count()

    @property
    def lab(self) -> str:
        """Address that leads into the lab, in the demo only."""
        if not settings.DEMO or not self._actor.may(P.DEVICE_CONFIGURE):
            return ""
        return reverse("portal:lab", args=[self._site.id])


def words() -> dict[str, str]:
    """What islands say, in the page's language (`frontend/src/words.ts` holds the English)."""
    return {
        "hold.rest": _("Hold to open"),
        "hold.holding": _("Keep holding"),
        "hold.short": _("Hold a little longer"),
        "hold.confirm": _("Tap again to open"),
        "hold.sent": _("Asking the door"),
        "hold.opened": _("Opened"),
        "hold.opened_seconds": _("Open, {seconds} s"),
        "hold.refused": _("Refused"),
        "hold.failed": _("No answer from the door"),
        "live.new": _("{count} new"),
        "live.lost": _("Connection lost. What you see is from {time}."),
        "live.back": _("Connected again"),
        "toast.dismiss": _("Dismiss"),
        "error.network": _("Gatehouse does not answer. Nothing was changed."),
        "error.server": _("Something went wrong on the server. Nothing was changed."),
        "error.denied": _("You may not do this."),
    }


def context(request: HttpRequest) -> dict[str, Any]:
    """Context processor: language and direction for every page, the frame for pages of a site."""
    language = get_language() or "en"
    found: dict[str, Any] = {
        "language": language,
        "direction": "rtl" if get_language_bidi() else "ltr",
        "languages": [{"code": code, "name": name, "current": code == language} for code, name in settings.LANGUAGES],
        "words": words,
    }
    actor, site = getattr(request, "actor", None), getattr(request, "site", None)
    if actor is not None and site is not None:
        found |= {"actor": actor, "site": site, "frame": Frame(request, actor, site)}
    return found
