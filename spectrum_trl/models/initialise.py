"""Create a small model from scratch: a tokenizer trained on the recipe's texts, and random weights."""

from collections.abc import Iterable
from typing import Any

from accelerate.utils import set_seed
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

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
