"""Begin a model: a small one from scratch, or role tokens, which a base checkpoint leaves untrained."""

from collections.abc import Iterable
from typing import Any

import torch
from accelerate.utils import set_seed
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from spectrum_trl.errors import UserError, located
from spectrum_trl.models.load import load_config
from spectrum_trl.models.role_rows import check_shared_rows, role_token_ids, sibling_rows
from spectrum_trl.models.weights import has_tied_head, token_matrices

QWEN_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def new_tokenizer(texts: Iterable[str], *, vocab_size: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer with the Qwen role tokens.

    Digits, line breaks and punctuation marks are separate tokens, so numbers are read digit by digit and a
    word before any of them is always the same token. A space belongs to the word or digit after it, which
    halves the length of a sentence compared with separate space tokens.

    Args:
        texts: Texts to learn the merges from.
        vocab_size: Upper limit of the vocabulary, at least 259 (256 bytes and the role tokens).

    Returns:
        A tokenizer whose end-of-sequence token is ``<|endoftext|>``, like Qwen's base models.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\p{N}| ?\p{L}+|\s|[^\s\p{L}\p{N}]"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(QWEN_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
        clean_up_tokenization_spaces=False,
    )


def new_model(config: dict[str, Any], *, vocab_size: int, seed: int) -> PreTrainedModel:
    """Initialise a causal language model.

    Args:
        config: Arguments of the transformers configuration, including ``model_type``.
        vocab_size: Number of rows of the embedding.
        seed: Seed of the initial weights.

    Returns:
        The model in float32.
    """
    set_seed(seed)
    settings = dict(config)
    model_config = AutoConfig.for_model(settings.pop("model_type"), vocab_size=vocab_size, **settings)
    return AutoModelForCausalLM.from_config(model_config)


@torch.no_grad()
def initialise_role_tokens(
    model: PreTrainedModel, *, tokenizer: PreTrainedTokenizerBase, family: str
) -> list[str]:
    """Set the turn tokens' rows of the embedding and output layer to those of line breaks.

    A pretrained model never trained its turn tokens. The one that begins a turn gets the row of an empty
    line, the others that of a line break, with which such a model ends an answer; so ends of turns are likely
    from the first step. Where a line break is several tokens, the row is their mean.

    Returns:
        The turn tokens of the model, which is changed in place.
    """
    ids = role_token_ids(tokenizer, family=family)
    line, empty = (_tokens_after_text(text, tokenizer=tokenizer) for text in ("\n", "\n\n"))
    for weight in token_matrices(model):
        rows = [weight[breaks].float().mean(0) for breaks in (empty, *[line] * (len(ids) - 1))]
        weight[ids] = torch.stack(rows).to(weight)
    return list(tokenizer.convert_ids_to_tokens(ids))


def _tokens_after_text(text: str, *, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return a text's tokens inside a document: at its beginning, some tokenizers add a space."""
    before, whole = (tokenizer.encode(each, add_special_tokens=False) for each in ("a", f"a{text}"))
    return whole[len(before) :]


def check_sibling(sibling: str, *, model: str, revision: str = "main") -> None:
    """Check an instruct sibling's configuration before the data are built and weights are loaded.

    Raises:
        UserError: If the sibling cannot be loaded or has another hidden size.
    """
    wanted = load_config(model, revision=revision).get_text_config().hidden_size
    with located("copy_role_tokens_from: "):
        found = load_config(sibling).get_text_config().hidden_size
    if found != wanted:
        raise UserError(
            f"copy_role_tokens_from: {sibling} has hidden size {found}, {model} has {wanted}; name an "
            "instruct model of the same size"
        )


@torch.no_grad()
def copy_role_tokens(
    model: PreTrainedModel, *, tokenizer: PreTrainedTokenizerBase, family: str, sibling: str
) -> list[str]:
    """Copy the turn tokens' rows of the embedding and output layer from an instruct sibling.

    It has the architecture and size of the model.

    Returns:
        The turn tokens of the model, which is changed in place.

    Raises:
        UserError: If the sibling lacks a token, or its layers are untied where the model's are tied.
    """
    ids = role_token_ids(tokenizer, family=family)
    tokens = list(tokenizer.convert_ids_to_tokens(ids))
    rows = sibling_rows(sibling, tokens=tokens)
    if has_tied_head(model):
        check_shared_rows(rows, sibling=sibling)
    for weight, copied in zip(token_matrices(model), rows, strict=True):
        weight[ids] = copied.to(weight)
    return tokens
