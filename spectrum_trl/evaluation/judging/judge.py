"""A language model as the judge of valid answers, for tasks that no rule can check.

The verdict of a local model is read from the probabilities of its two verdicts. A model at an
OpenAI-compatible endpoint writes it as text: these verdicts are cached in ``judge_verdicts.jsonl``, and texts
without a verdict are listed in ``judge_pending.jsonl``, both beside the YAML file. Running the command again
asks only for missing verdicts. Check a judge against labels with ``spectrum-trl judge`` before relying on it.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.axis_tasks import Valid
from spectrum_trl.evaluation.judging.endpoint import (
    INSTRUCTION,
    VERDICTS,
    JudgeSettings,
    NoAnswer,
    ask,
    question,
)
from spectrum_trl.files import write_atomic, writing
from spectrum_trl.strict.json import strict_json
from spectrum_trl.suite.reading.files import UTF_8, reading_of
from spectrum_trl.suite.reading.tables import jsonl_rows

CACHE, PENDING = "judge_verdicts.jsonl", "judge_pending.jsonl"
# Most problems of rows in one message.
SHOWN = 3
LABELLED = Path(__file__).with_name("labelled.jsonl")


class Unjudged(UserError):
    """Some texts have no verdict because the judge did not answer."""


class Judge:
    """Judge texts, each once."""

    def __init__(self, settings: JudgeSettings, *, folder: Path, description: str = "") -> None:
        """Set the judge and the criterion, by default the description.

        An endpoint's verdicts are cached in the folder.

        Raises:
            UserError: If neither defines a valid text.
        """
        self.settings, self.folder = settings, folder
        self.criterion = settings.criterion or description
        if not self.criterion.strip():
            raise UserError("judge.criterion: describe a valid answer")

    def __call__(self, text: str) -> bool:
        """Return whether a text is valid.

        Raises:
            Unjudged: If the judge did not answer.
        """
        (verdict,) = self.judge([text])
        if verdict is None:
            raise Unjudged(
                f"judge.endpoint: {self.settings.endpoint} did not answer; the text is listed in "
                f"{self.folder / PENDING}. Run the command again later: it asks only for missing verdicts"
            )
        return verdict

    def judge(self, texts: Sequence[str]) -> list[bool | None]:
        """Return for each text whether it is valid, or None if the judge did not answer.

        Blank texts are invalid without asking the judge. Once an endpoint does not answer, it is not asked
        about the remaining texts.

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
        # Imports torch's model classes, which an endpoint does not need.
        from spectrum_trl.evaluation.judging.model import load_judge

        judge = load_judge(self.settings.model, self.settings.revision)
        scores = judge.scores(texts, description=self.criterion)
        return [score > self.settings.threshold for score in scores]

    def _from_endpoint(self, texts: Sequence[str]) -> list[bool | None]:
        cached = {row["key"]: row["valid"] for row in _rows(self.folder / CACHE, {"key": str, "valid": bool})}
        keys = {text: self._key(text) for text in texts}
        reasons: dict[str, str] = {}
        down = ""
        for text in texts:
            if keys[text] in cached:
                continue
            try:
                verdict, reason = (None, down) if down else self._ask(text)
            except NoAnswer as error:
                verdict, reason = None, str(error)
                down = reason
            if verdict is None:
                reasons[text] = reason
            else:
                cached[keys[text]] = verdict
                _append({"key": keys[text], "text": text, "valid": verdict}, self.folder / CACHE)
        self._wait_for(reasons, keys=keys)
        return [cached.get(keys[text]) for text in texts]

    def _ask(self, text: str) -> tuple[bool | None, str]:
        """Return a verdict, or None, with the reason for None."""
        user = question(text, description=self.criterion)
        answer = ask(self.settings, system=INSTRUCTION, user=user)
        words = re.findall(r"\w+", re.sub(r"<think>.*?</think>", "", answer, flags=re.DOTALL))
        said = words[0].casefold() if words else ""
        verdicts = {word.casefold(): word == VERDICTS[0] for word in VERDICTS}
        return verdicts.get(said), f"the judge answered {answer[:80]!r}"

    def _key(self, text: str) -> str:
        """Return a hash that identifies a question to a judge."""
        asked = (self.settings.endpoint, self.settings.model, INSTRUCTION, self.criterion, text)
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()

    def _wait_for(self, reasons: dict[str, str], *, keys: dict[str, str]) -> None:
        """Save the texts without a verdict for later, together with those of other tasks."""
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


