"""Turn requests into jobs: everything that can be wrong is found before the model is needed."""

import copy
import secrets
from collections.abc import Sequence

from spectrum_trl.ask.candidates import checked_answers
from spectrum_trl.ask.model import MAX_NEW_TOKENS, SpectrumModel
from spectrum_trl.ask.questions import conversation
from spectrum_trl.ask.samples import ending_of, seeds_of
from spectrum_trl.console import counted
from spectrum_trl.errors import UserError
from spectrum_trl.prompts.messages import check
from spectrum_trl.prompts.scored import Prompts
from spectrum_trl.prompts.templates import starts_with_bos
from spectrum_trl.scoring.draw import Decoding
from spectrum_trl.scoring.generation import Ending
from spectrum_trl.serve.errors import RequestError
from spectrum_trl.serve.fields import ChatRequest, Common, CompletionRequest, read_fields
from spectrum_trl.serve.jobs import Job
from spectrum_trl.serve.limits import Limits
from spectrum_trl.serve.schemas import listed
from spectrum_trl.suite.task import Message


class Reader:
    """Reads requests, in one thread at a time, with a tokenizer of its own."""

    def __init__(self, model: SpectrumModel, *, name: str, limits: Limits) -> None:
        """Copy what is needed of a model.

        Args:
            model: The model.
            name: As clients name it.
            limits: What is accepted.
        """
        self.prompts = Prompts(copy.deepcopy(model.prompts.tokenizer), fmt=model.prompts.fmt)
        self.name, self.limits = name, limits
        context = getattr(model.model.config.get_text_config(), "max_position_embeddings", None)
        self.context: int = context or 2**31

    def chat(self, body: bytes) -> tuple[ChatRequest, list[Job]]:
        """Return a request for turns of a conversation, and its job.

        Raises:
            RequestError: If it cannot be answered.
        """
        asked = read_fields(body, ChatRequest)
        if asked.answers is not None and asked.json_schema is not None:
            raise RequestError("give either answers or schema", param="schema")
        listed_answers = asked.answers is not None or asked.json_schema is not None
        self._check(asked, least=0 if listed_answers else 1)
        if asked.max_tokens and asked.max_completion_tokens:
            raise RequestError("give either max_tokens or max_completion_tokens", param="max_tokens")
        if asked.top_logprobs and not asked.logprobs:
            raise RequestError("top_logprobs needs logprobs: true", param="top_logprobs")
        try:
            turns = [turn.message() for turn in asked.messages]
            messages = conversation({"messages": turns}, tokenizer=self.prompts.tokenizer)
            context = self.prompts.prompt(messages)
        except UserError as error:
            problems = [problem.removeprefix("question: ") for problem in error.problems]
            raise RequestError("messages: " + "; ".join(problems), param="messages") from error
        job = self._job(
            asked,
            context,
            self._ids(context),
            wanted=asked.max_completion_tokens or asked.max_tokens,
            top=asked.top_logprobs if asked.logprobs else None,
            ending=ending_of(self.prompts, stops=asked.stop),
        )
        job.strips, job.messages = self.prompts.fmt == "colon", messages
        if asked.json_schema is not None:
            job.values = listed(asked.json_schema, limits=self.limits)
        if listed_answers:
            job.answers = self._answers(asked, job)
        return asked, [job]

    def completions(self, body: bytes) -> tuple[CompletionRequest, list[Job]]:
        """Return a request for continuations of plain texts, and its jobs, one a text.

        Raises:
            RequestError: If it cannot be answered.
        """
        asked = read_fields(body, CompletionRequest)
        self._check(asked, texts=len(asked.prompt))
        tokenizer = self.prompts.tokenizer
        bos = str(tokenizer.bos_token) if starts_with_bos(tokenizer) else ""
        stops = [*([] if self.prompts.fmt == "colon" else [self.prompts.end]), *asked.stop]
        ends = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
        jobs = []
        for number, text in enumerate(asked.prompt):
            # A continuation may follow any text but control tokens.
            turn: list[Message] = [{"role": "input", "content": text}]
            if problems := check(turn, tokenizer=tokenizer, trained=False):
                reasons = "; ".join(problem.removeprefix("message 1 (input) ") for problem in problems)
                raise RequestError(f"prompt: the text {reasons}", param="prompt")
            ids = self._ids(bos + text)
            if not ids:
                raise RequestError("prompt: the text is empty: give at least one token", param="prompt")
            ending = Ending(tokenizer, stops, ends=ends)
            job = self._job(asked, text, ids, wanted=asked.max_tokens, top=asked.logprobs, ending=ending)
            # Equal prompts get different samples: a sample's number is that of its choice.
            n = len(job.seeds)
            job.seeds = seeds_of(text, seed=job.seeds[0][0], n=n * (number + 1))[n * number :]
            jobs.append(job)
        return asked, jobs

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.prompts.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _check(self, asked: Common, *, least: int = 1, texts: int = 1) -> None:
        """Check what needs no tokenizer, and fill in the number of samples and the seed."""
        if asked.model is not None and asked.model != self.name:
            raise RequestError(
                f"there is no model {asked.model!r:.200}: this server has {self.name!r}",
                status=404,
                param="model",
                code="model_not_found",
            )
        asked.seed = secrets.randbits(63) if asked.seed is None else asked.seed % 2**64
        n = asked.n = 1 if asked.n is None else asked.n
        if not least <= n or n * texts > self.limits.n:
            shared = " for all prompts together" if texts > 1 else ""
            raise RequestError(f"n: expected {least} to {self.limits.n} samples{shared}", param="n")

    def _job(
        self,
        asked: Common,
        context: str,
        ids: Sequence[int],
        *,
        wanted: int | None,
        top: int | None,
        ending: Ending,
    ) -> Job:
        if wanted is not None and wanted > self.limits.max_tokens:
            raise RequestError(f"max_tokens: at most {self.limits.max_tokens}", param="max_tokens")
        code, room = "context_length_exceeded", self.context - len(ids)
        if self.limits.prompt_tokens is not None and len(ids) > self.limits.prompt_tokens:
            raise RequestError(
                f"the prompt has {counted(len(ids), 'token')}, but at most "
                f"{self.limits.prompt_tokens} are accepted",
                code=code,
            )
        if room < (wanted or 1):
            raise RequestError(
                f"the prompt has {counted(len(ids), 'token')}, and {wanted or 1} more are wanted, but the "
                f"model's context is {self.context}",
                code=code,
            )
        assert asked.seed is not None and asked.n is not None
        greedy = asked.temperature == 0
        return Job(
            prompt=tuple(ids),
            seeds=seeds_of(context, seed=asked.seed, n=asked.n),
            max_new_tokens=wanted or min(MAX_NEW_TOKENS, self.limits.max_tokens, room),
            decoding=Decoding(1.0, top_k=1) if greedy else Decoding(asked.temperature, 0, asked.top_p),
            ending=ending,
            top=top,
        )

    def _answers(self, asked: ChatRequest, job: Job) -> list[str]:
        given, name = (asked.answers, "answers") if job.values is None else (job.values, "schema")
        assert given is not None
        if asked.stream:
            raise RequestError(f"{name}: its probabilities cannot be streamed: leave out stream", param=name)
        if not 1 <= len(given) <= self.limits.answers:
            raise RequestError(f"{name}: expected 1 to {self.limits.answers} answers", param=name)
        try:
            answers = checked_answers(given, self.prompts)
        except UserError as error:
            raise RequestError("; ".join(f"{name}: {one}" for one in error.problems), param=name) from error
        lengths = [len(self._ids(self.prompts.answer(answer))) for answer in answers]
        longest, job.answer_tokens = max(lengths), sum(lengths)
        if job.answer_tokens > self.limits.answer_tokens:
            raise RequestError(
                f"{name}: the answers have {job.answer_tokens:,} tokens together, but at most "
                f"{self.limits.answer_tokens:,} are accepted: ask for fewer of them at a time",
                param=name,
            )
        if len(job.prompt) + longest > self.context:
            raise RequestError(
                f"{name}: the longest answer has {longest} tokens, and the prompt {len(job.prompt)}, but the "
                f"model's context is {self.context}",
                param=name,
                code="context_length_exceeded",
            )
        return answers
