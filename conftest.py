"""What every test of the desk can count on: a data folder of its own, and the helpers of oms_site/tests/desk.py.

The rule it keeps: a test never meets the desk, the gateway or the accounts of the person who runs it. A test that needs a service which is
not here skips by name; with DESKBOOK_REQUIRE=all it fails instead.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

pytest_plugins = ["oms_site.tests.fixtures"]

_FOREIGN = (
    "IBKR_",
    "DESKBOOK_ALLOW",
    "DESKBOOK_CRASH",
    "DESKBOOK_URL",
    "DESKBOOK_DEBUG",
    "DESKBOOK_SECRET",
    "DATABASE_URL",
    "REDIS_URL",
    "PORT",
)
_OWNS_THE_RUN = "PYTEST_XDIST_WORKER" not in os.environ  # its helpers inherit what it sets
_DATA = Path(os.environ["DESKBOOK_DATA"]) if not _OWNS_THE_RUN else Path(tempfile.mkdtemp(prefix="deskbook-test-"))

if _OWNS_THE_RUN:  # before Django reads its settings, in pytest_configure below
    for _name in [name for name in os.environ if name.startswith(_FOREIGN)]:
        del os.environ[_name]
    os.environ["DESKBOOK_DATA"] = str(_DATA)
    os.environ["DJANGO_SETTINGS_MODULE"] = "oms_site.settings"
    # The synchronous Playwright runs a loop in the thread of the test, where Django would refuse every query.
    os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


def pytest_configure(config: Any) -> None:
    """Loads Django, now that its environment is the tests' own. DESKBOOK_TEST_DATABASE=postgres: on a PostgreSQL of this run."""
    if _OWNS_THE_RUN and os.environ.get("DESKBOOK_TEST_DATABASE") == "postgres":
        from oms_site.tests.servers import PostgresServer

        server = PostgresServer(_DATA)
        server.start()
        config.add_cleanup(server.close)
        os.environ["DATABASE_URL"] = server.url()
    import django
    from hypothesis import HealthCheck, settings

    django.setup()
    # How long an example takes says how busy the machine is, and nothing about the desk.
    settings.register_profile("desk", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("desk")


def pytest_unconfigure() -> None:
    """Takes the data folder of this run away."""
    if _OWNS_THE_RUN:
        shutil.rmtree(_DATA, ignore_errors=True)
