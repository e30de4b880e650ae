"""The only door to rows: querysets that are narrowed to what an actor may see."""

from __future__ import annotations

from typing import Any, Self, TypeVar
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.kit.errors import NotFound

T = TypeVar("T", bound=models.Model)


class ScopedQuerySet(models.QuerySet[T]):
    """Rows that belong to a site."""

    def visible_to(self, actor: Actor) -> Self:
        """Rows of the actor's sites. Row-level security stands behind it; this carries the index."""
        return self.filter(site_id__in=actor.sites)

    def get_visible(self, actor: Actor, pk: UUID | str, **more: Any) -> T:
        """One row, or NotFound: gone and not yours look the same."""
        try:
            return self.visible_to(actor).get(pk=pk, **more)
        except (ObjectDoesNotExist, ValueError, ValidationError) as error:
            raise NotFound("not_found", _("This does not exist, or not any more.")) from error
