"""The desk as a page: what stands on it, how many queries it takes, and that it works under the strict policy and without scripts."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from orders.models import Book, Watch
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import BookKind
from orders.tests import factories
from orders.tests.seats import Seats, signed_in, take_seats

pytestmark = pytest.mark.django_db

TEMPLATES = sorted((settings.BASE_DIR / "templates").rglob("*.html"))
PAGES = ("desk", "history", "positions", "executions", "watchlist")


@pytest.fixture
def seats() -> Seats:
    return take_seats()


@pytest.fixture
def client(seats: Seats) -> Client:
    return signed_in(seats.trader)


def busy(seats: Seats, times: int) -> None:
    for number in range(times):
        seats.bracket(filled="100")
        seats.oca_pair()
        seats.execution(seats.order(status=OrderStatus.UNKNOWN))
        contract = factories.make_contract(f"S{number}")
        factories.make_quote(contract, at=seats.now)
        factories.make_position(seats.account, contract, at=seats.now)
        Watch.objects.create(user=seats.trader, contract=contract, created_at=seats.now)


def words(answer: Any) -> str:
    return answer.content.decode()


def test_the_desk_has_everything_a_trader_looks_for(seats: Seats, client: Client) -> None:
    busy(seats, 1)
    page = words(client.get(reverse("desk"), {"con_id": seats.contract.con_id}))
    for panel in ("account", "attention", "watchlist", "orders", "positions", "executions", "gateway", "quote"):
        assert f'id="panel-{panel}"' in page, panel
    for control in ("ticket-form", "ticket-send", "toasts", "alerts", "dialog-slot", "stale", "content"):
        assert f'id="{control}"' in page, control


def test_the_number_of_queries_does_not_grow_with_what_is_on_the_desk(
    seats: Seats, client: Client, django_assert_max_num_queries: Any
) -> None:
    busy(seats, 8)
    client.get(reverse("desk"))
    with django_assert_max_num_queries(80):
        client.get(reverse("desk"), {"con_id": seats.contract.con_id})


@pytest.mark.parametrize("kind", list(BookKind))
@pytest.mark.parametrize("name", [*PAGES, "login"])
def test_every_page_says_what_kind_of_book_it_is(seats: Seats, client: Client, kind: BookKind, name: str) -> None:
    Book.objects.update(kind=kind.value)
    visitor = Client() if name == "login" else client
    assert f">{kind.value.upper()}</span>" in words(visitor.get(reverse(name)))


@pytest.mark.parametrize("name", PAGES)
def test_empty_pages_say_what_will_be_there(client: Client, name: str) -> None:
    assert 'class="empty' in words(client.get(reverse(name)))


def test_somebody_without_accounts_is_told_so(seats: Seats) -> None:
    page = words(signed_in(seats.stranger).get(reverse("desk")))
    assert "No account has been given to you yet." in page
    assert "data-live" not in page


def test_the_account_is_chosen_in_the_address_and_kept(seats: Seats, client: Client) -> None:
    other = factories.make_account("DU1000902", alias="Hedge", at=seats.now)
    factories.grant(seats.trader, other)
    assert 'data-account="DU1000417"' in words(client.get(reverse("desk")))
    assert 'data-account="DU1000902"' in words(client.get(reverse("desk"), {"account": "DU1000902"}))
    assert 'data-account="DU1000902"' in words(client.get(reverse("positions")))


def test_the_scope_of_the_orders_is_in_the_address(seats: Seats, client: Client) -> None:
    done = seats.order(status=OrderStatus.CANCELLED)
    assert done.client_order_id not in words(client.get(reverse("desk")))
    assert done.client_order_id in words(client.get(reverse("desk"), {"scope": "today"}))


def test_the_search_goes_straight_to_an_order_or_to_the_blotter(seats: Seats, client: Client) -> None:
    order = seats.order()
    assert client.get(reverse("find"), {"q": order.client_order_id})["Location"] == reverse("order", args=[order.client_order_id])
    assert client.get(reverse("find"), {"q": "AAPL"})["Location"] == "/orders/?text=AAPL"
    assert signed_in(seats.stranger).get(reverse("find"), {"q": order.client_order_id})["Location"].startswith("/orders/?text=")


def test_what_people_typed_is_shown_as_text(seats: Seats, client: Client) -> None:
    evil = '<script>alert(1)</script>"'
    order = seats.order(status=OrderStatus.UNKNOWN, note=evil, status_text=evil)
    for page in (reverse("desk"), reverse("order", args=[order.client_order_id]), reverse("history")):
        assert "<script>alert" not in words(client.get(page))


class Reader(HTMLParser):
    """Collects what the policy forbids, what has no name, and ids that are used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.forbidden: list[str] = []
        self.ids: list[str] = []
        self.labels: set[str] = set()
        self.fields: list[tuple[str, dict[str, str | None]]] = []
        self.forms: list[dict[str, str | None]] = []
        self.inside_label = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        for name, value in attrs:
            if name == "style" or name.startswith(("on", "hx-on")) or (value or "").lstrip().startswith("js:"):
                self.forbidden.append(f"{tag} {name}={value}")
        if tag == "style" or (tag == "script" and not given.get("src")):
            self.forbidden.append(tag)
        if "id" in given:
            self.ids.append(given["id"] or "")
        if tag == "label":
            self.inside_label += 1
            self.labels.add(given.get("for") or "")
        if tag in ("input", "select") and given.get("type") != "hidden" and not self.inside_label:
            self.fields.append((tag, given))
        if tag == "form":
            self.forms.append(given)

    def handle_endtag(self, tag: str) -> None:
        if tag == "label":
            self.inside_label -= 1


