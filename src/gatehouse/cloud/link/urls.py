"""Addresses of the device link, mounted at /link/v1/."""

from __future__ import annotations

from django.urls import path

from gatehouse.cloud.link import views

app_name = "link"
urlpatterns = [
    path("claim", views.claim_view, name="claim"),
    path("feed", views.feed_view, name="feed"),
    path("health", views.health_view, name="health"),
]
