"""The fixtures every test may ask for: desks in processes of their own, servers of their own, and a browser.

The rule they keep: what a test needs beyond Python is named by a marker (postgres, redis, chromium); where it is missing the test skips by
that name, or fails with DESKBOOK_REQUIRE=all. Servers are started here, on free ports and temporary folders: a test may stop and restart
them, and nobody's own database is ever touched.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from oms_site.tests.desk import Desk, copied_data, template_data
from oms_site.tests.servers import PostgresServer, RedisServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DeskFactory = Callable[..., Desk]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NEEDS: dict[str, Callable[[], bool]] = {
    "postgres": lambda: PostgresServer.binaries() is not None,
    "redis": lambda: RedisServer.binary() is not None,
    "chromium": lambda: CHROMIUM is not None,
}


@pytest.hookimpl(tryfirst=True)  # before the groups are read
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that ask for a service's fixture carry its marker; tests of one module's browser or desks stay in one process.

    What holds only on the other database is left out: the run on that one has it (test_races.py, test_on_postgresql.py).
    """
    foreign = "on_sqlite" if connection.vendor == "postgresql" else "on_postgresql"
    left_out = [item for item in items if item.get_closest_marker(foreign) is not None]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    fixtures = {"postgres": "postgres", "redis_server": "redis", "browser": "chromium", "page": "chromium"}
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in fixtures:
                item.add_marker(fixtures[fixture])
        if "browser" in getattr(item, "fixturenames", ()) and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips, or fails, a test whose service is not on this machine."""
    for name, is_here in NEEDS.items():
        if item.get_closest_marker(name) is not None and not is_here():
            if os.environ.get("DESKBOOK_REQUIRE") == "all":
                pytest.fail(f"{name} is not on this machine, and DESKBOOK_REQUIRE=all", pytrace=False)
            pytest.skip(f"{name} is not on this machine")


@pytest.fixture(scope="session")
def desk_template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data folder that desks of this run are copied from."""
    with template_data(tmp_path_factory.mktemp("template") / "data") as folder:
        yield folder


@pytest.fixture
def desk_process(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DeskFactory]:
    """Makes desks: `desk_process()` is one, up and ready. `fresh`: on an empty data folder; `start=False`: not started yet."""
    desks: list[Desk] = []

    def make(*, fresh: bool = False, start: bool = True, settings: dict[str, str] | None = None) -> Desk:
        data = tmp_path / f"desk-{len(desks)}"
        if fresh:
            data.mkdir(mode=0o700)
        else:
            copied_data(request.getfixturevalue("desk_template"), data)
        desk = Desk(data, settings=settings or {}, arguments=() if fresh else ("--no-migrate",))
        desks.append(desk)
        return desk.start() if start else desk

    yield make
    for desk in desks:
        desk.close()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL of this run's own."""
    server = PostgresServer(tmp_path_factory.mktemp("postgres"))
    server.start()
    yield server
    server.close()


@pytest.fixture
def postgres(request: pytest.FixtureRequest) -> Iterator[str]:
    """The DATABASE_URL of an empty PostgreSQL database, gone after the test."""
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database() as url:
        yield url


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """An empty Redis of the test's own; `.url` is its REDIS_URL."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. Of a module, not of the run: its loop would be in the way of later asynchronous tests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a profile of its own. The test fails when a script fails on it or its security policy is violated."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB", timezone_id="UTC", reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(15_000)
    problems: list[str] = []

    def hear(message: Any) -> None:
        if message.type == "error" and "Content Security Policy" in message.text:
            problems.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    context.close()
    assert not problems, problems


@pytest.fixture
def login() -> Callable[[Page, Desk, str], None]:
    """Signs a demonstration user in: `login(page, desk, "trader1")`."""

    def sign_in(page: Page, desk: Desk, user: str) -> None:
        page.goto(f"{desk.url}/login/")
        page.fill("input[name=username]", user)
        page.fill("input[name=password]", desk.password(user))
        page.press("input[name=password]", "Enter")
        page.wait_for_url(lambda url: "/login/" not in url)

    return sign_in
