"""Read lm-eval's generation requests: settings, seeds, and where a text ends."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from transformers import PreTrainedTokenizerBase

from spectrum_trl.errors import nearest, refuse
from spectrum_trl.scoring.draw import Decoding

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

KNOWN = ("do_sample", "until", "max_gen_toks", "temperature", "top_k", "top_p")


class Settings(NamedTuple):
    """The settings of a generation request.

    Attributes:
        decoding: How tokens are sampled, or None for greedy decoding.
        stops: Texts that end an answer; they are not part of it.
        max_new_tokens: Maximum number of tokens.
    """

    decoding: Decoding | None
    stops: tuple[str, ...]
    max_new_tokens: int


class Wanted(NamedTuple):
    """A generation request.

    Attributes:
        context: The prompt.
        settings: How to continue it.
        seed: The sample's seed, combined with the run's: a digest of the prompt, the index of the request's
            row, and how often the request has occurred before.
    """

    context: str
    settings: Settings
    seed: tuple[int, int, int]


def read_requests(requests: "Sequence[Instance]", *, default_length: int) -> list[Wanted]:
    """Read generation requests; each repetition of a request gets another seed.

    Repetitions are counted within each row of each task, so neither the order of tasks nor the number of
    processes changes a sample.

    Args:
        requests: lm-eval's requests.
        default_length: Maximum number of tokens for requests that set none.

    Raises:
        UserError: With all settings that are unknown or out of range.
    """
    settings: dict[str, Settings] = {}
    problems: dict[str, None] = {}
    before = Counter[tuple[Any, ...]]()
    found = []
    for request in requests:
        context, arguments = request.args
        key = repr(sorted(arguments.items()))
        if key not in settings:
            problems |= dict.fromkeys(_problems(arguments))
            settings[key] = _read(arguments, default_length=default_length)
        place = (request.task_name, request.doc_id, context, key)
        digest = int.from_bytes(hashlib.sha256(context.encode()).digest()[:8], "big")
        found.append(Wanted(context, settings[key], (digest, request.doc_id or 0, before[place])))
        before[place] += 1
    refuse(problems)
    return found


def _problems(arguments: Mapping[str, Any]) -> Iterator[str]:
    lengths = {"max_new_tokens", "max_tokens", "max_completion_tokens"}
    for name in arguments.keys() - {*KNOWN, *lengths}:
        yield f"generation_kwargs: {name} is not known.{nearest(name, KNOWN)} --model hf may know it."
    if not arguments.get("do_sample", float(arguments.get("temperature", 0)) > 0):
        return
    ranges = {
        "temperature": (1.0, "a number above 0", lambda value: value > 0),
        "top_p": (1.0, "a number above 0, at most 1", lambda value: 0 < value <= 1),
        "top_k": (0, "a whole number, 0 for all tokens", lambda value: value >= 0 and value == int(value)),
    }
    for name, (default, expected, holds) in ranges.items():
        value = arguments.get(name, default)
        if not isinstance(value, int | float) or not holds(value):
            yield f"generation_kwargs: {name}: expected {expected}, but it is {value!r}."


def _read(arguments: Mapping[str, Any], *, default_length: int) -> Settings:
    # Takes long to import, and what is asked without lm-eval does not need it.
    from lm_eval.models.utils import normalize_gen_kwargs

    # lm-eval would set a missing temperature to 0; with do_sample, 1 is meant.
    given = {"temperature": 1.0, **arguments} if arguments.get("do_sample") else dict(arguments)
    known: Any = normalize_gen_kwargs(given, default_length)
    decoding = None
    if known["do_sample"]:
        decoding = Decoding(known["temperature"], known.get("top_k", 0), known.get("top_p", 1.0))
    return Settings(decoding, tuple(stop for stop in known["until"] if stop), known["max_gen_toks"])


class Ending:
    """Detect where a text ends, and cut it there."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, stops: Sequence[str], *, ends: Sequence[int]
    ) -> None:
        """Collect the tokens and texts that end an answer; stops that are added tokens join the tokens."""
        self.tokenizer = tokenizer
        added = tokenizer.get_added_vocab()
        self.ends = frozenset([*ends, *(added[stop] for stop in stops if stop in added)])
        self.stops = tuple(stop for stop in stops if stop not in added)

    def stopped(self, texts: list[list[int]]) -> list[bool]:
        """Return for each text whether it contains a stop."""
        if not self.stops:
            return [False] * len(texts)
        return [any(stop in text for stop in self.stops) for text in self._decoded(texts)]

    def cut(self, ids: Sequence[int]) -> str:
        """Return a text up to its earliest end; other control tokens stay visible in it."""
        kept = next((list(ids[:n]) for n, token in enumerate(ids) if token in self.ends), list(ids))
        (text,) = self._decoded([kept])
        return text[: min((text.find(stop) for stop in self.stops if stop in text), default=len(text))]

    def _decoded(self, texts: list[list[int]]) -> list[str]:
        return self.tokenizer.batch_decode(
            texts, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
