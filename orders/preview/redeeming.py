"""Letting a preview pass once: under the book's lock, in the transaction that places what it showed.

The rule it keeps: an order goes out as it was shown, judged by what was shown, or is refused with what changed, old and new.
"""

from __future__ import annotations

from typing import Any

from orders.book import OpenBook
from orders.errors import Refused
from orders.models import Account, Contract, Preview
from orders.models.reading import the_one
from orders.preview import basis
from orders.preview.request import PlaceRequest, as_json, entry_of, from_json
from orders.rules.seals import Basis, Change, Code, Sealed, basis_from_json, changes, request_hash, seal_of


def redeem(b: OpenBook, user: Any, account: Account, contract: Contract, request: PlaceRequest | None, seal: str) -> None:
    """Marks the preview as used. Raises `Refused` with one of `seals.Code`.

    `request` is what is about to be placed; None for a verb that no preview is made of.
    """
    row = the_one(Preview.objects.filter(seal=seal))
    if row is None:
        raise Refused(Code.UNKNOWN, "Nothing was sent: this preview is not known any more. Look at a fresh one.")
    if row.user_id != user.pk:
        raise Refused(Code.FOREIGN, "Nothing was sent: this preview was made for somebody else.")
    if row.used_at is not None:
        raise Refused(Code.USED, "Nothing was sent: this preview was sent before. Look at your orders.")
    if b.now >= row.expires_at:
        age = (b.now - row.created_at).total_seconds()
        raise Refused(Code.EXPIRED, f"Nothing was sent: this preview is {age:.0f} seconds old. Look at a fresh one.")
    if request is None or not _is_about(row, account, contract, request):
        raise Refused(Code.MISMATCH, "Nothing was sent: the ticket is not what the preview showed. Look at a fresh one.")
    now = basis.read(user, account, contract, b.now)
    moved = changes(basis_of(row), now, entry_of(request))
    if moved:
        raise _refusal(moved)
    row.used_at = b.now
    row.save(update_fields=["used_at"])


def _is_about(row: Preview, account: Account, contract: Contract, request: PlaceRequest) -> bool:
    """Whether the preview shows this request for this account and contract, and stands as it was written."""
    if (row.account_id, row.contract_id) != (account.pk, contract.pk) or row.payload_hash != request_hash(as_json(request)):
        return False
    return row.seal == seal_of(sealed(row, account, contract))


def sealed(row: Preview, account: Account, contract: Contract) -> Sealed:
    """What the row says it covers."""
    return Sealed(
        nonce=row.basis["nonce"],
        user=row.user_id,
        account=account.code,
        con_id=contract.con_id,
        request=row.basis["request"],
        basis=basis_of(row),
        expires_at=row.expires_at,
    )


def request_of(user: Any, seal: str, fields: str) -> PlaceRequest | None:
    """What the user's preview showed, where it was read from these very fields; None where it was not.

    Prices that the form works out from the market would come out anew when it is read again; what was shown is what counts.
    """
    row = the_one(Preview.objects.filter(seal=seal, user=user)) if seal else None
    return from_json(row.basis["request"]) if row is not None and fields and row.basis.get("fields") == fields else None


def basis_of(row: Preview) -> Basis:
    """The basis that the preview was made on."""
    return basis_from_json(row.basis["basis"])


def _refusal(moved: list[Change]) -> Refused:
    first = moved[0]
    words = " ".join(str(change) for change in moved)
    return Refused(
        first.code, f"Nothing was sent, because this has changed since the preview. {words}", limit=first.limit, actual=first.actual
    )
