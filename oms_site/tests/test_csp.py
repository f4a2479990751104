"""What every answer carries: the security policy with a nonce of its own, no storing, and the way to the login page that htmx can go."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.template import Context, Template
from django.test import AsyncClient, Client, RequestFactory
from django.urls import URLResolver, get_resolver

from oms_site import middleware

ADMIN_PAGE = "/admin/"
HTMX = {"HX-Request": "true"}


def directives(response: HttpResponse) -> dict[str, str]:
    """The policy of an answer, by directive."""
    return dict(part.strip().split(" ", 1) for part in response.headers["Content-Security-Policy"].split(";"))


@pytest.fixture
def anonymous() -> Client:
    return Client(enforce_csrf_checks=True)


@pytest.mark.django_db
def test_only_scripts_of_the_desk_may_run(anonymous: Client) -> None:
    policy = directives(anonymous.get(ADMIN_PAGE))
    assert policy["default-src"] == "'none'" and policy["base-uri"] == "'none'" and policy["frame-ancestors"] == "'none'"
    assert re.fullmatch(r"'self' 'nonce-[\w-]{20,}'", policy["script-src"])
    assert policy["style-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert not re.search(r"unsafe|\*|https?:", " ".join(policy.values()))


@pytest.mark.django_db
def test_each_answer_has_a_nonce_of_its_own(anonymous: Client) -> None:
    assert len({directives(anonymous.get(ADMIN_PAGE))["script-src"] for _ in range(3)}) == 3


def test_the_page_and_its_policy_name_the_same_nonce() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(Template("{{ csp_nonce }}").render(Context(middleware.csp_nonce(request))))

    response = middleware.page_headers(view)(RequestFactory().get("/"))
    assert f"'nonce-{response.content.decode()}'" in directives(response)["script-src"]


@pytest.mark.django_db
def test_htmx_finds_the_nonce_in_the_template(anonymous: Client, django_user_model: type[User]) -> None:
    anonymous.force_login(django_user_model.objects.create_superuser("root"))
    response = anonymous.get(ADMIN_PAGE)
    nonce = response.context["csp_nonce"]
    assert f"'nonce-{nonce}'" in directives(response)["script-src"]


@pytest.mark.django_db
def test_pages_are_not_stored_and_differ_for_htmx(anonymous: Client) -> None:
    headers = anonymous.get(ADMIN_PAGE).headers
    assert "no-store" in headers["Cache-Control"] and "HX-Request" in headers["Vary"]
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin" and "camera=()" in headers["Permissions-Policy"]


@pytest.mark.django_db(transaction=True)
async def test_the_same_headers_under_asgi() -> None:
    headers = (await AsyncClient().get(ADMIN_PAGE)).headers
    assert "nonce-" in headers["Content-Security-Policy"] and "no-store" in headers["Cache-Control"]


def redirecting_to(location: str, status: int = 302) -> HttpResponse:
    """The answer of a view that redirects, as htmx gets it."""
    request = RequestFactory().get("/orders/panel/", headers=HTMX | {"HX-Current-URL": "http://testserver/orders/?working=1"})
    from django_htmx.middleware import HtmxMiddleware

    inner = middleware.login_in_whole_page(lambda _: HttpResponse(status=status, headers={"Location": location}))
    return HtmxMiddleware(inner)(request)  # type: ignore[return-value]


def test_htmx_is_sent_to_the_login_page_as_a_whole_page_and_back_to_the_page_it_was_on() -> None:
    response = redirecting_to("/login/?next=/orders/panel/")
    assert response.status_code == 204 and "Location" not in response.headers
    assert response.headers["HX-Redirect"] == "/login/?next=/orders/%3Fworking%3D1"


@pytest.mark.parametrize(("location", "status"), [("/orders/", 302), ("/login/elsewhere/", 302), ("/login/", 308)])
def test_other_redirects_are_left_alone(location: str, status: int) -> None:
    response = redirecting_to(location, status)
    assert (response.status_code, response.headers["Location"]) == (status, location)


@pytest.mark.django_db
def test_nobody_sees_the_desk_without_a_login(anonymous: Client) -> None:
    assert anonymous.get("/").headers["Location"] == "/login/?next=/"
    response = anonymous.get("/", headers=HTMX)
    assert response.status_code == 204 and response.headers["HX-Redirect"].startswith("/login/")


def test_only_the_login_page_is_open_to_anybody() -> None:
    def views(patterns: list[Any], names: str = "") -> Iterator[tuple[str, Any]]:
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                yield from views(pattern.url_patterns, f"{names}{pattern.pattern}")
            else:
                yield f"{names}{pattern.pattern}", pattern.callback

    doors = [path for path, view in views(get_resolver().url_patterns) if not getattr(view, "login_required", True)]
    assert [path for path in doors if not path.startswith("admin/")] == ["login/"]  # the administration asks for itself


def test_cookies_are_hidden_from_scripts_and_named_after_the_port() -> None:
    assert settings.CSRF_COOKIE_HTTPONLY and settings.SESSION_COOKIE_HTTPONLY
    assert str(settings.PORT) in settings.SESSION_COOKIE_NAME and str(settings.PORT) in settings.CSRF_COOKIE_NAME
