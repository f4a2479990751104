"""The settings: what the environment may say, and what is refused, in words that name the variable.

Each case reads the settings in a process of its own, as a desk does.
"""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from oms_site.tests.desk import ROOT, environment

SHOW = """
import json, sys
from django.core.exceptions import ImproperlyConfigured
try:
    from oms_site import settings
except ImproperlyConfigured as error:
    print(json.dumps({"refused": str(error)}))
else:
    shown = {name: getattr(settings, name) for name in dir(settings) if name.isupper()}
    print(json.dumps(shown, default=lambda value: sorted(value) if isinstance(value, frozenset) else str(value)))
"""


def read(data: Path, **variables: str) -> dict[str, Any]:
    """The settings a desk would have, or {"refused": words}."""
    command = [sys.executable, "-c", SHOW]
    done = subprocess.run(command, env=environment(data, **variables), cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return dict(json.loads(done.stdout))


def test_a_bare_machine_gets_a_simulated_desk_for_itself_only(tmp_path: Path) -> None:
    found = read(tmp_path / "data")
    assert (found["DEBUG"], found["PORT"], found["IBKR_HOST"], found["IBKR_PORT"], found["IBKR_CLIENT_ID"]) == (False, 8000, "", 0, 17)
    assert found["DESKBOOK_ALLOW_LIVE"] == []
    assert found["ALLOWED_HOSTS"] == ["127.0.0.1", "localhost", "[::1]"]
    assert found["CHANNEL_LAYERS"]["default"]["BACKEND"] == "channels.layers.InMemoryChannelLayer"
    assert found["SESSION_COOKIE_NAME"] == "deskbook_8000_session"
    assert found["USE_TZ"] is True and found["TIME_ZONE"] == "UTC"


def test_sqlite_keeps_what_it_acknowledged_and_never_upgrades_a_lock(tmp_path: Path) -> None:
    options = read(tmp_path / "data")["DATABASES"]["default"]["OPTIONS"]
    assert options["transaction_mode"] == "IMMEDIATE"
    assert "journal_mode=WAL" in options["init_command"] and "synchronous=FULL" in options["init_command"]


@pytest.mark.on_sqlite
@pytest.mark.django_db(transaction=True)
def test_the_database_really_runs_with_these_pragmas() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        found = [cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "foreign_keys")]
    assert found == ["wal", 2, 1]


def test_the_data_folder_is_its_owners(tmp_path: Path) -> None:
    read(tmp_path / "data")
    read(tmp_path / "data")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert modes == {"secret-key": 0o600, "deskbook.sqlite3": 0o600}


def test_the_key_is_made_once_and_kept(tmp_path: Path) -> None:
    keys = {read(tmp_path / name)["SECRET_KEY"] for name in ("one", "one", "two")}
    assert len(keys) == 2 and all(len(key) >= 50 for key in keys)


def test_of_two_first_starts_both_sign_with_the_same_key(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SHOW]
    both = [subprocess.Popen(command, env=environment(tmp_path / "data"), cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    keys = {json.loads(process.communicate(timeout=60)[0])["SECRET_KEY"] for process in both}
    assert keys == {(tmp_path / "data" / "secret-key").read_text()}


def test_a_desk_of_several_machines(tmp_path: Path) -> None:
    found = read(
        tmp_path / "data",
        DATABASE_URL="postgresql://desk:secret@db.example.com/desk",
        REDIS_URL="redis://cache.example.com:6379/1",
        DESKBOOK_SECRET_KEY="k" * 50,
        DESKBOOK_URL="https://desk.example.com, https://desk.example.org:8443/",
        IBKR_HOST="gateway.example.com",
        DESKBOOK_ALLOW_LIVE="U1234567,U7654321",
    )
    database = found["DATABASES"]["default"]
    assert database["ENGINE"] == "django.db.backends.postgresql" and database["CONN_MAX_AGE"] == 0 and database["CONN_HEALTH_CHECKS"]
    assert database["OPTIONS"]["pool"]["max_size"] == 16 and "statement_timeout=5000" in database["OPTIONS"]["options"]
    host = found["CHANNEL_LAYERS"]["default"]["CONFIG"]["hosts"][0]
    assert host == {"address": "redis://cache.example.com:6379/1", "socket_timeout": 15, "socket_connect_timeout": 1}
    assert found["ALLOWED_HOSTS"][-2:] == ["desk.example.com", "desk.example.org"]
    assert found["CSRF_TRUSTED_ORIGINS"] == ["https://desk.example.com", "https://desk.example.org:8443"]
    assert found["SESSION_COOKIE_SECURE"] and found["CSRF_COOKIE_SECURE"] and found["SESSION_COOKIE_NAME"].startswith("__Host-")
    assert (found["IBKR_PORT"], found["DESKBOOK_ALLOW_LIVE"]) == (4002, ["U1234567", "U7654321"])
    assert not (tmp_path / "data" / "secret-key").exists()


def test_a_migration_on_postgresql_may_take_its_time(tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['manage.py', 'migrate']\n" + SHOW
    env = environment(tmp_path / "data", DATABASE_URL="postgresql://desk@db.example.com/desk")
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert "statement_timeout=0" in json.loads(done.stdout)["DATABASES"]["default"]["OPTIONS"]["options"]


@pytest.mark.parametrize(
    ("variable", "value", "rule"),
    [
        ("PORT", "http", "a whole number from 1 to 65535"),
        ("PORT", "70000", "a whole number from 1 to 65535"),
        ("PORT", "８000", "a whole number from 1 to 65535"),
        ("IBKR_CLIENT_ID", "-1", "a whole number from 0"),
        ("IBKR_PORT", "tws", "a whole number from 0 to 65535"),
        ("DESKBOOK_DEBUG", "perhaps", "use 1 for yes or 0 for no"),
        ("DESKBOOK_ALLOW_LIVE", "yes", "the numbers of the live accounts"),
        ("DESKBOOK_ALLOW_LIVE", "1", "the numbers of the live accounts"),
        ("DESKBOOK_ALLOW_LIVE", "*", "the numbers of the live accounts"),
        ("DESKBOOK_URL", "desk.example.com", "as in https://desk.example.com"),
        ("DESKBOOK_URL", "https://*.example.com", "as in https://desk.example.com"),
        ("DESKBOOK_URL", "https://desk.example.com/oms", "as in https://desk.example.com"),
        ("DESKBOOK_URL", "https://desk.example.com:port", "as in https://desk.example.com"),
        ("DESKBOOK_SECRET_KEY", "short", "at least 50"),
        ("DATABASE_URL", "mysql://desk@db.example.com/desk", "mysql is not served"),
        ("DATABASE_URL", "sqlite://:memory:", "names no database"),
        ("REDIS_URL", "cache.example.com:6379", "redis://host:6379/0"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_name(tmp_path: Path, variable: str, value: str, rule: str) -> None:
    words = read(tmp_path / "data", **{variable: value}).get("refused", "accepted")
    assert variable in words and rule in words


def test_a_gateway_needs_a_port(tmp_path: Path) -> None:
    assert "from 1 to 65535" in read(tmp_path / "data", IBKR_HOST="gateway.example.com", IBKR_PORT="0")["refused"]


def test_a_folder_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    assert "DESKBOOK_DATA" in read(tmp_path / "open")["refused"]
    assert not os.listdir(tmp_path / "open")


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "DESKBOOK_DATA" in read(tmp_path / "file")["refused"]
