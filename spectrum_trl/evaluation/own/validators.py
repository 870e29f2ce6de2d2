"""Check answers to a user's own task, as defined by ``validator`` in its YAML file, with one of these keys.

validator: {list: [Brie, Gouda]}            # or {file: cheeses.txt}, one answer per line
validator: {regex: "[A-Z][a-z]+"}           # the whole answer, in Python's syntax
validator: {range: {min: 1, max: 6}}        # whole numbers; or {min: 0, max: 1, kind: float}
validator: {function: "checks:is_cheese"}   # in checks.py beside the YAML file, or in an installed module
validator: {judge: {model: Qwen/Qwen3-4B}}  # a language model, see judging/judge.py
"""

import importlib
import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from re import _parser as parser  # type: ignore[attr-defined]
from types import ModuleType
from typing import Any, Literal

import regex
from pydantic import BaseModel, ConfigDict, Field, model_validator

from spectrum_trl.errors import UserError, nearest
from spectrum_trl.evaluation.axis_tasks import Valid
from spectrum_trl.evaluation.judging.judge import Judge, JudgeSettings

# Longer than any number in a realistic range; int() rejects thousands of digits.
LONGEST_NUMBER = 200
LARGEST = 10.0 ** (LONGEST_NUMBER - 2)
# With nested repeats, as in (a+)+b, the time can double with each character.
MATCH_SECONDS = 2.0
# An integer range of up to this many numbers is a closed list of answers.
MOST_LISTED = 10_000
_FORMS = {"int": re.compile(r"0|-?[1-9][0-9]*"), "float": re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")}
KINDS = ("list", "file", "regex", "range", "function", "judge")
Texts = tuple[str, ...]


class Range(BaseModel):
    """Numbers in plain decimal digits.

    Attributes:
        min: Smallest number.
        max: Largest number.
        kind: Integers or floats.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    min: float
    max: float
    kind: Literal["int", "float"] = "int"

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if not self.min <= self.max:
            raise ValueError(f"min must not exceed max, but {self.min} is more than {self.max}")
        if self.max < -LARGEST or self.min > LARGEST or self.listed() == ():
            raise ValueError(
                f"no number of up to {LONGEST_NUMBER} characters lies in {self.min} to {self.max}"
            )
        return self

    def holds(self, text: str) -> bool:
        """Return whether a text is a number in the range."""
        short = len(text) <= LONGEST_NUMBER
        return short and bool(_FORMS[self.kind].fullmatch(text)) and self.min <= float(text) <= self.max

    def listed(self) -> Texts | None:
        """Return all numbers in the range as texts, or None if there are too many."""
        if self.kind == "float" or not self.max - self.min < MOST_LISTED:
            return None
        first, last = -int(-self.min // 1), int(self.max // 1)
        return tuple(map(str, range(first, last + 1)))


class Validator(BaseModel):
    """The definition of valid answers; exactly one of ``KINDS`` is set.

    Attributes:
        list: The valid answers.
        file: Text file beside the YAML file with one valid answer per line.
        regex: Pattern that the whole answer must match; taking more than two seconds is an error.
        range: Range of valid numbers.
        function: ``module:function``, called with the answer; importing it runs the module's code.
        judge: A language model.
        ignore_case: Whether to ignore case, for ``list``, ``file`` and ``regex``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    list: Texts | None = Field(default=None, min_length=1)
    file: str | None = None
    regex: str | None = None
    range: Range | None = None
    function: str | None = None
    judge: JudgeSettings | None = None
    ignore_case: bool = False

    @model_validator(mode="before")
    @classmethod
    def _one_kind(cls, given: Any) -> Any:
        if isinstance(given, dict):
            kinds = [kind for kind in KINDS if given.get(kind) is not None]
            if len(kinds) != 1 and not set(given) - set(KINDS) - {"ignore_case"}:
                found = " and ".join(kinds) or "none"
                raise ValueError(f"give exactly one of {', '.join(KINDS)}; found {found}")
        return given

    def canonical(self, text: str) -> str:
        """Return the canonical form of an answer."""
        return text.strip().casefold() if self.ignore_case else text.strip()

    def universe(self, *, folder: Path) -> Texts | None:
        """Return all valid answers in canonical form, each once, or None if they are not listed.

        Args:
            folder: Folder of a relative file.

        Raises:
            UserError: If the file cannot be read, or there are no answers.
        """
        if self.range is not None:
            return self.range.listed()
        texts = self.list if self.file is None else _lines(folder / self.file)
        if texts is None:
            return None
        # Blank answers are never valid.
        found = tuple(filter(None, dict.fromkeys(map(self.canonical, texts))))
        if not found:
            raise UserError("validator.list: all answers in it are blank; give at least one that is not")
        return found


def build(validator: Validator, *, folder: Path, description: str = "") -> Valid:
    """Return the check that a validator defines, for answers in canonical form.

    Args:
        validator: The user's definition.
        folder: Folder of relative paths.
        description: Description of the texts to generate; the criterion of a judge without one.

    Raises:
        UserError: If a file cannot be read, a pattern is invalid, or a function does not exist.
    """
    if validator.judge is not None:
        return Judge(validator.judge, folder=folder, description=description)
    if validator.regex is not None:
        return _matching(validator.regex, ignore_case=validator.ignore_case)
    if validator.range is not None:
        return validator.range.holds
    if validator.function is not None:
        return _imported(validator.function, folder=folder)
    return frozenset(validator.universe(folder=folder) or ()).__contains__


def _lines(path: Path) -> Texts:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        near = nearest(path.name, [file.name for file in path.parent.glob("*")])
        raise UserError(f"validator.file: {path} cannot be read: {reason}.{near}") from error
    found = tuple(line.strip() for line in lines if line.strip())
    if not found:
        raise UserError(f"validator.file: {path} contains no answers; expected one per line")
    return found


def _matching(pattern: str, *, ignore_case: bool) -> Valid:
    flags = regex.IGNORECASE if ignore_case else 0
    try:
        # The syntax is that of Python's `re`; `regex`, unlike it, accepts a time limit.
        re.compile(pattern)
        compiled = regex.compile(pattern, flags | regex.VERSION0)
        longest = parser.parse(pattern).getwidth()[1]
    except (re.error, regex.error, OverflowError, RecursionError) as error:
        raise UserError(f"validator.regex: {pattern!r} is not a pattern of Python's re: {error}") from error

    if not longest:
        raise UserError(
            f"validator.regex: {pattern!r} matches only the empty text, which is never a valid answer"
        )

    def matches(text: str) -> bool:
        try:
            return compiled.fullmatch(text, timeout=MATCH_SECONDS) is not None
        except TimeoutError as error:
            raise UserError(
                f"validator.regex: {pattern!r} takes more than {MATCH_SECONDS:g} s on {text[:40]!r}; "
                "write it without nested repeats such as (a+)+"
            ) from error

    return matches


def _imported(name: str, *, folder: Path) -> Valid:
    module_name, _, function_name = name.partition(":")
    if not function_name or not all(part.isidentifier() for part in (*module_name.split("."), function_name)):
        raise UserError(f"validator.function: expected module:function, but it is {name!r}")
    module = _module(module_name, folder=folder)
    function: Callable[[str], Any] | None = getattr(module, function_name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value)]
        raise UserError(
            f"validator.function: {module_name} has no function {function_name!r}."
            f"{nearest(function_name, known)}"
        )

    return lambda text: bool(function(text))


def _module(name: str, *, folder: Path) -> ModuleType:
    """Return the module beside the YAML file, or else an installed one."""
    path = folder.joinpath(*name.split(".")).with_suffix(".py")
    try:
        if not path.is_file():
            return importlib.import_module(name)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    except (Exception, SystemExit) as error:  # The user's code runs here, and may raise anything.
        near = nearest(name, [file.stem for file in folder.glob("*.py")])
        raise UserError(
            f"validator.function: the module {name!r} cannot be imported, neither from {path} nor installed: "
            f"{type(error).__name__}: {error}.{near}"
        ) from error