def every_page(seats: Seats, client: Client) -> dict[str, str]:
    busy(seats, 2)
    seats.position("60")
    order = seats.order()
    addresses = [reverse(name) for name in PAGES] + [f"{reverse('desk')}?con_id={seats.contract.con_id}"]
    addresses += [
        reverse(name, args=[order.client_order_id])
        for name in ("order", "change", "cancel", "conclude", "seen", "adopt", "send_again", "ask_again")
    ]
    addresses += [reverse(name, args=[seats.account.code, seats.contract.con_id]) for name in ("close", "protect", "repair")]
    addresses.append(reverse("cancel_all", args=[seats.account.code]))
    pages = {address: words(client.get(address)) for address in addresses}
    return {**pages, "login": words(Client().get(reverse("login")))}


def test_every_page_is_fit_for_the_policy_and_for_a_screen_reader(seats: Seats, client: Client) -> None:
    for address, page in every_page(seats, client).items():
        reader = Reader()
        reader.feed(page)
        assert reader.forbidden == [], address
        twice = {name for name in reader.ids if reader.ids.count(name) > 1}
        assert twice == set(), f"{address}: {twice}"
        for tag, given in reader.fields:
            named = given.get("aria-label") or given.get("id") in reader.labels
            assert named, f"{address}: a {tag} without a label: {given}"
        assert "<h1" in page or "<h2" in page, address
        assert 'lang="en"' in page, address


def test_a_dialog_over_the_desk_uses_no_id_of_the_desk(seats: Seats, client: Client) -> None:
    seats.position("60")
    order = seats.order()
    desk = Reader()
    desk.feed(words(client.get(reverse("desk"), {"con_id": seats.contract.con_id})))
    addresses = [reverse(name, args=[order.client_order_id]) for name in ("change", "cancel", "conclude", "send_again", "ask_again")]
    addresses += [reverse(name, args=[seats.account.code, seats.contract.con_id]) for name in ("close", "protect", "repair")]
    for address in addresses:
        dialog = Reader()
        dialog.feed(words(client.get(address, HTTP_HX_REQUEST="true")))
        assert dialog.ids, address
        assert set(dialog.ids) & set(desk.ids) == set(), address


def test_every_form_that_acts_has_an_address_and_a_token(seats: Seats, client: Client) -> None:
    for address, page in every_page(seats, client).items():
        for form in re.findall(r"<form[^>]*method=\"post\".*?</form>", page, re.DOTALL):
            assert 'action="/' in form, f"{address}: {form[:200]}"
            assert "csrfmiddlewaretoken" in form, f"{address}: {form[:200]}"


def test_live_panels_hold_no_inputs(seats: Seats, client: Client) -> None:
    page = words(client.get(reverse("desk")))
    for name in ("orders", "positions", "executions", "watchlist", "attention", "account", "gateway"):
        panel = words(client.get(reverse("panel", args=[name]), {"account": seats.account.code}))
        assert f'id="panel-{name}"' in page
        assert "<input" not in panel, name
        assert "<form" not in panel, name


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_every_act_has_a_name_of_its_own(template: Any) -> None:
    """A page that is renewed in place finds each act by its name, and never turns one into another while it is pressed."""
    acts = re.findall(r"<a [^>]*hx-target=\"#dialog-slot\"[^>]*>", template.read_text())
    assert [act for act in acts if ' id="' not in act and "{{ here }}" not in act] == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_words_in_templates_are_marked_for_translation(template: Any) -> None:
    if template.name in ("500.html", "_live.html"):  # one is rendered without anything that could fail, the other is attributes
        return
    text = template.read_text()
    text = re.sub(r"{% block body_class %}.*?{% endblock %}", " ", text)
    text = re.sub(r"{%\s*blocktranslate.*?endblocktranslate\s*%}|{%.*?%}|{{.*?}}|{#.*?#}", " ", text, flags=re.DOTALL)
    text = re.sub(r"<(kbd|title|pre)\b.*?</\1>", " ", text, flags=re.DOTALL)
    text = re.sub(r"<[^>]*>", " ", text, flags=re.DOTALL)
    left = set(re.findall(r"[A-Za-z]{2,}", text)) - {"Deskbook", "OCA"}
    assert left == set()
