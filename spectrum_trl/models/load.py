"""Load a model and a tokenizer, with one clear message where that fails."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.integrations import is_fsdp_enabled
from transformers.tokenization_utils_base import FULL_TOKENIZER_FILE
from transformers.utils import GENERATION_CONFIG_NAME, cached_file, logging
from transformers.utils.peft_utils import ADAPTER_CONFIG_NAME, find_adapter_config_file

from spectrum_trl.errors import UserError
from spectrum_trl.models.sharing import has_tied_head
from spectrum_trl.models.splitting import check_splitting
from spectrum_trl.paths import EMBEDDED, TINY_BASE_NAME
from spectrum_trl.prompts.templates import family_of


def model_path(name: str) -> str:
    """Return where to load a model from: a folder's full path, or a Hub id as it is."""
    folder = os.path.expanduser(EMBEDDED.get(name, name))
    # peft writes the path into the adapter, which is then loaded from anywhere.
    return os.path.abspath(folder) if os.path.isdir(folder) else name


def is_adapter(name: str, *, revision: str = "main") -> bool:
    """Tell whether a folder or a repository holds an adapter in place of a whole model."""
    try:
        return find_adapter_config_file(model_path(name), revision=revision) is not None
    except (OSError, ValueError):
        # What is wrong with the name is told where it is loaded.
        return False


def base_of(name: str, *, revision: str = "main") -> str:
    """Return the base model of an adapter's folder or repository; any other name as it is."""
    if not is_adapter(name, revision=revision):
        return name
    # Most models are no adapters, and peft takes seconds to import.
    from peft import PeftConfig

    return str(PeftConfig.from_pretrained(model_path(name)).base_model_name_or_path)


def load_config(name: str, *, revision: str = "main") -> PreTrainedConfig:
    """Load a model's configuration, running no code of its repository.

    Args:
        name: A folder, a Hub id, or the tiny base's name.
        revision: Of a Hub repository.

    Returns:
        The configuration.

    Raises:
        UserError: If there is none.
    """
    with _told("configuration", name):
        return AutoConfig.from_pretrained(model_path(name), revision=revision, trust_remote_code=False)


def checkpoint_dtype(name: str, *, revision: str = "main") -> torch.dtype | None:
    """Return the number type that a checkpoint says its weights have, or None where it says nothing."""
    config = load_config(name, revision=revision)
    return cast(torch.dtype | None, config.dtype or config.get_text_config().dtype)


def load_tokenizer(name: str, *, revision: str = "main") -> PreTrainedTokenizerBase:
    """Load a tokenizer.

    Args:
        name: A folder, a Hub id, or the tiny base's name.
        revision: Of a Hub repository.

    Returns:
        The tokenizer as published, without our template.

    Raises:
        UserError: If there is none, or if it splits text in another way than its ``tokenizer.json``.
    """
    with _told("tokenizer", name):
        path = model_path(name)
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(path, revision=revision)
        file = cached_file(
            path, FULL_TOKENIZER_FILE, revision=revision, _raise_exceptions_for_missing_entries=False
        )
        if file:
            check_splitting(tokenizer, file, name=name)
    return tokenizer


def load_model(name: str, *, revision: str = "main", **settings: Any) -> PreTrainedModel:
    """Load a causal language model from safetensors, running no code of its repository.

    The folder of an adapter loads as its base model with the adapter on it, and with the adapter's generation
    settings: transformers alone takes the base's, which do not stop at the end of a turn.

    Args:
        name: A folder, a Hub id, or the tiny base's name.
        revision: Of a Hub repository.
        **settings: Further arguments of ``from_pretrained``, for example ``dtype``.

    Returns:
        The model.

    Raises:
        UserError: If there is none.
    """
    if os.path.isfile(os.path.join(model_path(name), ADAPTER_CONFIG_NAME)):
        return _load_adapted(model_path(name), **settings)
    with _told("model", name):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            model_path(name),
            revision=revision,
            use_safetensors=True,
            trust_remote_code=False,
            # Sizes are told below, with names.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **settings,
        )
        # transformers fills what is missing with random numbers.
        _check_weights(
            f"the weights of {name!r} do not fit its configuration",
            loaded[1],
            fix="download or copy them again",
        )
    model = cast(PreTrainedModel, loaded[0])
    _correct_tying(model, name)
    return model


def _correct_tying(model: PreTrainedModel, name: str) -> None:
    """Say in a configuration that two different matrices are not tied: others tie by what it says.

    Raises:
        UserError: If other processes, which read no weights, have tied them.
    """
    configs = [model.config, model.config.get_text_config()]
    says = any(getattr(config, "tie_word_embeddings", False) for config in configs)
    if not says or model.get_output_embeddings() is None or has_tied_head(model):
        return
    if is_fsdp_enabled():
        raise UserError(
            f"the configuration of {name!r} says that its output layer is its embedding, but its weights are "
            "two different matrices; set fsdp_config.cpu_ram_efficient_loading to false, so that every "
            "process reads them, or tie_word_embeddings to false in its config.json"
        )
    for config in configs:
        config.tie_word_embeddings = False


