"""How numbers and times look: one spelling for every page, panel and message.

The rule it keeps: a price shows the decimals of its tick and never fewer than it has; minus is −, nothing is –; a time is shown in the zone
of its account and carries UTC beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.utils.dateformat import format as format_date

from orders.contracts import route
from orders.models import Contract, MarketRule
from orders.rules.pricing import PriceRule, price_rule

NOTHING = "–"
MINUS = "−"


def _spell(value: Decimal, places: int) -> str:
    return f"{abs(value):,.{places}f}"


def _places(value: Decimal) -> int:
    """The decimals a value really has."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def number(value: Decimal | None, places: int = 2) -> str:
    """An amount with exactly `places` decimals, grouped by thousands: "47,224.00", "−108.00"."""
    if value is None:
        return NOTHING
    rounded = value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
    return (MINUS if rounded < 0 else "") + _spell(rounded, places)


def quantity(value: Decimal | None) -> str:
    """A quantity with the decimals it has: "100", "0.25", "−1,200"."""
    if value is None:
        return NOTHING
    return (MINUS if value < 0 else "") + _spell(value, _places(value))


def signed(value: Decimal | None, places: int | None = None) -> str:
    """With its sign always shown, zero without one: "+200", "−137.50"."""
    if value is None:
        return NOTHING
    text = quantity(value) if places is None else number(value, places)
    return f"+{text}" if text[0] != MINUS and any(digit in text for digit in "123456789") else text


def price(value: Decimal | None, places: int) -> str:
    """A price as it was given: at least the tick's decimals, more where it has more."""
    if value is None:
        return NOTHING
    return (MINUS if value < 0 else "") + _spell(value, max(places, _places(value)))


@dataclass(frozen=True)
class Figure:
    """A gain or a loss: the signed text and its colour role."""

    text: str
    css: str

    def __str__(self) -> str:
        return self.text


def figure(value: Decimal | None, places: int = 2) -> Figure:
    """A signed amount in the colours of profit: gain, loss, or dim for nothing."""
    text = signed(value, places)
    return Figure(text, {"+": "gain", MINUS: "loss"}.get(text[0], "dim"))


@dataclass(frozen=True)
class Ticks:
    """The price ladders of the book's contracts, loaded with one query: there are few market rules, and all contracts share them."""

    rules: Mapping[int, tuple[tuple[Decimal, Decimal], ...]]

    @classmethod
    def load(cls) -> Ticks:
        rows = MarketRule.objects.values_list("rule_id", "increments")
        return cls({rule: tuple((Decimal(low), Decimal(tick)) for low, tick in increments) for rule, increments in rows})

    def rule(self, contract: Contract) -> PriceRule | None:
        """The ticks of the exchange its orders are routed to; None where none are known."""
        ids = [int(rule_id) for rule_id in contract.market_rule_ids]
        return price_rule(route(contract), contract.valid_exchanges, ids, self.rules, contract.min_tick)

    def places(self, contract: Contract, near: Decimal | None = None) -> int:
        """Decimals of the tick at a price, of the highest band where no price is known. Two where no tick is known."""
        rule = self.rule(contract)
        if rule is None:
            return 2
        return _places(rule.increments[-1][1] if near is None else rule.tick_at(abs(near)))

    def price(self, contract: Contract, value: Decimal | None) -> str:
        return price(value, self.places(contract, value))

    def distance(self, contract: Contract, value: Decimal | None) -> str:
        """How far two prices are apart. It says nothing of where they stand, so the highest band's tick gives the decimals."""
        return price(value, self.places(contract))

    def typed(self, contract: Contract, value: Decimal | None) -> str:
        """A price as it stands in an input: the decimals of the tick, nothing between thousands; empty for none."""
        return "" if value is None else self.price(contract, value).replace(",", "").replace(MINUS, "-")

    def average(self, contract: Contract, value: Decimal | None) -> str:
        """An average price, rounded to the decimals of the tick."""
        return number(value, self.places(contract, value))


def zone_of(name: str) -> ZoneInfo:
    """The zone of that name; UTC for a name this machine does not know."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


@dataclass(frozen=True)
class Moment:
    """A moment as a person in `zone` reads it, with UTC for everybody else."""

    at: datetime
    zone: str

    @property
    def local(self) -> datetime:
        return self.at.astimezone(zone_of(self.zone))

    @property
    def iso(self) -> str:
        return self.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @property
    def clock(self) -> str:
        return format_date(self.local, "H:i:s")

    @property
    def clock_millis(self) -> str:
        return f"{self.clock}.{self.at.microsecond // 1000:03d}"

    @property
    def stamp(self) -> str:
        return format_date(self.local, "j M H:i:s")

    @property
    def full(self) -> str:
        return format_date(self.local, "j M Y H:i:s") + f" {self.local.tzname()}"

    @property
    def utc(self) -> str:
        return self.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def expiry_words(code: str) -> str:
    """IB's spelling of an expiry as people read it: "20261218" is "18 Dec 2026", "202612" is "Dec 2026"."""
    try:
        day = date(int(code[:4]), int(code[4:6]), int(code[6:8] or 1))
    except ValueError:
        return code
    return format_date(day, "j M Y" if len(code) == 8 else "M Y")


def moment(at: datetime | None, zone: str) -> Moment | None:
    return Moment(at, zone) if at is not None else None


def age(at: datetime | None, now: datetime) -> str:
    """How long ago: "0:42", "26:19", "3h", "2d"."""
    if at is None:
        return NOTHING
    seconds = max(0, int((now - at).total_seconds()))
    if seconds < 3600:
        return f"{seconds // 60}:{seconds % 60:02d}"
    return f"{seconds // 3600}h" if seconds < 86400 else f"{seconds // 86400}d"


def initials(name: str) -> str:
    """ "Mara Lind" and "mara.lind" give "ML", "trader1" gives "T1": enough to tell colleagues apart in a narrow column."""
    words = [word for word in name.replace(".", " ").replace("_", " ").replace("-", " ").split() if word]
    if not words:
        return "?"
    if len(words) > 1:
        return (words[0][0] + words[-1][0]).upper()
    return (words[0][0] + (words[0][-1] if words[0][-1].isdigit() else words[0][1:2])).upper()
