"""One-click mode: a token that the page holds, under which its tickets are sent without a preview.

The rule it keeps: it is given to one page, for one session, user and account, and lives for fifteen minutes without an order. No page is
ever rendered with it: what is loaded again is not armed. It ends at the disarming, with the account, and wherever trading is held back.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

from django.core import signing
from django.http import HttpRequest
from django.utils.translation import gettext as _

from orders.models import Account
from orders.queries.restraints import restraints

PERMISSION = "orders.trade_armed"
IDLE = timedelta(minutes=15)
_SALT = "orders.arming"
_GENERATION = "arming"  # in the session: raised by each disarming, which ends what was given before


def may_arm(request: HttpRequest, account: Account | None) -> str:
    """Why one-click mode cannot be had now; "" where it can."""
    if account is None or not request.user.has_perm(PERMISSION):  # type: ignore[union-attr]
        return _("You may not send orders with one click. An administrator can allow it.")
    if restraints(request.user, account):
        return _("There is no one-click mode while trading is held back.")
    return ""


def give(request: HttpRequest, account: Account) -> str:
    """A fresh token for this session, user and account."""
    return signing.dumps(_bound(request, account), salt=_SALT)


def why_not(request: HttpRequest, account: Account, token: str) -> str:
    """Why this token sends nothing any more; "" where it does."""
    try:
        held = signing.loads(token, salt=_SALT, max_age=IDLE)
    except signing.SignatureExpired:
        return _("One-click mode has ended: nothing was sent for 15 minutes.")
    except signing.BadSignature:
        return _("One-click mode has ended.")
    if held != _bound(request, account):
        return _("One-click mode has ended: it was for another account, or another session.")
    return may_arm(request, account)


def disarm(request: HttpRequest) -> None:
    """Ends what was given to this session."""
    request.session[_GENERATION] = request.session.get(_GENERATION, 0) + 1


def _bound(request: HttpRequest, account: Account) -> dict[str, object]:
    session = hashlib.sha256((request.session.session_key or "").encode()).hexdigest()[:16]
    return {"user": request.user.pk, "account": account.code, "session": session, "generation": request.session.get(_GENERATION, 0)}
