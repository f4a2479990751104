"""The seal of a preview: one hash over who would send what, where, judged by what, until when; and what may not have changed since.

The rule it keeps: any field that changes changes the seal. What moved too far between the looking and the sending is named with what it was
and what it is; what moved less than that is nobody's concern.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from orders.rules.limit_table import HALTED, REDUCE_ONLY, Rule
from orders.rules.terms import OrderTerms, Side, plain

LIFE = timedelta(seconds=60)
"""How long a preview may be sent: as long as a ticket."""


class Code(StrEnum):
    """Why a preview is not sent."""

    MISSING = "SEAL_MISSING"
    UNKNOWN = "SEAL_UNKNOWN"
    FOREIGN = "SEAL_FOREIGN"
    EXPIRED = "SEAL_EXPIRED"
    USED = "SEAL_USED"
    MISMATCH = "SEAL_MISMATCH"
    QUOTE = "QUOTE_MOVED"
    LIMITS = "LIMITS_CHANGED"
    POSITION = "POSITION_CHANGED"
    RATE = "RATE_CHANGED"
    MULTIPLIER = "CONTRACT_CHANGED"


@dataclass(frozen=True)
class Basis:
    """What a request was judged by. Prices in the contract's currency; `rate` is base currency per unit of it; trading state is a limit."""

    bid: Decimal | None
    ask: Decimal | None
    last: Decimal | None
    position: Decimal  # signed
    multiplier: Decimal
    rate: Decimal | None
    limits: Mapping[str, Decimal]

    def touch(self, side: Side) -> Decimal | None:
        """What an order of this side would trade at, else the last price."""
        touch = self.ask if side is Side.BUY else self.bid
        return touch if touch is not None else self.last


@dataclass(frozen=True)
class Sealed:
    """All that a seal covers. `request` is the request as JSON has it; `nonce` makes two previews of the same moment two."""

    nonce: str
    user: int
    account: str
    con_id: int
    request: Mapping[str, Any]
    basis: Basis
    expires_at: datetime


_PRICES = ("bid", "ask", "last", "rate")


def basis_to_json(basis: Basis) -> dict[str, Any]:
    """The basis with every decimal in its one spelling."""
    prices = {name: None if (value := getattr(basis, name)) is None else plain(value) for name in _PRICES}
    limits = {rule: plain(value) for rule, value in sorted(basis.limits.items())}
    return {**prices, "position": plain(basis.position), "multiplier": plain(basis.multiplier), "limits": limits}


def basis_from_json(values: Mapping[str, Any]) -> Basis:
    """What `basis_to_json` wrote. Raises KeyError or ArithmeticError for what is none."""
    return Basis(
        **{name: None if values[name] is None else Decimal(values[name]) for name in _PRICES},
        position=Decimal(values["position"]),
        multiplier=Decimal(values["multiplier"]),
        limits={rule: Decimal(value) for rule, value in values["limits"].items()},
    )


def request_hash(request: Mapping[str, Any]) -> str:
    """One hash for one request, in whatever order its fields stand."""
    return hashlib.sha256(_canonical(request)).hexdigest()


def seal_of(sealed: Sealed) -> str:
    """64 hexadecimal digits that no other preview has."""
    covered = {
        "nonce": sealed.nonce,
        "user": sealed.user,
        "account": sealed.account,
        "con_id": sealed.con_id,
        "request": sealed.request,
        "basis": basis_to_json(sealed.basis),
        "expires_at": sealed.expires_at.astimezone(UTC).isoformat(),
    }
    return hashlib.sha256(_canonical(covered)).hexdigest()


def _canonical(values: Any) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


# --- what changed since ---------------------------------------------------------------------------------------------------------------


class Effect(StrEnum):
    """What an order does to the position when it fills."""

    INCREASES = "increases"
    REDUCES = "reduces"
    REVERSES = "reverses"


