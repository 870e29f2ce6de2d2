"""Check the key of every request, and count it, before it is read."""

import hmac
import time
from typing import Any

from fastapi import Request

from spectrum_trl.serve.errors import RequestError
from spectrum_trl.serve.metrics import Metrics

# Whoever watches over the server has no key.
OPEN = ("/health",)


class Guard:
    """ASGI middleware that checks keys and counts requests."""

    def __init__(self, app: Any, *, metrics: Metrics, api_key: str | None) -> None:
        """Wrap an application.

        Args:
            app: The application.
            metrics: Where requests are counted.
            api_key: What clients have to send, or None.
        """
        self.app, self.metrics, self.api_key = app, metrics, api_key

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, started = 499, time.monotonic()

        async def watched(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if self._may(Request(scope)):
                await self.app(scope, receive, watched)
            else:
                denied = RequestError("wrong or missing API key", status=401, code="invalid_api_key")
                await denied.response()(scope, receive, watched)
        finally:
            # Of paths that do not exist there would be too many.
            path = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(path, str(status)).inc()
            self.metrics.seconds.labels(path).observe(time.monotonic() - started)

    def _may(self, request: Request) -> bool:
        if self.api_key is None or request.url.path in OPEN:
            return True
        # Headers are decoded as Latin-1, whatever they hold.
        kind, _, key = request.headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(
            key.strip().encode("latin-1"), self.api_key.encode()
        )
