"""The verbs of a user: the one door by which pages, commands and the shell place, change and cancel orders."""

from orders.manager.manager import OrderManager

__all__ = ["OrderManager"]
