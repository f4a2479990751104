"""The one answer where the database cannot be read or written: 503, with words, for pages and for htmx alike.

The rule it keeps: an order is accepted or the person is told that it was not, never left with a broken page; and the form they typed stays
as it is, with its key, so that sending it again can only count once.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from django.db import Error, InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.template import loader
from django.utils.translation import gettext
from django.views.defaults import server_error

RETRY_AFTER = 5
# PostgreSQL: no room (53), cancelled by its time limit, a lock that was not to be had; all of them before the commit.
_BEFORE_COMMIT = ("53", "57014", "55P03")


def failed(request: HttpRequest) -> HttpResponse:
    """What became of a request that raised: the page of a broken desk, or 503 where it was the database."""
    error = sys.exc_info()[1]
    if not isinstance(error, OperationalError | InterfaceError):
        return server_error(request)
    words = _words(request, error)
    headers = {"Retry-After": str(RETRY_AFTER)}
    if request.headers.get("HX-Request"):
        if request.method != "GET":  # panels ask again by themselves, and need not tell anybody
            headers["HX-Trigger"] = json.dumps({"oms:alert": {"text": words}})
        return HttpResponse(words, status=503, content_type="text/plain", headers=headers)
    return HttpResponse(loader.render_to_string("503.html", {"words": words}), status=503, headers=headers)


def _words(request: HttpRequest, error: Error) -> str:
    if request.method in ("GET", "HEAD"):
        return gettext("The book cannot be read or written just now. Try again in a few seconds.")
    if _is_before_commit(error):
        return gettext("The book cannot be written just now: nothing was recorded. Try again: the same form is safe to send again.")
    return gettext(
        "The book cannot be reached just now, and it is not certain whether this was recorded. "
        "Try again: the same form is safe to send again, it counts once."
    )


def _is_before_commit(error: Error) -> bool:
    if connection.vendor == "sqlite":
        return True
    cause: Any = error.__cause__
    state = getattr(cause, "sqlstate", None)
    return type(cause).__name__ == "PoolTimeout" or bool(state and state.startswith(_BEFORE_COMMIT))
