"""Keep what a model has answered, so that an interrupted evaluation goes on where it stopped."""

import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lm_eval.api.model import CacheHook, hash_args
from sqlitedict import SqliteDict

from spectrum_trl.errors import UserError

# lm-eval's own cache writes to the disk after every answer, which takes longer than most answers.
SECONDS_BETWEEN_COMMITS = 5.0


class AnswerStore(CacheHook):
    """Answers by the text of their requests, in lm-eval's place for a cache."""

    def __init__(self, path: Path) -> None:
        """Open or make a store.

        Args:
            path: The file.

        Raises:
            UserError: If it is damaged, or another process uses it.
        """
        super().__init__(None)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.dbdict: Any = SqliteDict(str(path), autocommit=False, journal_mode="WAL")
            self.known = len(self.dbdict)
        except (sqlite3.DatabaseError, RuntimeError, OSError) as error:
            raise UserError(f"{path} cannot be read ({error}); remove it to begin anew") from error
        self._committed = time.monotonic()

    def add_partial(self, attr: str, req: Iterable[Any], res: Any) -> None:
        """Keep an answer."""
        super().add_partial(attr, req, res)
        if time.monotonic() - self._committed > SECONDS_BETWEEN_COMMITS:
            self.commit()

    def find(self, attr: str, req: Iterable[Any]) -> Any:
        """Return an earlier answer, or None."""
        return self.dbdict.get(hash_args(attr, req)) if self.known else None

    def commit(self) -> None:
        """Write to the disk what was kept since the last time."""
        self.dbdict.commit()
        self._committed = time.monotonic()
