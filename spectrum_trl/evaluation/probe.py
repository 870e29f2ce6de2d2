"""Does a model end chat turns at all? A pretrained one may have the chat template of its instruct sibling."""

import gc
import json
from typing import NamedTuple

import torch
from accelerate.utils.memory import clear_device_cache
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.evaluation.options import Options, logger
from spectrum_trl.models.fingerprint import SMALL_FILES, contents, fingerprints
from spectrum_trl.models.load import base_of, load_model
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
# A model that ends fewer answers leaves the candidates, which end, next to no probability.
FEWEST = 0.5
_KNOWN: dict[str, "Probe"] = {}


class Probe(NamedTuple):
    """What was found.

    Attributes:
        ended: Answers that ended their turn.
        asked: All answers.
    """

    ended: int
    asked: int

    @property
    def format(self) -> Format:
        """The format that suits the model."""
        return "chat" if self.ended >= FEWEST * self.asked else "colon"

    def __str__(self) -> str:
        """Say what was found, and what follows."""
        found = f"{self.ended} of {self.asked} short answers end their chat turn"
        why = (
            ""
            if self.format == "chat"
            else ", as those of a pretrained model do not; --format chat overrides"
        )
        return f"format {self.format}, by a probe: {found}{why}"


def is_needed(options: Options) -> bool:
    """Tell whether nothing but the model itself says which format suits it."""
    named = isinstance(options.pretrained, str)
    return options.format is None and named and default_format(options.load_tokenizer()) == "chat"


def probe(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Probe:
    """Let a model answer short questions greedily, and count answers that end their turn.

    Args:
        model: Any causal language model.
        tokenizer: With a chat template of its own.
    """
    prompts = Prompts(tokenizer, fmt="chat_simple")
    asked = [prompts.prompt([{"role": "input", "content": question}]) for question in QUESTIONS]
    # Only what the template writes at the end of a turn counts, not the end of a text.
    ending = Ending(tokenizer, [prompts.end], ends=())
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in asked]
    answers = greedy(model, ids, limits=Limits(MOST_TOKENS, ending.ends, ending.stopped))
    stopped = ending.stopped(answers)
    ended = sum(stop or answer[-1] in ending.ends for stop, answer in zip(stopped, answers, strict=True))
    return Probe(ended, len(QUESTIONS))


def probe_by_name(options: Options) -> Probe:
    """Probe a model that somebody else loads; it is loaded for the probe alone, once in a process.

    Args:
        options: Which name it.
    """
    name = str(options.peft or options.pretrained)
    base = base_of(name, revision=options.revision)
    found = [fingerprints(part, revision=options.revision) for part in dict.fromkeys((name, base))]
    parts = dict.fromkeys((name, base, str(options.tokenizer or name)))
    key = json.dumps([name, found, [contents(part, *SMALL_FILES) for part in parts]])
    if key not in _KNOWN:
        # Called from lm-eval's own command, too, which leaves transformers' bars on in a pipe.
        quiet_when_piped()
        logger.info("%s is loaded once more, to probe whether it ends the turns of its chat template", name)
        cuda = torch.cuda.is_available()
        settings = {"dtype": "auto", "device_map": "cuda"} if cuda else {"dtype": "float32"}
        model = load_model(name, revision=options.revision, **settings)
        _KNOWN[key] = probe(model, options.load_tokenizer())
        del model
        gc.collect()
        clear_device_cache()
    return _KNOWN[key]
