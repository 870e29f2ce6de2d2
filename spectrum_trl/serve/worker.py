"""The thread that owns the model: requests are computed together, and may join others between two tokens."""

import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import torch

from spectrum_trl.ask.asking import Wanted, ask
from spectrum_trl.ask.model import SpectrumModel
from spectrum_trl.scoring.draw import TOKENS_AT_ONCE, Text, draw_each
from spectrum_trl.scoring.forward import log_softmax
from spectrum_trl.serve.errors import RequestError
from spectrum_trl.serve.jobs import Job, Sample, Scores
from spectrum_trl.serve.stopping import GivenUp, stop_when

# Samples drawn together, unless one request alone wants more.
TEXTS_AT_ONCE = 64
# Tokens between two moments at which others may join: their prompts are then read together.
TOKENS_BETWEEN_JOINS = 4
logger = logging.getLogger(__name__)


class Worker:
    """A thread that computes jobs; they join the batch in the order of their arrival."""

    def __init__(self, model: SpectrumModel, *, most_waiting: int) -> None:
        """Start the thread.

        Args:
            model: Used by this thread alone.
            most_waiting: Number of jobs that may wait.
        """
        self.model, self.most_waiting = model, most_waiting
        self._waiting = deque[Job]()
        self._running: list[Job] = []
        # Those whose answers are scored.
        self._scored: Sequence[Job] = ()
        self._changed = threading.Condition()
        self._closed = False
        self._stop = stop_when(model.model, self._given_up)
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Number of jobs that wait."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Number of jobs being computed."""
        return sum(not job.done for job in self._running)

    @property
    def is_alive(self) -> bool:
        """Whether jobs are computed."""
        return self._thread.is_alive() and not self._closed

    def submit(self, job: Job) -> None:
        """Queue a job.

        Raises:
            RequestError: With status 429 if too many wait, with 503 if the server is ending.
        """
        with self._changed:
            if not self.is_alive:
                raise RequestError("the server is ending", status=503)
            if len(self._waiting) >= self.most_waiting:
                raise RequestError(
                    f"too many requests are waiting already, {self.most_waiting}: try again later", status=429
                )
            self._waiting.append(job)
            self._changed.notify()

    def cancel(self, job: Job) -> None:
        """Give up a job that nobody waits for; its place in the queue is free at once."""
        with self._changed:
            job.cancelled = True
            if job in self._waiting:
                self._waiting.remove(job)

    def close(self) -> None:
        """Give up all jobs, and end the thread after its forward pass; a second time changes nothing."""
        with self._changed:
            self._closed = True
            given_up = [*self._waiting, *self._running]
            self._waiting.clear()
            self._changed.notify()
        for job in given_up:
            job.cancelled = True
            # Told at once: a forward pass may take long.
            _end(job, RequestError("the server is ending", status=503))
        self._thread.join()
        self._stop.remove()

    def _given_up(self) -> bool:
        # Samples end by themselves where nobody waits for them.
        return self._closed or bool(self._scored) and all(job.cancelled for job in self._scored)

    def _run(self) -> None:
        while not self._closed:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
            self._running = []
            with suppress(GivenUp):
                self._compute(self._take())

    def _take(self) -> list[Job]:
        """Let waiting jobs join those that run, as far as there is room; an empty list if there is none."""
        with self._changed:
            self._running = [job for job in self._running if not (job.done or job.cancelled)]
            taken = list[Job]()
            while self._waiting and _fits(self._waiting[0], self._running):
                taken.append(self._waiting.popleft())
                self._running.append(taken[-1])
            return taken

    def _compute(self, jobs: Sequence[Job]) -> None:
        """Compute jobs, and those that join them."""
        try:
            self._draw(jobs, more=self._take)
        except Exception:
            # One bad job is no reason to lose the others.
            for job in self._running:
                self._compute_alone(job)
        for job in [*jobs, *self._running]:
            _end(job)

    def _compute_alone(self, job: Job) -> None:
        try:
            if not job.done:
                self._draw([job], more=list)
        except Exception as error:
            logger.exception("A request failed.")
            _end(job, error)

    def _answer(self, jobs: Sequence[Job]) -> None:
        if not jobs:
            return
        questions: Any = [{"messages": job.messages} for job in jobs]
        self._scored = jobs
        try:
            found = ask(self.model, questions, Wanted(), [job.answers for job in jobs])
        except GivenUp:
            if self._closed:
                raise
            return
        finally:
            self._scored = ()
        for job, one in zip(jobs, found, strict=True):
            job.found = one
            if job.is_complete:
                _end(job)

    def _draw(self, jobs: Sequence[Job], *, more: Callable[[], list[Job]]) -> None:
        owners, steps = list[tuple[Job, Sample]](), itertools.count(1)

        def begun(jobs: Sequence[Job]) -> list[Text]:
            self._answer([job for job in jobs if job.answers is not None])
            owners.extend((job, sample) for job in jobs for sample in job.samples)
            return [
                Text(job.prompt, seed, job.max_new_tokens, job.decoding) for job in jobs for seed in job.seeds
            ]

        def joining() -> list[Text]:
            return [] if next(steps) % TOKENS_BETWEEN_JOINS else begun(more())

        def grown(numbers: Sequence[int], ids: list[list[int]], logits: torch.Tensor) -> list[bool]:
            those = [owners[n] for n in numbers]
            scores = _scores(those, ids, logits)
            for (job, sample), one, score in zip(those, ids, scores, strict=True):
                _grow(job, sample, one, score)
            for job in {id(job): job for job, _ in those}.values():
                if job.is_complete:
                    _end(job)
                else:
                    job.stepped()
            return [job.cancelled or sample.reason is not None for job, sample in those]

        draw_each(self.model.model, begun(jobs), grown=grown, more=joining)


def _fits(job: Job, running: Sequence[Job]) -> bool:
    """Return whether a job may join the others without crowding them."""
    together = [*running, job]
    texts = sum(len(one.seeds) for one in together)
    tokens = sum(
        one.answer_tokens + len(one.seeds) * (len(one.prompt) + one.max_new_tokens) for one in together
    )
    return not running or (texts <= TEXTS_AT_ONCE and tokens <= TOKENS_AT_ONCE)


def _scores(
    owners: Sequence[tuple[Job, Sample]], ids: list[list[int]], logits: torch.Tensor
) -> list[Scores | None]:
    """Return how likely the last tokens were, where that is wanted."""
    most = max((job.top for job, _ in owners if job.top is not None), default=None)
    if most is None:
        return [None] * len(owners)
    every = log_softmax(logits)
    own = every.gather(1, torch.tensor([[one[-1]] for one in ids], device=every.device))[:, 0].tolist()
    values, tokens = every.topk(min(most, every.shape[1]))
    tops: Any = zip(tokens.tolist(), values.tolist(), strict=True)
    return [
        None if job.top is None else Scores(p, tuple(zip(token[: job.top], value[: job.top], strict=True)))
        for (job, _), p, (token, value) in zip(owners, own, tops, strict=True)
    ]


def _grow(job: Job, sample: Sample, ids: list[int], score: Scores | None) -> None:
    # A batch that ran out of memory is drawn again: the same tokens, which are known already.
    if len(ids) <= len(sample.ids):
        return
    if score is not None:
        sample.scores.append(score)
    sample.ids.append(ids[-1])
    if ids[-1] in job.ending.ends or job.ending.stopped([ids])[0]:
        sample.reason = "stop"
    elif len(ids) >= job.max_new_tokens:
        sample.reason = "length"


def _end(job: Job, error: Exception | None = None) -> None:
    if not job.done:
        job.error, job.done = error, True
        job.ended()
