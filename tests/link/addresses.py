"""The link's addresses alone, where the whole site mounts them."""

from django.urls import include, path

urlpatterns = [path("link/v1/", include("gatehouse.cloud.link.urls"))]
