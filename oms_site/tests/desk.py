"""Real desks for tests: `manage.py serve` in a process of its own, on a data folder and a socket of its own.

The rule it keeps: a test waits for conditions, never for time; the socket is bound here and inherited by the desk, so that no port is raced
for and a desk can be killed and started again at the same address; and nothing outlives the test that started it.
"""

from __future__ import annotations

import contextlib
import http.cookiejar
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 40.0  # seconds a condition may take on a busy machine before the test fails


def wait_until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """The first true value of `condition`; AssertionError naming `what` when it stays false."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        if value := condition():
            return value
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        pause.wait(0.02)


def listening_socket() -> socket.socket:
    """A socket that listens on a free port of this machine."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(data: Path, **more: str) -> dict[str, str]:
    """The environment of a desk on `data`: this one's, without what would point it elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("IBKR_", "DESKBOOK_")) and name != "PORT"}
    # Without compiled modules, each desk of a run would compile all of Django and Twisted again.
    for name in ("DATABASE_URL", "REDIS_URL", "PYTHONDONTWRITEBYTECODE"):
        kept.pop(name, None)
    return kept | {"DESKBOOK_DATA": str(data), "DJANGO_SETTINGS_MODULE": "oms_site.settings", "PYTHONUNBUFFERED": "1"} | more


def manage(data: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs `manage.py` to its end on the desk in `data`."""
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    return subprocess.run(command, env=environment(data, **more), capture_output=True, text=True, timeout=120, check=False)


@cache
def tied() -> tuple[str, ...]:
    """What to put before a command so that it dies with this run, even one that is killed; nothing where the system cannot (not Linux)."""
    prefix = ("setpriv", "--pdeathsig", "KILL")
    try:
        works = subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        works = False
    return prefix if works else ()


@dataclass
class Desk:
    """One desk of one process, with a simulated gateway of its own unless `settings` name another."""

    data: Path
    settings: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ("--no-migrate",)
    listener: socket.socket = field(default_factory=listening_socket)
    control_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    @property
    def log(self) -> str:
        """All it has written to its terminal."""
        return (self.data / "desk.log").read_text() if (self.data / "desk.log").exists() else ""

    def start(self, *ready: str) -> Desk:
        """Starts the process and waits until it has said all of `ready` (without any: that it is ready, and so is its gateway, and until
        it knows what the accounts are worth, without which nothing new is let through).

        AssertionError with its log when it ends before.
        """
        before, began = len(self.log), datetime.now(UTC).replace(tzinfo=None).isoformat(" ")
        words = ready or ("Deskbook is ready", ": READY")
        command = [*tied(), sys.executable, str(ROOT / "manage.py"), "serve", "--fd", str(self.listener.fileno())]
        with (self.data / "desk.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--control-port", str(self.control_port), "--ledger", str(self.data / "ledger.jsonl"), *self.arguments],
                env=environment(self.data, **self.settings),
                pass_fds=[self.listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        process = self.process

        def says() -> bool:
            return process.poll() is not None or all(one in self.log[before:] for one in words)

        wait_until(says, f"the desk in {self.data} says {words}")
        assert process.poll() is None, f"the desk ended with {process.returncode}:\n{self.log}"
        if not ready and "DATABASE_URL" not in self.settings:
            wait_until(lambda: self._knows_the_accounts(began), f"the desk in {self.data} knows what its accounts are worth")
        return self

    def _knows_the_accounts(self, since: str) -> bool:
        sql = "select count(*) from orders_account a where not exists (select 1 from orders_accountvalue v where v.account_id = a.id "
        missing = [self.query(sql + "and v.name = ? and v.at >= ?)", name, since)[0][0] for name in ("BuyingPower", "DailyPnL")]
        return missing == [0, 0]

    def stop(self) -> int:
        """Asks it to end (SIGTERM) and waits; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self._ended()

    def kill(self) -> None:
        """Ends it at once (SIGKILL), as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self._ended()

    def restart(self) -> Desk:
        """Ends it in order and starts it again at the same address."""
        assert self.stop() == 0, self.log
        return self.start()

    def freeze(self) -> None:
        """Stops its time (SIGSTOP)."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets its time go on (SIGCONT)."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def control(self, line: str) -> str:
        """Sends a command to the simulated gateway, as in `quote AAPL 1 2`; its answer."""
        with (
            socket.create_connection(("127.0.0.1", self.control_port), timeout=PATIENCE) as connection,
            connection.makefile("rw") as stream,
        ):
            stream.write(line + "\n")
            stream.flush()
            return stream.readline().strip()

    def ledger(self) -> list[dict[str, Any]]:
        """What the simulated gateway heard and did, over all its lives: the truth that the book is compared with."""
        path = self.data / "ledger.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of its book, read from outside."""
        with contextlib.closing(sqlite3.connect(f"file:{self.data / 'deskbook.sqlite3'}?mode=ro", uri=True, timeout=20)) as connection:
            return connection.execute(sql, parameters).fetchall()

    def password(self, user: str) -> str:
        """The password of a demonstration user."""
        lines = (self.data / "demo-passwords").read_text().splitlines()
        return dict(line.split(maxsplit=1) for line in lines)[user]

    def visitor(self, user: str) -> Visitor:
        """Somebody signed in as `user`, without a browser."""
        visitor = Visitor(self.url)
        visitor.get("/login/")
        page = visitor.post("/login/", username=user, password=self.password(user))
        assert page.status == 200 and "/login/" not in page.url, page
        return visitor

    def close(self) -> None:
        """Ends whatever still runs and gives the socket back."""
        if self.process is not None and self.process.poll() is None:
            self.thaw()
            self.process.kill()
            self._ended()
        self.listener.close()

    def _ended(self) -> int:
        assert self.process is not None
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the desk did not end:\n{self.log}") from None


@dataclass(frozen=True)
class Answer:
    """What the desk answered, redirects followed."""

    status: int
    url: str
    headers: Any
    text: str


class Visitor:
    """A browser without a screen: keeps cookies and the form token, follows redirects."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))
        self._token = ""

    def get(self, path: str, **headers: str) -> Answer:
        """The page at `path`; underscores in the names of headers are read as hyphens."""
        return self._open(urllib.request.Request(self.url + path), headers)

    def post(self, path: str, headers: dict[str, str] | None = None, **fields: str) -> Answer:
        """Sends a form, with the token of the page last seen."""
        body = urllib.parse.urlencode(fields | {"csrfmiddlewaretoken": self._token}).encode()
        return self._open(urllib.request.Request(self.url + path, data=body), {"Origin": self.url} | (headers or {}))

    def _open(self, request: urllib.request.Request, headers: dict[str, str]) -> Answer:
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            response = self._opener.open(request, timeout=PATIENCE)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            text = response.read().decode(errors="replace")
        if found := re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', text):
            self._token = found[1]
        return Answer(response.status, response.url, response.headers, text)


@contextlib.contextmanager
def template_data(folder: Path) -> Iterator[Path]:
    """A data folder that has lived through one start and one ending: migrated, bound to its gateway, with its demonstration users."""
    folder.mkdir(mode=0o700)
    desk = Desk(folder, arguments=())
    try:
        desk.start()
        assert desk.stop() == 0, desk.log
        for name in ("desk.log", "ledger.jsonl"):
            (folder / name).unlink()
        yield folder
    finally:
        desk.close()


def copied_data(template: Path, folder: Path) -> Path:
    """A copy of `template`, for one desk."""
    shutil.copytree(template, folder)
    return folder
