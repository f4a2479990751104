"""What the broker says of accounts, positions and itself: names, holdings, the state of the connection, and whose book this is.

The rule it keeps: a position is what the broker reports, and an event only when it changed; a book stays bound to the kind of gateway and
the accounts that it met first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from orders import signals
from orders.book import OpenBook
from orders.errors import Refused
from orders.intake import names
from orders.intake.work import Work, clip, stored
from orders.models import Account, Gateway, Position
from orders.models.book import Source
from orders.models.reading import the_one
from orders.rules.reports import AccountsReported, GatewayChanged, PositionAbsent, PositionReported
from orders.rules.terms import BookKind, plain


def take_accounts(work: Work, report: AccountsReported) -> None:
    """Adds the accounts that the gateway names and the book does not have."""
    add_accounts(work.b, report.codes, work.source)


def add_accounts(b: OpenBook, codes: Sequence[str], source: Source) -> None:
    known = set(Account.objects.filter(code__in=codes).values_list("code", flat=True))
    for code in sorted(set(codes) - known):
        with b.event("account.added", source=source, text=f"The gateway names account {code}.") as fact:
            fact.add(Account(code=code))


def take_position(work: Work, report: PositionReported) -> None:
    """Keeps a position as reported; one that was never held and is flat is nothing."""
    account = the_one(Account.objects.filter(code=report.account))
    if account is None:
        text = f"A position in {report.contract.symbol} names account {report.account}, which is not one of this book's."
        work.incident("foreign_account", text, report=asdict(report))
        return
    contract = names.contract_row(report.contract)
    row = the_one(Position.objects.filter(account=account, contract=contract))
    values = {"quantity": stored(report.quantity), "average_cost": stored(report.average_cost)}
    if row is None:
        if report.quantity == 0:
            return
        row = Position(account=account, contract=contract, reported_at=work.now, **values)
    elif all(getattr(row, name) == value for name, value in values.items()):
        return
    _write(work, row, values)


def take_position_absent(work: Work, report: PositionAbsent) -> None:
    """A complete list of positions lacks one that the book shows: it is flat."""
    row = (
        Position.objects.select_related("account", "contract").filter(account__code=report.account, contract__con_id=report.con_id).first()
    )
    if row is not None and row.quantity != 0:
        _write(work, row, {"quantity": Decimal(0), "average_cost": Decimal(0)})


def _write(work: Work, row: Position, values: dict[str, Any]) -> None:
    before = plain(row.quantity) if row.pk else "none"
    text = f"{row.contract.label}: {before} → {plain(values['quantity'])}"
    with work.b.event("position.reported", source=work.source, account=row.account, text=text) as fact:
        if row.pk is None:
            fact.add(row)
        else:
            fact.set(row, reported_at=work.now, **values)
    signals.tell(work.b, signals.positions_update, sender=Position, position=row)


def take_gateway(work: Work, report: GatewayChanged) -> None:
    """A change of the gateway's state that came among the reports."""
    change_gateway(work.b, gateway_differences(report, Gateway.objects.get(pk=1)), work.now)


def gateway_differences(changed: GatewayChanged, row: Gateway, address: str = "", client_id: int | None = None) -> dict[str, Any]:
    """The fields of the gateway's row that would change, those apart that move with every probe."""
    new: dict[str, Any] = {"state": changed.state.value, "reason": clip(changed.reason, 300)}
    if address:
        new["address"] = clip(address, 120)
    if client_id is not None:
        new["client_id"] = client_id
    if changed.server_version is not None:
        new["server_version"] = changed.server_version
    return {name: value for name, value in new.items() if getattr(row, name) != value}


def change_gateway(b: OpenBook, fields: dict[str, Any], now: datetime) -> None:
    """Writes a changed state of the gateway, with an event; nothing where nothing differs."""
    if not fields:
        return
    row = Gateway.objects.get(pk=1)
    if "state" in fields:
        fields = {**fields, "since": now}
    state, reason = fields.get("state", row.state), fields.get("reason", row.reason)
    with b.event("gateway.changed", source=Source.SYSTEM, text=f"{state}: {reason}" if reason else str(state)) as fact:
        fact.set(row, **fields)


def bind_book(b: OpenBook, kind: BookKind, accounts: Sequence[str]) -> None:
    """Binds the book at its first connect, and later adds accounts that the same gateway names. Raises Refused("WRONG_BOOK") otherwise."""
    codes = sorted({code for code in accounts if code})
    if not codes:
        raise Refused("WRONG_BOOK", "The gateway names no account. Log in to it with a user who has one, then connect again.")
    bound = list(b.row.bound_accounts)
    if b.row.kind and b.row.kind != kind:
        raise Refused("WRONG_BOOK", _refusal(b.row.kind, f"this gateway is {kind.value}"), limit=b.row.kind, actual=kind.value)
    if bound and not set(bound) & set(codes):
        words = f"this gateway has {', '.join(codes)} and the book has {', '.join(bound)}"
        raise Refused("WRONG_BOOK", _refusal(b.row.kind, words), limit=bound, actual=codes)
    if gone := _missing(bound, codes):
        words = (
            f"This gateway does not name {', '.join(gone)}, which this book has. Log in to it with a user who has every account of the "
            "book. An account that is gone for good is switched off in the administration, under Accounts."
        )
        raise Refused("ACCOUNT_MISSING", words, limit=bound, actual=codes)
    together = sorted(set(bound) | set(codes))
    if (b.row.kind, bound) != (kind.value, together):
        text = f"The book belongs to a {kind.value} gateway with {', '.join(together)}."
        with b.event("book.bound", source=Source.BROKER, text=text) as fact:
            fact.set(b.row, kind=kind.value, bound_accounts=together)
    add_accounts(b, codes, Source.BROKER)


def _missing(bound: Sequence[str], codes: Sequence[str]) -> list[str]:
    """Accounts in use that the login lacks: what its lists do not say of them would look like orders that are gone."""
    in_use = Account.objects.filter(code__in=bound, is_active=True).exclude(code__in=codes)
    return list(in_use.order_by("code").values_list("code", flat=True))


def _refusal(kind: str, difference: str) -> str:
    return (
        f"This book belongs to a {kind} gateway, and {difference}. Connect to the gateway that it belongs to, or start a new book: "
        "another folder in DESKBOOK_DATA, or another database in DATABASE_URL."
    )
