"""The web process as an ASGI application."""

from __future__ import annotations

import os
from typing import cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gatehouse.cloud.config.settings")

from django.core.asgi import get_asgi_application  # settings first
from starlette.types import ASGIApp

from gatehouse.cloud.config.static import BuiltFiles

application = BuiltFiles(cast(ASGIApp, get_asgi_application()))
