"""The common base of our lm-evaluation-harness tasks: options, missing data, prompts and requests."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from datasets import Dataset
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask
from transformers import PreTrainedTokenizerBase

from spectrum_trl.console import spoken
from spectrum_trl.errors import UserError, nearest
from spectrum_trl.evaluation.axis_tasks import Missing
from spectrum_trl.evaluation.options import Options, at_the_edge, read_options
from spectrum_trl.evaluation.own.tasks import own_file
from spectrum_trl.evaluation.probe import format_of
from spectrum_trl.prompts.formats import Format
from spectrum_trl.prompts.scored import PlainTemplate, Prompts

# lm-eval prints only the messages of its own loggers.
logger = logging.getLogger(f"lm_eval.{__name__}")
# The only row of a task without data: lm-eval needs one, and computes nothing from it.
PLACEHOLDER = {"missing": "data"}
# Its request, without a context, since a tokenizer may merge context and continuation into one token.
ASKED_OF_NOTHING = ("loglikelihood", ("", "a"))
# Marks the row of a process that would otherwise have none.
FILLER = "filler"
# Settings of a sample from the model's full distribution.
FULL = {"do_sample": True, "temperature": 1.0, "top_p": 1.0, "top_k": 0}
# Length of a context in the samples that lm-eval writes.
KEPT_CHARACTERS = 200


class HarnessTask(ConfigurableTask):
    """A task of lm-evaluation-harness that writes its own prompts.

    Subclasses define `rows`, `requests`, `score` and `aggregation`. Their YAML files have one key of ours,
    ``spectrum``; all others are lm-eval's.
    """

    VERSION = 1.0
    OUTPUT = "loglikelihood"
    SETTINGS: Mapping[str, Any] = {}
    # Whether the task supports the format `verbalized`.
    VERBALIZES = False

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Read a task's YAML file, as read by lm-eval, and build its data."""
        own = dict(config)
        own.pop("class", None)
        self.own: Any = own.pop("spectrum", None) or {}
        self.missing: Missing | None = None
        self._prompts: Prompts | None = None
        with at_the_edge():
            self.options: Options = read_options(own.get("metadata") or {})
            if not isinstance(self.own, dict):
                raise UserError(
                    f"{own.get('task')}: spectrum: expected a mapping, but it is {self.own!r:.60}"
                )
            super().__init__(config=self._complete(own))

    def _complete(self, config: dict[str, Any]) -> dict[str, Any]:
        return {
            **config,
            "output_type": self.OUTPUT,
            "test_split": "test",
            "doc_to_text": "",
            "doc_to_target": "",
            "metric_list": [],
            "num_fewshot": 0,
            **({"generation_kwargs": dict(self.SETTINGS)} if self.SETTINGS else {}),
            # Part of the configuration, so results include it and different tasks are not confused.
            "metadata": {"version": self.VERSION, "spectrum": self.own, **(config.get("metadata") or {})},
        }

    @property
    def prompts(self) -> Prompts:
        """The writer of prompts in the chosen format."""
        if self._prompts is None:
            tokenizer = self.options.load_tokenizer()
            fmt, plain = format_of(self.options, tokenizer), self.own.get("plain", "colon")
            self._prompts = _prompts(tokenizer, fmt, plain)
            if self.options.format == "verbalized" and not self.VERBALIZES:
                logger.warning(
                    "%s: verbalized is for distributional and diversity tasks; prompts are in format %s",
                    self.config.task,
                    self._prompts.fmt,
                )
            self.config.metadata["format"] = self.format
            logger.info("%s: format %s", self.config.task, self.format)
        return self._prompts

    @property
    def format(self) -> str:
        """The format of the prompts, and how answers are elicited if not in the usual way."""
        verbalized = self.options.format == "verbalized" and self.VERBALIZES
        return "verbalized" if verbalized else self.prompts.fmt

    def rows(self) -> list[dict[str, Any]] | Missing:
        """Return the rows to evaluate, or the missing data."""
        raise NotImplementedError

    def requests(self, row: dict[str, Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield the type and the arguments of each request that a row needs."""
        raise NotImplementedError

    def score(self, row: dict[str, Any], answers: Sequence[Any]) -> dict[str, Any]:
        """Return a row's value of each metric, from the answers to its requests."""
        raise NotImplementedError

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **_: Any) -> None:
        """Build the rows; a task without data reports what is missing."""
        found = self.rows()
        if not isinstance(found, Missing) and not found:
            found = Missing("no usable row", f"Left out: {self.config.metadata.get('left_out') or 'none'}")
        if isinstance(found, Missing):
            self.missing = found
            logger.warning(
                "%s is not evaluated, since data are missing: %s. %s",
                self.config.task,
                found.files,
                found.how,
            )
            found = [PLACEHOLDER]
        self.dataset = {"test": Dataset.from_list(found)}

    def defined(self, known: Mapping[str, Any], own: Callable[..., Any]) -> Any:
        """Return one of our tasks, which the YAML file names, or the user's own that it defines.

        Raises:
            UserError: If there is none.
        """
        task, name = str(self.config.task), str(self.own.get("task"))
        if set(self.own) != {"task"}:
            return own(self.own, file=own_file(self.config, self.own))
        if name not in known:
            raise UserError(f"{task}: spectrum.task: there is no task {name!r}.{nearest(name, known)}")
        return known[name]

    def fewshot_context(self, doc: dict[str, Any], *args: Any, **kwargs: Any) -> str:
        """Return nothing: requests hold complete prompts, with or without ``--apply_chat_template``."""
        return ""

    def construct_requests(self, doc: dict[str, Any], ctx: str, **kwargs: Any) -> list[Instance]:
        """Return the requests of a row."""
        kwargs.pop("apply_chat_template", None)
        kwargs.pop("chat_template", None)
        with at_the_edge():
            found = [ASKED_OF_NOTHING] if self.missing else list(self.requests(doc))
            found = found[:1] if FILLER in doc else found
        return [
            Instance(request_type=kind, doc=doc, arguments=arguments, idx=n, **kwargs)
            for n, (kind, arguments) in enumerate(found)
        ]

    def doc_iterator(self, **kwargs: Any) -> Iterator[tuple[int, Any]]:
        """Yield the rows of one process; if it has none, one that does not count.

        lm-eval 0.4.13 fails if a process has no row, for example if a task has a single one.
        """
        found = list(super().doc_iterator(**kwargs))
        return iter(found or [(int(kwargs["rank"]), {**self.eval_docs[0], FILLER: True})])

    def build_all_requests(
        self,
        *,
        limit: int | None = None,
        samples: list[int] | None = None,
        rank: int = 0,
        world_size: int = 1,
        cache_requests: bool = False,
        **_: Any,
    ) -> None:
        """Write all prompts, and report progress if that takes long.

        lm-eval's ``--cache_requests`` is not used: it identifies requests only by the task's name, so it
        would return those of another format, seed or data.
        """
        if cache_requests:
            logger.warning("%s: --cache_requests is ignored; prompts are written again", self.config.task)
        docs = list(self.doc_iterator(rank=rank, limit=limit, samples=samples, world_size=world_size))
        self._instances = [
            instance
            for doc_id, doc in spoken(docs, what=f"{self.config.task}: prompts")
            for instance in self.construct_requests(
                doc, "", metadata=(self.config["task"], doc_id, self.config.repeats)
            )
        ]

    def apply_filters(self) -> list[Instance] | None:
        """Apply filters, and keep only the end of each context: whole ones would take gigabytes."""
        found = super().apply_filters()
        for instance in self.instances:
            context, *others = instance.arguments
            if len(context) > KEPT_CHARACTERS:
                context = f"…{context[-KEPT_CHARACTERS:]}"
            instance.arguments = (context, *others)
        return found

    def process_results(self, doc: dict[str, Any], results: Sequence[Any]) -> dict[str, Any]:
        """Return a row's value of each metric; a task without data has none."""
        if self.missing:
            return {}
        if FILLER in doc:
            return dict.fromkeys(self.aggregation())
        with at_the_edge():
            self._check_answers(results)
            return self.score(doc, results)

    def _check_answers(self, answers: Sequence[Any]) -> None:
        scores = [answer[0] for answer in answers if isinstance(answer, tuple | list)]
        if any(score != score for score in scores):
            raise UserError(
                f"{self.config.task}: the model's log-probabilities are NaN, so nothing can be scored: its "
                "weights hold NaN or infinity, or its number type is too small; try dtype=float32"
            )

    def check_length(self, *texts: str) -> None:
        """Check that a prompt with its answer fits into the context: lm-eval would truncate it on the left.

        Raises:
            UserError: If it does not.
        """
        limit = self.options.context()
        if limit is None:
            return
        tokenizer = self.prompts.tokenizer
        length = len(tokenizer("".join(texts), add_special_tokens=False)["input_ids"])
        if length > limit:
            raise UserError(
                f"{self.config.task}: a prompt with its answer has {length} tokens, but the "
                f"model's context is {limit}; skip the task, or use a model with a longer context"
            )

    def scored_apart(self, context: str, *texts: str) -> Iterator[tuple[str, tuple[str, str]]]:
        """Yield the requests for the log-probabilities of texts after a context, see `Prompts.apart`."""
        for pair in self.prompts.apart(context, *texts):
            yield "loglikelihood", pair


@cache
def _prompts(tokenizer: PreTrainedTokenizerBase, fmt: Format, plain: PlainTemplate) -> Prompts:
    return Prompts(tokenizer, fmt=fmt, plain=plain)
