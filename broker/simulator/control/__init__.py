"""The words by which a person or a test steers the simulated gateway: one command a line, answered by one line, `ok ...` or `error ...`.

Lists are answered as JSON on that line. Commands that change the exchange go through the gateway's turns like everything else:
recorded, committed, told.
"""

from broker.simulator.control import frames, links, market, orders, words
from broker.simulator.control.registry import COMMANDS, execute

__all__ = ["COMMANDS", "execute", "frames", "links", "market", "orders", "words"]