def effect(position: Decimal, terms: OrderTerms) -> Effect:
    """Whether the order opens or adds, takes away down to zero, or crosses zero."""
    change = terms.quantity * terms.side.sign
    if position * change >= 0:
        return Effect.INCREASES
    return Effect.REDUCES if abs(change) <= abs(position) else Effect.REVERSES


@dataclass(frozen=True)
class Change:
    """One thing that is not as it was shown. `limit` and `actual` are numbers where there are any to compare."""

    code: Code
    what: str
    old: str
    new: str
    limit: Decimal | None = None
    actual: Decimal | None = None

    def __str__(self) -> str:
        return f"{self.what}: {self.old} → {self.new}."


def changes(then: Basis, now: Basis, terms: OrderTerms) -> list[Change]:
    """What moved too far between the preview and now for an order of these terms (the entry's, of a bracket); the limits of now decide."""
    return [*_limits(then, now), *_position(then, now, terms), *_quote(then, now, terms), *_rate(then, now), *_multiplier(then, now)]


def _quote(then: Basis, now: Basis, terms: OrderTerms) -> list[Change]:
    old, new, drift = then.touch(terms.side), now.touch(terms.side), now.limits[Rule.PREVIEW_DRIFT]
    name = "The ask" if terms.side is Side.BUY else "The bid"
    if old is None or new is None:
        # Nobody saw at what price it would trade. What lost its quote since is for the checks: they refuse what needs one.
        unseen = old is None and new is not None and terms.limit_price is None
        return [Change(Code.QUOTE, name, "no quote", plain(new))] if unseen and new is not None else []
    moved = _moved(old, new)
    if moved <= drift:
        return []
    percent = plain((moved * 100).quantize(Decimal("0.01")))
    what = f"{name} moved by {percent} %, more than the {plain(drift * 100)} % that a preview may drift"
    return [Change(Code.QUOTE, what, plain(old), plain(new), drift, moved)]


def _moved(old: Decimal, new: Decimal) -> Decimal:
    return abs(new - old) / abs(old) if old else Decimal(0 if new == old else 1)


def _limits(then: Basis, now: Basis) -> list[Change]:
    return [
        Change(Code.LIMITS, _named(rule), _limit(rule, then.limits.get(rule)), _limit(rule, now.limits.get(rule)))
        for rule in sorted({*then.limits, *now.limits})
        if then.limits.get(rule) != now.limits.get(rule)
    ]


def _named(rule: str) -> str:
    return "Trading" if rule == Rule.TRADING_STATE else f"The limit {rule}"


def _limit(rule: str, value: Decimal | None) -> str:
    if value is None:
        return "none"
    if rule == Rule.TRADING_STATE:
        return "halted" if value >= HALTED else "reduce only" if value >= REDUCE_ONLY else "free"
    return plain(value)


def _position(then: Basis, now: Basis, terms: OrderTerms) -> list[Change]:
    """The size of a position alone is no reason; that the order does something else to it now is one."""
    old, new = effect(then.position, terms), effect(now.position, terms)
    if old is new:
        return []
    words = [f"{plain(basis.position)} (the order {does} it)" for basis, does in ((then, old), (now, new))]
    return [Change(Code.POSITION, "The position", *words)]


def _rate(then: Basis, now: Basis) -> list[Change]:
    if then.rate == now.rate:
        return []
    if then.rate is not None and now.rate is not None and _moved(then.rate, now.rate) <= now.limits[Rule.PREVIEW_DRIFT]:
        return []
    old, new = ("unknown" if rate is None else plain(rate) for rate in (then.rate, now.rate))
    return [Change(Code.RATE, "The exchange rate to the base currency", old, new)]


def _multiplier(then: Basis, now: Basis) -> list[Change]:
    if then.multiplier == now.multiplier:
        return []
    return [Change(Code.MULTIPLIER, "The multiplier of the contract", plain(then.multiplier), plain(now.multiplier))]
