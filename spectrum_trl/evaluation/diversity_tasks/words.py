"""English gerunds: the present participles in XTAG's verb table (University of Pennsylvania, 1993).

Case and accents are ignored; the table writes accents as marks (``saut_eing``), which are removed. Entries
that are not gerunds (``daydream``, ``LHliking``) are left out. (Published: they are valid, while capitalised
ones never are, and the first verb is lost with the comments.) Verbs newer than the table are missing, so a
valid answer may count as invalid. Answers may have 12 tokens (published: 4, which truncates long words).
"""

import re
import unicodedata
from functools import cache
from pathlib import Path

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.axis_tasks import prompted
from spectrum_trl.suite.source import Source, github

FILE = "diverse_valid_data/en-verbs.txt"
COLUMNS, GERUND = 24, 5
_ACCENT_MARKS = re.compile(r"[_^`]")
_WORD = re.compile(r"[A-Za-z][a-z'-]*ing")


def gerunds(path: Path) -> frozenset[str]:
    """Return the gerunds of the verb table, in lower case.

    Raises:
        UserError: If the file is not the verb table.
    """
    found = set()
    # The file is older than UTF-8.
    for number, line in enumerate(path.read_text(encoding="latin-1").splitlines(), start=1):
        if line.startswith(";") or not line.strip():
            continue
        cells = line.split(",")
        if len(cells) != COLUMNS:
            raise UserError(
                f"{path}, line {number}: expected {COLUMNS} columns, found {len(cells)}: fetch it again"
            )
        word = _ACCENT_MARKS.sub("", cells[GERUND].strip())
        if _WORD.fullmatch(word):
            found.add(word.casefold())
    if not found:
        raise UserError(f"{path} contains no verbs: fetch it again")
    return frozenset(found)


def plain(text: str) -> str:
    """Return a text in lower case, without accents and surrounding white space."""
    letters = unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).strip()


@cache
def _gerunds(data_dir: Path) -> frozenset[str]:
    return gerunds(data_dir / FILE)


SOURCE = Source(
    name="word_forms",
    title="gutfeeling/word_forms, en-verbs.txt",
    homepage="https://github.com/gutfeeling/word_forms",
    licence="University of Pennsylvania permissive notice",
    downloads=github(
        "gutfeeling/word_forms", "1ad4b74a15093c0ab996b99639f7a963c5974f44", {FILE: "word_forms/en-verbs.txt"}
    ),
)
TASKS = (prompted("claude_gerunds", read=_gerunds, canonical=plain, source=SOURCE, files=(FILE,)),)
