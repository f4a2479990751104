"""One answer per key: a request that is repeated with its key gets the answer it got, whatever became of the first response.

The rule it keeps: what the request does, its event and its stored answer are one transaction. A refusal is an answer too: it is recorded,
and the same key is refused in the same words again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.db import InterfaceError, OperationalError, connection

from orders.book import OpenBook, book, encode
from orders.crashpoints import reach
from orders.errors import Refused
from orders.models import Account, Submission
from orders.models.book import Source
from orders.rules.limits import Breach
from orders.rules.tickets import TicketError

log = logging.getLogger(__name__)

AT_ONCE_SECONDS = 1.0  # a failure later than this was a wait for the book, and a second one would keep the person waiting twice as long

Answer = dict[str, Any]


def submit(
    actor: Any,
    key: str,
    verb: str,
    payload: dict[str, Any],
    work: Callable[[OpenBook, Any], Answer],
    *,
    now: datetime,
    account: Account | None = None,
) -> Answer:
    """Does `work` once for (actor, key) and gives its answer, now and whenever the same request comes again.

    Raises `Refused`: what `work` refused (stored too), KEY where the key is missing or too long, KEY_REUSED where the key was used for
    another request. Raises Django's `OperationalError` or `InterfaceError` where the database cannot take it: whoever sends the same key
    again gets what stands, or has it done then.
    """
    if actor is None or actor.pk is None:
        raise Refused("USER_INACTIVE", "Sign in first.")
    if not isinstance(key, str) or not 0 < len(key) <= 64:
        raise Refused("KEY", "Every request needs a key of 1 to 64 characters.", field="key")
    digest = payload_hash(verb, payload)

    def once() -> Answer:
        # Looked for before the lock too: of a thousand clicks only the first has to wait for it.
        answer = _stored(actor, key, verb, digest)
        if answer is not None:
            return answer
        reach("submit.before_write")
        with book(at=now) as b:
            answer = _stored(actor, key, verb, digest)
            if answer is None:
                answer = _first_time(b, actor, verb, payload, work, account)
                Submission.objects.create(user_id=actor.pk, key=key, verb=verb, payload_hash=digest, result=encode(answer), created_at=now)
                reach("submit.before_commit")
        reach("submit.after_commit")
        return answer

    answer = _twice_at_most(once)
    if "refused" in answer:
        raise _refusal(answer["refused"])
    return answer


def _stored(actor: Any, key: str, verb: str, digest: str) -> Answer | None:
    """The answer that this key got already. Raises Refused("KEY_REUSED") where it was another request's."""
    before = Submission.objects.filter(user_id=actor.pk, key=key).first()
    if before is None:
        return None
    if (before.verb, before.payload_hash) != (verb, digest):
        raise Refused("KEY_REUSED", "This key belongs to another request; start again from a fresh form.", field="key")
    answer: Answer = before.result
    return answer


def _twice_at_most(once: Callable[[], Answer]) -> Answer:
    """Does it, and once more by its key where the database failed at once: a commit that raised may stand all the same."""
    started = time.monotonic()
    try:
        return once()
    except (OperationalError, InterfaceError):
        connection.close_if_unusable_or_obsolete()
        if time.monotonic() - started > AT_ONCE_SECONDS:
            raise
        log.warning("The book could not be written; the same key is tried once more.", exc_info=True)
    return once()


def _first_time(
    b: OpenBook, actor: Any, verb: str, payload: dict[str, Any], work: Callable[[OpenBook, Any], Answer], account: Account | None
) -> Answer:
    try:
        with b.savepoint():
            # Read again under the lock: the user of a session may have been switched off since the request began.
            return work(b, get_user_model().objects.get(pk=actor.pk))
    except Refused as refused:
        refusal = refused
    except TicketError as error:
        refusal = Refused("TICKET", f"{error.field.replace('_', ' ').capitalize()} {error.message}.", field=error.field)
    told = {name: getattr(refusal, name) for name in ("code", "message", "field", "limit", "actual")}
    evidence = {"verb": verb, "asked": payload, **told}
    whose = {"user_id": actor.pk} if account is None else {"account_id": account.pk}
    with b.event("order.refused", source=Source.USER, actor=actor, account=account, text=refusal.message, **evidence) as fact:
        fact.show("refusal", fact.seq, **whose)
    return {"refused": encode(told)}


def payload_hash(verb: str, payload: dict[str, Any]) -> str:
    """One hash for one request, however its numbers are spelled."""
    text = json.dumps([verb, encode(payload)], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _refusal(told: dict[str, Any]) -> Refused:
    return Refused(told["code"], told["message"], field=told["field"], limit=told["limit"], actual=told["actual"])


def refuse(breach: Breach | None) -> None:
    """Raises what a check found; None passes."""
    if breach is not None:
        raise Refused(str(breach.code), breach.message, field=breach.field, limit=breach.limit, actual=breach.actual)
