"""Options of an evaluation: keys of lm-eval's ``--metadata``, which also holds the model's arguments.

They are read, and tasks are selected by names, tags, globs and files, before torch is imported, which takes
many seconds, so mistakes are reported at once.
"""

import logging
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from spectrum_trl.errors import UserError, nearest, refuse, user_errors
from spectrum_trl.paths import bundled
from spectrum_trl.strict.schema import parsed

if TYPE_CHECKING:
    from lm_eval.tasks import TaskManager
    from transformers import PreTrainedTokenizerBase

# lm-eval prints only the messages of its own loggers.
logger = logging.getLogger(f"lm_eval.{__name__}")
AnyFormat = Literal["spectrum", "colon", "chat", "chat_simple", "verbalized"]
# Options that lm-eval takes from the model's arguments.
OF_THE_MODEL = ("pretrained", "peft", "tokenizer", "revision", "max_length")
LM_EVAL = ("lm_eval", "lm-eval", "lm-evaluation-harness")


class Options(BaseModel):
    """Options of an evaluation; other keys of the metadata are arguments of the model, and ignored here.

    Attributes:
        format: Format of the prompts; None for the default of the model's tokenizer.
        data_dir: Folder of the real data; None for ``SPECTRUM_DATA``.
        seed: Seed of the choice of sequences and items, and with `spectrum-trl eval` of the samples.
        sequences: Maximum number of sequences or items per task.
        max_tokens: Maximum length of a sequence, in tokens of four bytes; determines the number of examples.
        k_tokenizer: Tokenizer to count these tokens with instead; the paper uses Gemma 3 1B's.
        outputs: Maximum number of scored outputs per sequence, a random choice of those after the first;
            outputs of the curve are always scored.
        examples: Number of examples before the last output of each sequence; None for the number that leaves
            the most outputs to score.
        described: Which sequences keep their description: as many as the task trains with, ``never`` (what
            examples alone teach), or ``always``.
        held_out_share: Share of individuals and questions held out of training: only these are evaluated, in
            tasks from real data; None for all. In (0, 0.5].
        restricted: Whether to also score outputs among the task's own labels only.
        scoring: Whether to score candidates ``with_end`` of turn, or without, as ``published``.
        elicit: How a model's shares are found on the distributional axis: from the probabilities of the
            candidates, or from samples that are ``drawn``.
        samples: Samples per prompt on the diversity axis, and per question if answers are drawn.
        mode: Contents of a prompt on the diversity axis.
        pretrained: The model.
        peft: An adapter for it.
        tokenizer: A tokenizer other than the model's own.
        revision: Revision of a Hub repository.
        max_length: The model's context in tokens, if it differs from its configuration's.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)
    format: AnyFormat | None = None
    data_dir: str | None = None
    seed: int = Field(default=42, ge=0, lt=2**32)
    sequences: int = Field(default=1000, ge=1)
    max_tokens: int = Field(default=2048, ge=16)
    k_tokenizer: str | None = None
    outputs: int = Field(default=32, ge=1)
    examples: int | None = Field(default=None, ge=1)
    described: Literal["sometimes", "never", "always"] = "sometimes"
    held_out_share: float | None = Field(default=None, gt=0, le=0.5)
    restricted: bool = False
    scoring: Literal["with_end", "published"] = "with_end"
    elicit: Literal["probabilities", "drawn"] = "probabilities"
    samples: int = Field(default=100, ge=1)
    mode: Literal["both", "description", "examples"] = "both"
    pretrained: Any = None
    peft: str | None = None
    tokenizer: Any = None
    revision: str = "main"
    max_length: int | None = Field(default=None, ge=1)

    @field_validator(
        *("seed", "sequences", "max_tokens", "outputs", "examples", "held_out_share", "samples"),
        mode="before",
    )
    @classmethod
    def _no_switch(cls, value: Any) -> Any:
        """Reject true, which would count as 1."""
        if isinstance(value, bool):
            raise ValueError("expected a number")
        return value

    @field_validator("elicit")
    @classmethod
    def _one_way(cls, elicit: str, others: ValidationInfo) -> str:
        if elicit == "drawn" and others.data.get("format") == "verbalized":
            raise ValueError(
                "drawn samples answers, but format verbalized asks for shares: choose one of them"
            )
        return elicit

    def load_tokenizer(self) -> "PreTrainedTokenizerBase":
        """Return the model's tokenizer, which decides how prompts are written.

        Raises:
            UserError: If the metadata do not name it.
        """
        from transformers import PreTrainedTokenizerBase

        name = self.tokenizer or self.pretrained
        if isinstance(name, PreTrainedTokenizerBase):
            return name
        if not isinstance(name, str) or not name:
            raise UserError(
                "metadata: prompts are written with the model's tokenizer; specify it by "
                "--model_args pretrained=MODEL, or --metadata tokenizer=MODEL"
            )
        return _tokenizer(name, self.revision, _small_files(name))

    def yardstick(self) -> "PreTrainedTokenizerBase | None":
        """Return the tokenizer that measures the lengths of sequences, or None for bytes."""
        if self.k_tokenizer is None:
            return None
        return _tokenizer(self.k_tokenizer, "main", _small_files(self.k_tokenizer))

    def context(self) -> int | None:
        """Return the model's context in tokens, or None if unknown."""
        if self.max_length is not None or not isinstance(self.pretrained, str):
            return self.max_length
        from spectrum_trl.models.folder import contents

        # Called for each prompt; cached, since an adapter's base has to be found and read.
        return _context(self.pretrained, self.revision, contents(self.pretrained, "*config.json"))


