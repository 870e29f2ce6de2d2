"""All fields of a recipe with their types and ranges, and validation of a value against them."""

import datetime
import inspect
import math
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from accelerate.utils import DynamoBackend
from accelerate.utils.constants import (
    FSDP2_STATE_DICT_TYPE,
    FSDP_AUTO_WRAP_POLICY,
    FSDP_BACKWARD_PREFETCH,
    FSDP_SHARDING_STRATEGY,
    FSDP_STATE_DICT_TYPE,
    TORCH_DYNAMO_MODES,
)
from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator, BaseModel, BeforeValidator, TypeAdapter, ValidationError
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK
from trl import ModelConfig, SFTConfig

from spectrum_trl.errors import nearest
from spectrum_trl.recipe.arguments import (
    DataArguments,
    FileChoice,
    FileOptions,
    RunArguments,
    TaskChoice,
    TaskOptions,
    split_commas,
)
from spectrum_trl.strict.schema import Problem, problems_of, shown
from spectrum_trl.suite.task import Split

SECTIONS: tuple[Any, ...] = (DataArguments, RunArguments, SFTConfig, ModelConfig)
# Characters that cannot be written to a file, or not in UTF-8.
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")
# Counts and seeds fit in 64 bits.
LARGEST_NUMBER = 2**63 - 1
# The limit of numpy's legacy generator, which transformers seeds.
LARGEST_SEED = 2**32 - 1
# 256 bytes and the role tokens.
SMALLEST_VOCABULARY = 259
# Rows are padded to a multiple of this; a larger value is a typo that fills the memory.
LONGEST_PADDING = 2**16
# No layer is wider; a larger rank is a typo that fills the memory.
LARGEST_RANK = 2**16
# The NEFTune paper tries 5 to 15; beyond this limit, noise drowns the embedding.
LARGEST_NOISE = 1000
# More would hold out most of the data, as a percentage written without its fraction would.
LARGEST_HELD_OUT = 0.5
# Processes on one machine.
MOST_WORKERS = 1024
VERSION = "version"
# Length limit for unknown keys in a message, in characters.
LONGEST = 200


class Field(NamedTuple):
    """One field of a recipe.

    Attributes:
        adapter: Validates and converts a value.
        kinds: The built-in types in its annotation (``list``, ``dict``, ``str``, …; None for null).
        help: One sentence.
        default: Value used if a recipe does not set the field.
    """

    adapter: TypeAdapter
    kinds: frozenset[Any]
    help: str
    default: Any


@cache
def known_fields() -> dict[str, Field]:
    """Return every field by name, ours first."""
    found = {}
    for section in SECTIONS:
        hints, helps = get_type_hints(section), _described(section)
        for item in fields(section):
            hint = TYPES.get(item.name, _narrowed(hints[item.name], item.metadata.get("choices")))
            kinds = frozenset(_kinds(hint))
            if list in kinds and str not in kinds - {list}:
                hint = Annotated[hint, BeforeValidator(split_commas)]
            if ranges := RANGES.get(item.name):
                hint = Annotated[hint, *ranges]
            help = helps.get(item.name) or item.metadata.get("help", "").replace("%%", "%")
            sentence = help.split(". ")[0].rstrip(".") + "."
            found[item.name] = Field(TypeAdapter(hint), kinds, sentence, item.default)
    return found


def convert(name: str, value: Any) -> tuple[Any, list[Problem]]:
    """Check a value from YAML or the command line, and convert it to its field's type.

    Args:
        name: Name of a known field.
        value: The value to check.

    Returns:
        The converted value and its problems; if there are any, the value is unchanged.
    """
    field = known_fields()[name]
    if problems := list(_not_plain(value, ())):
        return value, problems
    if value is False and "no" in field.kinds:
        # YAML 1.1 reads an unquoted no as false.
        value = "no"
    elif isinstance(value, bool) and not {bool, value} & field.kinds:
        return value, [Problem((), f"expected {_wanted(field)}, but it is {shown(value)}")]
    try:
        converted = field.adapter.validate_python(value)
    except ValidationError as error:
        return value, problems_of(error, value, kind=FileOptions if name == "train_files" else TaskOptions)
    return converted, list(_not_plain(converted, ()))


