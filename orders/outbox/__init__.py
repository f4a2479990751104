"""The outbox: what is to be sent, taken out unit by unit. Record, then send: a unit is claimed and committed before its first byte.

Every function is one transaction of the engine's own thread, under the lease's fence.
"""

from orders.outbox.claim import claim
from orders.outbox.settle import housekeeping, raise_order_id_mark, recover, unwritten, written

__all__ = ["claim", "housekeeping", "raise_order_id_mark", "recover", "unwritten", "written"]
