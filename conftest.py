"""What every test of the desk can count on: a data folder of its own, and the helpers of oms_site/tests/desk.py.

The rule it keeps: a test never meets the desk, the gateway or the accounts of the person who runs it. A test that needs a service which is
not here skips by name; with DESKBOOK_REQUIRE=all it fails instead.
"""

import os
import shutil
import tempfile

pytest_plugins = ["oms_site.tests.fixtures"]

# Before Django reads its settings, in pytest_configure below.
for _name in ("IBKR_HOST", "IBKR_PORT", "IBKR_CLIENT_ID", "DESKBOOK_ALLOW_LIVE", "DESKBOOK_URL", "DESKBOOK_DEBUG", "REDIS_URL", "PORT"):
    os.environ.pop(_name, None)
_DATA = tempfile.mkdtemp(prefix="deskbook-test-")
os.environ["DESKBOOK_DATA"] = _DATA
os.environ["DJANGO_SETTINGS_MODULE"] = "oms_site.settings"
# The synchronous Playwright runs a loop in the thread of the test, where Django would refuse every query.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


def pytest_configure() -> None:
    """Loads Django, now that its environment is the tests' own."""
    import django

    django.setup()


def pytest_unconfigure() -> None:
    """Takes the data folder of this run away."""
    shutil.rmtree(_DATA, ignore_errors=True)
