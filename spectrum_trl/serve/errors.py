"""Errors of requests, in the shape that OpenAI's clients read."""

import json
from typing import Any

from fastapi import Response

# Characters of a message, which may quote the request.
LONGEST = 2000
TYPES = {401: "authentication_error", 429: "rate_limit_error", 500: "server_error", 503: "server_error"}


class RequestError(Exception):
    """A request that cannot be answered."""

    def __init__(
        self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None
    ) -> None:
        """Store what the client is told.

        Args:
            message: What was expected, and how to mend it.
            status: HTTP status.
            param: The field of the request.
            code: One of OpenAI's codes, where there is one.
        """
        super().__init__(message)
        self.message, self.status, self.param, self.code = message, status, param, code

    def body(self) -> dict[str, Any]:
        """Return the body of the answer."""
        message = self.message if len(self.message) <= LONGEST else f"{self.message[:LONGEST]} …"
        kind = TYPES.get(self.status, "invalid_request_error")
        return {"error": {"message": message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> Response:
        """Return the answer."""
        headers = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "1"}, 503: {"Retry-After": "1"}}
        return json_response(self.body(), status=self.status, headers=headers.get(self.status))


def json_response(
    content: dict[str, Any], *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Return JSON in ASCII, which can express every text."""
    text = json.dumps(content, allow_nan=False)
    return Response(text, status_code=status, headers=headers, media_type="application/json")
