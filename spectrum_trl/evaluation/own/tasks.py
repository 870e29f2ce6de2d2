"""A user's own evaluation task: the key ``spectrum`` of a YAML file defines a task like ours.

task: cheeses
class: !function spectrum_trl.evaluation.diversity.Diversity
spectrum:
  description: A kind of cheese
  examples: [Brie, Gouda]
  validator: {file: cheeses.txt}
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from spectrum_trl.errors import UserError, located, refuse
from spectrum_trl.evaluation.axis_tasks import DistributionalTask, DiversityTask
from spectrum_trl.evaluation.judging.judge import Judge, verdicts
from spectrum_trl.evaluation.own.tables import OwnDistributional, items
from spectrum_trl.evaluation.own.validators import Validator, build
from spectrum_trl.prompts.messages import check
from spectrum_trl.strict import schema
from spectrum_trl.suite.own.addresses import HUB, TITLE, address_problems, on_web
from spectrum_trl.suite.own.table import OwnTable, name_problems, own_task
from spectrum_trl.suite.reading.encoding import reading_problems
from spectrum_trl.suite.sequences.declared import columns_of
from spectrum_trl.suite.source import Source
from spectrum_trl.suite.task import OWN, Task

# Characters shown of an answer.
SHOWN = 80
SOURCE = Source(name=OWN, title=TITLE)
Parsed = TypeVar("Parsed", bound=BaseModel)


class OwnDiversity(BaseModel):
    """A user's definition of a diversity task.

    Attributes:
        description: Description of the texts to generate.
        examples: Samples shown in the prompt; may be empty.
        validator: How to check an answer.
        max_new_tokens: Maximum length of an answer in tokens.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    description: str = Field(min_length=1)
    examples: list[str] = []
    validator: Validator
    max_new_tokens: int = Field(default=32, ge=1)


def own_diversity(own: Mapping[str, Any], *, file: str, name: str) -> DiversityTask:
    """Return a user's own diversity task.

    Args:
        own: The key ``spectrum`` of the YAML file.
        file: The YAML file; other paths are relative to its folder.
        name: Name of the task.

    Raises:
        UserError: With all problems at once.
    """
    parsed, folder = _parse(OwnDiversity, own, file=file), Path(file).parent
    refuse(f"{file}: {problem}" for problem in name_problems(name))
    validator, canonical = parsed.validator, parsed.validator.canonical
    with located(f"{file}: spectrum."):
        valid = build(validator, folder=folder, description=parsed.description)
        problems = _text_problems(parsed)
        # A judge is slow or paid for: ask it only about the model's answers.
        if not isinstance(valid, Judge):
            judged = zip(parsed.examples, verdicts(valid, map(canonical, parsed.examples)), strict=True)
            refused = [example for example, verdict in judged if not verdict]
            problems += [f"examples: the validator rejects {example[:SHOWN]!r}" for example in refused]
        refuse(problems)
    return DiversityTask(
        name=name,
        description=parsed.description,
        examples=tuple(parsed.examples),
        rule=valid,
        canonical=canonical,
        universe=validator.universe(folder=folder),
        max_new_tokens=parsed.max_new_tokens,
        source=SOURCE,
    )


def own_distributional(own: Mapping[str, Any], *, file: str) -> DistributionalTask:
    """Return a user's own questions with known shares; arguments and errors as for `own_diversity`."""
    parsed = _parse(OwnDistributional, own, file=file)
    templates = [template for template in (parsed.description, parsed.input) if template is not None]
    with located(f"{file}: spectrum: "):
        slots = columns_of(templates)
    named = [name for name in (parsed.group, parsed.cluster) if name is not None]
    with located(f"{file}: spectrum."):
        refuse(reading_problems(parsed.delimiter, parsed.encoding, file=parsed.file))
        path = _beside(file, parsed.file)
    build = partial(items, parsed, path, ("candidates", "shares", *dict.fromkeys((*named, *slots))))
    return DistributionalTask(name=TITLE, source=SOURCE, build=build)


def own_icl(own: Mapping[str, Any], *, file: str, name: str) -> Task:
    """Return a user's own table of answers as a task; arguments and errors as for `own_diversity`."""
    if not isinstance(own, Mapping):
        raise UserError(f"{file}: spectrum: expected keys such as {', '.join(OwnTable.model_fields)}")
    return own_task(own, file=Path(file), name=name, split="test")


def _parse(kind: type[Parsed], own: Mapping[str, Any], *, file: str) -> Parsed:
    if not isinstance(own, Mapping):
        raise UserError(f"{file}: spectrum: expected keys such as {', '.join(kind.model_fields)}")
    return schema.parsed(kind, dict(own), f"{file}: spectrum")


def _text_problems(parsed: OwnDiversity) -> list[str]:
    """Return the problems of a prompt's texts."""
    found = [
        f"examples: {one!r} has a line break, expected one line" for one in parsed.examples if "\n" in one
    ]
    found += [f"examples: {one!r} is blank" for one in parsed.examples if not one.strip()]
    messages = [{"role": "description", "content": parsed.description}]
    messages += [{"role": "output", "content": example.strip()} for example in parsed.examples]
    return found + [f"description and examples: {problem}" for problem in check(messages, trained=False)]


def _beside(file: str, name: str) -> Path:
    path = Path(file).parent / name
    if on_web(name) or name.startswith(HUB):
        raise UserError(f"file: expected a file beside the YAML file, but it is {name!r}")
    refuse(f"file: {problem}" for problem in address_problems(name, beside=Path(file)))
    return path
