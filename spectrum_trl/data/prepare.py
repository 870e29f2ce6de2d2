"""Prepare a recipe's tokenizer and training data: everything but the model."""

from dataclasses import replace
from itertools import chain
from typing import get_args

from transformers import PreTrainedTokenizerBase

from spectrum_trl.data.mixture import Mixture, build_mixture, texts_of
from spectrum_trl.data.shared import built_once
from spectrum_trl.errors import UserError
from spectrum_trl.models.initialise import new_tokenizer
from spectrum_trl.models.load import load_tokenizer
from spectrum_trl.models.role_tokens import check_sibling
from spectrum_trl.prompts import templates
from spectrum_trl.prompts.layouts import check_layout, layout_template
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.recipe.task_choice import TaskOptions
from spectrum_trl.suite.task import Split


def prepare(recipe: Recipe, *, show_progress: bool = False) -> tuple[PreTrainedTokenizerBase, str, Mixture]:
    """Load or train the tokenizer, install the template, and build the training data.

    Args:
        recipe: The parsed recipe.
        show_progress: Whether to show a progress bar for each task.

    Returns:
        Tokenizer, template family, and mixture.
    """
    if sibling := recipe.run.copy_role_tokens_from:
        check_sibling(
            sibling, model=str(recipe.model.model_name_or_path), revision=recipe.model.model_revision
        )
    if recipe.run.new_model:
        words = {name: TaskOptions() for name in recipe.run.new_vocab_tasks or []}
        more = replace(recipe.data, tasks=words, split=list(get_args(Split)))
        texts = chain(texts_of(recipe.data), texts_of(more))
        tokenizer: PreTrainedTokenizerBase = new_tokenizer(texts, vocab_size=recipe.run.new_vocab_size)
    else:
        tokenizer = load_tokenizer(str(recipe.model.model_name_or_path), revision=recipe.model.model_revision)
    check_layout(tokenizer, layout=recipe.data.layout)
    if recipe.data.layout == "chat":
        # The Spectrum template is added beside it, as for any chat model.
        tokenizer.chat_template = layout_template("chat")
    family = templates.install(tokenizer)
    check_end_of_turn(recipe.training.eos_token, tokenizer=tokenizer)
    mixture = built_once(
        lambda: build_mixture(
            recipe.data,
            tokenizer=tokenizer,
            max_length=recipe.training.max_length,
            assistant_only=recipe.training.assistant_only_loss,
            show_progress=show_progress,
        ),
        settings=f"{recipe.data} {recipe.training.max_length} {recipe.training.assistant_only_loss}",
    )
    return tokenizer, family, mixture


def check_end_of_turn(eos_token: str | None, *, tokenizer: PreTrainedTokenizerBase) -> None:
    """Check that a recipe's ``eos_token`` ends a turn, because outputs are trained to end with that token.

    Args:
        eos_token: The recipe's value, or None.
        tokenizer: With the Spectrum template, whose end-of-sequence token is the end of a turn.

    Raises:
        UserError: If it is another token.
    """
    if eos_token is not None and eos_token != tokenizer.eos_token:
        raise UserError(
            f"eos_token: outputs end with {tokenizer.eos_token!r} in this model's template, not with "
            f"{eos_token!r}, which sampling would wait for; remove eos_token"
        )
