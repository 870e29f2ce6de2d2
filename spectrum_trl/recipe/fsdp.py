"""Validate the keys and values of ``fsdp_config``, which transformers and accelerate do not check."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from accelerate.utils.constants import (
    FSDP2_STATE_DICT_TYPE,
    FSDP_AUTO_WRAP_POLICY,
    FSDP_BACKWARD_PREFETCH,
    FSDP_SHARDING_STRATEGY,
    FSDP_STATE_DICT_TYPE,
)
from annotated_types import Ge
from pydantic import BeforeValidator, TypeAdapter, ValidationError

from spectrum_trl.strict.schema import problems_of

VERSION = "version"
# Length limit for unknown keys in a message, in characters.
LONGEST = 200


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _one_of(names: list[str]) -> Any:
    return Literal[*names]


_SHARED: dict[str, Any] = {
    VERSION: Literal[1, 2],
    "auto_wrap_policy": _one_of(FSDP_AUTO_WRAP_POLICY),
    "transformer_layer_cls_to_wrap": str | list[str],
    "min_num_params": Annotated[int, Ge(0)],
    "activation_checkpointing": bool,
    "cpu_offload": bool,
    "cpu_ram_efficient_loading": bool,
    "xla": bool,
    "xla_fsdp_v2": bool,
    "xla_fsdp_grad_ckpt": bool,
    "xla_fsdp_settings": dict[str, Any],
}
# Keys that transformers passes on, by FSDP version; for version 2 it silently ignores those of version 1.
KEYS: dict[int, dict[str, Any]] = {
    1: {
        **_SHARED,
        "reshard_after_forward": Annotated[_one_of(FSDP_SHARDING_STRATEGY), BeforeValidator(_upper)],
        "state_dict_type": _one_of(FSDP_STATE_DICT_TYPE),
        "forward_prefetch": bool,
        "backward_prefetch": Annotated[_one_of(FSDP_BACKWARD_PREFETCH), BeforeValidator(_upper)],
        "use_orig_params": bool,
        "sync_module_states": bool,
        "limit_all_gathers": bool,
    },
    2: {**_SHARED, "reshard_after_forward": bool, "state_dict_type": _one_of(FSDP2_STATE_DICT_TYPE)},
}


def check_fsdp(config: dict[str, Any] | None) -> dict[str, Any] | None:
    """Validate an ``fsdp_config`` and return it unchanged.

    Args:
        config: The recipe's ``fsdp_config``; keys may begin with ``fsdp_``.

    Raises:
        ValueError: With all invalid keys and values.
    """
    if problems := list(_problems(config or {})):
        raise ValueError(f"expected {'; '.join(problems)}")
    return config


def _problems(config: dict[str, Any]) -> Iterator[str]:
    given = {key.removeprefix("fsdp_"): value for key, value in config.items()}
    version = 1 if given.get(VERSION) == 1 else 2
    known = KEYS[version]
    if unknown := sorted(given.keys() - known.keys()):
        older = [key for key in unknown if key in KEYS[1]]
        hint = f" ({', '.join(older)}: version 1 only)" if older else ""
        yield f"keys among {', '.join(known)}, but found {', '.join(unknown)[:LONGEST]}{hint}"
    for key in given:
        try:
            TypeAdapter(known.get(key, Any)).validate_python(given[key])
        except ValidationError as error:
            yield from (
                f"{key} to be {problem.text.removeprefix('expected ')}"
                for problem in problems_of(error, given[key])
            )
