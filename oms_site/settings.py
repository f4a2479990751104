"""The settings of the desk: one file, driven by the environment, the same for one machine and for a desk of several processes.

The rule it keeps: a value that cannot be meant is refused at start, in words that name the variable; nothing is guessed. Everything
secret or of record lies in the data folder, readable by its owner only. README.md has the table of the variables.
"""

import os
import re
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

# --- Reading the environment ----------------------------------------------------------------------------------------------------------


def text(name: str, default: str = "") -> str:
    """The variable without surrounding blanks; `default` when it is unset or empty."""
    return os.environ.get(name, "").strip() or default


def flag(name: str) -> bool:
    """True for 1, true, yes, on; False for 0, false, no, off and unset; anything else is refused."""
    value = text(name, "0").lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name}={value}: use 1 for yes or 0 for no.")


def whole(name: str, default: int, least: int, most: int) -> int:
    """A whole number between `least` and `most`."""
    value = text(name, str(default))
    if not re.fullmatch(r"\d{1,10}", value, re.ASCII) or not least <= int(value) <= most:
        raise ImproperlyConfigured(f"{name}={value}: use a whole number from {least} to {most}.")
    return int(value)


def items(name: str) -> list[str]:
    """The parts of a comma-separated variable."""
    return [part.strip() for part in text(name).split(",") if part.strip()]


def origins(name: str) -> list[str]:
    """The origins (scheme://host[:port], as a browser writes them) the desk is reached at."""
    found = []
    for url in items(name):
        parts = urlsplit(url.lower())
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if parts.scheme not in {"http", "https"} or not host or "*" in host or parts.path.strip("/") or parts.query or parts.username:
            raise ImproperlyConfigured(
                f"{name}={url}: use the address in the browser up to the first slash, as in https://desk.example.com."
            )
        shown = f"[{host}]" if ":" in host else host
        default_port = {"http": 80, "https": 443}[parts.scheme]
        found.append(f"{parts.scheme}://{shown}" + (f":{port}" if port not in (None, default_port) else ""))
    return found


def live_accounts(name: str) -> frozenset[str]:
    """The live accounts that may be traded. They are spelled out, so that a "yes" copied from elsewhere opens nothing."""
    accounts = items(name)
    for account in accounts:
        if not re.fullmatch(r"[A-Z]{1,3}\d{4,10}", account):
            raise ImproperlyConfigured(f"{name}={account}: give the numbers of the live accounts this desk may trade, as in U1234567.")
    return frozenset(accounts)


def data_folder() -> Path:
    """The folder of the embedded database, the keys and the simulated store; made for its owner only when it is missing."""
    folder = Path(text("DESKBOOK_DATA", str(BASE_DIR / "data"))).expanduser().absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = folder.stat().st_mode
    except OSError as error:
        raise ImproperlyConfigured(f"DESKBOOK_DATA={folder}: this folder cannot be used ({error.strerror}).") from error
    if mode & 0o002:
        raise ImproperlyConfigured(f"DESKBOOK_DATA={folder}: everybody may write there. Give the desk a folder of its own.")
    return folder


def private_file(path: Path, content: str = "") -> Path:
    """Makes the file with this content, for its owner only, unless it is there already; of two processes one wins, with a whole file."""
    if path.exists():
        return path
    try:
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mkstemp gives mode 0600
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(content)
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(draft)
    except OSError as error:
        raise ImproperlyConfigured(f"DESKBOOK_DATA={path.parent}: {path.name} cannot be written there ({error.strerror}).") from error
    return path


def secret_key() -> str:
    """The key that signs sessions: DESKBOOK_SECRET_KEY where several machines share a desk, else the one kept in the data folder."""
    given = text("DESKBOOK_SECRET_KEY")
    if given and len(given) < 50:
        raise ImproperlyConfigured("DESKBOOK_SECRET_KEY is too short: use at least 50 random characters.")
    return given or private_file(DATA_DIR / "secret-key", secrets.token_urlsafe(64)).read_text().strip()


