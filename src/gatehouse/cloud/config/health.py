"""`/health/live` and `/health/ready`: for probes and for people in a hurry; no secrets, no sign-in (GH-RUN-09)."""

from __future__ import annotations

import json
import shutil
import socket
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

LOW_DISK = 500 * 1024 * 1024


@never_cache
@require_safe
@transaction.non_atomic_requests
def live(request: HttpRequest) -> HttpResponse:
    """The process answers; says nothing about anything else."""
    return HttpResponse("ok\n", content_type="text/plain")


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, OSError):
        return "away"
    return "ok"


def _broker() -> str:
    try:
        socket.create_connection((settings.MQTT_HOST, settings.MQTT_PORT), timeout=1).close()
    except OSError:
        return "away"
    return "ok"


def _processes() -> dict[str, str]:
    """What the supervisor says of its processes; nothing when there is none (a web process by itself)."""
    try:
        state = json.loads((settings.HOME / "run" / "state.json").read_text())["processes"]
        return {name: str(one["state"]) for name, one in state.items() if name not in ("migrate", "demo")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


@never_cache
@require_safe
@transaction.non_atomic_requests
def ready(request: HttpRequest) -> HttpResponse:
    """200 when everything a visitor needs works, else 503; either way what is how, in one JSON object."""
    found: dict[str, Any] = {"database": _database(), "broker": _broker()}
    free = shutil.disk_usage(settings.HOME).free if settings.HOME.exists() else 0
    found["disk"] = "ok" if free > LOW_DISK else "low"
    processes = _processes()
    found["processes"] = processes
    good = found["database"] == found["broker"] == found["disk"] == "ok" and all(
        s == "ready" for s in processes.values()
    )
    return JsonResponse({"ready": good, **found}, status=200 if good else 503)
