"""Answers outlive the process that asked; changed and damaged ones are asked again; no full disk hangs."""

import gc
import resource
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spectrum_trl.scoring.engine import TokenScores
from spectrum_trl.scoring.store import SECONDS_BETWEEN_COMMITS, AnswerStore, CannotCache, keep_answers
from tests.messages import naming

SCORES = TokenScores([-0.1, -1e-300], [True, False], [[-2.0], []])
ANSWERS = {"a": SCORES, "b": (-1.5, True), "c": "text\ud83d", "d": ""}


@contextmanager
def full_disk(n_bytes: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes, as a quota or a full disk does; needs no root."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def filled(path: Path) -> AnswerStore:
    store = AnswerStore(path)
    for key, value in ANSWERS.items():
        store.add_partial("loglikelihood", (key,), value)
    store.commit()
    return store


def fill(path: Path) -> None:
    """Leave a file with answers that nobody has opened."""
    filled(path)
    # sqlite3 keeps a connection with its statements in a cycle.
    gc.collect()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def found(store: AnswerStore) -> dict[str, Any]:
    return {key: store.find("loglikelihood", (key,)) for key in ANSWERS}


def test_answers_are_there_at_once_and_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "answers.db"
    assert found(filled(path)) == ANSWERS
    again = found(AnswerStore(path))
    assert again == ANSWERS and isinstance(again["b"], tuple)
    assert isinstance(again["a"], TokenScores) and again["a"].rivals == SCORES.rivals
    assert again["a"].log_probabilities == SCORES.log_probabilities
    assert AnswerStore(path).find("generate_until", ("a",)) is None


def test_an_answer_that_is_not_finite_is_not_kept(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "answers.db")
    store.add_partial("loglikelihood", ("x",), TokenScores([float("nan")], [False], [[]]))
    store.commit()
    assert AnswerStore(tmp_path / "answers.db").find("loglikelihood", ("x",)) is None


@pytest.mark.parametrize("column", ["value", "checksum", "key"])
def test_an_answer_that_was_changed_is_not_there(tmp_path: Path, column: str) -> None:
    path = tmp_path / "answers.db"
    fill(path)
    with sqlite3.connect(path) as database:
        database.execute(f"UPDATE answers SET {column} = replace({column}, '1', '2')")
    left = found(AnswerStore(path))
    assert left["a"] is None and left["b"] is None


@pytest.mark.parametrize("kept", [b"", b"no database at all" * 400, None])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, kept: bytes | None) -> None:
    path = tmp_path / "answers.db"
    fill(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if kept is None else kept)
    store = filled(path)
    assert found(store) == found(AnswerStore(path)) == ANSWERS


def test_pages_that_were_overwritten_are_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "answers.db"
    fill(path)
    whole = bytearray(path.read_bytes())
    whole[4096:] = b"\xff" * (len(whole) - 4096)
    path.write_bytes(bytes(whole))
    store = AnswerStore(path)
    assert set(found(store).values()) == {None}
    assert found(filled(path)) == ANSWERS


@pytest.mark.parametrize("n_bytes", [0, 512, 20_000, 60_000])
def test_a_full_disk_is_one_message_at_once(tmp_path: Path, n_bytes: int) -> None:
    began = time.monotonic()
    with full_disk(n_bytes), pytest.raises(CannotCache, match=naming("answers.db", "--output")):
        store = AnswerStore(tmp_path / "answers.db")
        for n in range(500):
            store.add_partial("generate_until", (str(n),), "x" * 1000)
        store.commit()
    assert time.monotonic() - began < 10


def test_two_evaluations_may_keep_answers_in_one_file(tmp_path: Path) -> None:
    one, two = AnswerStore(tmp_path / "answers.db"), AnswerStore(tmp_path / "answers.db")
    for n in range(20):
        for store in (one, two):
            store.add_partial("loglikelihood", (f"{n}",), (float(-n), True))
            store.commit()
    assert all(AnswerStore(one.dbdict.path).find("loglikelihood", (f"{n}",)) == (-n, True) for n in range(20))


def test_a_fresh_store_finds_only_what_comes_later_and_leaves_the_rest_to_others(tmp_path: Path) -> None:
    path = tmp_path / "answers.db"
    running = filled(path)
    fresh = AnswerStore(path, fresh=True)
    assert set(found(fresh).values()) == {None} and found(running) == ANSWERS
    fresh.add_partial("loglikelihood", ("b",), (-2.5, False))
    fresh.commit()
    running.add_partial("loglikelihood", ("e",), (-3.5, True))
    running.commit()
    assert fresh.find("loglikelihood", ("b",)) == (-2.5, False)
    assert found(AnswerStore(path)) == ANSWERS | {"b": (-2.5, False)}
    assert AnswerStore(path).find("loglikelihood", ("e",)) == (-3.5, True)
    assert set(found(AnswerStore(path, fresh=True)).values()) == {None}


def test_answers_reach_the_disk_from_time_to_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    path = tmp_path / "answers.db"
    store = AnswerStore(path)
    written = []
    for seconds in (0.0, SECONDS_BETWEEN_COMMITS, SECONDS_BETWEEN_COMMITS + 0.1, SECONDS_BETWEEN_COMMITS + 1):
        clock[0] = seconds
        store.add_partial("loglikelihood", (str(seconds),), (-1.0, True))
        with sqlite3.connect(path) as database:
            written.append(database.execute("SELECT count(*) FROM answers").fetchone()[0])
    # All that waited at once, and then not until as much time has gone by again.
    assert written == [0, 0, 3, 3]


def test_other_model_classes_ask_once_except_for_samples(tmp_path: Path) -> None:
    class Model:
        asked: list[Any]

        def set_cache_hook(self, hook: Any) -> None:
            self.hook = hook

        def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[Any]:
            self.asked = [one.args for one in requests]
            return [(-1.0, False) for _ in requests]

        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            self.asked = [one.args for one in requests]
            return [f"text {n}" for n, _ in enumerate(requests)]

    def ask(kind: str, *arguments: Any) -> tuple[list[Any], list[Any]]:
        model: Any = Model()
        model.asked = []
        keep_answers(model, AnswerStore(tmp_path / "answers.db"))
        answers = getattr(model, kind)([SimpleNamespace(args=one) for one in arguments])
        return answers, model.asked

    first, second = ("x", "y"), ("x", "z")
    assert ask("loglikelihood", first) == ([(-1.0, False)], [first])
    assert ask("loglikelihood", first, second) == ([(-1.0, False)] * 2, [second])
    greedy, sampled = ("x", {"do_sample": False}), ("x", {"do_sample": True})
    assert ask("generate_until", greedy, sampled)[1] == [greedy, sampled]
    assert ask("generate_until", sampled, greedy) == (["text 0", "text 0"], [sampled])