def database() -> dict[str, Any]:
    """SQLite in the data folder, or what DATABASE_URL names: SQLite or PostgreSQL, each with the options the book counts on."""
    url = text("DATABASE_URL", f"sqlite:///{DATA_DIR / 'deskbook.sqlite3'}")
    scheme = url.partition(":")[0]
    if scheme not in {"sqlite", "postgres", "postgresql"}:
        raise ImproperlyConfigured(
            f"DATABASE_URL: {scheme} is not served. Use postgresql://user:password@host/name or sqlite:////path/file."
        )
    parsed: dict[str, Any] = dict(dj_database_url.parse(url))
    if not parsed["NAME"] or parsed["NAME"] == ":memory:":
        raise ImproperlyConfigured("DATABASE_URL names no database. Use postgresql://user:password@host/name or sqlite:////path/file.")
    if scheme == "sqlite":
        private_file(Path(parsed["NAME"]))  # SQLite gives its journal files the mode of the database
        parsed["OPTIONS"] = {
            # Immediate: a deferred transaction that reads, then writes, fails with "database is locked" whatever its time limit.
            "transaction_mode": "IMMEDIATE",
            "timeout": 5,  # then the answer is 503: the same form may be sent again
            # Full: an order that was acknowledged a moment before a power cut is still there after it.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        }
        # A file, not the shared cache in memory: threads of one process get "table is locked" from that one, without waiting.
        parsed["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
    else:
        # A schema change may take longer than a page may.
        patience = 0 if sys.argv[1:2] == ["migrate"] else 5000
        parsed["OPTIONS"] = {
            **parsed.get("OPTIONS", {}),
            # Every request has a thread, and so a connection, of its own: without a pool each of them connects anew.
            "pool": {"min_size": 2, "max_size": 16, "timeout": 5},
            "connect_timeout": 5,
            "options": f"-c statement_timeout={patience}",
        }
        parsed["CONN_MAX_AGE"] = 0  # the pool keeps the connections
        parsed["CONN_HEALTH_CHECKS"] = True
    return parsed


def channel_layer() -> dict[str, Any]:
    """Redis when REDIS_URL names one, else the layer of a single process."""
    url = text("REDIS_URL")
    if not url:
        return {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    if url.partition(":")[0] not in {"redis", "rediss", "unix"}:
        raise ImproperlyConfigured("REDIS_URL: use redis://host:6379/0, rediss://... or unix://path.")
    # The socket's limit must outlast the layer's own wait of 5 s, or every idle listener dies of it.
    host = {"address": url, "socket_timeout": 15, "socket_connect_timeout": 1}
    return {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [host]}}


# --- Where things are -----------------------------------------------------------------------------------------------------------------

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = data_folder()
PORT = whole("PORT", 8000, 1, 65535)
PUBLIC_ORIGINS = origins("DESKBOOK_URL")

# --- The gateway: a real one when IBKR_HOST names it, else the simulated one that `serve` starts ---------------------------------------

IBKR_HOST = text("IBKR_HOST")
IBKR_PORT = whole("IBKR_PORT", 4002 if IBKR_HOST else 0, 1 if IBKR_HOST else 0, 65535)  # simulated: 0 lets the system choose a free one
IBKR_CLIENT_ID = whole("IBKR_CLIENT_ID", 17, 0, 2**31 - 1)  # 0 would also bind the orders that people enter in TWS
DESKBOOK_ALLOW_LIVE = live_accounts("DESKBOOK_ALLOW_LIVE")
DESKBOOK_CRASH_AT = text("DESKBOOK_CRASH_AT")  # for drills: orders/crashpoints.py has the names, and refuses what is none

# --- Django ---------------------------------------------------------------------------------------------------------------------------

DEBUG = flag("DESKBOOK_DEBUG")
SECRET_KEY = secret_key()

INSTALLED_APPS = [
    "daphne",  # before staticfiles: its runserver speaks WebSocket
    "broker",  # before channels: its runworker is ours
    "channels",
    "orders",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "oms_site.middleware.page_headers",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "oms_site.middleware.login_in_whole_page",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "oms_site.urls"
ASGI_APPLICATION = "oms_site.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "oms_site.middleware.csp_nonce",
            ],
        },
    },
]

DATABASES = {"default": database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CHANNEL_LAYERS = {"default": channel_layer()}

# --- Who may come in ------------------------------------------------------------------------------------------------------------------

LOOPBACK_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
ALLOWED_HOSTS = LOOPBACK_HOSTS + [re.sub(r":\d+$", "", origin.partition("://")[2]) for origin in PUBLIC_ORIGINS]
CSRF_TRUSTED_ORIGINS = PUBLIC_ORIGINS

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator", "NumericPasswordValidator")
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"

# Cookies are shared by all the ports of a host: the port in their names keeps two desks on one machine from logging each other out.
_HTTPS = bool(PUBLIC_ORIGINS) and all(origin.startswith("https://") for origin in PUBLIC_ORIGINS)
_COOKIE = f"{'__Host-' if _HTTPS else ''}deskbook_{PORT}"
SESSION_COOKIE_NAME = f"{_COOKIE}_session"
SESSION_COOKIE_AGE = 12 * 60 * 60
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
CSRF_COOKIE_NAME = f"{_COOKIE}_csrf"
CSRF_COOKIE_HTTPONLY = True  # pages carry the token themselves
X_FRAME_OPTIONS = "DENY"

# --- Words and times ------------------------------------------------------------------------------------------------------------------

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English")]  # a language joins when it is whole: half of one would also bring its decimal comma into the forms

# --- Files the browser asks for: served by this process, without a collecting step ------------------------------------------------------

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

# --- Logs -----------------------------------------------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "DEBUG" if DEBUG else "INFO"},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "daphne": {"level": "WARNING"},
        "asyncio": {"level": "WARNING"},
        # At INFO they write whole trades, account numbers included, several kilobytes for each fill.
        "ib_async": {"level": "WARNING"},
        "ib_insync": {"level": "WARNING"},
    },
}
