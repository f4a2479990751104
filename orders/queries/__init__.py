"""What the screens read: finished rows, spelled out, for the user who asks.

The rule it keeps: every function takes the user and shows only the accounts he may see; the rows are frozen, and templates decide nothing.
"""

from orders.queries.access import tradable_accounts, tradable_ids, visible_accounts
from orders.queries.blotter import HistoryFilters, history, history_csv
from orders.queries.desk import account_strip, attention, gateway
from orders.queries.detail import order_detail
from orders.queries.executions import executions
from orders.queries.orders import family_roots, order_families
from orders.queries.positions import positions
from orders.queries.quotes import quote, watchlist
from orders.queries.recovery import certificate, certificates, recovery, seen_incidents
from orders.queries.restraints import restraints
from orders.queries.risk import ChangeFilters
from orders.queries.risk import changes as risk_changes
from orders.queries.risk import record as trade_record
from orders.queries.risk import refusals as risk_refusals
from orders.queries.risk import states as trading_states
from orders.queries.sizing import sized
from orders.queries.sweeps import sweep, sweeps
from orders.queries.trades import closed_trades

__all__ = [
    "ChangeFilters",
    "HistoryFilters",
    "account_strip",
    "attention",
    "certificate",
    "certificates",
    "closed_trades",
    "executions",
    "family_roots",
    "gateway",
    "history",
    "history_csv",
    "order_detail",
    "order_families",
    "positions",
    "quote",
    "recovery",
    "restraints",
    "risk_changes",
    "risk_refusals",
    "seen_incidents",
    "sized",
    "sweep",
    "sweeps",
    "tradable_accounts",
    "tradable_ids",
    "trade_record",
    "trading_states",
    "visible_accounts",
    "watchlist",
]
