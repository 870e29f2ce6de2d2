"""Refuse what pages of other sites ask for: browsers send simple requests to any address."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request

from spectrum_trl.serve.errors import RequestError

# They compute nothing, and browsers let no other site read the answers.
SAFE = ("GET", "HEAD")


class OwnPages:
    """ASGI middleware that refuses requests of other sites' pages; programs send no such headers."""

    def __init__(self, app: Any, *, hosts: Sequence[str]) -> None:
        """Wrap an application.

        Args:
            app: The application.
            hosts: Names of its own pages' hosts.
        """
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] == "http" and scope["method"] not in SAFE and self._is_foreign(Request(scope)):
            message = "pages of other sites may not use this model: ask from a program, or from localhost"
            refused = RequestError(message, status=403)
            await refused.response()(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _is_foreign(self, request: Request) -> bool:
        origin = request.headers.get("origin")
        try:
            host = None if origin is None else urlsplit(origin).hostname or ""
        except ValueError:
            host = ""
        is_ours = host is None or host in self.hosts or f"[{host}]" in self.hosts
        return not is_ours or request.headers.get("sec-fetch-site") == "cross-site"
