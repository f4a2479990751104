"""The way in and out, in a real browser and at the socket: who signs in sees the desk live, and nobody else does.

The page fixture fails each of these tests when a script fails or the security policy is violated.
"""

from __future__ import annotations

import base64
import secrets
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from oms_site.tests.desk import PATIENCE, Desk, Visitor, copied_data

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = pytest.mark.xdist_group("door")


@pytest.fixture(scope="module")
def desk(desk_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One desk for the tests of this module."""
    desk = Desk(copied_data(desk_template, tmp_path_factory.mktemp("door") / "data"))
    yield desk.start()
    desk.close()


def handshake(desk: Desk, origin: str, cookies: str) -> str:
    """The first line the desk answers to a request for a socket."""
    host = desk.url.removeprefix("http://")
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    lines = ["GET /live/ HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    lines += [f"Sec-WebSocket-Key: {key}", f"Origin: {origin}", f"Cookie: {cookies}", "", ""]
    with socket.create_connection(("127.0.0.1", int(host.rpartition(":")[2])), timeout=PATIENCE) as connection:
        connection.sendall("\r\n".join(lines).encode())
        return connection.recv(4096).decode("latin-1").partition("\r\n")[0]  # a frame may come with the headers


def cookies_of(visitor: Visitor) -> str:
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in visitor.cookies)


def test_the_socket_is_for_pages_of_this_desk(desk: Desk) -> None:
    cookies = cookies_of(desk.visitor("trader1"))
    assert " 101 " in handshake(desk, desk.url, cookies)
    for origin in ("http://127.0.0.1:9999", "https://evil.example", desk.url.replace("http:", "https:"), "null"):
        assert " 403 " in handshake(desk, origin, cookies), origin


@pytest.mark.parametrize("user", ["trader1", "trader2", "viewer1", "admin"])
def test_each_demonstration_user_comes_in_and_leaves(page: Page, desk: Desk, login: Callable[[Page, Desk, str], None], user: str) -> None:
    login(page, desk, user)
    page.locator("header").get_by_text(user).first.wait_for(state="attached")
    page.get_by_role("button", name="Sign out", include_hidden=True).evaluate("button => button.form.requestSubmit(button)")
    page.wait_for_url("**/login/**")
    page.goto(f"{desk.url}/")
    assert page.url == f"{desk.url}/login/?next=/"


def test_a_wrong_password_is_told_and_the_name_kept(page: Page, desk: Desk) -> None:
    page.goto(f"{desk.url}/login/")
    page.fill("input[name=username]", "trader1")
    page.fill("input[name=password]", "guess")
    page.press("input[name=password]", "Enter")
    page.get_by_role("alert").wait_for()
    assert page.input_value("input[name=username]") == "trader1"
    assert page.input_value("input[name=password]") == ""


def test_the_administration_works_under_the_policy(page: Page, desk: Desk, login: Callable[[Page, Desk, str], None]) -> None:
    login(page, desk, "admin")
    for path in ("/admin/", "/admin/auth/user/", "/admin/auth/user/add/"):
        response = page.goto(desk.url + path)
        assert response is not None and response.status == 200, path


def test_no_cookie_can_be_read_by_a_script(page: Page, desk: Desk, login: Callable[[Page, Desk, str], None]) -> None:
    login(page, desk, "trader1")
    assert page.evaluate("document.cookie") == ""
