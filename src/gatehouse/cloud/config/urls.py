"""The tree of addresses."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from gatehouse.cloud.config import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("health/live", health.live, name="health_live"),
    path("health/ready", health.ready, name="health_ready"),
    path("api/v1/", include("gatehouse.cloud.api.application")),
    path("link/v1/", include("gatehouse.cloud.link.urls")),
    path("", include("gatehouse.cloud.portal.urls")),
]

handler400 = "gatehouse.cloud.kit.web.bad_request"
handler403 = "gatehouse.cloud.kit.web.denied"
handler404 = "gatehouse.cloud.kit.web.not_found"
handler500 = "gatehouse.cloud.kit.web.broken"
