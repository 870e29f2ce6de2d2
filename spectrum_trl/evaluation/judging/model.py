"""A local judge: a language model, read by the probabilities of the two verdicts."""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.judging.endpoint import INSTRUCTION, VERDICTS, question
from spectrum_trl.models.load import load_model, load_tokenizer
from spectrum_trl.models.weights import check_weights, evaluation_device, evaluation_dtype
from spectrum_trl.prompts.messages import special_tokens
from spectrum_trl.prompts.scored import Prompts, default_format
from spectrum_trl.scoring.forward import check_lengths, evaluating


class Asked(NamedTuple):
    """A tokenized question.

    Attributes:
        ids: Token ids up to where the two verdicts differ.
        valid: Id of the next token of the first verdict.
        invalid: Id of the next token of the second.
    """

    ids: list[int]
    valid: int
    invalid: int


class ModelJudge:
    """Judge texts with a causal language model."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        verdicts: tuple[str, str] = VERDICTS,
    ) -> None:
        """Choose the prompt format, and check the verdicts.

        Args:
            model: The judge, on any device.
            tokenizer: Its tokenizer, which determines the prompt format.
            verdicts: Words for a text that matches, and for one that does not; they must begin with different
                tokens.

        Raises:
            UserError: If both begin with the same token.
        """
        self.model, self.tokenizer, self.verdicts = model, tokenizer, verdicts
        fmt = default_format(tokenizer)
        # Format chat would tell the judge to write samples.
        self.prompts = Prompts(tokenizer, fmt="chat_simple" if fmt == "chat" else fmt)
        self.prompt("?", description="?")

    def scores(self, texts: Sequence[str], *, description: str) -> list[float]:
        """Return for each text the first verdict's share of both verdicts' probability, in [0, 1].

        Raises:
            UserError: If a prompt is longer than the model's context, or both verdicts have probability 0.
        """
        found = []
        with evaluating(self.model):
            for text in texts:
                asked = self.prompt(text, description=description)
                check_lengths(self.model, [len(asked.ids)])
                row = torch.tensor([asked.ids], device=self.model.device)
                logits = self.model(input_ids=row, use_cache=False).logits[0, -1].double()
                p = logits.softmax(dim=-1)[[asked.valid, asked.invalid]]
                found.append(float(p[0] / p.sum()))
                if not math.isfinite(found[-1]):
                    raise UserError(
                        "judge: there is no verdict, since its logits hold NaN or infinity, or both verdicts "
                        f"have probability 0, for the text {text[:80]!r}; use another model"
                    )
        return found

    def prompt(self, text: str, *, description: str) -> Asked:
        """Return the token ids of the question about a text, up to where the verdicts differ.

        Raises:
            UserError: If the verdicts begin with the same token.
        """
        asked = question(text, description=description, control_tokens=special_tokens(self.tokenizer))
        context = self.prompts.prompt(
            [{"role": "description", "content": INSTRUCTION}, {"role": "input", "content": asked}]
        )
        lead = context + self.prompts.before
        valid, invalid = (self._ids(lead + verdict) for verdict in self.verdicts)
        shared = 0
        while shared < min(len(valid), len(invalid)) and valid[shared] == invalid[shared]:
            shared += 1
        if shared == min(len(valid), len(invalid)) or shared > len(self._ids(lead)):
            raise UserError(
                f"judge: the verdicts {' and '.join(map(repr, self.verdicts))} begin with the same token of "
                "this model, so one probability cannot distinguish them; use another model"
            )
        return Asked(valid[:shared], valid[shared], invalid[shared])

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


@cache
def load_judge(name: str, revision: str) -> ModelJudge:
    """Load a judge, once per process, from a folder or the Hub.

    Raises:
        UserError: If it cannot be loaded, or its weights hold NaN or infinity.
    """
    device = evaluation_device()
    model: Any = load_model(name, revision=revision, dtype=evaluation_dtype(device))
    check_weights(model, name=name)
    return ModelJudge(model.to(device), load_tokenizer(name, revision=revision))
