"""The processes of a desk that is spread over several: workers, web processes, gateways; each can be ended, killed and frozen.

The rule it keeps: nothing outlives the `with` block or the test that started it, and processes are ended by their id.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from oms_site.tests.desk import PATIENCE, ROOT, environment, tied, wait_until


@dataclass
class Program:
    """One process on the data folder `data`. `start` waits for words in its log; `with program.start(...):` ends it at last."""

    command: list[str]
    data: Path
    settings: dict[str, str] = field(default_factory=dict)
    name: str = "program"
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def manage(cls, *words: str, data: Path, settings: dict[str, str] | None = None, name: str = "") -> Self:
        """`manage.py` with these words."""
        return cls([sys.executable, str(ROOT / "manage.py"), *words], data, settings or {}, name or words[0])

    @classmethod
    def daphne(cls, port: int, *, data: Path, settings: dict[str, str]) -> Self:
        """A web process as it is deployed: Daphne with the site's application."""
        words = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "-v", "1", "oms_site.asgi:application"]
        return cls(words, data, settings, f"web-{port}")

    @property
    def log(self) -> str:
        """All it has written to its terminal."""
        return self._file.read_text() if self._file.exists() else ""

    @property
    def _file(self) -> Path:
        return self.data / f"{self.name}.log"

    def start(self, *ready: str) -> Self:
        """Starts it and waits until it has said all of `ready`. Call it in a thread that lives on: the process is tied to that."""
        before = len(self.log)
        with self._file.open("ab") as log:
            self.process = subprocess.Popen(
                [*tied(), *self.command],
                env=environment(self.data, **self.settings),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self.says(*ready, since=before)

    def says(self, *words: str, since: int = 0) -> Self:
        """Waits until it has said all of the words; AssertionError with its log when it ends before."""
        process = self.process
        assert process is not None
        wait_until(lambda: process.poll() is not None or all(one in self.log[since:] for one in words), f"{self.name} says {words}")
        assert process.poll() is None, f"{self.name} ended with {process.returncode}:\n{self.log}"
        return self

    @property
    def runs(self) -> bool:
        """Whether it has been started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal: SIGTERM asks it to end, SIGSTOP freezes it, SIGCONT thaws it."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int:
        """Asks it to end and waits; its exit code."""
        self.signal(signal.SIGTERM)
        return self.ended()

    def kill(self) -> None:
        """Ends it at once, as a power cut would."""
        self.signal(signal.SIGKILL)
        self.ended()

    def ended(self) -> int:
        """Waits until it has ended; its exit code."""
        assert self.process is not None
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end:\n{self.log}") from None

    def close(self) -> None:
        """Ends whatever still runs of it."""
        if self.process is not None and self.runs:
            self.process.kill()
            self.process.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
