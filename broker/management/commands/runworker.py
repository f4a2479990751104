"""`manage.py runworker broker`: the worker that trades, in a process of its own. Other channels are Channels' business, as before.

The rule kept here: it ends with 0 only after an ordered end that was asked for; anything else is for the supervisor, whose restart is the
recovery.
"""

from __future__ import annotations

import logging
from typing import Any

from channels.layers import get_channel_layer
from channels.management.commands.runworker import Command as ChannelsCommand
from django.conf import settings
from django.core.management.base import CommandError

from broker.worker import CHANNEL, BrokerWorker

log = logging.getLogger(__name__)


class Command(ChannelsCommand):
    help = "Runs the worker that trades: runworker broker. Needs IBKR_HOST; a second one stands by until the first is gone."

    def handle(self, *args: Any, **options: Any) -> None:
        """Runs until SIGTERM or SIGINT. A CommandError (exit code 1) where the worker could not go on."""
        if options["channels"] != [CHANNEL]:
            if CHANNEL in options["channels"]:
                raise CommandError(f"{CHANNEL} has a worker of its own: name no other channel beside it.")
            super().handle(*args, **options)
            return
        if not settings.IBKR_HOST:
            raise CommandError("Which gateway? Set IBKR_HOST (and IBKR_PORT). `manage.py serve` brings a simulated one.")
        layer = get_channel_layer(options["layer"])
        if layer is None:
            raise CommandError("There is no channel layer.")
        worker = BrokerWorker(channels=[CHANNEL], channel_layer=layer)
        try:
            worker.run()
        except Exception as error:
            log.exception("The worker ends.")
            raise CommandError(f"The worker ends: {error}") from error
