"""Redis and PostgreSQL for tests, started from the programs that are installed here.

The rule it keeps: each server has a free port and a temporary folder of its own, asks for no password of anybody, and is stopped by its id.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from oms_site.tests.desk import PATIENCE, free_port, tied, wait_until


def answers(port: int) -> bool:
    """Whether somebody listens on this port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@dataclass
class RedisServer:
    """An empty Redis that keeps nothing on disk."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def binary() -> str | None:
        """The program, or None."""
        return shutil.which("redis-server")

    @property
    def url(self) -> str:
        """Its REDIS_URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Starts it and waits until it answers."""
        binary = self.binary()
        assert binary is not None
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(self.folder)]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([*tied(), binary, *options], **quiet)
        wait_until(lambda: answers(self.port), "Redis answers")

    def stop(self) -> None:
        """Ends it; what it held is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE)
            self.process = None

    def freeze(self) -> None:
        """Stops its time: connections stay open and nothing answers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets its time go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


@dataclass
class PostgresServer:
    """A PostgreSQL cluster that trusts this machine and does not wait for the disk."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def binaries() -> Path | None:
        """The folder of initdb and postgres, newest version first, or None."""
        debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name.partition(".")[0]), reverse=True)
        for folder in [*debian, *(Path(found).resolve().parent for found in [shutil.which("postgres")] if found)]:
            if (folder / "initdb").exists() and (folder / "postgres").exists():
                return folder
        return None

    def start(self) -> None:
        """Makes the cluster where there is none, starts it and waits until it takes connections."""
        data = self._data()
        if not (data / "PG_VERSION").exists():
            self._run("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = ["-p", str(self.port), "-h", "127.0.0.1", "-k", str(data), "-F", "-N", "100"]
        log = (self.folder / "postgres.log").open("ab")
        self.process = subprocess.Popen(
            self._command("postgres", "-D", str(data), *options), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        log.close()
        wait_until(self._takes_connections, "PostgreSQL takes connections")

    def stop(self) -> None:
        """Ends it, with its connections (an immediate shutdown: it is made for that)."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int((self._data() / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
            self.process.wait(PATIENCE)
            self.process = None

    def url(self, name: str = "postgres") -> str:
        """The DATABASE_URL of one of its databases."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """The DATABASE_URL of a new database, dropped at the end."""
        name = f"desk_{secrets.token_hex(6)}"
        self.execute(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, sql: str) -> None:
        """Runs a statement outside any database of a test."""
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql)  # type: ignore[call-overload]

    def _data(self) -> Path:
        """The cluster's folder. PostgreSQL refuses to be root, so root's cluster lies where the postgres user can reach it."""
        if os.geteuid() != 0:
            return self.folder / "cluster"
        data = Path(tempfile.gettempdir()) / f"deskbook-postgres-{self.port}"
        if not data.exists():
            data.mkdir(mode=0o700)
            shutil.chown(data, "postgres")
        return data

    def close(self) -> None:
        """Stops it and takes its folder away."""
        self.stop()
        shutil.rmtree(self._data(), ignore_errors=True)

    def _command(self, program: str, *arguments: str) -> list[str]:
        folder = self.binaries()
        assert folder is not None
        as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        return [*as_postgres, *tied(), str(folder / program), *arguments]

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(self._command(program, *arguments), capture_output=True, text=True, timeout=PATIENCE, check=False, cwd="/")
        assert done.returncode == 0, done.stderr

    def _takes_connections(self) -> bool:
        import psycopg

        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url(), connect_timeout=2):
            return True
        return False
