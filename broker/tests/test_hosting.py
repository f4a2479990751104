"""The host of a whole desk: the order of its ending, and the exit code a supervisor restarts it by.

The parts here are short stand-ins that say what happens to them; each desk runs in a process of its own, since its loop and its signals
belong to the whole process.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from oms_site.tests.desk import ROOT, environment, wait_until

PROGRAM = """
import asyncio, os, socket, sys
from broker.hosting import Host

HOW = sys.argv[1]

def say(words):
    print(words, flush=True)

def door():
    try:
        with socket.create_connection(address, timeout=1):
            return "door open"
    except OSError:
        return "door closed"

class Worker:
    def __init__(self, host, port):
        if HOW == "no worker":
            raise ValueError("no such channel")
        say(f"worker made for {host}:{port}")
        self.told = asyncio.Event()

    async def arun(self):
        say("worker runs, " + door())
        if HOW == "worker fails":
            raise RuntimeError("the lease is lost")
        if HOW == "worker returns":
            return
        await self.told.wait()
        if HOW == "worker hangs":
            await asyncio.Event().wait()
        if HOW == "worker slow":
            await asyncio.sleep(0.3)
        say("worker ended")

    async def astop(self):
        say("worker told")
        if HOW == "stop fails":
            raise RuntimeError("no database")
        self.told.set()

class Gateway:
    host, port = "127.0.0.1", 0

    async def start(self):
        if HOW == "gateway fails":
            raise OSError("the store is locked")
        self.port = 4002
        say("gateway up")

    async def stop(self):
        say(door())
        say("gateway down")

async def welcome(host, port):
    if HOW == "welcome fails":
        say("ready")
        raise RuntimeError("no terminal")
    say("ready")

async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"up"})

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
address = listener.getsockname()
listener.setblocking(False)
code = Host(listener, application, Worker, Gateway(), welcome, step_seconds=float(sys.argv[2])).run()
say(f"code {code}")
os._exit(code)
"""


class Running:
    """The program in a process, and what it has said."""

    def __init__(self, folder: Path, how: str, seconds: float = 0.5) -> None:
        self.out = folder / "out"
        with self.out.open("wb") as out:
            command = [sys.executable, "-c", PROGRAM, how, str(seconds)]
            self.process = subprocess.Popen(command, env=environment(folder / "data"), cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)

    @property
    def said(self) -> str:
        return self.out.read_text()

    def until(self, words: str) -> "Running":
        wait_until(lambda: words in self.said or self.process.poll() is not None, words)
        assert words in self.said, self.said
        return self

    def tell(self, number: signal.Signals = signal.SIGTERM) -> "Running":
        os.kill(self.process.pid, number)
        return self

    def code(self) -> int:
        try:
            return self.process.wait(30)
        finally:
            self.process.kill()

    def order(self, *words: str) -> bool:
        """Whether all of these were said, in this order."""
        places = [self.said.find(one) for one in words]
        return -1 not in places and places == sorted(places)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(tmp_path: Path, number: signal.Signals) -> None:
    desk = Running(tmp_path, "well").until("ready").tell(number)
    assert desk.code() == 0, desk.said
    assert desk.order(
        "gateway up", "worker made for 127.0.0.1:4002", "door open", "worker told", "worker ended", "door closed", "gateway down", "code 0"
    ), desk.said
    assert "Traceback" not in desk.said


@pytest.mark.parametrize(("how", "words"), [("worker fails", "the lease is lost"), ("worker returns", "The worker ended by itself")])
def test_a_worker_that_ends_by_itself_takes_the_desk_with_it(tmp_path: Path, how: str, words: str) -> None:
    desk = Running(tmp_path, how)
    assert desk.code() == 1
    assert desk.order(words, "gateway down", "code 1"), desk.said
    assert "worker told" not in desk.said


def test_a_gateway_that_cannot_start_is_a_failure(tmp_path: Path) -> None:
    desk = Running(tmp_path, "gateway fails")
    assert desk.code() == 1 and "the store is locked" in desk.said and "worker made" not in desk.said


def test_a_worker_that_cannot_be_made_leaves_no_gateway_behind(tmp_path: Path) -> None:
    desk = Running(tmp_path, "no worker")
    assert desk.code() == 1 and desk.order("gateway up", "gateway down", "no such channel", "code 1"), desk.said


@pytest.mark.parametrize(("how", "words"), [("worker hangs", "did not end within 0.5 s"), ("stop fails", "no database")])
def test_a_part_that_does_not_end_keeps_nothing_else_from_ending(tmp_path: Path, how: str, words: str) -> None:
    desk = Running(tmp_path, how).until("ready").tell()
    assert desk.code() == 1
    assert desk.order("worker told", words, "gateway down", "code 1"), desk.said


def test_a_failed_welcome_is_told_and_the_desk_goes_on(tmp_path: Path) -> None:
    desk = Running(tmp_path, "welcome fails").until("no terminal")
    assert desk.process.poll() is None
    assert desk.tell().code() == 0 and desk.order("no terminal", "worker ended", "code 0"), desk.said


def test_a_request_to_end_that_is_delivered_twice_is_one_request(tmp_path: Path) -> None:
    desk = Running(tmp_path, "worker slow").until("ready").tell(signal.SIGINT).until("worker told").tell(signal.SIGINT).tell()
    assert desk.code() == 0 and desk.order("worker told", "worker ended", "code 0"), desk.said


def test_somebody_in_a_hurry_ends_it_at_once(tmp_path: Path) -> None:
    desk = Running(tmp_path, "worker hangs", seconds=60).until("ready").tell()

    def gone() -> bool:
        if desk.process.poll() is None:
            desk.tell(signal.SIGINT)
        return desk.process.poll() is not None

    wait_until(gone, "it ends", seconds=20)
    assert desk.code() == 130 and "gateway down" not in desk.said