def _load_adapted(name: str, **settings: Any) -> PreTrainedModel:
    from peft import PeftConfig

    with _told("adapter", name):
        adapter = PeftConfig.from_pretrained(name)
        # Of a run of ours; peft itself writes none.
        if os.path.isfile(os.path.join(name, GENERATION_CONFIG_NAME)):
            settings.setdefault("generation_config", GenerationConfig.from_pretrained(name))
        base = str(adapter.base_model_name_or_path)
        model = load_model(base, revision=adapter.revision or "main", **settings)
        found = model.load_adapter(name, ignore_mismatched_sizes=True).to_dict()
        _check_weights(
            f"the adapter of {name!r} does not fit its configuration or its base model",
            found,
            fix=f"copy it again; or merge it (spectrum-trl merge {name} FOLDER), because transformers cannot "
            "load every adapter that peft can, DoRA's for example",
            unexpected=found["unexpected_keys"],
        )
    stay_apart(model)
    return model


def stay_apart(model: PreTrainedModel) -> None:
    """Keep an adapted model from being tied once more, as lm-eval does: peft's wrapped layers cannot be."""
    for config in (model.config, model.config.get_text_config(decoder=True)):
        config.tie_word_embeddings = False


def _check_weights(
    problem: str, found: dict[str, Any], *, fix: str, unexpected: Collection[str] = ()
) -> None:
    """Refuse weights that were not read from the checkpoint."""
    wrong_size = [name for name, *_ in found["mismatched_keys"]]
    parts = [
        f"{len(names)} {what}, for example {min(names)}"
        for names, what in (
            (found["missing_keys"], "are missing"),
            (wrong_size, "have another size"),
            (unexpected, "have no place"),
        )
        if names
    ]
    if parts:
        raise UserError(f"{problem}: {'; '.join(parts)}; {fix}")


def model_without_memory(name: str, *, revision: str = "main") -> PreTrainedModel:
    """Return a model of a configuration, its weights not even allocated."""
    config = load_config(name, revision=revision)
    with _told("model", name), torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def load_without_weights(name: str, *, revision: str = "main", **settings: Any) -> PreTrainedModel:
    """Load a model whose weights are allocated but never read or written: they come from another process.

    ``from_pretrained`` reads the weights in every process, although accelerate replaces all but those of the
    first (https://github.com/huggingface/transformers/issues/43749).

    Args:
        name: A folder, a Hub id, or the tiny base's name.
        revision: Of a Hub repository.
        **settings: Further arguments of ``from_pretrained``, for example ``dtype``.
    """
    empty = model_without_memory(name, revision=revision)
    config, model_class = empty.config, type(empty)
    # Every weight is missing, as it should be: no report of it.
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        model = model_class.from_pretrained(None, config=config, state_dict={}, **settings)
    finally:
        logging.set_verbosity(level)
    for module in model.modules():
        for part, weight in list(module.named_parameters(recurse=False)):
            # accelerate tells weights apart by address, so each needs one; what nobody writes to takes
            # no memory.
            unread = torch.empty_like(weight, device="cpu")
            setattr(module, part, torch.nn.Parameter(unread, requires_grad=weight.requires_grad))
    model.tie_weights()
    return model


def check_vocabulary(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Check that every token which can occur has a row of the embedding.

    Special tokens that the template does not use cannot occur in text: Gemma 3's text models have no row for
    the image's.

    Args:
        model: The loaded model.
        tokenizer: With the Spectrum template, or without one where no turns are written.

    Raises:
        UserError: If the tokenizer is that of another model.
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
            f"{max(beyond):,}: they are of different models; take both from one folder"
        )


@contextmanager
def _told(what: str, name: str) -> Iterator[None]:
    """Turn whatever a broken folder or a missing repository makes the libraries raise into one message."""
    try:
        yield
    except UserError:
        raise
    except ImportError as error:
        raise UserError(f"cannot load the {what} of {name!r}: {' '.join(str(error).split())}") from error
    except Exception as error:
        first_line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        is_path = name.startswith((".", "/", "~")) or os.path.exists(name)
        hint = (
            "Check the folder."
            if is_path
            else f"Check the Hub id, log in if it is gated, or use {TINY_BASE_NAME} without a network."
        )
        raise UserError(f"cannot load the {what} of {name!r}: {first_line} {hint}") from error