def plain(value: Any) -> Any:
    """Return a converted value as JSON types, for the record."""
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_defaults=True)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def _described(section: type) -> dict[str, str]:
    """Return what the docstring of a class says about each of its attributes."""
    attributes = (inspect.getdoc(section) or "").partition("Attributes:\n")[2]
    found = re.findall(r"^    (\w+): (.+?)(?=^    \w|\Z)", attributes, re.MULTILINE | re.DOTALL)
    return {name: " ".join(text.split()).replace("``", "") for name, text in found}


def _narrowed(hint: Any, choices: Iterable[Any] | None) -> Any:
    """Return an annotation restricted to its choices: those of its metadata, or of an enumeration in it."""
    enums = [part for part in get_args(hint) if isinstance(part, type) and issubclass(part, Enum)]
    if enums and str in get_args(hint):
        choices = [member.value for member in enums[0]]
    if not choices:
        return hint
    chosen = Literal[*choices]  # type: ignore[valid-type]
    return chosen | None if type(None) in get_args(hint) else chosen


def _kinds(hint: Any) -> Iterator[Any]:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        for part in get_args(hint):
            yield from _kinds(part)
    elif origin is Annotated:
        yield from _kinds(get_args(hint)[0])
    elif origin is Literal:
        yield from get_args(hint)
    elif hint in (None, type(None)):
        yield None
    else:
        yield origin or hint


