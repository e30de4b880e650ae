"""What acts have touched, for the feed to pick up."""

from __future__ import annotations

from django.db import models


class Touched(models.Model):
    """An act changed this thing. The site's compiler deletes the row and recomputes what hangs on it."""

    id = models.BigAutoField(primary_key=True)
    site_id = models.UUIDField()
    kind = models.CharField(max_length=16)
    key = models.UUIDField()
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["site_id"], name="touched_site")]

    def __str__(self) -> str:
        return f"{self.kind}:{self.key}"
