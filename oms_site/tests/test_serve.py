"""`manage.py serve`: a whole desk comes up, says how to come in, ends in order, and refuses what it should, in words."""

import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from oms_site.tests.desk import ROOT, Desk, Visitor, environment, free_port, manage, wait_until
from oms_site.tests.fixtures import DeskFactory

pytestmark = pytest.mark.xdist_group("serve")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One desk for the tests that only look at it, made from an empty folder."""
    data = tmp_path_factory.mktemp("serve") / "data"
    data.mkdir(mode=0o700)
    desk = Desk(data, arguments=())
    yield desk.start()
    desk.close()


def serve(data: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return manage(data, "serve", *arguments, **variables)


def test_it_says_where_it_is_and_how_to_come_in(desk: Desk) -> None:
    assert f"Deskbook is ready: {desk.url}/" in desk.log
    assert "simulated" in desk.log and "No order leaves this machine" in desk.log
    for user in ("trader1", "trader2", "viewer1", "admin"):
        assert f"{user:<8} {desk.password(user)}" in desk.log


def test_all_it_wrote_is_its_owners(desk: Desk) -> None:
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in desk.data.iterdir() if path.name != "desk.log"}
    assert {"deskbook.sqlite3", "secret-key", "demo-passwords", "simulator.sqlite3"} <= set(files)
    assert set(files.values()) == {0o600}, files


def test_each_demonstration_user_can_sign_in_and_see_their_accounts(desk: Desk) -> None:
    granted = desk.query(
        "SELECT u.username, a.code, x.level FROM orders_accountaccess x JOIN auth_user u ON u.id = x.user_id"
        " JOIN orders_account a ON a.id = x.account_id ORDER BY u.username, a.code"
    )
    first, second = (code for (code,) in desk.query("SELECT code FROM orders_account ORDER BY code"))
    assert granted == [("trader1", first, "trade"), ("trader1", second, "view"), ("trader2", second, "trade"), ("viewer1", first, "view")]
    for user in ("trader1", "trader2", "viewer1", "admin"):
        assert user in desk.visitor(user).get("/").text


def test_only_the_administrator_enters_the_administration(desk: Desk) -> None:
    assert "/admin/login/" not in desk.visitor("admin").get("/admin/").url
    assert "/admin/login/" in desk.visitor("trader1").get("/admin/").url


def test_a_wrong_password_does_not_come_in(desk: Desk) -> None:
    visitor = Visitor(desk.url)
    visitor.get("/login/")
    assert "/login/" in visitor.post("/login/", username="trader1", password="guess").url
    assert "/login/" in visitor.get("/").url


def test_a_form_from_elsewhere_is_refused(desk: Desk) -> None:
    visitor = desk.visitor("trader1")
    visitor.get("/")
    assert visitor.post("/logout/", headers={"Origin": "http://127.0.0.1:9"}).status == 403


def test_a_name_that_was_made_to_point_here_is_refused(desk: Desk) -> None:
    assert Visitor(desk.url).get("/login/", Host="evil.example").status == 400


def test_it_serves_its_static_files(desk: Desk) -> None:
    answer = Visitor(desk.url).get("/static/admin/css/base.css")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/css")


def test_a_signal_ends_it_in_order_and_it_goes_on_where_it_ended(desk_process: DeskFactory) -> None:
    desk = desk_process()
    password, key = desk.password("trader1"), (desk.data / "secret-key").read_text()
    visitor = desk.visitor("trader1")
    assert desk.stop() == 0, desk.log
    assert "Traceback" not in desk.log
    desk.start()
    assert (desk.password("trader1"), (desk.data / "secret-key").read_text()) == (password, key)
    assert "/login/" not in visitor.get("/").url  # the session still holds
    assert len(desk.query("SELECT 1 FROM auth_user")) == 4


def test_control_c_ends_it_in_order(desk_process: DeskFactory) -> None:
    desk = desk_process()
    assert desk.process is not None
    desk.process.send_signal(signal.SIGINT)
    assert desk.process.wait(30) == 0, desk.log
    assert "Traceback" not in desk.log


def test_an_ordered_ending_gives_the_lease_back(desk_process: DeskFactory) -> None:
    desk = desk_process()
    wait_until(lambda: desk.query("SELECT 1 FROM orders_lease WHERE holder <> ''"), "the worker holds the lease")
    assert desk.stop() == 0, desk.log
    assert desk.query("SELECT 1 FROM orders_lease WHERE holder <> ''") == []


def test_it_starts_again_after_a_power_cut(desk_process: DeskFactory) -> None:
    desk = desk_process()
    desk.kill()
    desk.start()
    assert "trader1" in desk.visitor("trader1").get("/").text


def test_it_ends_with_an_open_page_request_and_socket(desk_process: DeskFactory) -> None:
    """A visitor who keeps a connection open does not keep the desk from ending."""
    desk = desk_process()
    with socket.create_connection(("127.0.0.1", desk.listener.getsockname()[1])) as half:
        half.sendall(b"GET / HTTP/1.1\r\nHost: 127")
        assert desk.stop() == 0, desk.log


def test_a_worker_that_cannot_go_on_takes_the_desk_with_it(desk_process: DeskFactory) -> None:
    """The exit code is what a supervisor restarts it by: a broken book must not look like an ordered ending."""
    import sqlite3

    desk = desk_process()
    assert desk.process is not None
    with sqlite3.connect(desk.data / "deskbook.sqlite3", timeout=20) as connection:
        connection.execute("UPDATE orders_lease SET holder = 'another', fence = fence + 1, expires_at = '2999-01-01'")
    connection.close()
    assert desk.process.wait(40) not in (0, None), desk.log


def test_a_taken_port_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = serve(tmp_path / "data", PORT=str(port))
    assert done.returncode == 1
    assert f"127.0.0.1:{port} cannot be opened: another program listens there" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_the_network_is_not_let_in_by_accident(tmp_path: Path, host: str) -> None:
    done = serve(tmp_path / "data", "--host", host, "--port", str(free_port()))
    assert done.returncode == 1 and "DESKBOOK_URL" in done.stderr and "Traceback" not in done.stderr


def test_a_descriptor_that_is_no_socket_is_refused(tmp_path: Path) -> None:
    done = serve(tmp_path / "data", "--fd", "77")
    assert done.returncode == 1 and "--fd 77" in done.stderr and "Traceback" not in done.stderr


def test_with_a_real_gateway_it_says_how_to_make_the_first_administrator(tmp_path: Path) -> None:
    """Nothing answers at that port; the desk serves its pages all the same, and has no demonstration users."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    desk = Desk(data, settings={"IBKR_HOST": "127.0.0.1", "IBKR_PORT": str(free_port())}, arguments=())
    try:
        desk.start("createsuperuser")
        assert "Make the first administrator" in desk.log
        assert Visitor(desk.url).get("/login/").status == 200
        assert desk.query("SELECT 1 FROM auth_user") == [] and not (data / "demo-passwords").exists()
        assert not (data / "simulator.sqlite3").exists()
        assert desk.stop() == 0, desk.log
    finally:
        desk.close()


