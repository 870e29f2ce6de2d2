"""Load what is evaluated, with what it has answered before."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.model import LM
from lm_eval.api.registry import get_model

from spectrum_trl.errors import UserError
from spectrum_trl.models.finite import check_weights
from spectrum_trl.models.load import is_adapter
from spectrum_trl.scoring.store import AnswerStore, keep_answers

FAST = "spectrum"
# lm-eval's own classes of transformers models, which choose a GPU even where there is none.
HF = ("hf", "hf-auto", "huggingface")


def load(backend: str, arguments: Mapping[str, Any], *, store: Path, fresh: bool) -> LM:
    """Load a model, in single precision on a CPU unless the arguments name a number type.

    Args:
        backend: Model class of lm-eval.
        arguments: Of that class.
        store: Where answers are kept; each process has a file of its own.
        fresh: Whether earlier answers are removed.

    Raises:
        UserError: If it cannot be loaded, or its weights hold NaN or infinity.
    """
    if backend == FAST:
        from spectrum_trl.scoring.lm import SpectrumLM

        lm: LM = SpectrumLM(**arguments)
    else:
        with _mergeable(str(arguments.get("peft") or arguments.get("pretrained"))):
            lm = _model_class(backend).create_from_arg_obj(_defaults(backend, arguments) | dict(arguments))
        if isinstance(model := getattr(lm, "model", None), torch.nn.Module):
            check_weights(model, name=str(arguments.get("pretrained")))
    file = store.with_name(f"{store.name}_rank{lm.rank}.db")
    if fresh:
        for end in ("", "-wal", "-shm"):
            file.with_name(file.name + end).unlink(missing_ok=True)
    if backend == FAST:
        lm.set_cache_hook(AnswerStore(file))
    else:
        keep_answers(lm, AnswerStore(file))
    return lm


def _model_class(backend: str) -> type[LM]:
    try:
        return get_model(backend)
    except ValueError as error:
        raise UserError(f"--backend: lm-eval has no model class {backend!r}: {error}") from error


@contextmanager
def _mergeable(name: str) -> Iterator[None]:
    """Say what to do where lm-eval cannot load an adapter that holds whole layers."""
    try:
        yield
    except (KeyError, RuntimeError) as error:
        if not is_adapter(name):
            raise
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"lm-eval cannot load the adapter {name} ({reason}): merge it first, spectrum-trl merge {name} "
            "FOLDER, or leave --backend out"
        ) from error


def is_first_process() -> bool:
    """Tell whether this process writes what all of them found."""
    # A shell may have left RANK behind; with several processes their number is said, too.
    return os.environ.get("RANK", "0") == "0" or "WORLD_SIZE" not in os.environ


def precision(lm: LM) -> str | None:
    """Return the number type that a model computes with, or None where it does not say."""
    found = getattr(getattr(lm, "model", None), "dtype", None)
    return str(found).removeprefix("torch.") if found is not None else None


def _defaults(backend: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    if backend not in HF:
        return {}
    device = str(arguments.get("device") or ("cuda" if torch.cuda.is_available() else "cpu"))
    return {"device": device} | ({"dtype": "float32"} if device == "cpu" else {})