def _not_plain(value: Any, path: tuple[Any, ...]) -> Iterator[Problem]:
    """Find values that no field accepts, at any depth: dates, numbers out of range, and invalid text."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            # A key that is not text has been reported when the file was read.
            yield from _not_plain(key, path) if isinstance(key, str) else ()
            yield from _not_plain(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _not_plain(item, (*path, index))
    elif isinstance(value, datetime.date):
        yield Problem(path, f"YAML reads {value} as a date; put it in quotes")
    elif isinstance(value, bool) or value is None or isinstance(value, BaseModel | Enum):
        return
    elif isinstance(value, int) and abs(value) > LARGEST_NUMBER:
        yield Problem(path, f"expected a number of at most {LARGEST_NUMBER}, but it is larger")
    elif isinstance(value, float) and not math.isfinite(value):
        yield Problem(path, f"expected a finite number, but it is {value}")
    elif isinstance(value, str):
        if _NOT_TEXT.search(value):
            yield Problem(path, f"expected text, but {shown(value)} holds a character that cannot be encoded")
    elif not isinstance(value, int | float):
        yield Problem(path, f"expected text, a number, a list or a mapping, but it is {shown(value)}")


def _wanted(field: Field) -> str:
    names = {
        str: "text",
        int: "a whole number",
        float: "a number",
        list: "a list",
        dict: "a mapping",
        None: "null",
    }
    return " or ".join(sorted(str(names.get(kind, repr(kind))) for kind in field.kinds))


def _steps(value: float | None) -> float | None:
    if value is not None and value >= 1 and not float(value).is_integer():
        raise ValueError("expected a whole number of steps, or a fraction of all steps below 1")
    return value


def _max_steps(value: int) -> int:
    if value == 0 or value < -1:
        raise ValueError("expected a positive number of steps, or -1 to use num_train_epochs")
    return value


def _switch(value: Any) -> Any:
    """Convert the texts ``true`` and ``false``; transformers reads other text as its former options."""
    if value == "":
        return False
    try:
        return TypeAdapter(bool).validate_python(value) if isinstance(value, str) else value
    except ValidationError:
        return value


# Fields whose annotation is too loose, or differs from what transformers documents.
TYPES: dict[str, Any] = {
    "tasks": TaskChoice,
    "eval_tasks": TaskChoice,
    "train_files": FileChoice,
    "split": Annotated[list[Split], AfterValidator(lambda chosen: _not_empty(chosen))],
    "copy_role_tokens_from": Annotated[str | None, BeforeValidator(lambda name: name or None)],
    "fsdp": Annotated[bool | str | None, BeforeValidator(_switch)],
    # A file's path is not accepted, because its keys would not be recorded.
    "fsdp_config": Annotated[dict[str, Any] | None, AfterValidator(lambda config: check_fsdp(config))],
    "report_to": Annotated[
        list[Literal["none", "all", *INTEGRATION_TO_CALLBACK]] | None,  # type: ignore[valid-type]
        AfterValidator(lambda trackers: trackers or ["none"]),
    ],
    "resume_from_checkpoint": bool | str | None,
    "pad_to_multiple_of": Annotated[int, Ge(1), Le(LONGEST_PADDING)] | Literal["auto"] | None,
    "max_steps": Annotated[int, AfterValidator(_max_steps)],
    "lora_task_type": Literal["CAUSAL_LM"],
    "bnb_4bit_quant_storage": Literal["uint8", "float16", "bfloat16", "float32"] | None,
    "torch_compile_backend": Annotated[str | None, AfterValidator(lambda name: _backend(name))],
    "torch_compile_mode": Literal[*TORCH_DYNAMO_MODES] | None,
    # Cannot be written in YAML.
    "parallelism_config": None,
}


def _of(names: str, *constraints: Any) -> dict[str, tuple[Any, ...]]:
    return dict.fromkeys(names.split(), constraints)


RANGES: dict[str, tuple[Any, ...]] = {
    **_of("per_device_train_batch_size per_device_eval_batch_size gradient_accumulation_steps", Ge(1)),
    **_of(
        "max_sequences max_length save_total_limit torch_empty_cache_steps eval_accumulation_steps",
        Ge(1),
    ),
    **_of("eval_max_sequences early_stopping_patience", Ge(1)),
    **_of("dataset_num_proc", Ge(1), Le(MOST_WORKERS)),
    **_of("dataloader_prefetch_factor ddp_bucket_cap_mb ddp_timeout", Ge(1)),
    **_of("lora_r lora_alpha", Ge(1), Le(LARGEST_RANK)),
    **_of("new_vocab_size", Ge(SMALLEST_VOCABULARY)),
    **_of("learning_rate num_train_epochs adam_epsilon", Gt(0)),
    **_of("warmup_steps weight_decay max_grad_norm eval_delay", Ge(0)),
    **_of("neftune_noise_alpha", Ge(0), Le(LARGEST_NOISE)),
    **_of("router_aux_loss_coef", Ge(0)),
    **_of("dataloader_num_workers", Ge(0), Le(MOST_WORKERS)),
    **_of("adam_beta1 adam_beta2 label_smoothing_factor lora_dropout", Ge(0), Lt(1)),
    **_of("description_probability", Ge(0), Le(1)),
    **_of("held_out_share", Ge(0), Le(LARGEST_HELD_OUT)),
    **_of("seed data_seed mixture_seed", Ge(0), Le(LARGEST_SEED)),
    **_of("logging_steps save_steps eval_steps", Gt(0), AfterValidator(_steps)),
}


def _backend(name: str | None) -> str | None:
    from torch._dynamo import list_backends

    known = sorted({backend.value.lower() for backend in DynamoBackend} & set(list_backends(())))
    if name is not None and name not in known:
        raise ValueError(
            f"expected one of {', '.join(known)}, but it is {name[:60]!r}.{nearest(name, known)}"
        )
    return name


def _not_empty(chosen: list[Any]) -> list[Any]:
    if not chosen:
        raise ValueError("expected at least one of 'train' and 'test'")
    return chosen


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
    """Validate an ``fsdp_config``, which transformers and accelerate do not check, and return it unchanged.

    Keys may begin with ``fsdp_``.

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
