"""The worker's watch over losses: an account that has lost its limit of the day or the week is put into the state that it asks for.

The rule it keeps: once for each account, period and state, and never loosened by itself within the day. A person who releases the account
is not overruled; the gate goes on refusing new risk all the same, as long as the loss and the limit stand. On the next trading day a state
that the day's loss set ends by itself only where LOSS_STATE_LIFTS says so.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from decimal import Decimal

from orders import lease
from orders.book import OpenBook, book
from orders.grounds import Money, limits_for
from orders.intake.work import clip, restrict
from orders.models import Account, Incident, Limit
from orders.models.book import Source
from orders.models.reading import the_one
from orders.rules.limits import REDUCE_ONLY, TRADES, Rule, Trigger, triggers
from orders.rules.terms import plain

log = logging.getLogger(__name__)

LOSS_LIMIT = "loss_limit"
BY_THE_DAY, BY_THE_WEEK = "By the day's loss: ", "By the week's loss: "
"""How the note of a state begins that a loss has set."""


def watch(now: datetime, fence: int) -> int:
    """Judges every account; how many changes were made. Raises `LeaseLost` where another worker trades, if there is anything to change."""
    due = [account for account in Account.objects.filter(is_active=True).order_by("pk") if _judged(account, now) is not None]
    if not due:
        return 0
    with book(at=now) as b:
        lease.check(fence)
        return sum(_act(b, account) for account in due)


def _judged(account: Account, now: datetime) -> Trigger | Incident | None:
    """What there is to do: a state to be set, or the newest incident of an earlier day whose state ends."""
    money = Money(account, now, limits_for(account, None))
    if money.day is None:
        return None
    found = triggers(money.purse(), money.daily_pnl, money.limits)
    for trigger in found:
        if trigger.state > _told(account, _period(trigger, money)):
            return trigger
    return None if any(trigger.period == "day" for trigger in found) else _ends(account, money)


def _period(trigger: Trigger, money: Money) -> str:
    """The period's name: a day's by its date, a week's by its Monday's."""
    assert money.day is not None
    day = money.day.date
    return f"{trigger.period} {day if trigger.period == 'day' else day - timedelta(days=day.weekday())}"


def _told(account: Account, period: str) -> Decimal:
    """The strictest state that was set in the period."""
    rows = Incident.objects.filter(kind=LOSS_LIMIT, account=account, data__period=period)
    return max((Decimal(data["state"]) for data in rows.values_list("data", flat=True)), default=TRADES)


def _act(b: OpenBook, account: Account) -> int:
    found = _judged(account, b.now)  # once more, under the lock
    if isinstance(found, Trigger):
        _set(b, account, found)
    elif found is not None:
        _lift(b, account, found)
    return int(found is not None)


def _set(b: OpenBook, account: Account, trigger: Trigger) -> None:
    money = Money(account, b.now, limits_for(account, None))
    text = clip(f"{account.short}: {trigger.words} A person must release it.", 500)
    data = {
        "rule": trigger.rule.value,
        "period": _period(trigger, money),
        "state": plain(trigger.state),
        "limit": plain(trigger.limit),
        "actual": plain(trigger.actual.quantize(Decimal("0.000001"))),
    }
    figures = {"net_liquidation": money.net_liquidation, "daily_pnl": money.daily_pnl, "week_pnl": money.week_pnl}
    log.warning("%s", text)
    with b.event("account.loss_limit", source=Source.SYSTEM, account=account, text=text, **data, **figures) as fact:
        start = BY_THE_DAY if trigger.period == "day" else BY_THE_WEEK
        restrict(fact, account, trigger.state, start + trigger.words)
        fact.add(Incident(kind=LOSS_LIMIT, account=account, text=text, data=data, opened_at=b.now))


# --- the next day -----------------------------------------------------------------------------------------------------------------------


def _ends(account: Account, money: Money) -> Incident | None:
    """The newest incident of an earlier day, where its state still stands and is to end by itself."""
    assert money.day is not None
    if money.limits[Rule.LOSS_STATE_LIFTS] < 1 or _restraint(account) is None:
        return None
    rows = Incident.objects.filter(kind=LOSS_LIMIT, account=account, data__period__startswith="day ")
    newest = rows.order_by("-pk").first()
    return newest if newest is not None and newest.data["period"] != f"day {money.day.date}" else None


def _restraint(account: Account) -> Limit | None:
    row = the_one(Limit.objects.filter(scope=Limit.Scope.ACCOUNT, account=account, rule=Rule.TRADING_STATE.value))
    return row if row is not None and row.value >= REDUCE_ONLY and row.note.startswith(BY_THE_DAY) else None


def _lift(b: OpenBook, account: Account, incident: Incident) -> None:
    row = _restraint(account)
    assert row is not None
    text = f"{account.short} trades again: the day of its loss is over."
    with b.event("account.loss_over", source=Source.SYSTEM, account=account, text=text) as fact:
        fact.set(row, value=TRADES, note="")
        for one in Incident.objects.filter(kind=LOSS_LIMIT, account=account, closed_at=None, data__period__startswith="day "):
            fact.set(one, closed_at=b.now)
