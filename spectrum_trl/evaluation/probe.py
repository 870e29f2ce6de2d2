"""Probe whether a model ends chat turns: pretrained models may have an instruct model's chat template."""

import gc
import json
from typing import NamedTuple

from accelerate.utils.memory import clear_device_cache
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.evaluation.options import Options, logger
from spectrum_trl.models.folder import SMALL_FILES, contents, fingerprints
from spectrum_trl.models.load import base_of, load_model
from spectrum_trl.models.weights import evaluation_device, evaluation_dtype
from spectrum_trl.progress import quiet_when_piped
from spectrum_trl.prompts.formats import Format
from spectrum_trl.prompts.scored import Prompts, default_format
from spectrum_trl.scoring.draw import Limits, greedy
from spectrum_trl.scoring.generation import Ending

# Questions that a chat model answers in a few words.
QUESTIONS = (
    "What is the capital of France? Answer with one word.",
    "Is ice cold? Answer yes or no.",
    "Name a colour. Write one word only.",
    "What is 2 + 2? Write the number only.",
    "Say hello.",
    "Which day comes after Monday? Answer with one word.",
    "Translate the word 'cat' into Spanish.",
    "Thank you!",
)
# Long enough for two sentences.
MOST_TOKENS = 48
# A model that ends fewer answers gives candidates, which include the end, almost no probability.
FEWEST = 0.5
_KNOWN: dict[str, "Probe"] = {}


class Probe(NamedTuple):
    """The number of answers that end their turn, and of all that were asked for."""

    ended: int
    asked: int

    @property
    def format(self) -> Format:
        """The format that suits the model."""
        return "chat" if self.ended >= FEWEST * self.asked else "colon"

    def __str__(self) -> str:
        """Describe the result and the format chosen from it."""
        found = f"{self.ended} of {self.asked} short answers end their chat turn"
        why = "" if self.format == "chat" else ", like those of a pretrained model; --format chat overrides"
        return f"format {self.format}, by a probe: {found}{why}"


def is_needed(options: Options) -> bool:
    """Return whether only the model itself can show which format suits it."""
    named = isinstance(options.pretrained, str)
    return options.format is None and named and default_format(options.load_tokenizer()) == "chat"


def format_of(options: Options, tokenizer: PreTrainedTokenizerBase) -> Format:
    """Return the format of the prompts; for ``verbalized``, that is ``chat``."""
    if is_needed(options):
        found = probe_by_name(options)
        logger.info("%s", found)
        return found.format
    chosen = options.format or default_format(tokenizer)
    return "chat" if chosen == "verbalized" else chosen


def probe(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Probe:
    """Let a model answer short questions greedily, and count the answers that end their turn.

    Args:
        model: Any causal language model.
        tokenizer: Its tokenizer, with the model's own chat template.
    """
    prompts = Prompts(tokenizer, fmt="chat_simple")
    asked = [prompts.prompt([{"role": "input", "content": question}]) for question in QUESTIONS]
    # Only the template's end of turn counts, not the tokenizer's end of text.
    ending = Ending(tokenizer, [prompts.end], ends=())
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in asked]
    answers = greedy(model, ids, limits=Limits(MOST_TOKENS, ending.ends, ending.stopped))
    stopped = ending.stopped(answers)
    ended = sum(stop or answer[-1] in ending.ends for stop, answer in zip(stopped, answers, strict=True))
    return Probe(ended, len(QUESTIONS))


def probe_by_name(options: Options) -> Probe:
    """Probe a model that lm-eval loads itself; it is loaded just for the probe, once per process."""
    name = str(options.peft or options.pretrained)
    base = base_of(name, revision=options.revision)
    found = [fingerprints(part, revision=options.revision) for part in dict.fromkeys((name, base))]
    parts = dict.fromkeys((name, base, str(options.tokenizer or name)))
    key = json.dumps([name, found, [contents(part, *SMALL_FILES) for part in parts]])
    if key not in _KNOWN:
        # Also called from lm-eval's own command, which leaves transformers' progress bars on in a pipe.
        quiet_when_piped()
        logger.info("loading %s once more to probe whether it ends the turns of its chat template", name)
        device = evaluation_device()
        settings = {"device_map": device} if device != "cpu" else {}
        model = load_model(name, revision=options.revision, dtype=evaluation_dtype(device), **settings)
        _KNOWN[key] = probe(model, options.load_tokenizer())
        del model
        gc.collect()
        clear_device_cache()
    return _KNOWN[key]
