"""`manage.py serve`: the whole desk on one machine, behind one command. It prepares the database, opens the door, and says how to come in.

The rule it keeps: the desk listens to this machine only, unless its public address is set; a desk without a real gateway can only reach a
simulated one; and the process ends at once when its parts have ended, without waiting for threads of requests that hang.
"""

import asyncio
import errno
import io
import logging
import os
import socket
import sys
from argparse import ArgumentParser
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import close_old_connections, connection

from orders import heads

if TYPE_CHECKING:
    from broker.hosting import Gateway, Worker

DEMO_RETRY_SECONDS = 0.25


class Command(BaseCommand):
    help = "Runs the desk: pages, worker and, without IBKR_HOST, a simulated gateway. Ctrl-C or SIGTERM ends it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The address, where the environment does not say it, and what the simulated gateway is told."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
        parser.add_argument("--port", type=int, default=settings.PORT, help="port to listen on (default: PORT, or 8000)")
        parser.add_argument("--fd", type=int, help="listen on this inherited socket instead")
        parser.add_argument("--no-migrate", action="store_true", help="do not bring the database up to date first")
        parser.add_argument("--control-port", type=int, help="local port that takes commands for the simulated gateway")
        parser.add_argument("--seed", type=int, default=1, help="seed of the simulated gateway's prices")
        parser.add_argument("--tick-seconds", type=float, default=1.0, help="how often its market moves by itself; 0: never")
        parser.add_argument("--ledger", type=Path, help="file that takes down all the simulated gateway hears and does")

    def handle(self, *args: Any, **options: Any) -> NoReturn:
        """Prepares, serves, and leaves the process with the desk's exit code."""
        os.umask(0o077)  # databases, logs and keys written from here on are the owner's
        listener = _listener(options["host"], options["port"], options["fd"])
        if not options["no_migrate"]:
            _migrate()
        from broker.hosting import Host  # the reactor is installed by this import, which other commands can do without
        from broker.simulator.store import StoreProblem

        code = Host(listener, _application(), _make_worker, _gateway(options), self._welcome(listener), told=(StoreProblem,)).run()
        heads.flush()
        # Not sys.exit: threads of requests that still wait would keep the process, and Python 3.11 may crash taking its tasks apart.
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    def _welcome(self, listener: socket.socket) -> Any:
        """The coroutine that tells the person at the terminal where the desk is and how to come in."""
        address = _addresses(listener)

        async def welcome(host: str, port: int) -> None:
            if settings.IBKR_HOST:
                self._say(f"Deskbook is at {address}   Gateway: {host}:{port}, client {settings.IBKR_CLIENT_ID}.")
                if not await get_user_model().objects.filter(is_superuser=True).aexists():
                    self._say(f"Nobody can come in yet. Make the first administrator: {sys.executable} manage.py createsuperuser")
                return
            self._say(f"Deskbook is starting at {address}   Gateway: simulated, {host}:{port}. No order leaves this machine.")
            while (entry := await sync_to_async(_demo_users, thread_sensitive=False)()) is None:  # noqa: ASYNC110 - the database rings no bell
                await asyncio.sleep(DEMO_RETRY_SECONDS)
            self._say(f"{entry}\nDeskbook is ready: {address}   Ctrl-C ends it.")

        return welcome

    def _say(self, words: str) -> None:
        self.stdout.write(words)
        self.stdout.flush()


def _listener(host: str, port: int, descriptor: int | None) -> socket.socket:
    """The listening socket: inherited, or bound here, so that a taken port is told before anything starts."""
    if descriptor is not None:
        try:
            return socket.socket(fileno=descriptor)
        except OSError as error:
            raise CommandError(f"--fd {descriptor}: this is no inherited socket ({error.strerror}).") from error
    if not _is_loopback(host) and not settings.PUBLIC_ORIGINS:
        raise CommandError(
            f"--host {host} opens the desk to the network. Set DESKBOOK_URL to the address people will type, as in "
            "https://desk.example.com, and put a server that speaks TLS in front."
        )
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        reason = {
            errno.EADDRINUSE: "another program listens there, perhaps a desk that still runs",
            errno.EACCES: "ports below 1024 need special rights",
            errno.EADDRNOTAVAIL: "this machine has no such address",
        }.get(error.errno or 0, str(error))
        raise CommandError(f"{host}:{port} cannot be opened: {reason}. Choose another port: PORT={port + 1} make run") from error
    listener.listen(128)
    listener.setblocking(False)
    return listener


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _addresses(listener: socket.socket) -> str:
    """What to type into the browser."""
    host, port = listener.getsockname()[:2]
    return "  ".join([f"http://{f'[{host}]' if ':' in host else host}:{port}/", *(f"{origin}/" for origin in settings.PUBLIC_ORIGINS)])


def _migrate() -> None:
    """Brings the database up to date; a change of the schema may take longer than the limit that pages have on PostgreSQL."""
    limited = connection.vendor == "postgresql"
    if limited:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
    call_command("migrate", interactive=False, verbosity=0)
    if limited:
        with connection.cursor() as cursor:
            cursor.execute("RESET statement_timeout")  # the connection goes back to the pool
    connection.close()


def _application() -> Any:
    from channels.routing import get_default_application

    return get_default_application()


def _make_worker(host: str, port: int) -> "Worker":
    from channels.layers import get_channel_layer

    from broker.worker import BrokerWorker

    return BrokerWorker(channels=["broker"], channel_layer=get_channel_layer(), host=host, port=port, client_id=settings.IBKR_CLIENT_ID)


def _gateway(options: dict[str, Any]) -> "Gateway":
    """The real gateway that IBKR_HOST names, or one of our own."""
    from broker.hosting import RealGateway

    if settings.IBKR_HOST:
        return RealGateway(settings.IBKR_HOST, settings.IBKR_PORT)
    from broker.simulator.server import SimulatedGateway

    return SimulatedGateway(
        host="127.0.0.1",
        port=settings.IBKR_PORT,
        control_port=options["control_port"],
        seed=options["seed"],
        store=settings.DATA_DIR / "simulator.sqlite3",
        ledger=options["ledger"],
        tick_seconds=options["tick_seconds"],
    )


def _demo_users() -> str | None:
    """How to sign in to the demonstration, once the book knows that its gateway is simulated; None until then."""
    out = io.StringIO()
    close_old_connections()
    try:
        waiting = call_command("demo_users", "--if-bound", stdout=out)
    finally:
        connection.close()
    return None if waiting else out.getvalue().rstrip()
