"""The routes of the server."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from spectrum_trl.ask.model import SpectrumModel
from spectrum_trl.serve.errors import RequestError, json_response
from spectrum_trl.serve.fields import Common
from spectrum_trl.serve.guard import Guard
from spectrum_trl.serve.jobs import Job
from spectrum_trl.serve.limits import Limits
from spectrum_trl.serve.metrics import Metrics
from spectrum_trl.serve.reading import Reader
from spectrum_trl.serve.replies import Head, Pieces, event, head_of, reply, usage
from spectrum_trl.serve.worker import Worker

# Bytes beyond the limit that are read and dropped, so that the client sees the answer.
MOST_DROPPED = 2**26
Read = Callable[[bytes], tuple[Common, list[Job]]]


def build_app(
    model: SpectrumModel, *, name: str, limits: Limits | None = None, api_key: str | None = None
) -> tuple[FastAPI, Callable[[], object]]:
    """Return an application that answers for a model, and what ends all that it computes.

    Args:
        model: From then on, only the application uses it.
        name: As clients name it.
        limits: What is accepted.
        api_key: What clients have to send, or None.
    """
    server = _Server(model, name=name, limits=limits or Limits(), api_key=api_key)
    return server.app, server.worker.close


class _Server:
    """The model's worker, and the routes that give it work."""

    def __init__(self, model: SpectrumModel, *, name: str, limits: Limits, api_key: str | None) -> None:
        self.name, self.limits, self.created = name, limits, int(time.time())
        self.worker = Worker(model, most_waiting=limits.waiting)
        self.metrics = Metrics(self.worker)
        self.reader = Reader(model, name=name, limits=limits)
        # One thread, because the reader's tokenizer serves one at a time.
        self.reading = ThreadPoolExecutor(1, thread_name_prefix="reading")
        self.app = FastAPI(
            title="spectrum-trl", lifespan=self._living, docs_url=None, redoc_url=None, openapi_url=None
        )
        self.app.add_api_route("/health", self._health, methods=["GET"])
        self.app.add_api_route("/metrics", self._metrics, methods=["GET"])
        self.app.add_api_route("/v1/models", self._models, methods=["GET"])
        self.app.add_api_route("/v1/models/{id:path}", self._model, methods=["GET"])
        self.app.add_api_route("/v1/chat/completions", self._chat, methods=["POST"])
        self.app.add_api_route("/v1/completions", self._completions, methods=["POST"])
        self.app.add_exception_handler(RequestError, _told)
        for status, message in ((404, "there is nothing at this path"), (405, "wrong method for this path")):
            self.app.add_exception_handler(status, _telling(status, message))
        self.app.add_exception_handler(Exception, _telling(500, "the server failed; its log says why"))
        self.app.add_middleware(Guard, metrics=self.metrics, api_key=api_key)

    @asynccontextmanager
    async def _living(self, app: FastAPI) -> AsyncIterator[None]:
        yield
        self.worker.close()
        self.reading.shutdown()

    async def _health(self) -> Response:
        if not self.worker.is_alive:
            raise RequestError("the model's thread has ended", status=503)
        return json_response({"status": "ok", "model": self.name})

    async def _metrics(self) -> Response:
        page, kind = self.metrics.page()
        return Response(page, headers={"Content-Type": kind})

    async def _models(self) -> Response:
        return json_response({"object": "list", "data": [self._card()]})

    async def _model(self, id: str) -> Response:
        if id != self.name:
            raise RequestError(f"there is no model {id!r:.200}", status=404, code="model_not_found")
        return json_response(self._card())

    def _card(self) -> dict[str, Any]:
        return {"id": self.name, "object": "model", "created": self.created, "owned_by": "spectrum-trl"}

    async def _chat(self, request: Request) -> Response:
        return await self._answer(request, self.reader.chat)

    async def _completions(self, request: Request) -> Response:
        return await self._answer(request, self.reader.completions)

    async def _answer(self, request: Request, read: Read) -> Response:
        started, loop = time.monotonic(), asyncio.get_running_loop()
        body = await _body(request, limits=self.limits)
        asked, jobs = await loop.run_in_executor(self.reading, read, body)
        changed = asyncio.Event()

        def wake() -> None:
            # The loop may have ended before the worker.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(changed.set)

        for job in jobs:
            job.ended = wake
            if asked.stream:
                job.stepped = wake
        self._submit(jobs)
        head = head_of(asked, model=self.name, tokenizer=self.reader.prompts.tokenizer)
        if asked.stream:
            pieces = self._stream(head, jobs, changed, started=started)
            return StreamingResponse(pieces, media_type="text/event-stream")
        try:
            await _done(jobs, changed, request)
        finally:
            self._give_up(jobs)
        self._count(jobs)
        return json_response(reply(head, jobs))

    def _submit(self, jobs: Sequence[Job]) -> None:
        try:
            for job in jobs:
                self.worker.submit(job)
        except RequestError:
            self._give_up(jobs)
            raise

    def _give_up(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if not job.done:
                self.worker.cancel(job)

    def _count(self, jobs: Sequence[Job]) -> None:
        used = usage(jobs)
        self.metrics.tokens.labels("prompt").inc(used["prompt_tokens"])
        self.metrics.tokens.labels("completion").inc(used["completion_tokens"])

    async def _stream(
        self, head: Head, jobs: Sequence[Job], changed: asyncio.Event, *, started: float
    ) -> AsyncIterator[str]:
        pieces = Pieces(head, jobs)
        wants_usage = head.asked.stream_options.include_usage
        extra = {"usage": None} if wants_usage else {}
        try:
            for piece in pieces.begin():
                yield event(piece | extra)
            first = True
            while True:
                done = all(job.done for job in jobs)
                for piece in pieces.next():
                    if first:
                        self.metrics.first_token.observe(time.monotonic() - started)
                        first = False
                    yield event(piece | extra)
                if done:
                    break
                await changed.wait()
                changed.clear()
            _check_errors(jobs)
            if wants_usage:
                yield event(head.around([], piece=True) | {"usage": usage(jobs)})
            yield "data: [DONE]\n\n"
            self._count(jobs)
        except RequestError as error:
            yield event(error.body())
        finally:
            self._give_up(jobs)


async def _body(request: Request, *, limits: Limits) -> bytes:
    """Return the body of a request, of limited size."""
    body, size = bytearray(), 0
    try:
        async with asyncio.timeout(limits.seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size <= limits.body:
                    body += chunk
                if size > limits.body + MOST_DROPPED:
                    break
    except TimeoutError:
        raise RequestError(
            f"the request took longer than {limits.seconds:g} s to arrive", status=408
        ) from None
    except asyncio.CancelledError:
        raise RequestError("the server is ending", status=503) from None
    if size > limits.body:
        raise RequestError(f"the request has more than {limits.body:,} bytes", status=413)
    return bytes(body)


async def _done(jobs: Sequence[Job], changed: asyncio.Event, request: Request) -> None:
    """Wait until all jobs are done.

    Raises:
        RequestError: If one failed, or the client has gone.
    """
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        while not all(job.done for job in jobs):
            ready = asyncio.ensure_future(changed.wait())
            await asyncio.wait({gone, ready}, return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()
            changed.clear()
            if gone.done() and not all(job.done for job in jobs):
                # Nobody reads this; it is counted.
                raise RequestError("the client has gone", status=499)
    finally:
        gone.cancel()
    _check_errors(jobs)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _check_errors(jobs: Sequence[Job]) -> None:
    for job in jobs:
        if isinstance(job.error, RequestError):
            raise job.error
        if job.error is not None:
            raise RequestError("the model failed; the server's log says why", status=500)


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return error.response()


def _telling(status: int, message: str) -> Callable[[Request, Exception], Any]:
    async def tell(request: Request, error: Exception) -> Response:
        return RequestError(message, status=status).response()

    return tell
