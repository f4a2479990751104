"""Which pages may open a WebSocket to the desk.

The rule it keeps: a socket is opened by a page of this very desk, scheme, host and port alike. Channels' own check compares host names
only; a page of any other program on the same machine would pass it, with the user's cookie.
"""

from typing import Any

from django.conf import settings
from django.http.request import split_domain_port


class SameOrigin:
    """ASGI application around another: lets in the sockets whose Origin is one of DESKBOOK_URL, or the address they were sent to."""

    def __init__(self, application: Any) -> None:
        self.application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if is_same_origin(scope):
            await self.application(scope, receive, send)
        else:
            await receive()  # the request to connect; closing before accepting answers it with 403
            await send({"type": "websocket.close", "code": 1008})


def is_same_origin(scope: dict[str, Any]) -> bool:
    """True when the handshake names exactly one Origin, and it is the desk's; no Origin (not a browser) is not."""
    found = [value.decode("latin-1").lower() for name, value in scope.get("headers", []) if name == b"origin"]
    hosts = [value.decode("latin-1").lower() for name, value in scope.get("headers", []) if name == b"host"]
    if len(found) != 1 or len(hosts) != 1:
        return False
    if found[0] in settings.PUBLIC_ORIGINS:
        return True
    # The Host header alone proves nothing (a name of the attacker's may point to this machine): it must be a name of the machine itself.
    scheme = "https" if scope.get("scheme") in {"wss", "https"} else "http"
    return split_domain_port(hosts[0])[0] in settings.LOOPBACK_HOSTS and found[0] == f"{scheme}://{hosts[0]}"
