"""The guardian's verdict on a position as the screens show it: a badge, a sentence for each finding, and the one press that mends it.

The rule it keeps: the badge is the gravest finding and never more cheerful than the rules; what is asked for and not yet done looks so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from orders.models import Account, OrderRecord, Position
from orders.queries.holdings import Key, holdings
from orders.queries.show import Moment, quantity
from orders.rules.guardian import Finding, Kind, Verdict, judge
from orders.rules.mending import Protect

Verdicts = dict[Key, Verdict]


@dataclass(frozen=True)
class Badge:
    """How a kind of finding looks, and what the press that mends it is called."""

    word: str | Promise
    css: str
    glyph: str
    act: str | Promise = ""


LOOK = _("Look")  # at what to do instead, where no step of ours would mend it
BADGES: dict[Kind, Badge] = {
    Kind.UNPROTECTED: Badge(_("unprotected %s"), "badge-bare", "i-warn", _("Protect")),
    Kind.UNDER_PROTECTED: Badge(_("unprotected %s"), "badge-bare", "i-warn", _("Protect")),
    Kind.ORPHAN: Badge(_("orphan exit %s"), "badge-orphan", "i-orphan", _("Repair")),
    Kind.HELD: Badge(_("stop held %s"), "badge-bare", "s-held", LOOK),
    Kind.DRIFTED: Badge(_("drifted %s"), "badge-bare", "i-warn", _("Repair")),
    Kind.EXPIRING: Badge(_("expiring %s"), "badge-bare", "i-warn", _("Extend")),
    Kind.PROTECTING: Badge(_("protecting %s"), "badge-sent", "s-sent"),
    Kind.CLOSING: Badge(_("closing %s"), "badge-sent", "s-sent"),
    Kind.PROTECTED: Badge(_("protected %s"), "badge-ok", "i-shield"),
}
LEAVING = Badge(_("exit leaving %s"), "badge-sent", "s-sent")


@dataclass(frozen=True)
class Shown:
    """One finding, spelled out. `act` is the word on its button; `kind` names it in addresses; `mendable`: there are steps that mend it."""

    kind: str
    text: str
    css: str
    glyph: str
    sentence: str
    act: str
    alarms: bool
    mendable: bool


@dataclass(frozen=True)
class Guard:
    """The badge of the gravest finding, and all of them. `bare` is what no working stop covers, `wanting` what a new pair would be for."""

    text: str
    css: str
    glyph: str
    findings: tuple[Shown, ...]
    bare: Decimal = Decimal(0)
    wanting: Decimal = Decimal(0)
    orphans: Decimal = Decimal(0)
    under_way: bool = False
    closing: bool = False
    is_plain: bool = False  # a new pair alone mends it: the form with the prices is the place

    @property
    def sentence(self) -> str:
        return " ".join(finding.sentence for finding in self.findings)

    @property
    def mends(self) -> Shown | None:
        """The gravest finding that can be mended; where none can, the gravest that a person is asked to look at."""
        alarming = [finding for finding in self.findings if finding.alarms]
        return next((finding for finding in alarming if finding.mendable), alarming[0] if alarming else None)


def verdicts(rows: Iterable[Position | OrderRecord], now: datetime | None = None) -> Verdicts:
    """The verdict on each position (or loose exit), all of them in a handful of queries."""
    return {key: judge(holding) for key, holding in holdings(rows, now or timezone.now()).items()}


def guard_of(row: Position | OrderRecord, found: Verdicts) -> Guard | None:
    """The badge of a position; None where there is nothing held and nothing left over."""
    verdict = found.get((row.account_id, row.contract_id), Verdict())
    gravest = verdict.gravest
    if gravest is None:
        return None
    shown = tuple(_shown(finding, row.account) for finding in verdict.findings)
    pair = verdict.of(Kind.UNPROTECTED) or verdict.of(Kind.UNDER_PROTECTED)
    orphan = verdict.of(Kind.ORPHAN)
    coming = verdict.of(Kind.PROTECTING)
    return Guard(
        text=shown[0].text,
        css=shown[0].css,
        glyph=shown[0].glyph,
        findings=shown,
        bare=pair.quantity if pair else coming.quantity if coming else Decimal(0),
        wanting=sum((step.quantity for step in pair.steps if isinstance(step, Protect)), Decimal(0)) if pair else Decimal(0),
        orphans=orphan.quantity if orphan else Decimal(0),
        under_way=pair is None and gravest.kind in (Kind.PROTECTING, Kind.CLOSING),
        closing=verdict.of(Kind.CLOSING) is not None,
        is_plain=_is_plain(gravest),
    )


def _is_plain(finding: Finding) -> bool:
    """Whether a new pair at the desk's template is all that it takes."""
    return [step == Protect(step.quantity) for step in finding.steps if isinstance(step, Protect)] == [True] and len(finding.steps) == 1


def guard_for(row: Position | OrderRecord, now: datetime | None = None) -> Guard | None:
    """The badge of one position, read for it alone."""
    return guard_of(row, verdicts([row], now))


def _shown(finding: Finding, account: Account) -> Shown:
    badge = LEAVING if finding.under_way else BADGES[finding.kind]
    sentence = finding.text
    if finding.at is not None:
        sentence = f"{sentence[:-1]} ({Moment(finding.at, account.time_zone).full})."
    amount = quantity(finding.quantity)
    if finding.whole is not None:
        amount = _("%(part)s of %(whole)s") % {"part": amount, "whole": quantity(finding.whole)}
    return Shown(
        kind=finding.kind.name.lower(),
        text=str(badge.word) % amount,
        css=badge.css,
        glyph=badge.glyph,
        sentence=sentence,
        act=str(badge.act if finding.steps else LOOK) if finding.alarms else "",
        alarms=finding.alarms,
        mendable=finding.alarms and bool(finding.steps),
    )


def words_of(row: Position | OrderRecord, verdict: Verdict) -> list[tuple[str, str]]:
    """(badge, sentence) of every finding, for the command line."""
    return [(shown.text, shown.sentence) for shown in (_shown(finding, row.account) for finding in verdict.findings)]


def kind_named(word: Any) -> Kind | None:
    """The kind that an address names; None for any other word."""
    return Kind.__members__.get(str(word).upper())
