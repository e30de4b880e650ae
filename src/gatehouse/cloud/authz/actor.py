"""Who asks, for whom, with which rights, from where."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext_lazy as _

from gatehouse.cloud.authz.permissions import P, Role
from gatehouse.cloud.kit.errors import Denied, NotFound

Via = Literal["portal", "api", "resident", "device", "system", "console"]


@dataclass(frozen=True, slots=True)
class Actor:
    """The one who asks.

    `sites` are the sites that this request has entered or may enter; `party` narrows to one company or
    household within them. `label` is what the journal and the logs show, now and in ten years.
    """

    id: UUID
    label: str
    role: Role
    via: Via
    permissions: frozenset[P]
    sites: frozenset[UUID] = frozenset()
    party: UUID | None = None
    organisation: UUID | None = None
    on_behalf_id: UUID | None = None
    on_behalf_label: str = ""
    delegation: str = ""
    request_id: str = field(default="", compare=False)

    def may(self, permission: P) -> bool:
        """For drawing a screen; services enforce with `require`."""
        return permission in self.permissions

    def require(self, permission: P, thing: object | None = None) -> None:
        """First line of every service.

        Raises NotFound when the thing belongs to a site out of reach, Denied when the right is missing.
        """
        site = getattr(thing, "site_id", None)
        if site is not None and site not in self.sites:
            raise NotFound("not_found", _("This does not exist, or not any more."))
        if permission not in self.permissions:
            raise Denied("denied", _("You may not do this here."), permission=permission.value)


class NoScope(RuntimeError):
    """`enter` was called outside a transaction, where the scope would evaporate at once."""


def enter(actor: Actor, *more: UUID) -> None:
    """Tell the database which sites this transaction may touch: the actor's, and `more` just being made.

    Transaction-local: it ends with the transaction, also when that is rolled back.
    """
    if not connection.in_atomic_block:
        raise NoScope("enter() needs an open transaction")
    sites = ",".join(str(site) for site in (*actor.sites, *more))
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('gatehouse.sites', %s, true)", ["{" + sites + "}"])


def system_actor(*sites: UUID, label: str = "Gatehouse") -> Actor:
    """Work that nobody in particular asked for: loops, tasks, the first start."""
    return Actor(
        id=UUID(int=0),
        label=label,
        role=Role.SYSTEM,
        via="system",
        permissions=frozenset(P),
        sites=frozenset(sites),
    )
