"""What a user can say about an evaluation: keys of lm-eval's ``--metadata``, beside those of the model."""

import logging
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from transformers import PreTrainedTokenizerBase

from spectrum_trl.errors import UserError, nearest, user_errors
from spectrum_trl.models.fingerprint import SMALL_FILES, contents
from spectrum_trl.models.load import base_of, load_config, load_tokenizer
from spectrum_trl.prompts.formats import Format

# lm-eval prints what its own loggers say.
logger = logging.getLogger(f"lm_eval.{__name__}")
AnyFormat = Literal["spectrum", "colon", "chat", "chat_simple", "verbalized"]
# Options that lm-eval takes from the model's arguments.
OF_THE_MODEL = ("pretrained", "peft", "tokenizer", "revision", "max_length")
LM_EVAL = ("lm_eval", "lm-eval", "lm-evaluation-harness")


class Options(BaseModel):
    """Options of an evaluation; whatever else the metadata hold is an argument of the model, and not read.

    Attributes:
        format: How prompts are written; None for the one that suits the model's tokenizer.
        data_dir: Folder of the real data; None for ``SPECTRUM_DATA``.
        seed: Of the choice of sequences and items, and with `spectrum-trl eval` of the samples drawn.
        sequences: At most so many sequences or items a task.
        max_tokens: Longest sequence, in tokens of four bytes, from which the number of examples is chosen.
        k_tokenizer: Tokenizer to count these tokens with instead, as the paper does with Gemma 3 1B's.
        outputs: At most so many outputs of a sequence are scored, a random choice of those after the first;
            the curve has its own.
        restricted: Whether an output is also scored among the task's own labels alone.
        scoring: Whether candidates are scored ``with_end`` of turn, or as ``published``, without.
        samples: Samples per prompt on the diversity axis.
        mode: What a prompt shows on the diversity axis.
        pretrained: The model.
        peft: An adapter on it.
        tokenizer: Its tokenizer, where it is not the model's own.
        revision: Of a Hub repository.
        max_length: The model's context in tokens, where it is not its configuration's.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)
    format: AnyFormat | None = None
    data_dir: str | None = None
    seed: int = Field(default=42, ge=0, lt=2**32)
    sequences: int = Field(default=1000, ge=1)
    max_tokens: int = Field(default=2048, ge=16)
    k_tokenizer: str | None = None
    outputs: int = Field(default=32, ge=1)
    restricted: bool = False
    scoring: Literal["with_end", "published"] = "with_end"
    samples: int = Field(default=100, ge=1)
    mode: Literal["both", "description", "examples"] = "both"
    pretrained: Any = None
    peft: str | None = None
    tokenizer: Any = None
    revision: str = "main"
    max_length: int | None = Field(default=None, ge=1)

    def load_tokenizer(self) -> PreTrainedTokenizerBase:
        """Return the model's tokenizer, which decides how prompts are written.

        Raises:
            UserError: If the metadata do not name it.
        """
        name = self.tokenizer or self.pretrained
        if isinstance(name, PreTrainedTokenizerBase):
            return name
        if not isinstance(name, str) or not name:
            raise UserError(
                "metadata: prompts are written with the model's tokenizer; name it by "
                "--model_args pretrained=MODEL, or --metadata tokenizer=MODEL"
            )
        return _tokenizer(name, self.revision, contents(name, *SMALL_FILES))

    def yardstick(self) -> PreTrainedTokenizerBase | None:
        """Return the tokenizer that the lengths of sequences are measured with, or None for bytes."""
        if self.k_tokenizer is None:
            return None
        return _tokenizer(self.k_tokenizer, "main", contents(self.k_tokenizer, *SMALL_FILES))

    def context(self) -> int | None:
        """Return the number of tokens that the model can read, or None where nothing says it."""
        if self.max_length is not None or not isinstance(self.pretrained, str):
            return self.max_length
        # Asked for each prompt: of an adapter, its base's configuration is not read again.
        return _context(self.pretrained, self.revision, contents(self.pretrained, "*config.json"))


@cache
def _tokenizer(name: str, revision: str, content: tuple[str, ...]) -> PreTrainedTokenizerBase:
    return load_tokenizer(name, revision=revision)


@cache
def _context(name: str, revision: str, content: tuple[str, ...]) -> int | None:
    config = load_config(base_of(name, revision=revision)).get_text_config()
    return getattr(config, "max_position_embeddings", None)


def read_options(metadata: Mapping[str, Any]) -> Options:
    """Read the options of an evaluation from lm-eval's metadata.

    Raises:
        UserError: With every wrong value at once.
    """
    try:
        return Options.model_validate(dict(metadata))
    except ValidationError as error:
        raise UserError(*(_problem(dict(detail)) for detail in error.errors())) from error


def check_names(metadata: Mapping[str, Any]) -> None:
    """Check that a command's own options are known; lm-eval's metadata hold the model's arguments, too.

    Raises:
        UserError: With every unknown name at once.
    """
    known = sorted(set(Options.model_fields) - set(OF_THE_MODEL))
    problems = []
    for name in metadata:
        if name in OF_THE_MODEL:
            problems.append(f"metadata: {name} is an argument of the model; give it by --model-args")
        elif name not in known:
            hint = nearest(name, known)
            problems.append(f"metadata: {name} is not an option.{hint} Valid options: {', '.join(known)}")
    if problems:
        raise UserError(*problems)


def format_of(options: Options, tokenizer: PreTrainedTokenizerBase) -> Format:
    """Return the format that prompts are written in; answers asked for as JSON are asked for in chat."""
    from spectrum_trl.evaluation import probe
    from spectrum_trl.prompts.scored import default_format

    if probe.is_needed(options):
        found = probe.probe_by_name(options)
        logger.info("%s", found)
        return found.format
    chosen = options.format or default_format(tokenizer)
    return "chat" if chosen == "verbalized" else chosen


def at_the_edge() -> AbstractContextManager[None]:
    """Turn a user's mistake into a message and exit code 2 where lm-eval's own command runs the tasks."""
    return user_errors() if Path(sys.argv[0]).name in LM_EVAL else nullcontext()


def _problem(detail: dict[str, Any]) -> str:
    key, value = ".".join(map(str, detail["loc"])), detail["input"]
    expected = str(detail["msg"]).removeprefix("Input should be ")
    hint = nearest(str(value), get_args(AnyFormat)) if key == "format" else ""
    return f"metadata: {key}: expected {expected}, but it is {str(value)[:60]!r}.{hint}"
