"""The embeddings of the tokens that mark turns: a base checkpoint has them, but never trained them."""

from typing import cast

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.errors import UserError
from spectrum_trl.load import load_model, load_tokenizer
from spectrum_trl.templates import turn_tokens


def role_token_ids(tokenizer: PreTrainedTokenizerBase, *, family: str) -> list[int]:
    """Return the ids of a family's turn tokens, for example ``<|im_start|>`` and ``<|im_end|>``.

    Args:
        tokenizer: Whose vocabulary has them.
        family: A template family, as ``templates.install`` returns it.
    """
    header = tokenizer.apply_chat_template(
        [{"role": "output", "content": ""}], tokenize=True, return_dict=False
    )
    control = set(cast(list[int], tokenizer.convert_tokens_to_ids(list(turn_tokens()[family]))))
    bos = tokenizer.bos_token_id
    return sorted({token for token in cast(list[int], header) if token in control and token != bos})


@torch.no_grad()
def copy_role_tokens(
    model: PreTrainedModel, *, tokenizer: PreTrainedTokenizerBase, family: str, sibling: str
) -> list[str]:
    """Copy the turn tokens' rows of the embedding and the output layer from an instruct sibling.

    Args:
        model: The base model, changed in place.
        tokenizer: The base model's.
        family: Its template family.
        sibling: Folder or Hub id of the instruct model of the same architecture and size.

    Returns:
        The tokens copied.

    Raises:
        UserError: If the sibling has other sizes or lacks a token.
    """
    donor = load_model(sibling, dtype="auto")
    donor_tokenizer = load_tokenizer(sibling)
    if donor.config.get_text_config().hidden_size != model.config.get_text_config().hidden_size:
        raise UserError(f"copy_role_tokens_from: {sibling} has another hidden size than the model to train")
    ids = role_token_ids(tokenizer, family=family)
    tokens = list(tokenizer.convert_ids_to_tokens(ids))
    absent = [token for token in tokens if token not in donor_tokenizer.get_vocab()]
    if absent:
        raise UserError(f"copy_role_tokens_from: {sibling} has no token {', '.join(absent)}")
    donor_ids = donor_tokenizer.convert_tokens_to_ids(tokens)
    for layer in ("get_input_embeddings", "get_output_embeddings"):
        weight = getattr(model, layer)().weight
        weight[ids] = getattr(donor, layer)().weight[donor_ids].to(weight)
    return tokens
