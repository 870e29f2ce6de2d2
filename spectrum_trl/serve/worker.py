"""The thread that owns the model: requests that wait for it are computed together."""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import torch

from spectrum_trl.ask.asking import Wanted, ask
from spectrum_trl.ask.model import SpectrumModel
from spectrum_trl.scoring.draw import Text, draw_each
from spectrum_trl.scoring.logits import log_softmax
from spectrum_trl.serve.errors import RequestError
from spectrum_trl.serve.jobs import Job, Sample, Scores

# Samples drawn together, unless one request alone wants more.
TEXTS_AT_ONCE = 64
# After an idle moment, requests that arrive this much later are computed together with the first.
SECONDS_TO_GATHER = 0.002
logger = logging.getLogger(__name__)


class Worker:
    """A thread that computes jobs in the order of their arrival, those that wait in one batch."""

    def __init__(self, model: SpectrumModel, *, most_waiting: int) -> None:
        """Start the thread.

        Args:
            model: Used by this thread alone.
            most_waiting: Number of jobs that may wait.
        """
        self.model, self.most_waiting = model, most_waiting
        self._waiting = deque[Job]()
        self._running: Sequence[Job] = ()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Number of jobs that wait."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Number of jobs being computed."""
        return len(self._running)

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
                    f"{self.most_waiting} requests are waiting already: try again later", status=429
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
        """Give up all jobs, and end the thread."""
        with self._changed:
            self._closed = True
            given_up = [*self._waiting, *self._running]
            self._waiting.clear()
            self._changed.notify()
        for job in given_up:
            job.cancelled = True
        self._thread.join()
        for job in given_up:
            _end(job, RequestError("the server is ending", status=503))

    def _run(self) -> None:
        while batch := self._next():
            self._running = batch
            self._compute(batch)
            self._running = ()

    def _next(self) -> list[Job]:
        """Wait for jobs, and return those to compute together; an empty list at the end."""
        with self._changed:
            idle = not self._waiting
            self._changed.wait_for(lambda: self._waiting or self._closed)
        if idle:
            time.sleep(SECONDS_TO_GATHER)
        with self._changed:
            batch, texts = list[Job](), 0
            while self._waiting and (not batch or texts + len(self._waiting[0].seeds) <= TEXTS_AT_ONCE):
                batch.append(self._waiting.popleft())
                texts += len(batch[-1].seeds)
            if batch or self._closed:
                return batch
        # The only one was cancelled meanwhile.
        return self._next()

    def _compute(self, jobs: Sequence[Job]) -> None:
        try:
            self._answer([job for job in jobs if job.answers is not None and not job.cancelled])
            self._draw([job for job in jobs if not job.cancelled])
        except Exception as error:
            if len(jobs) > 1:
                # One bad job is no reason to lose the others.
                for job in jobs:
                    if not job.done:
                        self._compute([job])
                return
            logger.exception("A request failed.")
            _end(jobs[0], error)
        for job in jobs:
            _end(job)

    def _answer(self, jobs: Sequence[Job]) -> None:
        if not jobs:
            return
        questions: Any = [{"messages": job.messages} for job in jobs]
        found = ask(self.model, questions, Wanted(), [job.answers for job in jobs])
        for job, one in zip(jobs, found, strict=True):
            job.found = one
            if job.is_complete:
                _end(job)

    def _draw(self, jobs: Sequence[Job]) -> None:
        owners = [(job, sample) for job in jobs for sample in job.samples]
        texts = [
            Text(job.prompt, seed, job.max_new_tokens, job.decoding) for job in jobs for seed in job.seeds
        ]

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

        draw_each(self.model.model, texts, grown=grown)


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
