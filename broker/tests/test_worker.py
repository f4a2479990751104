"""The worker as a process: it connects, trades under the lease, and ends in order when it is told to."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.tests.simulator.running import PROJECT, GatewayProcess
from broker.worker import BrokerWorker

PATIENCE = 40.0


class WorkerProcess:
    """`manage.py runworker broker` on a database of its own."""

    def __init__(self, data: Path, port: int) -> None:
        self.database = data / "deskbook.sqlite3"
        self._environment = {
            **os.environ,
            "DESKBOOK_DATA": str(data),
            "DJANGO_SETTINGS_MODULE": "oms_site.settings",
            "IBKR_HOST": "127.0.0.1",
            "IBKR_PORT": str(port),
        }
        self.log = data / "worker.log"
        self.process: subprocess.Popen[bytes] | None = None

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(command, cwd=PROJECT, env=self._environment, check=check, capture_output=True, text=True, timeout=120)

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "manage.py", "runworker", "broker"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=PROJECT, env=self._environment, stdout=log, stderr=log)
        return self.process

    def ask(self, query: str) -> tuple[object, ...]:
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(query).fetchone() or ()
        finally:
            connection.close()

    def until(self, query: str, expected: tuple[object, ...]) -> None:
        """Waits until the database answers so. Raises AssertionError with the worker's log."""
        ends = time.monotonic() + PATIENCE
        while self.ask(query) != expected:
            assert time.monotonic() < ends, f"{query}: {self.ask(query)}, not {expected}\n{self.log.read_text()[-3000:]}"
            assert self.process is None or self.process.poll() is None, f"the worker ended\n{self.log.read_text()[-3000:]}"
            select.select([], [], [], 0.05)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with an empty, migrated database, to be copied."""
    data = tmp_path_factory.mktemp("template") / "data"
    data.mkdir(mode=0o700)
    WorkerProcess(data, 1).manage("migrate", "--verbosity", "0")
    return data


@pytest.fixture
def worker(tmp_path: Path, migrated: Path) -> Iterator[WorkerProcess]:
    data = Path(shutil.copytree(migrated, tmp_path / "data"))
    with GatewayProcess() as gateway:
        worker = WorkerProcess(data, gateway.port)
        yield worker
        worker.close()


def test_a_worker_connects_and_ends_in_order_when_it_is_told_to(worker: WorkerProcess) -> None:
    process = worker.start()
    worker.until("SELECT state FROM orders_gateway", ("READY",))
    assert worker.ask("SELECT kind FROM orders_book") == ("simulated",)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0, worker.log.read_text()[-3000:]
    assert worker.ask("SELECT state, reason FROM orders_gateway") == ("DOWN", "the worker was stopped")
    assert worker.ask("SELECT holder, fence FROM orders_lease") == ("", 1)


def test_a_killed_worker_is_replaced_at_once_by_the_next(worker: WorkerProcess) -> None:
    worker.start()
    worker.until("SELECT state FROM orders_gateway", ("READY",))
    worker.close()
    worker.start()
    worker.until("SELECT state, (SELECT fence FROM orders_lease) FROM orders_gateway", ("READY", 2))


def test_a_worker_that_lost_its_lease_ends_with_an_error(worker: WorkerProcess) -> None:
    process = worker.start()
    worker.until("SELECT state FROM orders_gateway", ("READY",))
    connection = sqlite3.connect(worker.database, timeout=10)
    connection.execute("UPDATE orders_lease SET holder = 'another:1:x', fence = fence + 1")
    connection.commit()
    connection.close()
    assert process.wait(20) == 1
    assert "another worker holds the lease" in worker.log.read_text() or "is not the one that trades" in worker.log.read_text()


def test_a_worker_without_a_gateway_says_what_is_missing(worker: WorkerProcess) -> None:
    worker._environment.pop("IBKR_HOST")
    told = worker.manage("runworker", "broker", check=False)
    assert told.returncode == 1
    assert "IBKR_HOST" in told.stderr


def test_the_broker_has_one_channel_and_no_other() -> None:
    with pytest.raises(ValueError, match="broker"):
        BrokerWorker(channels=["broker", "other"], channel_layer=object())
