"""Load models and tokenizers, with one clear message if that fails."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from tokenizers import Tokenizer
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.integrations import is_fsdp_enabled
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES
from transformers.tokenization_utils_base import FULL_TOKENIZER_FILE, TOKENIZER_CONFIG_FILE
from transformers.utils import GENERATION_CONFIG_NAME, cached_file, logging
from transformers.utils.peft_utils import ADAPTER_CONFIG_NAME, find_adapter_config_file

from spectrum_trl.errors import UserError, first_line
from spectrum_trl.models.weights import has_tied_head
from spectrum_trl.paths import EMBEDDED, TINY_BASE_NAME
from spectrum_trl.prompts.templates import family_of

# Width of a block that bitsandbytes quantizes together.
BLOCK = 64
# Texts that the pre-tokenizers and normalizers of published models treat differently.
PROBES = (
    "The quick brown fox, it's 42 years old; isn't it?",
    " one  two   three    four ",
    "1234567890 3.14159 1,000,000 v2.0",
    "a\nb\n\nc\r\nd\t\te \n \n f",
    "Crème brûlée, naïve, cafe\u0301, Straße, ŒUVRE",
    "日本語の文章。中文句子,한국어 문장",
    "def f(x_1: int) -> None:\n    return [x**2 for x in range(10)]  # done",
    "😀👩\u200d👩\u200d👧 🇩🇪 ➜ ½ №",
)


def model_path(name: str, *, what: str = "model") -> str:
    """Return where to load a model from: the absolute path of a folder, or a Hub id unchanged.

    Raises:
        UserError: If the name is blank.
    """
    if not (name or "").strip():
        raise UserError(f"the name of the {what} is {name!r}: give a folder, a Hub id, or {TINY_BASE_NAME}")
    folder = os.path.expanduser(EMBEDDED.get(name, name))
    # peft stores this path in the adapter, which may later be loaded from another working directory.
    return os.path.abspath(folder) if os.path.isdir(folder) else name


def is_adapter(name: str, *, revision: str = "main") -> bool:
    """Return whether a folder or repository holds an adapter rather than a whole model."""
    try:
        return find_adapter_config_file(model_path(name), revision=revision) is not None
    except (OSError, ValueError):
        # A bad name is reported when the model is loaded.
        return False


def base_of(name: str, *, revision: str = "main") -> str:
    """Return the base model of an adapter's folder or repository; any other name unchanged."""
    if not is_adapter(name, revision=revision):
        return name
    # Most models are not adapters, and peft takes seconds to import.
    from peft import PeftConfig

    return str(PeftConfig.from_pretrained(model_path(name)).base_model_name_or_path)


def load_config(name: str, *, revision: str = "main") -> PreTrainedConfig:
    """Load the configuration of a folder, Hub id or embedded model without running any code from it.

    Raises:
        UserError: If it cannot be loaded.
    """
    with _load_errors("configuration", name):
        return AutoConfig.from_pretrained(model_path(name), revision=revision, trust_remote_code=False)


def checkpoint_dtype(name: str, *, revision: str = "main") -> torch.dtype | None:
    """Return the number type that a checkpoint's configuration names, or None if it names none."""
    config = load_config(name, revision=revision)
    return cast(torch.dtype | None, config.dtype or config.get_text_config().dtype)


def load_tokenizer(name: str, *, base: str | None = None, revision: str = "main") -> PreTrainedTokenizerBase:
    """Load a tokenizer.

    Args:
        name: A folder, a Hub id, or the tiny base's name.
        base: The model of an adapter, whose tokenizer is used if the adapter has none, as peft saves it; by
            default the one that the adapter names.
        revision: Revision of the Hub repository.

    Returns:
        The tokenizer as published, without our template.

    Raises:
        UserError: If it cannot be loaded, or splits text differently from its ``tokenizer.json``.
    """
    with _load_errors("tokenizer", name):
        path = model_path(name)
        has = cached_file(
            path, TOKENIZER_CONFIG_FILE, revision=revision, _raise_exceptions_for_missing_entries=False
        )
        if has is None and is_adapter(name, revision=revision):
            return load_tokenizer(base or base_of(name, revision=revision))
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(path, revision=revision)
        file = cached_file(
            path, FULL_TOKENIZER_FILE, revision=revision, _raise_exceptions_for_missing_entries=False
        )
        if file:
            check_splitting(tokenizer, file, name=name)
        # From a configuration alone, transformers builds a tokenizer that knows no text.
        if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
            raise UserError(f"{name!r} has no tokenizer; copy its tokenizer.json and tokenizer_config.json")
    return tokenizer


