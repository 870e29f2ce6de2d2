"""Measure the server under load: ``make bench-serve`` compares many clients with one, in one run."""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from spectrum_trl.paths import TINY_BASE_NAME

COMMAND = [str(Path(sys.executable).with_name("spectrum-trl")), "serve"]


class Measured(NamedTuple):
    """What clients saw.

    Attributes:
        requests: Requests a second.
        tokens: Tokens a second.
        seconds: Time of each request.
        first: Time to the first piece of each, if they were streams.
    """

    requests: float
    tokens: float
    seconds: list[float]
    first: list[float]


async def load(url: str, *, clients: int, seconds: float, body: dict[str, Any]) -> Measured:
    """Let clients ask one request after the other."""
    taken, first, tokens = list[float](), list[float](), 0
    end = time.monotonic() + seconds

    async def one(number: int, client: httpx.AsyncClient) -> None:
        nonlocal tokens
        n = 0
        while time.monotonic() < end:
            n += 1
            started = time.monotonic()
            asked = body | {"seed": number * 1_000_000 + n}
            if body.get("stream"):
                async with client.stream("POST", url, json=asked) as answer:
                    lines = answer.aiter_lines()
                    await anext(lines)
                    first.append(time.monotonic() - started)
                    async for _ in lines:
                        pass
            else:
                answer = await client.post(url, json=asked)
                answer.raise_for_status()
                tokens += answer.json()["usage"]["completion_tokens"]
            taken.append(time.monotonic() - started)

    async with httpx.AsyncClient(timeout=120, limits=httpx.Limits(max_connections=clients)) as client:
        begun = time.monotonic()
        await asyncio.gather(*(one(number, client) for number in range(clients)))
    passed = time.monotonic() - begun
    return Measured(len(taken) / passed, tokens / passed, taken, first)


def main() -> None:
    """Print the table and the ratio of throughputs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=TINY_BASE_NAME)
    parser.add_argument("--format", default="colon")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--max-tokens", type=int, default=32)
    options = parser.parse_args()
    server = subprocess.Popen(
        [*COMMAND, options.model, "--format", options.format, "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )
    try:
        assert server.stdout is not None
        url = f"{server.stdout.readline().split()[-1]}/completions"
        body: dict[str, Any] = {"prompt": "In the urn", "max_tokens": options.max_tokens}
        asyncio.run(load(url, clients=4, seconds=2, body=body))
        table = Table(
            "clients", "requests/s", "tokens/s", "median ms", "p95 ms", "first token ms", "its p95 ms"
        )
        rates = []
        for clients in (1, options.clients):
            whole = asyncio.run(load(url, clients=clients, seconds=options.seconds, body=body))
            stream = asyncio.run(
                load(url, clients=clients, seconds=options.seconds / 2, body=body | {"stream": True})
            )
            rates.append(whole.tokens)
            times = [*np.percentile(whole.seconds, [50, 95]), *np.percentile(stream.first, [50, 95])]
            shown = [f"{whole.requests:.1f}", f"{whole.tokens:.0f}", *(f"{1000 * one:.0f}" for one in times)]
            table.add_row(str(clients), *shown)
        Console(width=100).print(table)
        print(f"{options.clients} clients get {rates[1] / rates[0]:.1f} times the tokens of one")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