def verdicts(valid: Valid, texts: Iterable[str]) -> list[bool | None]:
    """Return for each text whether a validator accepts it; None if a judge did not answer."""
    if isinstance(valid, Judge):
        return valid.judge(list(texts))
    return [bool(text) and _is_valid(valid, text) for text in texts]


def _is_valid(valid: Valid, text: str) -> bool:
    try:
        return bool(valid(text))
    except UserError:
        raise
    # A user's own function may raise anything, or call sys.exit.
    except (Exception, SystemExit) as error:
        raise UserError(f"validator: it fails on {text[:80]!r}: {error!r}"[:500]) from error


def _line(row: dict[str, Any]) -> str:
    # Escaped, a lone surrogate is valid UTF-8.
    return json.dumps(row) + "\n"


def _append(row: dict[str, Any], path: Path) -> None:
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(_line(row))


def _rows(path: Path, kinds: Mapping[str, type]) -> list[dict[str, Any]]:
    """Return the rows of one of our files; a line truncated by an interruption is dropped."""
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
            raise UserError(f"{path}, line {number} is not a judge's verdict; remove the line, or the file")
        rows.append(row)
    return rows


class Labelled(NamedTuple):
    """A text, the description of what it should be, and whether it matches."""

    description: str
    text: str
    valid: bool


class Agreement(NamedTuple):
    """A judge's agreement with the labels of texts.

    Attributes:
        n: Number of texts with a verdict.
        accuracy: Share of correct verdicts, in [0, 1]; 0 if there are none.
        wrongly_valid: Number of invalid texts judged valid.
        wrongly_invalid: Number of valid texts judged invalid.
        unjudged: Number of texts without a verdict.
    """

    n: int
    accuracy: float
    wrongly_valid: int
    wrongly_invalid: int
    unjudged: int


def read_labelled(file: Path | None = None) -> list[Labelled]:
    """Read texts with labels.

    Args:
        file: JSON Lines with the keys of `Labelled`; None for the included set: ten texts of each of four
            kinds, half of them valid.

    Raises:
        UserError: If it cannot be read, or with the first rows that are not labelled texts.
    """
    file = file or LABELLED
    broken: Counter[str] = Counter()
    reading = reading_of(None, UTF_8, web=False)
    rows = list(jsonl_rows(file, Labelled._fields, dropped=broken, reading=reading))
    problems = [f"{file}: {reason}" for reason in broken] + [
        f"{file}, row {number}: expected texts in description and text, and true or false in valid"
        for number, row in enumerate(rows, start=1)
        if not (isinstance(row["description"], str) and row["description"].strip())
        or not (isinstance(row["text"], str) and isinstance(row["valid"], bool))
    ]
    if problems or not rows:
        raise UserError(*problems[:SHOWN] or [f"{file} holds no JSON objects: correct it"])
    return [Labelled(**row) for row in rows]


def agreement(settings: JudgeSettings, texts: Sequence[Labelled], *, folder: Path) -> Agreement:
    """Compare a judge, whatever its criterion, with labels; the folder caches an endpoint's verdicts.

    Raises:
        UserError: If the judge cannot be used.
    """
    settings = settings.model_copy(update={"criterion": None})
    pairs: list[tuple[bool, bool | None]] = []
    for description in dict.fromkeys(one.description for one in texts):
        group = [one for one in texts if one.description == description]
        judge = Judge(settings, folder=folder, description=description)
        verdicts = judge.judge([one.text for one in group])
        pairs += zip((one.valid for one in group), verdicts, strict=True)
    judged = [(label, verdict) for label, verdict in pairs if verdict is not None]
    right = sum(label == verdict for label, verdict in judged)
    return Agreement(
        n=len(judged),
        accuracy=right / len(judged) if judged else 0.0,
        wrongly_valid=sum(verdict and not label for label, verdict in judged),
        wrongly_invalid=sum(label and not verdict for label, verdict in judged),
        unjudged=len(pairs) - len(judged),
    )
