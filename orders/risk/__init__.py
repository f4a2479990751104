"""The limits of an account and a user as the risk page shows them: what is in force, what stands against it, and where it comes from.

The rule it keeps: it shows what the gate reads, by the gate's own functions, and decides nothing.
"""

from orders.risk.limits import limits

__all__ = ["limits"]
