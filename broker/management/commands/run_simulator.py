"""`manage.py run_simulator`: the simulated gateway as a process of its own. It uses nothing of Django but the command line."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from broker.simulator.running import add_arguments, run
from broker.simulator.store import StoreProblem


class Command(BaseCommand):
    help = "Runs a simulated IB gateway that TWS API clients can connect to."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run(argparse.Namespace(**options))
        except (StoreProblem, OSError) as problem:
            raise CommandError(str(problem)) from problem