def load_model(
    name: str, *, adapter: str | None = None, revision: str = "main", **settings: Any
) -> PreTrainedModel:
    """Load a causal language model from safetensors without running any code from its repository.

    An adapter folder loads as its base model with the adapter attached, and with the adapter's generation
    settings: transformers alone would use the base model's, which do not stop at the end of a turn.

    Args:
        name: A folder, a Hub id, or the tiny base's name.
        adapter: Folder of an adapter for the model, whatever base model it names itself.
        revision: Revision of the Hub repository.
        **settings: Further arguments of ``from_pretrained``, for example ``dtype``.

    Returns:
        The model.

    Raises:
        UserError: If it cannot be loaded.
    """
    if adapter is not None:
        return _load_adapted(model_path(adapter, what="adapter"), base=name, revision=revision, **settings)
    if os.path.isfile(os.path.join(model_path(name), ADAPTER_CONFIG_NAME)):
        return _load_adapted(model_path(name), **settings)
    with _load_errors("model", name):
        config = AutoConfig.from_pretrained(model_path(name), revision=revision, trust_remote_code=False)
        check_causal(config, name=name)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            model_path(name),
            revision=revision,
            use_safetensors=True,
            trust_remote_code=False,
            # Wrong sizes are reported below, with names.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **settings,
        )
        # transformers initialises missing weights at random.
        _check_weights(
            f"the weights of {name!r} do not fit its configuration",
            loaded[1],
            fix="download or copy the model again",
        )
    model = cast(PreTrainedModel, loaded[0])
    _correct_tying(model, name)
    return model


def check_causal(config: PreTrainedConfig, *, name: str) -> None:
    """Check that a model neither sees the tokens it predicts, nor has an encoder.

    Args:
        config: Its configuration.
        name: Its folder or Hub id.

    Raises:
        UserError: If it does.
    """
    kind = config.model_type
    masked = kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(config, "is_decoder", False)
    if config.is_encoder_decoder or masked:
        raise UserError(
            f"{name!r} is a {kind} model: expected a causal language model, such as a Llama or a Gemma"
        )


def _correct_tying(model: PreTrainedModel, name: str) -> None:
    """Untie the configuration of a model whose two matrices differ: other libraries rely on it.

    Raises:
        UserError: If other ranks, which read no weights, have already tied them.
    """
    configs = [model.config, model.config.get_text_config()]
    says = any(getattr(config, "tie_word_embeddings", False) for config in configs)
    if not says or model.get_output_embeddings() is None or has_tied_head(model):
        return
    if is_fsdp_enabled():
        raise UserError(
            f"the configuration of {name!r} ties its output layer to its embedding, but its weights are two "
            "different matrices; set fsdp_config.cpu_ram_efficient_loading to false, so every process reads "
            "them, or tie_word_embeddings to false in its config.json"
        )
    for config in configs:
        config.tie_word_embeddings = False


def _load_adapted(
    name: str, *, base: str | None = None, revision: str | None = None, **settings: Any
) -> PreTrainedModel:
    from peft import PeftConfig

    with _load_errors("adapter", name):
        adapter = PeftConfig.from_pretrained(name)
        # Written by our runs; peft itself writes none.
        if os.path.isfile(os.path.join(name, GENERATION_CONFIG_NAME)):
            settings.setdefault("generation_config", GenerationConfig.from_pretrained(name))
        base = base or str(adapter.base_model_name_or_path)
        model = load_model(base, revision=revision or adapter.revision or "main", **settings)
        found = model.load_adapter(name, ignore_mismatched_sizes=True).to_dict()
        _check_weights(
            f"the adapter of {name!r} does not fit its configuration or its base model",
            found,
            fix=f"copy it again, or merge it (spectrum-trl merge {name} FOLDER): transformers cannot load "
            "every adapter that peft can, for example DoRA",
            unexpected=found["unexpected_keys"],
        )
    stay_apart(model)
    return model


def stay_apart(model: PreTrainedModel) -> None:
    """Keep lm-eval from tying an adapted model again, which fails on peft's wrapped layers."""
    for config in (model.config, model.config.get_text_config(decoder=True)):
        config.tie_word_embeddings = False


def _check_weights(
    problem: str, found: dict[str, Any], *, fix: str, unexpected: Collection[str] = ()
) -> None:
    """Raise if any weight was not read from the checkpoint."""
    wrong_size = [name for name, *_ in found["mismatched_keys"]]
    parts = [
        f"{len(names)} {what}, for example {min(names)}"
        for names, what in (
            (found["missing_keys"], "are missing"),
            (wrong_size, "have the wrong size"),
            (unexpected, "are unexpected"),
        )
        if names
    ]
    if parts:
        raise UserError(f"{problem}: {'; '.join(parts)}; {fix}")


