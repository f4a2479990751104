"""The book's tables.

Models hold fields, constraints and read-only properties; the only writers are book, manager, outbox, intake, inquiries and lease.
"""

from orders.models.accounts import Account, AccountAccess, AccountValue, Limit, Position, PositionValue
from orders.models.book import Book, Certificate, Event, Feed, Gateway, Lease, Submission
from orders.models.market import Contract, Inquiry, MarketRule, Quote, Watch
from orders.models.orders import BrokerCommand, BrokerId, CommissionReport, Execution, Incident, OcaGroup, OrderRecord, TrailingStop
from orders.models.risk import AccountDay, ExitTemplate, InstrumentRule, Preview, Sweep

__all__ = [
    "Account",
    "AccountAccess",
    "AccountDay",
    "AccountValue",
    "Book",
    "BrokerCommand",
    "BrokerId",
    "Certificate",
    "CommissionReport",
    "Contract",
    "Event",
    "Execution",
    "ExitTemplate",
    "Feed",
    "Gateway",
    "Incident",
    "Inquiry",
    "InstrumentRule",
    "Lease",
    "Limit",
    "MarketRule",
    "OcaGroup",
    "OrderRecord",
    "Position",
    "PositionValue",
    "Preview",
    "Quote",
    "Submission",
    "Sweep",
    "TrailingStop",
    "Watch",
]
