"""Who may see and do what, as the pages ask it.

The rule it keeps: what a user may not see does not exist for him (404, whatever the reason); what he may see and not do is refused in words
(403). Every view passes here before it reads or writes anything.
"""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _

from orders.models import Account, Contract, OrderRecord, Position
from orders.queries import tradable_accounts, visible_accounts

SESSION_ACCOUNT = "account"


def account_or_404(request: HttpRequest, code: str) -> Account:
    """The account of that code, if the user may see it."""
    return get_object_or_404(visible_accounts(request.user), code=code)


def order_or_404(request: HttpRequest, client_order_id: str) -> OrderRecord:
    """The order of that name, if the user may see its account."""
    seen = OrderRecord.objects.filter(account__in=visible_accounts(request.user))
    return get_object_or_404(seen.select_related("account", "contract", "parent", "oca_group"), client_order_id=client_order_id)


def position_or_404(request: HttpRequest, code: str, con_id: int) -> Position:
    """The position of an account the user may see; one that is flat counts as none."""
    account = account_or_404(request, code)
    held = Position.objects.filter(account=account).exclude(quantity=0)
    return get_object_or_404(held.select_related("account", "contract", "contract__quote", "values"), contract__con_id=con_id)


def contract_or_404(con_id: int) -> Contract:
    return get_object_or_404(Contract.objects.select_related("quote"), con_id=con_id)


def may_trade(request: HttpRequest, account: Account | None) -> bool:
    return account is not None and tradable_accounts(request.user).filter(pk=account.pk).exists()


def require_trade(request: HttpRequest, account: Account) -> None:
    """Raises PermissionDenied, saying why, unless the user may trade the account."""
    if not may_trade(request, account):
        raise PermissionDenied(_("You may look at account %s, not trade it.") % account.code)


def current_account(request: HttpRequest) -> Account | None:
    """The account the user looks at: the one in the address (remembered from then on), the one of last time, else the first he may trade.

    404 for an account in the address that he may not see; None where he may see none.
    """
    if code := request.GET.get("account"):
        account = account_or_404(request, code)
        request.session[SESSION_ACCOUNT] = account.code
        return account
    seen = visible_accounts(request.user)
    if remembered := request.session.get(SESSION_ACCOUNT):
        account = seen.filter(code=remembered).first()
        if account is not None:
            return account
    return tradable_accounts(request.user).first() or seen.first()


def accounts_or_404(request: HttpRequest, code: str) -> Account | None:
    """A filter's account: None for any, 404 for one the user may not see."""
    if not code:
        return None
    account = visible_accounts(request.user).filter(code=code).first()
    if account is None:
        raise Http404(code)
    return account
