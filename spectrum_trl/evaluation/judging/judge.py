"""A language model that tells whether an answer is valid, for tasks that no rule can check.

A model on this machine is read by the probabilities of its two verdicts. Behind an OpenAI-compatible
endpoint it is asked for one; these verdicts are kept in ``judge_verdicts.jsonl``, and texts that an endpoint
leaves without one in ``judge_pending.jsonl``, both beside the YAML file. The same command again asks only for
what is missing. Before a judge is believed, ``spectrum-trl judge`` compares it with labels.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.diversity_tasks.task import Valid
from spectrum_trl.evaluation.judging.endpoint import NoAnswer, ask
from spectrum_trl.evaluation.judging.prompt import INSTRUCTION, VERDICTS, question
from spectrum_trl.files import write_atomic, writing
from spectrum_trl.strict.json import strict_json

KEPT, PENDING = "judge_verdicts.jsonl", "judge_pending.jsonl"


class Unjudged(UserError):
    """Some texts have no verdict, since the judge did not answer."""


class JudgeSettings(BaseModel):
    """Who judges, and by what.

    Attributes:
        model: Folder or Hub id, or the name at the endpoint.
        endpoint: Base of the URL of an OpenAI-compatible API; None for a model on this machine. A key, where
            it needs one, is read from the environment variable OPENAI_API_KEY.
        criterion: What a valid answer is; None for the task's description.
        threshold: An answer is valid where its share of the verdicts' probability is above it.
        revision: Of a Hub repository.
        attempts: How often an endpoint is asked at most for one text.
        first_wait: Seconds before it is asked again; doubled each time.
        timeout: Seconds to wait for its answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: str = Field(min_length=1)
    endpoint: str | None = None
    criterion: str | None = Field(default=None, min_length=1)
    threshold: float = Field(default=0.5, ge=0, lt=1)
    revision: str = "main"
    attempts: int = Field(default=5, ge=1, le=20)
    first_wait: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    timeout: float = Field(default=60.0, gt=0, allow_inf_nan=False)

    @field_validator("endpoint")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"https?://[^/\s]+", value):
            raise ValueError(f"expected a URL such as https://api.openai.com/v1, but it is {value!r}")
        return value


def read_settings(given: Mapping[str, Any]) -> JudgeSettings:
    """Return settings from what a user gave.

    Raises:
        UserError: With every wrong value at once.
    """
    try:
        return JudgeSettings.model_validate(dict(given))
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors()
        ]
        raise UserError(*problems) from error


