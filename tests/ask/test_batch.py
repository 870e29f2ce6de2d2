"""Files of questions: every row answered once, in order, whoever is interrupted and however many share it."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from spectrum_trl.ask.batch import BLOCK, Share, answer_file, launched_share
from spectrum_trl.ask.rows import Row, Templates, read_rows
from spectrum_trl.errors import UserError
from spectrum_trl.paths import TINY_BASE_NAME
from tests.messages import named, naming
from tests.processes import run_command, start_recipe

N = 5 * BLOCK + 7
WHOLE = Share(0, 1)


def rows(n: int = N) -> Iterator[Row]:
    return (Row(number, {"n": number}) for number in range(1, n + 1))


def squares(block: Sequence[Row]) -> list[dict[str, Any]]:
    return [{"row": row.number, "square": row.number**2} for row in block]


def answer(output: Path, answering: Any = squares, *, share: Share = WHOLE, **changes: Any) -> int:
    settings: dict[str, Any] = {"settings": {"seed": 0}, "fresh": False, **changes}
    return answer_file(rows(), answering, output=output, share=share, **settings).failed


def left(folder: Path) -> Path:
    (found,) = folder.glob(".*.0of1")
    return found


def stops_after(n_blocks: int) -> Any:
    def stops(block: Sequence[Row]) -> list[dict[str, Any]]:
        if block[0].number > n_blocks * BLOCK:
            raise KeyboardInterrupt
        return squares(block)

    return stops


def expected() -> list[dict[str, Any]]:
    return squares(list(rows()))


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_row_has_its_line_and_nothing_else_is_left(tmp_path: Path) -> None:
    assert answer(tmp_path / "out.jsonl") == 0
    assert read(tmp_path / "out.jsonl") == expected()
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


@pytest.mark.parametrize("after", range(6))
def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path, after: int) -> None:
    answered: list[int] = []

    def stops(block: Sequence[Row]) -> list[dict[str, Any]]:
        if len(answered) == after:
            raise KeyboardInterrupt
        answered.append(block[0].number)
        return squares(block)

    with pytest.raises(KeyboardInterrupt):
        answer(tmp_path / "out.jsonl", stops)
    with left(tmp_path).open("ab") as file:
        file.write(b'{"row": 1, "squ')
    again: list[int] = []

    def notes(block: Sequence[Row]) -> list[dict[str, Any]]:
        again.append(block[0].number)
        return squares(block)

    answer(tmp_path / "out.jsonl", notes)
    assert read(tmp_path / "out.jsonl") == expected()
    assert answered + again == list(range(1, N + 1, BLOCK))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_processes_share_the_blocks_and_the_last_joins_them(tmp_path: Path, order: Sequence[int]) -> None:
    for rank in order:
        assert not (tmp_path / "out.jsonl").exists()
        answer(tmp_path / "out.jsonl", share=Share(rank, 3))
    assert read(tmp_path / "out.jsonl") == expected()
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_a_finished_share_is_not_lost_when_another_is_killed(tmp_path: Path) -> None:
    answer(tmp_path / "out.jsonl", share=Share(0, 2))
    for rank in (0, 1):
        answer(tmp_path / "out.jsonl", share=Share(rank, 2))
    assert read(tmp_path / "out.jsonl") == expected()


def test_other_settings_do_not_continue_an_interrupted_run(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        answer(tmp_path / "out.jsonl", stops_after(1))
    with pytest.raises(UserError, match=naming("out.jsonl", "--fresh")):
        answer(tmp_path / "out.jsonl", settings={"seed": 1})
    answer(tmp_path / "out.jsonl", settings={"seed": 1}, fresh=True)
    assert read(tmp_path / "out.jsonl") == expected()
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_a_refused_run_does_not_stop_the_interrupted_one_from_going_on(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        answer(tmp_path / "out.jsonl", stops_after(1))
    with pytest.raises(UserError, match="--fresh"):
        answer(tmp_path / "out.jsonl", settings={"seed": 1})
    answer(tmp_path / "out.jsonl")
    assert read(tmp_path / "out.jsonl") == expected()
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_what_fewer_or_more_processes_have_left_is_never_mixed_in(tmp_path: Path) -> None:
    def wrong(block: Sequence[Row]) -> list[dict[str, Any]]:
        return [{"row": row.number, "square": -1} for row in block]

    answer(tmp_path / "out.jsonl", wrong, share=Share(0, 2), settings={"answers": "a"})
    answer(tmp_path / "out.jsonl", wrong, settings={"answers": "a"})
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
    for rank in (0, 1):
        answer(tmp_path / "out.jsonl", share=Share(rank, 2), settings={"answers": "b"})
    assert read(tmp_path / "out.jsonl") == expected()


def test_two_processes_do_not_answer_the_same_share(tmp_path: Path) -> None:
    def again(block: Sequence[Row]) -> list[dict[str, Any]]:
        with pytest.raises(UserError, match=naming("out.jsonl", "process")):
            answer(tmp_path / "out.jsonl")
        return squares(block)

    answer(tmp_path / "out.jsonl", again)
    assert read(tmp_path / "out.jsonl") == expected()


@pytest.mark.parametrize("damage", [b"\xff\n", b"[1]\n", b"{\n"])
def test_damaged_answers_are_given_again(tmp_path: Path, damage: bytes) -> None:
    with pytest.raises(KeyboardInterrupt):
        answer(tmp_path / "out.jsonl", stops_after(3))
    lines = left(tmp_path).read_bytes().splitlines(keepends=True)
    lines[BLOCK + 5] = damage
    left(tmp_path).write_bytes(b"".join(lines))
    answer(tmp_path / "out.jsonl")
    assert read(tmp_path / "out.jsonl") == expected()


def test_only_a_whole_launch_shares_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert launched_share() == Share(0, 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("MASTER_ADDR", "x")
    assert launched_share() == Share(0, 2)


def test_rows_that_fail_are_counted_also_after_an_interruption(tmp_path: Path) -> None:
    def fails(block: Sequence[Row]) -> list[dict[str, Any]]:
        if block[0].number > 3 * BLOCK:
            raise KeyboardInterrupt
        return [{"row": row.number, "error": "x"} if row.number in (5, 9) else {} for row in block]

    with pytest.raises(KeyboardInterrupt):
        answer(tmp_path / "out.jsonl", fails)
    assert answer(tmp_path / "out.jsonl") == 2


FILES = {
    "q.jsonl": b'\xef\xbb\xbf{"a": "1", "b": "x"}\n\n[1]\n{"a": "3"\n{"a": "4", "b": "y"}\r\n',
    "q.csv": b'\xef\xbb\xbfa, b\r\n1,x\r\n\r\n2\r\n3,"y""\nz",3\r\n4,y\r\n',
    "q.tsv": b"a\tb\n1\tx\n2\n3\t4\t5\n4\ty\n",
    "q.json": b'[{"a": "1", "b": "x"}, [1], 3, {"a": "4", "b": "y"}]',
}


@pytest.mark.parametrize("name", FILES)
def test_a_bad_row_keeps_its_number_and_the_others_are_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    found = list(read_rows(tmp_path / name))
    assert [row.number for row in found] == [1, 2, 3, 4]
    assert [row.problem is None for row in found] == [True, False, False, True]
    assert [dict(found[n].fields) for n in (0, 3)] == [{"a": "1", "b": "x"}, {"a": "4", "b": "y"}]


def test_only_the_row_that_is_not_utf8_is_bad(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_bytes(
        "town,n\nMünchen,1\n".encode() + "Köln,2\n".encode("latin-1") + b"Ulm,3\n"
    )
    found = list(read_rows(tmp_path / "q.csv"))
    assert [row.fields.get("town") for row in found] == ["München", None, "Ulm"]
    assert named(found[1].problem or "", "line 3", "UTF-8")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("q.txt", b"", "ends with .jsonl"),
        ("q.json", b"{}", "a list of questions"),
        ("q.csv", b"a,a\n1,2\n", "more than once"),
        ("q.csv", b"a\xff\n1\n", "not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_message(
    tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=expected):
        list(read_rows(tmp_path / name))


def test_values_fill_slots_once_and_templates_come_before_a_rows_own_parts() -> None:
    fields = {"topic": "{input}", "n": 3, "input": "own", "examples": '["a", ["b", "c"]]'}
    templates = Templates("About {topic}.", (), "{n} of {topic}?")
    assert templates.question(fields) == {
        "description": "About {input}.",
        "examples": ["a", ["b", "c"]],
        "input": "3 of {input}?",
    }
    with pytest.raises(UserError, match=naming("'topc'", "'topic'")):
        Templates("{topc}").question(fields)
    assert Templates("N {1} {{x}}").question({"1": "a"}) == {"description": "N a {x}"}
    for wrong in ("{a.b}", "{}", "{a!r}", "{"):
        with pytest.raises(UserError):
            Templates(wrong).columns()


@pytest.mark.slow
def test_killed_and_started_again_the_bytes_are_those_of_an_unbroken_run(tmp_path: Path) -> None:
    with (tmp_path / "q.jsonl").open("w") as file:
        for n in range(20 * BLOCK + 3):
            file.write(json.dumps({"n": n % 7, "word": f"w{n}"} if n != 300 else {"n": 1}) + "\n")

    def command(out: str) -> list[str]:
        words = ["ask", TINY_BASE_NAME]
        words += ["--format", "spectrum", "--description", "{n} {word}", "--answers", "red,blue,12"]
        return [*words, "--questions", str(tmp_path / "q.jsonl"), "--output", str(tmp_path / out)]

    whole = run_command(*command("whole.jsonl"))
    assert whole.returncode == 2 and "1 row could not" in whole.stderr
    started = start_recipe("spectrum-trl", *command("killed.jsonl"), output=tmp_path / "log")
    while not any(part.stat().st_size for part in tmp_path.glob(".killed.jsonl.*0of1")):
        time.sleep(0.05)
        assert started.is_alive()
    started.kill()
    started.join()
    assert left(tmp_path).exists()
    again = run_command(*command("killed.jsonl"))
    assert again.returncode == 2, again.stderr
    assert (tmp_path / "killed.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    lines = read(tmp_path / "whole.jsonl")
    assert len(lines) == 20 * BLOCK + 3 and "word" in lines[300]["error"]
