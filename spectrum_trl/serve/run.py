"""Run the server until a signal ends it."""

import asyncio
import ipaddress
import math
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from spectrum_trl.console import console
from spectrum_trl.errors import UserError
from spectrum_trl.serve.origins import OwnPages

# Connections that wait to be accepted.
BACKLOG = 1024
# Seconds for the last answers once the time for what runs is over.
LAST_SECONDS = 2
# Seconds between two looks whether a signal has come, as in uvicorn.
TICK = 0.1
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: A name or an address.
        port: 0 for any that is free.

    Raises:
        UserError: If that is impossible.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        found = socket.create_server((host, port), family=family, backlog=BACKLOG)
        # asyncio sets it for sockets of its own only; without it, each piece of a stream waits 40 ms.
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return found
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot listen at {host}, port {port}: {reason}; end the program that uses it, or give another "
            "--host or --port (0: any that is free)"
        ) from error


def address(listening: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(
    app: FastAPI,
    listening: socket.socket,
    *,
    drain_seconds: float,
    ending: Callable[[], object] = lambda: None,
    ended: Callable[[], object] = lambda: None,
) -> None:
    """Serve until SIGINT or SIGTERM; running and waiting requests are finished, new ones refused.

    Args:
        app: The application.
        listening: Where.
        drain_seconds: Time for what runs when the signal comes.
        ending: Called once the signal has come, to end connections that would stay open.
        ended: Called in another thread once that time is over, to answer those that still wait.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=math.ceil(drain_seconds) + LAST_SECONDS,
        server_header=False,
    )
    with _ended_quietly(), asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        server = uvicorn.Server(config)
        runner.run(_serve(server, listening, drain_seconds=drain_seconds, ending=ending, ended=ended))


async def _serve(
    server: uvicorn.Server,
    listening: socket.socket,
    *,
    drain_seconds: float,
    ending: Callable[[], object],
    ended: Callable[[], object],
) -> None:
    serving = asyncio.ensure_future(server.serve(sockets=[listening]))
    while not (server.should_exit or serving.done()):
        await asyncio.sleep(TICK)
    ending()
    await asyncio.wait({serving}, timeout=drain_seconds)
    await asyncio.to_thread(ended)
    await serving


@contextmanager
def _ended_quietly() -> Iterator[None]:
    """Take SIGTERM for a regular end: uvicorn sends itself the signal again once it has finished."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def protect(app: FastAPI, host: str, *, fix: str = "") -> None:
    """Protect an application without a key: warn if others reach it, else refuse what other sites ask.

    A site's page may send requests to this computer. A site may also let its name mean this computer's
    address once its page is open (DNS rebinding); a browser then lets the page read what is answered here,
    but sends the site's name.

    Args:
        app: The application.
        host: Where it listens.
        fix: End of the warning.
    """
    if _is_loopback(host):
        own = [f"[{host}]" if ":" in host else host, *LOOPBACK]
        app.add_middleware(OwnPages, hosts=own)
    else:
        message = f"warning: anybody who reaches this address can use the model{fix}"
        console(stderr=True).print(message, style="yellow")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
