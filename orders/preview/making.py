"""Making a preview: the request drafted and weighed as it will be when it is sent, put into words and figures, and sealed.

The rule it keeps: it is weighed by the same code and under the same lock as the sending, and writes nothing but its own row and, where IB
may be asked, the question about the margin.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from orders import checks
from orders.book import OpenBook, book
from orders.checks import Draft, Usage
from orders.exposure import position_of
from orders.manager import placing
from orders.manager.placing import Placing
from orders.models import Account, Contract, Preview, Quote
from orders.models.reading import the_one
from orders.preview import basis, margin, redeeming
from orders.preview.margin import Heard
from orders.preview.request import PlaceRequest, as_json, entry_of, opened_by, sentence, ways_out
from orders.preview.warnings import Scene, warnings, warnings_of_exits
from orders.queries.show import Ticks
from orders.rules.limits import Breach, Facts, Market, Rule, fresh_market, notional
from orders.rules.seals import LIFE, Basis, Change, Sealed, basis_to_json, changes, request_hash, seal_of
from orders.rules.terms import BookKind
from orders.rules.tickets import ExitsTicket

KEPT = timedelta(hours=1)
"""How long a preview that was not sent is kept after its end."""


@dataclass(frozen=True)
class Worth:
    """What the order is worth. None where price or rate is not known."""

    price: Decimal | None  # what it is weighed at
    own: Decimal | None  # in the contract's currency
    base: Decimal | None  # in the account's
    multiplier: Decimal
    rate: Decimal | None


@dataclass(frozen=True)
class Risk:
    """What a bracket may lose at its stops and win at its targets, in the base currency."""

    loss: Decimal
    share: Decimal | None  # of the net liquidation value
    gain: Decimal | None

    @property
    def reward(self) -> Decimal | None:
        """How many times the loss the gain is: the R of the targets."""
        return self.gain / self.loss if self.gain is not None and self.loss > 0 else None


@dataclass(frozen=True)
class Previewed:
    """A preview as it is shown. `row` is what was kept of it under its seal."""

    row: Preview
    request: PlaceRequest
    sentence: str
    worth: Worth
    risk: Risk | None
    before: Decimal
    after: Decimal
    usage: Sequence[Usage]
    warnings: Sequence[str]
    breaches: Sequence[Breach]
    margin: Heard
    changed: Sequence[Change]

    @property
    def seal(self) -> str:
        return self.row.seal

    @property
    def expires_at(self) -> datetime:
        return self.row.expires_at

    @property
    def asks_for_confirmation(self) -> bool:
        """Whether it is the same order as the one before, which a person may mean all the same."""
        return any(breach.code == Rule.DUPLICATE_SECONDS for breach in self.breaches)

    @property
    def refusals(self) -> list[Breach]:
        """What nothing but another ticket, or another limit, takes away."""
        return [breach for breach in self.breaches if breach.code != Rule.DUPLICATE_SECONDS]


def make(
    user: Any,
    account: Account,
    contract: Contract,
    request: PlaceRequest,
    now: datetime,
    *,
    note: str = "",
    fields: str = "",
    instead_of: str = "",
    confirm_duplicate: bool = False,
) -> Previewed:
    """Weighs the request, keeps it under a seal, and asks IB for its margin where that may be asked.

    `fields` is what identifies the filled-in form it was read from; `instead_of` the seal of the preview that this one replaces: what has
    changed since is told. Raises `TicketError` for a request that makes no sense.
    """
    with book(at=now) as b:
        account, contract = Account.objects.get(pk=account.pk), Contract.objects.get(pk=contract.pk)
        who = Placing(user=user, account=account, contract=contract, note=note, confirm_duplicate=confirm_duplicate)
        drafts = placing.drafted(b, who, request)
        breaches = placing.judge(b, who, request, drafts)
        shown = basis.read(user, account, contract, now)
        heard, inquiry = Heard(), None
        # Of exits IB is not asked: they only reduce, and its patience is kept for what opens.
        if not isinstance(request, ExitsTicket) and not any(breach.code in _UNANSWERABLE for breach in breaches):
            prospect = margin.ask(b, user, account, contract, entry_of(request))
            heard, inquiry = prospect.heard, prospect.inquiry
        row = _keep(b, user, account, contract, request, shown, fields)
        row.inquiry = inquiry
        changed = _changed(user, instead_of, request, shown)
        market = checks.market_of(contract, now)
        row.save(force_insert=True)
    # What is only told needs no lock.
    return _previewed(row, request, drafts, shown, market, b.row.kind, breaches=breaches, margin=heard, changed=changed)


_UNANSWERABLE = frozenset(
    {"USER_INACTIVE", "NO_PERMISSION", "ACCOUNT_INACTIVE", "LIVE_NOT_ALLOWED", "NOT_TRADEABLE", "ORDER_TYPE", "OFF_TICK", "OFF_SIZE"}
)
"""Of an order that IB could not take, or that this user may not send, IB is not asked."""


def _keep(b: OpenBook, user: Any, account: Account, contract: Contract, request: PlaceRequest, shown: Basis, fields: str) -> Preview:
    """The row under its seal, not saved yet; what has been over for long is cleared away."""
    Preview.objects.filter(expires_at__lt=b.now - KEPT).delete()
    sealed = Sealed(secrets.token_hex(8), user.pk, account.code, contract.con_id, as_json(request), shown, b.now + LIFE)
    return Preview(
        seal=seal_of(sealed),
        user=user,
        account=account,
        contract=contract,
        verb=type(request).__name__,
        payload_hash=request_hash(sealed.request),
        basis={"nonce": sealed.nonce, "request": sealed.request, "basis": basis_to_json(shown), "fields": fields},
        created_at=b.now,
        expires_at=sealed.expires_at,
    )


def _changed(user: Any, seal: str, request: PlaceRequest, shown: Basis) -> list[Change]:
    """What is not as the preview before it showed."""
    before = the_one(Preview.objects.filter(seal=seal, user=user)) if seal else None
    return changes(redeeming.basis_of(before), shown, entry_of(request)) if before is not None else []


def _previewed(
    row: Preview, request: PlaceRequest, drafts: Sequence[Draft], shown: Basis, market: Market | None, kind: str, **found: Any
) -> Previewed:
    entry, contract, now = entry_of(request), row.contract, row.created_at
    legs = [draft.terms for draft in drafts] if isinstance(request, ExitsTicket) else None
    quote = the_one(Quote.objects.filter(contract=contract))
    volume = quote.volume if quote is not None else None
    scene = Scene(now, market, volume, shown.position, contract.liquid_hours, contract.trading_hours, contract.time_zone)
    worth = _worth(request, shown, market, is_live_book=kind == BookKind.LIVE.value)
    return Previewed(
        row=row,
        request=request,
        sentence=sentence(request, row.account, contract, Ticks.load()),
        worth=worth,
        risk=_risk(request, shown, _begins_at(request, row, worth), worth.price, margin.net_liquidation(row.account)),
        before=shown.position,
        after=shown.position + entry.quantity * entry.side.sign,
        usage=checks.usage(drafts, row.user, now),
        warnings=[
            *checks.warnings(drafts, row.user, now),
            *(warnings(entry, scene, has_exits=request is not entry) if legs is None else warnings_of_exits(legs, scene)),
        ],
        **found,
    )


def _worth(request: PlaceRequest, shown: Basis, market: Market | None, *, is_live_book: bool) -> Worth:
    """The worth that the limits weigh: at the worst price the order may get."""
    entry = entry_of(request)
    facts = Facts(shown.multiplier, Decimal(1), market, is_live_book=is_live_book)
    own = notional(entry, facts, fresh_market(facts, shown.limits))
    price = own / (entry.quantity * shown.multiplier) if own is not None else None
    base = own * shown.rate if own is not None and shown.rate is not None else None
    return Worth(price, own, base, shown.multiplier, shown.rate)


def _begins_at(request: PlaceRequest, row: Preview, worth: Worth) -> Decimal | None:
    """The price that gains and losses count from: that of the entry, or what a position that is there already has cost on average."""
    if isinstance(request, ExitsTicket):
        position = position_of(row.account, row.contract)
        return position.entry_price if position is not None else None
    entry = entry_of(request)
    return entry.limit_price if entry.limit_price is not None else worth.price


def _risk(request: PlaceRequest, shown: Basis, price: Decimal | None, market: Decimal | None, net: Decimal | None) -> Risk | None:
    """Of an order without stops nothing is known to be at risk but all of it. A trailing stop begins at the entry, or at the market."""
    outs = ways_out(request, market if isinstance(request, ExitsTicket) else price)
    if not outs or price is None or shown.rate is None or any(out.stop is None for out in outs):
        return None

    def amount(quantity: Decimal, distance: Decimal) -> Decimal:
        return distance * opened_by(request) * quantity * shown.multiplier * shown.rate  # type: ignore[operator]

    loss = sum((amount(out.quantity, price - out.stop) for out in outs if out.stop is not None), Decimal(0))
    gains = [amount(out.quantity, out.target - price) for out in outs if out.target is not None]
    gain = sum(gains, Decimal(0)) if len(gains) == len(outs) else None
    return Risk(loss, loss / net if net else None, gain)