def _small_files(name: str) -> tuple[str, ...]:
    from spectrum_trl.models.folder import SMALL_FILES, contents

    return contents(name, *SMALL_FILES)


@cache
def _tokenizer(name: str, revision: str, content: tuple[str, ...]) -> "PreTrainedTokenizerBase":
    from spectrum_trl.models.load import load_tokenizer

    return load_tokenizer(name, revision=revision)


@cache
def _context(name: str, revision: str, content: tuple[str, ...]) -> int | None:
    from spectrum_trl.models.load import base_of, load_config

    config = load_config(base_of(name, revision=revision)).get_text_config()
    return getattr(config, "max_position_embeddings", None)


def read_options(metadata: Mapping[str, Any]) -> Options:
    """Read the options of an evaluation from lm-eval's metadata.

    Raises:
        UserError: With every wrong value at once.
    """
    return parsed(Options, dict(metadata), before="metadata: ")


def read_words(text: str, *, option: str, beside: Mapping[str, Any]) -> dict[str, Any]:
    """Read ``a=1,b=2`` from a command line, with what has options of its own.

    Args:
        text: The words.
        option: Name of the option that they are given by, for messages.
        beside: Values of other options; those that are None are not given.

    Raises:
        UserError: If a name is given twice: the last would silently count.
    """
    from lm_eval.utils import simple_parse_args_string

    names = [part.partition("=")[0].strip() for part in text.split(",") if part.strip()]
    own = {name: value for name, value in beside.items() if value is not None}
    twice = [name for name, n in Counter([*names, *own]).items() if n > 1]
    refuse(f"{option}: {name} is given twice; give it once" for name in twice)
    return {**simple_parse_args_string(text), **own}


def check_names(metadata: Mapping[str, Any]) -> None:
    """Check that all options given to our command exist; lm-eval's metadata also holds the model's arguments.

    Raises:
        UserError: With every unknown name at once.
    """
    known = sorted(set(Options.model_fields) - set(OF_THE_MODEL))
    problems = []
    for name in metadata:
        if name in OF_THE_MODEL:
            problems.append(f"metadata: {name} is an argument of the model; pass it in --model-args")
        elif name not in known:
            hint = nearest(name, known)
            problems.append(f"metadata: {name} is not an option.{hint} Valid options: {', '.join(known)}")
    refuse(problems)


def at_the_edge() -> AbstractContextManager[None]:
    """Turn a user's mistake into a message and exit code 2 if lm-eval's own command runs the tasks."""
    return user_errors() if Path(sys.argv[0]).name in LM_EVAL else nullcontext()


def task_manager(include: Sequence[Path], *, metadata: Mapping[str, Any]) -> "TaskManager":
    """Return lm-eval's manager for our tasks and further folders, given model arguments and our options."""
    # Imports datasets, which takes seconds.
    from lm_eval.tasks import TaskManager

    folders = [str(bundled("tasks")), *map(str, include)]
    return TaskManager(include_path=folders, include_defaults=False, metadata=dict(metadata))


def select(patterns: Sequence[str], *, manager: "TaskManager") -> list[str]:
    """Return the names or files of the tasks that match names, tags, globs and YAML files.

    Raises:
        UserError: With every pattern that matches none.
    """
    chosen: list[str] = []
    problems = []
    for pattern in patterns:
        file = Path(pattern)
        if file.suffix == ".yaml":
            found = [str(file)] if file.is_file() else []
        else:
            found = [name for name in manager.match_tasks([pattern]) if name in manager.all_subtasks]
            tags = [name for name in manager.match_tasks([pattern]) if name in manager.all_tags]
            found += [task for tag in tags for task in sorted(manager.task_index[tag].tags)]
        if not found:
            known = [*manager.all_subtasks, *manager.all_tags]
            problems.append(f"tasks: no task, tag or file is named {pattern!r}.{nearest(pattern, known)}")
        chosen += found
    if not patterns:
        problems.append("tasks: none is given; give names, tags, globs or YAML files")
    refuse(problems)
    return list(dict.fromkeys(chosen))