def test_demonstration_users_are_refused_outside_a_simulated_book(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert manage(data, "migrate", "--verbosity", "0").returncode == 0
    done = manage(data, "demo_users")
    assert done.returncode == 1 and "has not met its gateway yet" in done.stderr
    bind = "from orders.models import Book; Book.objects.update(kind='paper', bound_accounts=['DU1'])"
    assert manage(data, "shell", "--no-imports", "--command", bind).returncode == 0
    done = manage(data, "demo_users")
    assert done.returncode == 1 and "belongs to a paper gateway" in done.stderr
    assert not (data / "demo-passwords").exists()


def test_a_redis_desk_comes_up_too(desk_process: DeskFactory, redis_server: object) -> None:
    desk = desk_process(settings={"REDIS_URL": redis_server.url})  # type: ignore[attr-defined]
    assert "trader1" in desk.visitor("trader1").get("/").text
    assert desk.stop() == 0, desk.log


def test_a_postgresql_desk_comes_up_too(desk_process: DeskFactory, postgres: str) -> None:
    desk = desk_process(fresh=True, settings={"DATABASE_URL": postgres})
    assert "trader1" in desk.visitor("trader1").get("/").text
    assert desk.stop() == 0, desk.log
    desk.start()
    assert desk.stop() == 0, desk.log


def test_the_command_line_is_the_projects(tmp_path: Path) -> None:
    """`runworker` is ours, not the one of Channels: it knows the gateway and the lease."""
    code = "from django.core.management import get_commands; import django; django.setup(); print(get_commands()['runworker'])"
    env = environment(tmp_path / "data")
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "broker"
