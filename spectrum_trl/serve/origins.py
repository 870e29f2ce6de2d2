"""Refuse what pages of other sites ask for: browsers send simple requests to any address.

A site may also let its name mean this computer's address once its page is open (DNS rebinding).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from fastapi.requests import HTTPConnection

from spectrum_trl.serve.errors import RequestError

# They compute nothing, and browsers let no other site read the answers.
SAFE = ("GET", "HEAD")
# A name or an address, and a port.
HOST = re.compile(r"([\w.-]+|\[[\da-f:.]+\])(?::\d*)?", re.ASCII)


class OwnPages:
    """ASGI middleware that refuses requests to other hosts, and of other sites' pages."""

    def __init__(self, app: Any, *, hosts: Sequence[str]) -> None:
        """Wrap an application.

        Args:
            app: The application.
            hosts: Names of its own hosts, an address of version 6 in brackets.
        """
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] in ("http", "websocket") and (refused := self._refused(scope)):
            await refused.response()(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _refused(self, scope: Any) -> RequestError | None:
        headers = HTTPConnection(scope).headers
        host = HOST.fullmatch(headers.get("host", "").lower())
        if host is None or host[1] not in self.hosts:
            return RequestError(f"the host {headers.get('host')!r:.80} is unknown: ask at {self.hosts[0]}")
        if scope.get("method") not in SAFE and self._is_foreign(headers):
            message = "pages of other sites may not use this model: ask from a program, or from localhost"
            return RequestError(message, status=403)
        return None

    def _is_foreign(self, headers: Mapping[str, str]) -> bool:
        origin = headers.get("origin")
        try:
            host = None if origin is None else urlsplit(origin).hostname or ""
        except ValueError:
            host = ""
        is_ours = host is None or host in self.hosts or f"[{host}]" in self.hosts
        return not is_ours or headers.get("sec-fetch-site") == "cross-site"
