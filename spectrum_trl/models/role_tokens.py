"""The embeddings of the tokens that mark turns: a base checkpoint leaves them untrained."""

from typing import cast

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.errors import UserError, located
from spectrum_trl.models.load import load_config, load_model, load_tokenizer
from spectrum_trl.models.sharing import has_tied_head
from spectrum_trl.prompts.families import families


def role_token_ids(tokenizer: PreTrainedTokenizerBase, *, family: str) -> list[int]:
    """Return the ids of a family's turn tokens, for example ``<|im_start|>`` and ``<|im_end|>``.

    Args:
        tokenizer: A tokenizer whose vocabulary contains them.
        family: A template family, as returned by ``templates.install``.
    """
    header = tokenizer.apply_chat_template(
        [{"role": "output", "content": ""}], tokenize=True, return_dict=False
    )
    control = set(cast(list[int], tokenizer.convert_tokens_to_ids(list(families()[family].turn_tokens))))
    return sorted({token for token in cast(list[int], header) if token in control})


def check_sibling(sibling: str, *, model: str, revision: str = "main") -> None:
    """Check a sibling's configuration before the data are built and weights are loaded.

    Args:
        sibling: Folder or Hub id of the instruct model.
        model: Folder or Hub id of the base model.
        revision: Revision of the base model.

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

    Args:
        model: The base model, changed in place.
        tokenizer: The base model's tokenizer.
        family: Its template family.
        sibling: Folder or Hub id of an instruct model of the same architecture and size.

    Returns:
        The copied tokens.

    Raises:
        UserError: If the sibling lacks a token, or its layers are untied where the model's are tied.
    """
    ids = role_token_ids(tokenizer, family=family)
    tokens = list(tokenizer.convert_ids_to_tokens(ids))
    sibling_tokenizer = load_tokenizer(sibling)
    absent = [token for token in tokens if token not in sibling_tokenizer.get_vocab()]
    if absent:
        raise UserError(f"copy_role_tokens_from: {sibling} has no token {', '.join(absent)}")
    model_of_sibling = load_model(sibling, dtype="auto")
    sibling_ids = sibling_tokenizer.convert_tokens_to_ids(tokens)
    layers = ("get_input_embeddings", "get_output_embeddings")
    rows = [getattr(model_of_sibling, layer)().weight[sibling_ids] for layer in layers]
    if has_tied_head(model) and not torch.equal(*rows):
        raise UserError(
            f"copy_role_tokens_from: the output layer and the embedding of {sibling} differ, but are one "
            "matrix in the model; name a sibling whose layers are tied too"
        )
    for layer, copied in zip(layers, rows, strict=True):
        weight = getattr(model, layer)().weight
        weight[ids] = copied.to(weight)
    return tokens
