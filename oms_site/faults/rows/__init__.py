"""The catalogue: what is broken, how, and what must be seen of it before the common ending."""

from oms_site.faults.rows import bursts, deaths, links, stores, users
from oms_site.faults.rows.row import BOTH, POSTGRES, SQLITE, Row

__all__ = ["BOTH", "POSTGRES", "ROWS", "SQLITE", "Row"]

ROWS: tuple[Row, ...] = (*deaths.ROWS, *links.ROWS, *bursts.ROWS, *stores.ROWS, *users.ROWS)