class Judge:
    """Judges texts, each once."""

    def __init__(self, settings: JudgeSettings, *, folder: Path, description: str = "") -> None:
        """Prepare.

        Args:
            settings: Who judges.
            folder: Where verdicts of an endpoint are kept.
            description: What the texts were to be, where the settings have no criterion.

        Raises:
            UserError: If neither says what a valid text is.
        """
        self.settings, self.folder = settings, folder
        self.criterion = settings.criterion or description
        if not self.criterion.strip():
            raise UserError("judge.criterion: say what a valid answer is")

    def __call__(self, text: str) -> bool:
        """Return whether a text is valid.

        Raises:
            Unjudged: If the judge did not answer.
        """
        (verdict,) = self.judge([text])
        if verdict is None:
            raise Unjudged(
                f"judge.endpoint: {self.settings.endpoint} did not answer; the text waits in "
                f"{self.folder / PENDING}. Run the same command again later: it asks only for what is missing"
            )
        return verdict

    def judge(self, texts: Sequence[str]) -> list[bool | None]:
        """Return for each text whether it is valid, or None where the judge did not answer.

        A blank text is invalid, and the judge is not asked. After one text without an answer, the others are
        not asked for.

        Raises:
            UserError: If the judge cannot be used at all.
        """
        asked = list(dict.fromkeys(text for text in texts if text.strip()))
        found: dict[str, bool | None] = dict(zip(asked, self._verdicts(asked), strict=True))
        return [found[text] if text.strip() else False for text in texts]

    def _verdicts(self, texts: Sequence[str]) -> Sequence[bool | None]:
        if self.settings.endpoint is not None:
            return self._from_endpoint(texts)
        if not texts:
            return []
        # Loads torch's model classes, which an endpoint does without.
        from spectrum_trl.evaluation.judging.model import load_judge

        judge = load_judge(self.settings.model, self.settings.revision)
        scores = judge.scores(texts, description=self.criterion)
        return [score > self.settings.threshold for score in scores]

    def _from_endpoint(self, texts: Sequence[str]) -> list[bool | None]:
        kept = {row["key"]: row["valid"] for row in _rows(self.folder / KEPT, {"key": str, "valid": bool})}
        keys = {text: self._key(text) for text in texts}
        reasons: dict[str, str] = {}
        down = ""
        for text in texts:
            if keys[text] in kept:
                continue
            try:
                verdict, reason = (None, down) if down else self._ask(text)
            except NoAnswer as error:
                verdict, reason = None, str(error)
                down = reason
            if verdict is None:
                reasons[text] = reason
            else:
                kept[keys[text]] = verdict
                _append({"key": keys[text], "text": text, "valid": verdict}, self.folder / KEPT)
        self._wait_for(reasons, keys=keys)
        return [kept.get(keys[text]) for text in texts]

    def _ask(self, text: str) -> tuple[bool | None, str]:
        """Return a verdict, or None and why there is none."""
        settings = self.settings
        assert settings.endpoint is not None
        answer = ask(
            settings.endpoint,
            model=settings.model,
            system=INSTRUCTION,
            user=question(text, description=self.criterion),
            attempts=settings.attempts,
            first_wait=settings.first_wait,
            timeout=settings.timeout,
        )
        words = re.findall(r"\w+", re.sub(r"<think>.*?</think>", "", answer, flags=re.DOTALL))
        said = words[0].casefold() if words else ""
        verdicts = {word.casefold(): word == VERDICTS[0] for word in VERDICTS}
        return verdicts.get(said), f"the judge answered {answer[:80]!r}"

    def _key(self, text: str) -> str:
        """Return what tells a question to a judge from all others."""
        asked = (self.settings.endpoint, self.settings.model, INSTRUCTION, self.criterion, text)
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()

    def _wait_for(self, reasons: dict[str, str], *, keys: dict[str, str]) -> None:
        """Keep the texts without a verdict for later, beside those of other tasks."""
        path = self.folder / PENDING
        others = [
            row for row in _rows(path, {"key": str, "text": str}) if row["key"] not in set(keys.values())
        ]
        waiting = [{"key": keys[text], "text": text, "reason": reason} for text, reason in reasons.items()]
        if rows := [*others, *waiting]:
            with writing(path), write_atomic(path) as temporary:
                temporary.write_text("".join(map(_line, rows)), encoding="utf-8")
        else:
            path.unlink(missing_ok=True)


def verdicts(valid: Valid, texts: Sequence[str]) -> list[bool | None]:
    """Return for each text whether it is valid, by any validator; None where a judge did not answer."""
    if isinstance(valid, Judge):
        return valid.judge(texts)
    return [bool(text) and _is_valid(valid, text) for text in texts]


def _is_valid(valid: Valid, text: str) -> bool:
    try:
        return bool(valid(text))
    except UserError:
        raise
    # A user's own function may raise anything, and leave by sys.exit.
    except (Exception, SystemExit) as error:
        raise UserError(f"the validator fails on {text[:80]!r}: {error!r}"[:500]) from error


def _line(row: dict[str, Any]) -> str:
    # A lone surrogate is no UTF-8; escaped it is.
    return json.dumps(row) + "\n"


def _append(row: dict[str, Any], path: Path) -> None:
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(_line(row))


def _rows(path: Path, kinds: Mapping[str, type]) -> list[dict[str, Any]]:
    """Return the rows of a file of ours; a line that an interruption cut is not there."""
    if not path.is_file():
        return []
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        content = content[: content.rfind(b"\n") + 1]
        with writing(path), write_atomic(path) as temporary:
            temporary.write_bytes(content)
    rows = []
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            row = strict_json(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or not all(isinstance(row.get(key), kinds[key]) for key in kinds):
            raise UserError(f"{path}, line {number} is no verdict of a judge; remove the line, or the file")
        rows.append(row)
    return rows
