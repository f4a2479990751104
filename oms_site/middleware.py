"""What every answer of the desk carries: the content security policy and its nonce, and the manners between htmx and the login page.

The rule it keeps: only scripts and styles served by the desk itself, or marked with the nonce of this very answer, may run; a page of the
desk is never stored by a browser or a proxy. Each middleware runs in both worlds, so that a request under ASGI changes threads no more
often than it must.
"""

import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import resolve_url
from django.utils.cache import patch_vary_headers
from django.utils.decorators import sync_and_async_middleware

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'nonce-{nonce}'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

Answer = Callable[[HttpRequest], Any]


def csp_nonce(request: HttpRequest) -> dict[str, str]:
    """Context processor: the nonce of this answer, under the name that Django 6 and django-htmx use."""
    return {"csp_nonce": getattr(request, "_csp_nonce", "")}


@sync_and_async_middleware
def page_headers(get_response: Answer) -> Answer:
    """Gives the request a nonce and the answer its policy; keeps pages out of every cache unless a view decided otherwise."""

    def mark(request: HttpRequest) -> None:
        request._csp_nonce = secrets.token_urlsafe(16)  # type: ignore[attr-defined]

    def dress(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response.headers.setdefault("Content-Security-Policy", POLICY.format(nonce=request._csp_nonce))  # type: ignore[attr-defined]
        response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
        response.headers.setdefault("Cache-Control", "no-store")
        # The same address answers a panel to htmx and a page to the address bar.
        patch_vary_headers(response, ["HX-Request"])
        return response

    return _around(get_response, mark, dress)


@sync_and_async_middleware
def login_in_whole_page(get_response: Answer) -> Answer:
    """Turns a redirect to the login page, met by htmx, into one of the whole page: htmx would follow it and swap the form into a panel."""

    def dress(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        login = resolve_url(settings.LOGIN_URL)
        if not request.htmx or response.status_code != 302 or urlsplit(response["Location"]).path != login:  # type: ignore[attr-defined]
            return response
        seen = request.htmx.current_url_abs_path  # type: ignore[attr-defined]  # the page the user looks at, not the panel
        query = QueryDict(mutable=True)
        if seen and urlsplit(seen).path != login:
            query["next"] = seen
        whole = HttpResponse(status=204, headers={"HX-Redirect": login + (f"?{query.urlencode(safe='/')}" if query else "")})
        whole.cookies = response.cookies
        return whole

    return _around(get_response, lambda request: None, dress)


def _around(
    get_response: Answer, before: Callable[[HttpRequest], None], after: Callable[[HttpRequest, HttpResponseBase], HttpResponseBase]
) -> Answer:
    """A middleware that does `before` and `after` in the world, synchronous or not, of the one it wraps."""
    if iscoroutinefunction(get_response):

        async def middleware(request: HttpRequest) -> HttpResponseBase:
            before(request)
            return after(request, await get_response(request))

    else:

        def middleware(request: HttpRequest) -> HttpResponseBase:  # type: ignore[misc]
            before(request)
            return after(request, get_response(request))

    return middleware
