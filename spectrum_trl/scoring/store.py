"""Cache a model's answers, so an interrupted evaluation can be resumed."""

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from inspect import signature
from pathlib import Path
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM, CacheHook, hash_args

from spectrum_trl.console import on_terminal
from spectrum_trl.errors import UserError
from spectrum_trl.scoring.engine import TokenScores

# lm-eval's own cache writes to disk after every answer, which takes longer than most answers.
SECONDS_BETWEEN_COMMITS = 5.0
# Another evaluation in the same folder locks the file only for moments.
SECONDS_TO_WAIT = 60.0
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA)
TABLE = "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, value TEXT, checksum TEXT)"


class CannotCache(UserError):
    """The disk is full or read-only: no further answer or result could be saved."""


class Answers:
    """A mapping of answers in one file, each with a checksum: changed or damaged entries count as absent.

    sqlitedict, which lm-eval uses, writes in a separate thread and hangs once that has failed on a full disk
    (https://github.com/piskvorky/sqlitedict/issues/61); unpickling its values can run arbitrary code.
    """

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        """Open or create the file.

        Args:
            path: The file. If it is damaged or not a database, it is replaced by an empty one.
            fresh: Whether to ignore existing answers; they stay until they are replaced, since another
                evaluation may be writing them.

        Raises:
            CannotCache: If it cannot be written.
        """
        self.path = path
        self._fresh = fresh
        self._new: dict[str, Any] = {}
        with self._write_errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._open()
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", 0) not in DAMAGED:
                    raise
                self._begin_anew()

    def get(self, key: str) -> Any:
        """Return an answer, or None if there is none or its checksum does not match."""
        if key in self._new:
            return self._new[key]
        try:
            row = self._database.execute(
                "SELECT value, checksum FROM answers WHERE key = ? AND rowid > ?", (key, self._earlier)
            ).fetchone()
        except sqlite3.DatabaseError:
            return None
        if row is None or row[1] != _checksum(key, row[0]):
            return None
        return _decoded(row[0])

    def __contains__(self, key: str) -> bool:
        """Return whether `get` finds an answer."""
        return self.get(key) is not None

    def __setitem__(self, key: str, value: Any) -> None:
        """Add an answer, to be written by `commit`."""
        self._new[key] = value

    def commit(self) -> None:
        """Write all answers added since the last commit to disk.

        Raises:
            CannotCache: If it cannot be written.
        """
        written = {key: text for key, value in self._new.items() if (text := _encoded(value)) is not None}
        rows = [(key, text, _checksum(key, text)) for key, text in written.items()]
        with self._write_errors():
            try:
                self._write(rows)
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", 0) not in DAMAGED:
                    raise
                self._begin_anew()
                self._write(rows)
        self._new = {}

    def _write(self, rows: list[tuple[str, str, str]]) -> None:
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", rows)

    def _open(self) -> None:
        self._database = sqlite3.connect(self.path, timeout=SECONDS_TO_WAIT)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        with self._database:
            self._database.execute(TABLE)
        # Every later write, also of an existing key, gets a larger rowid.
        last = "SELECT coalesce(max(rowid), 0) FROM answers" if self._fresh else "SELECT 0"
        self._earlier: int = self._database.execute(last).fetchone()[0]

    def _begin_anew(self) -> None:
        self._database.close()
        for end in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + end).unlink(missing_ok=True)
        self._open()

    @contextmanager
    def _write_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise CannotCache(
                f"{self.path} cannot be written: {error}; make room or choose another --output, then "
                "run the same command again"
            ) from error


class AnswerStore(CacheHook):
    """Answers by the text of their requests, as an lm-eval cache hook."""

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        """Open or create a store, see `Answers`."""
        super().__init__(None)
        self.dbdict: Any = Answers(path, fresh=fresh)
        self._committed = time.monotonic()

    def add_partial(self, attr: str, req: Iterable[Any], res: Any) -> None:
        """Cache an answer."""
        super().add_partial(attr, req, res)
        if time.monotonic() - self._committed > SECONDS_BETWEEN_COMMITS:
            self.commit()

    def find(self, attr: str, req: Iterable[Any]) -> Any:
        """Return a cached answer, or None."""
        return self.dbdict.get(hash_args(attr, req))

    def commit(self) -> None:
        """Write all answers added since the last commit to disk."""
        self.dbdict.commit()
        self._committed = time.monotonic()


def keep_answers(lm: LM, store: AnswerStore) -> None:
    """Let one of lm-eval's own model classes, changed in place, reuse cached answers and cache new ones.

    Samples are not cached: lm-eval does not number equal requests, so all would get the same sample.
    """
    lm.set_cache_hook(store)
    for attr in ("loglikelihood", "generate_until"):
        setattr(lm, attr, _asking(getattr(lm, attr), attr, store=store))


def _asking(ask: Callable[..., list[Any]], attr: str, *, store: AnswerStore) -> Callable[..., list[Any]]:
    quiet = {"disable_tqdm": not on_terminal()} if "disable_tqdm" in signature(ask).parameters else {}

    def asked(requests: list[Instance], **_: Any) -> list[Any]:
        sampled = [attr == "generate_until" and bool(one.args[1].get("do_sample")) for one in requests]
        found = [
            None if drawn else store.find(attr, one.args)
            for one, drawn in zip(requests, sampled, strict=True)
        ]
        waiting = [n for n, answer in enumerate(found) if answer is None]
        answers = ask([requests[n] for n in waiting], **quiet) if waiting else []
        for n, answer in zip(waiting, answers, strict=True):
            found[n] = answer
            if not sampled[n]:
                store.add_partial(attr, requests[n].args, answer)
        store.commit()
        return found

    return asked


def _checksum(key: str, text: str) -> str:
    return hashlib.sha256(f"{key} {text}".encode()).hexdigest()[:32]


def _encoded(value: Any) -> str | None:
    """Return an answer as JSON; None if JSON cannot represent it, and it will be computed again."""
    if isinstance(value, TokenScores):
        value = {"tokens": [value.log_probabilities, value.correct, value.rivals]}
    with suppress(ValueError, TypeError):
        return json.dumps(value, allow_nan=False)
    return None


def _decoded(text: str) -> Any:
    value = json.loads(text)
    if isinstance(value, dict):
        return TokenScores(*value["tokens"])
    return tuple(value) if isinstance(value, list) else value
