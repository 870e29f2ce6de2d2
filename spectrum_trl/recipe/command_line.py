"""Read a recipe's fields from the command line, and list them for ``--help``."""

import argparse
import re
import shutil
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from typing import Any, NoReturn

from spectrum_trl.errors import UserError
from spectrum_trl.recipe.fields import SECTIONS, Field, known_fields
from spectrum_trl.recipe.recipe_file import unknown_option
from spectrum_trl.strict.json import strict_json
from spectrum_trl.strict.schema import shown

TITLES = ("The data", "The run", "Training (TRL's SFTConfig)", "The model (TRL's ModelConfig)")
NAME_WIDTH, HELP_WIDTH = 44, 120
_NEGATIVE = re.compile(r"-(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|-\.?(inf|nan)")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"command line: {message}")


def read_words(words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Return the values of ``--field value`` options, not yet checked against their types, and problems."""
    known = known_fields()
    parser = _Parser(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    for name in known:
        parser.add_argument(*dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}")), nargs="*")
    try:
        given, rest = parser.parse_known_args(list(_joined(words)))
    except UserError as error:
        return {}, list(error.problems)
    values, problems = {}, [*_unknown(rest), *_repeated(words)]
    for name, parts in vars(given).items():
        try:
            values[name] = _value(parts, known[name])
        except ValueError as error:
            problems.append(f"command line: --{name}: {error}")
    return values, problems


def help_text() -> str:
    """Return the help text: one line per field of a recipe, ours first."""
    width = min(shutil.get_terminal_size((HELP_WIDTH, 24)).columns, HELP_WIDTH)
    known = known_fields()
    parts = [
        "usage: RECIPE [--field value ...]",
        "Any field of a recipe can be given here; it overrides the file.",
        'Lists: --tasks a b, --tasks a,b or --tasks \'["a", "b"]\'. Mappings: JSON. No value: null.',
    ]
    for title, section in zip(TITLES, SECTIONS, strict=True):
        parts += ["", f"{title}:"]
        for item in fields(section):
            field = known[item.name]
            default = "" if field.default in (MISSING, None, "") else f" [{field.default}]"
            sentence = textwrap.shorten(
                field.help + default, max(width - NAME_WIDTH - 4, 20), placeholder=" …"
            )
            parts.append(f"  --{item.name:<{NAME_WIDTH - 2}}{sentence}")
    return "\n".join(parts)


def _joined(words: Sequence[str]) -> Iterator[str]:
    """Rewrite ``--field -1e-5``, which argparse would read as two options, as ``--field=-1e-5``."""
    waiting = None
    for word in words:
        if waiting and _NEGATIVE.fullmatch(word):
            yield f"{waiting}={word}"
            waiting = None
            continue
        if waiting:
            yield waiting
        waiting = word if word.startswith("--") and "=" not in word else None
        if waiting is None:
            yield word
    if waiting:
        yield waiting


def _repeated(words: Sequence[str]) -> Iterator[str]:
    """Yield a message for each list given twice; for other options the last one wins, as users expect."""
    names = [word[2:].split("=")[0].replace("-", "_") for word in words if word.startswith("--")]
    for name, n in Counter(names).items():
        if n > 1 and name in known_fields() and {list, dict} & known_fields()[name].kinds:
            yield f"command line: --{name} is repeated; give it once (lists: --{name} a b)"


def _unknown(rest: Sequence[str]) -> Iterator[str]:
    """Yield a message for each unknown option and stray word; words after an unknown option belong to it."""
    flag = False
    for word in rest:
        if word.startswith("--") and len(word) > 2:
            flag = True
            name = word[2:].split("=")[0].replace("-", "_")
            yield unknown_option(name)
        elif not flag:
            yield f"command line: {shown(word)} does not belong to any option; write --field value"


def _value(parts: list[str], field: Field) -> Any:
    """Return an option's words as a value; its type is checked later, together with the file's."""
    listed = list in field.kinds or dict in field.kinds
    if not parts:
        if bool in field.kinds:
            return True
        raise ValueError("expected a value")
    if len(parts) > 1:
        if not listed:
            raise ValueError(f"expected one value, but found {shown(' '.join(parts))}")
        return [piece.strip() for part in parts for piece in part.split(",") if piece.strip()]
    text = parts[0]
    if listed and text.lstrip().startswith(("{", "[")):
        return strict_json(text)
    return None if text == "null" and None in field.kinds else text
