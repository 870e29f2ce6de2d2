"""Ask a judge at an OpenAI-compatible endpoint, with retries."""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any

from spectrum_trl.console import console
from spectrum_trl.errors import UserError
from spectrum_trl.strict.json import strict_json

KEY = "OPENAI_API_KEY"
# The same request may succeed later: timeouts, conflicts, rate limits; also after any server error.
PASSING = frozenset((408, 409, 425, 429))
LONGEST_WAIT_SECONDS = 60.0
# A longer wait is announced.
SILENT_SECONDS = 5.0
LARGEST_ANSWER = 10_000_000
# Characters of an endpoint's answer in a message.
SHOWN = 200


class NoAnswer(Exception):
    """An endpoint did not answer in any attempt."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    # Following one would send the key to another server.
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def ask(
    endpoint: str,
    *,
    model: str,
    system: str,
    user: str,
    attempts: int,
    first_wait: float,
    timeout: float,
) -> str:
    """Return a model's answer.

    Args:
        endpoint: Base URL, for example ``https://api.openai.com/v1``.
        model: The model's name at the endpoint.
        system: Instruction.
        user: Question.
        attempts: Maximum number of attempts.
        first_wait: Seconds before the first retry, doubled for each further one; the endpoint's Retry-After
            takes precedence, but more than a minute counts as no answer.
        timeout: Seconds to wait for an answer.

    Raises:
        NoAnswer: If there is no answer after all attempts.
        UserError: If the endpoint rejects the request, or its answer has an unexpected form.
    """
    turns = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    body = json.dumps({"model": model, "messages": turns, "temperature": 0})
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get(KEY):
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(
        f"{endpoint.rstrip('/')}/chat/completions", data=body.encode(), headers=headers, method="POST"
    )
    waits = _waits(attempts, first_wait)
    while True:
        try:
            with _OPENER.open(request, timeout=timeout) as response:
                return _content(response.read(LARGEST_ANSWER), endpoint=endpoint)
        except urllib.error.HTTPError as error:
            reason, asked_to_wait = _refusal(error, endpoint=endpoint), _retry_after(error)
        except (OSError, HTTPException) as error:
            reason, asked_to_wait = str(getattr(error, "reason", error)) or type(error).__name__, None
        if asked_to_wait is not None and asked_to_wait > LONGEST_WAIT_SECONDS:
            raise NoAnswer(
                f"{endpoint} did not answer: {reason}; it asks to wait {asked_to_wait:,.0f} seconds"
            )
        wait = next(waits, None)
        if wait is None:
            raise NoAnswer(f"{endpoint} did not answer in {attempts} attempts: {reason}")
        wait = min(LONGEST_WAIT_SECONDS, wait) if asked_to_wait is None else asked_to_wait
        if wait > SILENT_SECONDS:
            console(stderr=True).print(
                f"{endpoint}: {reason}; retrying in {wait:,.0f} seconds", markup=False, highlight=False
            )
        time.sleep(wait)


def _waits(attempts: int, first: float) -> Iterator[float]:
    yield from (first * 2**n for n in range(attempts - 1))


def _refusal(error: urllib.error.HTTPError, *, endpoint: str) -> str:
    """Return why a request failed, if a retry may succeed; otherwise raise the error."""
    said = " ".join(error.read(SHOWN).decode("utf-8", "replace").split())
    if error.code in PASSING or error.code >= 500:
        return f"{error.code} {error.reason}"
    hint = f" Set the environment variable {KEY}." if error.code in (401, 403) else ""
    raise UserError(
        f"judge.endpoint: {endpoint} rejects the request ({error.code} {error.reason}): {said}.{hint}"
    ) from error


def _retry_after(error: urllib.error.HTTPError) -> float | None:
    """Return the seconds in an endpoint's Retry-After, given as a number or a date, or None without one."""
    said = (error.headers.get("Retry-After") or "").strip()
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def _content(body: bytes, *, endpoint: str) -> str:
    try:
        content = strict_json(body, finite=False)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError) as error:
        raise UserError(
            f"judge.endpoint: {endpoint} is not an OpenAI-compatible endpoint, it answers {body[:SHOWN]!r}"
        ) from error
    return content if isinstance(content, str) else ""
