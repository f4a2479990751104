"""What an order would do to the margin, as IB says it: asked as a what-if, heard later, and never waited for.

The rule it keeps: IB is asked no more often than it wants to be (`rules.margins`); what it did not say is called unknown, and what was
worked out from an older answer is called an estimate.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from orders import inquiries
from orders.book import OpenBook
from orders.models import Account, Contract, Inquiry, OrderRecord
from orders.queries.show import Moment
from orders.queries.values import amount_of
from orders.rules import margins
from orders.rules.margins import Margin, Wait, estimated, margin_from, may_ask
from orders.rules.terms import OrderTerms, Role, terms_to_json

_SPOKEN = (Inquiry.State.ANSWERED, Inquiry.State.FAILED)


@dataclass(frozen=True)
class Heard:
    """What is known of the margin now. `asking`: IB has been asked and may still answer. `why`: why nothing, or no more, is known."""

    margin: Margin | None = None
    asking: bool = False
    is_estimate: bool = False
    why: str = ""


@dataclass(frozen=True)
class Prospect:
    """How a preview comes to its margin: by a question that was asked, or without one."""

    inquiry: Inquiry | None
    heard: Heard


def ask(b: OpenBook, user: Any, account: Account, contract: Contract, terms: OrderTerms) -> Prospect:
    """Asks IB for the order (the entry, of a bracket), where the policy allows it; else what is known without asking."""
    rows = Inquiry.objects.filter(kind=Inquiry.Kind.WHAT_IF, arguments__account=account.code, asked_at__gt=b.now - margins.WINDOW)
    asked = list(rows.values_list("asked_at", flat=True))
    sent = OrderRecord.objects.filter(account=account, created_at__gt=b.now - margins.WINDOW).exclude(role=Role.EXTERNAL.value).count()
    wait = may_ask(b.now, asked, sent)
    if wait is None:
        arguments = {"con_id": contract.con_id, "account": account.code, "terms": terms_to_json(terms)}
        inquiry = inquiries.put(b, Inquiry.Kind.WHAT_IF, arguments, user, margins.PATIENCE)
        return Prospect(inquiry, Heard(asking=True))
    return Prospect(None, _without_asking(b.now, wait, account, contract, terms))


def _without_asking(now: datetime, wait: Wait, account: Account, contract: Contract, terms: OrderTerms) -> Heard:
    why = _why(wait, account)
    last = (
        Inquiry.objects.filter(
            kind=Inquiry.Kind.WHAT_IF,
            state=Inquiry.State.ANSWERED,
            arguments__account=account.code,
            arguments__con_id=contract.con_id,
            arguments__terms__side=terms.side.value,
            asked_at__gt=now - margins.WINDOW,
        )
        .order_by("-asked_at", "-pk")
        .first()
    )
    if last is None or not last.answer:
        return Heard(why=why)
    known, quantity = margin_from(last.answer), Decimal(last.arguments["terms"]["quantity"])
    margin = estimated(
        known, quantity, terms.quantity, initial=_value(account, "InitMarginReq"), maintenance=_value(account, "MaintMarginReq")
    )
    return Heard(margin, is_estimate=True, why=why)


def _why(wait: Wait, account: Account) -> str:
    at = Moment(wait.until, account.time_zone).clock
    if wait.too_soon:
        return _("IB asks for at most one what-if a minute; next possible at %s.") % at
    return _("IB asks for at most one what-if for ten orders; next possible at %s.") % at


def heard(inquiry: Inquiry | None, now: datetime) -> Heard:
    """What became of the question of a preview."""
    if inquiry is None:
        return Heard(why=_("IB was not asked."))
    if inquiry.state == Inquiry.State.ANSWERED and inquiry.answer:
        return Heard(margin_from(inquiry.answer))
    if inquiry.state == Inquiry.State.FAILED and now < inquiry.expires_at:
        return Heard(why=inquiry.error)
    if inquiry.state in _SPOKEN or now >= inquiry.expires_at:
        return Heard(why=_("IB did not answer."))
    return Heard(asking=True)


def _value(account: Account, name: str) -> Decimal | None:
    """A value of the account in its base currency, as IB last said it."""
    told = amount_of(account, name, account.base_currency)
    return told.value if told is not None else None


def net_liquidation(account: Account) -> Decimal | None:
    """What the account is worth, as IB last said it; None where it has not."""
    return _value(account, "NetLiquidation")
