"""Pages as a browser has them open, without a browser: their forms, and their panels kept up to date over a real WebSocket.

The rule it keeps: it does what static/live.js does (units by id, the newest wins, a gap or a resync asks for the panels again) and what a
browser does with a form (every field that stands in it is sent), so that a test sees what a user would see.
"""

from __future__ import annotations

import json
import re
import time
from contextlib import ExitStack
from html.parser import HTMLParser
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from oms_site.tests.desk import PATIENCE, Visitor

_PANEL = re.compile(r'data-panel="([\w-]+)" data-scope="([^"]*)" data-seq="(\d+)"')
_UNIT = re.compile(r'<(?:tbody|tr|li|section|div)[^>]* id="([\w-]+)"[^>]* data-v="(\d+)"')


class LivePage:
    """A page that stays open. `shown` is the text of each unit by its id; `with LivePage(visitor, "/") as page:` closes it at last."""

    def __init__(self, visitor: Visitor, path: str = "/") -> None:
        self.visitor = visitor
        self.text = visitor.get(path).text
        found = re.search(r'data-account="([^"]*)"', self.text)
        assert found is not None, self.text[:2000]
        self.account = found[1]
        self.panels = [(name, scope, int(seq)) for name, scope, seq in _PANEL.findall(self.text)]
        assert self.panels, self.text[:2000]
        self.seq = min(seq for _, _, seq in self.panels)
        self.shown: dict[str, str] = {}
        self.versions: dict[str, int] = {}
        self.told_at: dict[str, str] = {}  # when the frame that last changed a unit was made
        self._read = 0
        self._socket: ClientConnection | None = None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        query = urlencode(
            {"seq": self.seq, "account": self.account, "panel": [f"{name}~{scope}" for name, scope, _ in self.panels]}, doseq=True
        )
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.visitor.cookies)
        connecting = connect(
            f"{self.visitor.url.replace('http', 'ws', 1)}/live/?{query}",
            origin=self.visitor.url,  # type: ignore[arg-type]
            additional_headers={"Cookie": cookies},
            open_timeout=PATIENCE,
        )
        self._socket = self._open.enter_context(connecting)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    def until(self, what: str, *texts: str, within: str = "", seconds: float = PATIENCE) -> str:
        """Hears frames until a unit (whose id begins with `within`) shows all the texts, and gives it."""
        end = time.monotonic() + seconds
        while True:
            for name, text in self.shown.items():
                if name.startswith(within) and all(one in text for one in texts):
                    return text
            self._hear(end, what)

    def until_gone(self, text: str, *, within: str = "", seconds: float = PATIENCE) -> None:
        """Hears frames until no unit shows the text any more."""
        end = time.monotonic() + seconds
        while any(name.startswith(within) and text in shown for name, shown in self.shown.items()):
            self._hear(end, f"{text} is taken away")

    def until_seq(self, seq: int, seconds: float = PATIENCE) -> None:
        """Hears frames until this page has been told of everything up to `seq`."""
        end = time.monotonic() + seconds
        while self.seq < seq:
            self._hear(end, f"seq {seq}")

    def closed(self, seconds: float = PATIENCE) -> int:
        """Waits until the server closes the socket; the code it gives."""
        end = time.monotonic() + seconds
        try:
            while True:
                self._hear(end, "the socket is closed")
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else 0

    def _hear(self, end: float, what: str) -> None:
        assert self._socket is not None
        try:
            text = str(self._socket.recv(timeout=max(end - time.monotonic(), 0)))
        except TimeoutError:
            raise AssertionError(f"the page was not told: {what}; it shows {self.shown}") from None
        frame: dict[str, Any] = json.loads(text)
        self._read += len(text)
        self._socket.send(str(self._read))  # who does not say what it has read is taken for a slow reader
        again = frame["prev"] > self.seq or frame.get("resync")
        self.seq = max(self.seq, frame["seq"])
        for unit in frame.get("units", ()):
            self.told_at[unit["id"]] = frame["at"]
            self._take(unit["id"], unit["v"], unit["html"])
        if again:
            for name, scope, _ in self.panels:
                self._ask(name, scope)

    def _take(self, unit: str, version: int, html: str | None) -> None:
        if self.versions.get(unit, 0) > version:
            return
        self.versions[unit] = version
        if html is None:
            self.shown.pop(unit, None)
        else:
            self.shown[unit] = html

    def _ask(self, name: str, scope: str) -> None:
        """The whole panel again; its text is cut at its units."""
        text = self.visitor.get(f"/panels/{name}/?account={quote(self.account)}&scope={quote(scope)}").text
        starts = list(_UNIT.finditer(text))
        for one, following in zip(starts, [*starts[1:], None], strict=True):
            self._take(one[1], int(one[2]), text[one.start() : following.start() if following else len(text)])


class _Fields(HTMLParser):
    def __init__(self, form_id: str) -> None:
        super().__init__()
        self.form_id, self.inside = form_id, False
        self.fields: dict[str, str] = {}
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.inside = given.get("id", "") == self.form_id or given.get("action", "") == self.form_id
        elif not self.inside:
            return
        elif tag == "input" and given.get("name"):
            if given.get("type") in ("radio", "checkbox") and "checked" not in given:
                return
            self.fields[given["name"]] = given.get("value", "on")
        elif tag == "select":
            self._select = given.get("name", "")
        elif tag == "option" and self._select and ("selected" in given or self._select not in self.fields):
            self.fields[self._select] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.inside = False
        elif tag == "select":
            self._select = ""


def form_of(text: str, form: str) -> dict[str, str]:
    """What a browser would send of the form with this id or action, as it stands: hidden fields and defaults included."""
    parser = _Fields(form)
    parser.feed(text)
    assert parser.fields, f"no form {form} in {text[:2000]}"
    parser.fields.pop("csrfmiddlewaretoken", None)
    return parser.fields