def model_without_memory(name: str, *, revision: str = "main") -> PreTrainedModel:
    """Return a model built from its configuration on the meta device, with no weights allocated."""
    config = load_config(name, revision=revision)
    with _load_errors("model", name), torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def load_without_weights(name: str, *, revision: str = "main", **settings: Any) -> PreTrainedModel:
    """Build a model whose weights are allocated but not read from disk: they come from another rank.

    ``from_pretrained``, whose further arguments are ``settings``, reads the weights on every rank, although
    accelerate replaces all but those of the first (https://github.com/huggingface/transformers/issues/43749).
    """
    empty = model_without_memory(name, revision=revision)
    config, model_class = empty.config, type(empty)
    # Every weight is missing on purpose: silence the report.
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        model = model_class.from_pretrained(None, config=config, state_dict={}, **settings)
    finally:
        logging.set_verbosity(level)
    for module in model.modules():
        for part, weight in list(module.named_parameters(recurse=False)):
            # accelerate identifies weights by address, so each needs one; pages that are never written take
            # no memory.
            unread = torch.empty_like(weight, device="cpu")
            setattr(module, part, torch.nn.Parameter(unread, requires_grad=weight.requires_grad))
    model.tie_weights()
    return model


def for_cpu(quantization: BitsAndBytesConfig, *, name: str, revision: str = "main") -> list[str]:
    """Exclude from 4-bit quantization what a CPU would dequantize wrongly, and return the matrices' names.

    The CPU kernel of bitsandbytes 0.50.2 starts a new block with each row. If the row width is not a multiple
    of the block size, weights are dequantized with the scale of another block. ``quantization`` is changed in
    place.
    """
    model = model_without_memory(name, revision=revision)
    head = model.get_output_embeddings()
    linear = [(path, layer) for path, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)]
    kept = [path for path, layer in linear if layer is not head and layer.in_features % BLOCK]
    if kept:
        # A custom list replaces the default, which is the output layer.
        quantization.llm_int8_skip_modules = [*kept, *(path for path, layer in linear if layer is head)]
    return kept


def check_vocabulary(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Check that every token that can occur has a row in the embedding.

    Special tokens that the template does not use cannot occur in text: Gemma 3's text models have no row for
    the image token.

    Args:
        model: The loaded model.
        tokenizer: With the Spectrum template, or without one if no turns are written.

    Raises:
        UserError: If the tokenizer belongs to another model.
    """
    rows = cast(torch.nn.Embedding, model.get_input_embeddings()).weight.shape[0]
    used = {id for id in (tokenizer.eos_token_id, tokenizer.pad_token_id) if id is not None}
    if family_of(tokenizer):
        turns = [{"role": role, "content": ""} for role in ("description", "input", "output")]
        used |= set(cast(list[int], tokenizer.apply_chat_template(turns, return_dict=False)))
    special = {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    if beyond := [id for id in (set(tokenizer.get_vocab().values()) - special) | used if id >= rows]:
        raise UserError(
            f"the embedding of {model.name_or_path!r} has {rows:,} rows, but its tokenizer has ids up to "
            f"{max(beyond):,}: they belong to different models; use the tokenizer of the same folder"
        )


@contextmanager
def _load_errors(what: str, name: str) -> Iterator[None]:
    """Turn whatever the libraries raise for a broken folder or a missing repository into one message."""
    try:
        yield
    except UserError:
        raise
    except ImportError as error:
        raise UserError(f"cannot load the {what} of {name!r}: {' '.join(str(error).split())}") from error
    except Exception as error:
        is_path = name.startswith((".", "/", "~")) or os.path.exists(name)
        hint = (
            "Check the folder."
            if is_path
            else f"Check the Hub id, log in if it is gated, or use {TINY_BASE_NAME} without a network."
        )
        raise UserError(f"cannot load the {what} of {name!r}: {first_line(error)} {hint}") from error


def check_splitting(tokenizer: PreTrainedTokenizerBase, file: str, *, name: str) -> None:
    """Check that a loaded tokenizer of a model returns the same ids as its ``tokenizer.json``.

    For some classes, transformers rebuilds the pre-tokenizer regardless of the file
    (https://github.com/huggingface/transformers/issues/44254). Only differences in the ids count.

    Raises:
        UserError: With the first text that the two split differently.
    """
    published = Tokenizer.from_file(file)
    published.no_truncation()
    published.no_padding()
    for text in PROBES:
        expected = published.encode(text, add_special_tokens=False).ids
        found = tokenizer.encode(text, add_special_tokens=False)
        if found != expected:
            raise UserError(
                f"the tokenizer of {name!r} does not split text as its tokenizer.json does: {text!r} becomes "
                f"{len(found)} tokens, {found[:6]} …, instead of {len(expected)}, {expected[:6]} …: "
                f"transformers loaded it as {type(tokenizer).__name__}, and settings in "
                "tokenizer_config.json override parts of the file; if the model was trained with that file, "
                'set "tokenizer_class": "PreTrainedTokenizerFast" in tokenizer_config.json and '
                "remove settings of the other class, such as add_prefix_space"
            )
