"""The engine: takes commands out of the book's outbox to the connector, and what the connector hears into the book's intake.

The rule kept here: book and wire meet in this package and nowhere else.
"""

from broker.engine.engine import Engine, EngineFailed

__all__ = ["Engine", "EngineFailed"]
