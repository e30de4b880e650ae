"""The web process as an ASGI application."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gatehouse.cloud.config.settings")

from django.core.asgi import get_asgi_application  # settings first

application = get_asgi_application()
