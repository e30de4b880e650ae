"""Settings: one file, typed readers, secrets from files; an unknown value refuses the start."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from gatehouse.cloud.kit import env

HOME = env.home()
DEMO = env.flag("GATEHOUSE_DEMO")
DEBUG = False
DATABASE_ROLE = env.choice("GATEHOUSE_DB_ROLE", "app", ("app", "system", "owner"))
PUBLIC_URL = env.text("PUBLIC_URL", "").rstrip("/")


def _secret(name: str, file: Path) -> str:
    """From the environment, else from the data folder; a process without either (a check, a build) gets a passing one."""
    if value := env.text(name, ""):
        return value
    return file.read_text().strip() if file.exists() else secrets.token_hex(32)


MASTER_KEY_FILE = HOME / "master.key"
HAS_MASTER_KEY = bool(env.text("GATEHOUSE_MASTER_KEY", "")) or MASTER_KEY_FILE.exists()
"""A process that speaks with doors or people refuses to start without it (`processes`): its codes would fit nowhere."""
MASTER_KEY = _secret("GATEHOUSE_MASTER_KEY", MASTER_KEY_FILE)
SECRET_KEY = _secret("GATEHOUSE_SECRET_KEY", HOME / "secrets" / "django")


def _database(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql"):
        raise env.BadSetting(f"DATABASE_URL: {parts.scheme or 'nothing'}:// is not postgresql://")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or 5432),
        "ATOMIC_REQUESTS": True,
        "CONN_MAX_AGE": 0,
        # The role is chosen when the connection is made: SET ROLE inside a pool would leak (measured).
        "OPTIONS": {
            "options": f"-c role=gatehouse_{DATABASE_ROLE}",
            "pool": {"min_size": 1, "max_size": env.number("GATEHOUSE_DB_POOL", 10, 1, 200), "timeout": 10},
        },
        "TEST": {"NAME": None},
    }


DATABASES = {"default": _database(env.text("DATABASE_URL", "postgresql://gatehouse@127.0.0.1:54329/gatehouse"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

APPS = (
    "kit", "authz", "wording", "journal", "notify", "changes", "accounts", "tenants", "premises", "people", "devices",
    "access", "calls", "feed", "emergency", "events", "notices", "billing", "imports", "lifecycle", "integrations",
    "portal", "resident", "api", "link", "sip",
)  # fmt: skip
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django_htmx",
    "template_partials.apps.SimpleAppConfig",
    *(f"gatehouse.cloud.{app}" for app in APPS),
]
MIDDLEWARE = [
    "gatehouse.cloud.kit.web.Answers",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "gatehouse.cloud.config.urls"
ASGI_APPLICATION = "gatehouse.cloud.config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": False,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.messages.context_processors.messages",
                "gatehouse.cloud.portal.frame.context",
            ],
            "loaders": [
                (
                    "template_partials.loader.Loader",
                    [
                        (
                            "django.template.loaders.cached.Loader",
                            [
                                "django.template.loaders.filesystem.Loader",
                                "django.template.loaders.app_directories.Loader",
                            ],
                        )
                    ],
                )
            ],
            "builtins": ["template_partials.templatetags.partials"],
        },
    }
]

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 8}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/sign-in/"
SESSION_COOKIE_NAME = "gatehouse"
SESSION_COOKIE_AGE = 30 * 60
SESSION_SAVE_EVERY_REQUEST = False
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "gatehouse.cloud.kit.web.stale_form"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
ALLOWED_HOSTS = (
    ["*"]
    if DEMO and not PUBLIC_URL
    else [urlsplit(PUBLIC_URL).hostname or "localhost", "localhost", "127.0.0.1", "[::1]"]
)
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("fa", "فارسی"), ("he", "עברית")]
LOCALE_PATHS = [Path(__file__).parents[1] / "locale"]
LANGUAGE_COOKIE_NAME = "gatehouse_language"

STATIC_URL = "/static/"
FRONTEND_MANIFEST = Path(__file__).parents[1] / "static" / "dist" / "manifest.json"

# Ports and addresses of the other processes, as run/ chose them.
MQTT_HOST = env.text("GATEHOUSE_MQTT_HOST", "127.0.0.1")
MQTT_PORT = env.number("GATEHOUSE_PORT_MQTT", 18830, 1, 65535)
MQTT_TLS_PORT = env.number("GATEHOUSE_PORT_MQTT_TLS", 8883, 1, 65535)
WEB_PORT = env.number("GATEHOUSE_PORT_WEB", 8000, 1, 65535)
WEB_TLS_PORT = env.number("GATEHOUSE_PORT_WEB_TLS", 8443, 1, 65535)
LAB_PORT = env.number("GATEHOUSE_PORT_LAB", 8010, 1, 65535)
LAB_TLS_PORT = env.number("GATEHOUSE_PORT_LAB_TLS", 8453, 1, 65535)
BROKER_FOLDER = HOME / "broker"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "gatehouse.cloud.kit.logs.JsonLine"}},
    "handlers": {"out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "line"}},
    "root": {
        "handlers": ["out"],
        "level": env.choice("GATEHOUSE_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
    },
}
