"""Load the model to evaluate, with its cached answers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.model import LM
from lm_eval.api.registry import get_model

from spectrum_trl.errors import UserError
from spectrum_trl.models.device import check_weights, evaluation_device, evaluation_dtype
from spectrum_trl.models.load import is_adapter
from spectrum_trl.scoring.store import AnswerStore, keep_answers

FAST = "spectrum"
# lm-eval's own classes of transformers models, which select a GPU even if there is none.
HF = ("hf", "hf-auto", "huggingface")


def load(backend: str, arguments: Mapping[str, Any], *, store: Path, fresh: bool) -> LM:
    """Load a model, in single precision on a CPU unless the arguments name a number type.

    Args:
        backend: Model class of lm-eval.
        arguments: Arguments of that class.
        store: Path of the cache of answers; each process uses a separate file.
        fresh: Whether to ignore cached answers.

    Raises:
        UserError: If it cannot be loaded, or its weights hold NaN or infinity.
    """
    if backend == FAST:
        from spectrum_trl.scoring.lm import SpectrumLM

        lm: LM = SpectrumLM(**arguments)
    else:
        try:
            model_class = get_model(backend)
        except ValueError as error:
            raise UserError(f"--backend: lm-eval has no model class {backend!r}: {error}") from error
        device = evaluation_device(arguments.get("device"))
        defaults = {"device": device, "dtype": evaluation_dtype(device)} if backend in HF else {}
        with _mergeable(str(arguments.get("peft") or arguments.get("pretrained"))):
            lm = model_class.create_from_arg_obj({**defaults, **arguments})
        if isinstance(model := getattr(lm, "model", None), torch.nn.Module):
            check_weights(model, name=str(arguments.get("pretrained")))
    answers = AnswerStore(store.with_name(f"{store.name}_rank{lm.rank}.db"), fresh=fresh)
    if backend == FAST:
        lm.set_cache_hook(answers)
    else:
        keep_answers(lm, answers)
    return lm


@contextmanager
def _mergeable(name: str) -> Iterator[None]:
    """Explain what to do if lm-eval cannot load an adapter with whole layers."""
    try:
        yield
    except (KeyError, RuntimeError) as error:
        if not is_adapter(name):
            raise
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"lm-eval cannot load the adapter {name} ({reason}): merge it first (spectrum-trl merge {name} "
            "FOLDER), or leave out --backend"
        ) from error


def precision(lm: LM) -> str | None:
    """Return the number type that a model computes in, or None if unknown."""
    found = getattr(getattr(lm, "model", None), "dtype", None)
    return str(found).removeprefix("torch.") if found is not None else None
