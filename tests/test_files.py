"""What is written appears whole, through links, and replaces nothing but files."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.files import check_writable, folder_problems, remove_left, write_atomic, write_json


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    kept, link, chain = tmp_path / "kept" / "results.json", tmp_path / "link", tmp_path / "chain"
    kept.parent.mkdir()
    kept.write_text("old")
    kept.chmod(0o600)
    link.symlink_to(kept)
    chain.symlink_to(link)
    check_writable(chain)
    write_json({"a": 1}, chain)
    assert link.is_symlink() and chain.is_symlink() and '"a": 1' in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert [path.name for path in kept.parent.iterdir()] == ["results.json"]


def test_a_link_to_a_file_that_is_not_there_makes_it(tmp_path: Path) -> None:
    link, target = tmp_path / "link", tmp_path / "new.json"
    link.symlink_to(target)
    write_json([], link)
    assert link.is_symlink() and target.read_text() == "[]\n"


def test_a_device_a_pipe_a_folder_and_a_loop_are_refused_and_stay(tmp_path: Path) -> None:
    pipe, loop, to_device = tmp_path / "pipe", tmp_path / "loop", tmp_path / "device"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    to_device.symlink_to("/dev/full")
    places = [pipe, loop, to_device, tmp_path, Path("/dev/full"), Path("/dev/null")]
    before = [place.lstat() for place in places]
    for place in places:
        with pytest.raises(UserError, match="name a"):
            check_writable(place)
        with pytest.raises(UserError, match="name a"), write_atomic(place) as temporary:
            temporary.write_text("not there")
    assert [(place.lstat().st_ino, place.lstat().st_mode) for place in places] == [
        (each.st_ino, each.st_mode) for each in before
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["device", "loop", "pipe"]


@pytest.mark.parametrize(
    ("name", "rest", "kept"),
    [
        ("/dev/stdout", "| cat > out", "1\n"),
        ("/dev/stdout", ">> out", "earlier\n1\n"),
        ("out", "> out", "1\n"),
    ],
)
def test_standard_output_is_refused_and_keeps_what_it_has(
    tmp_path: Path, name: str, rest: str, kept: str
) -> None:
    out = tmp_path / "out"
    out.write_text("earlier\n")
    code = f"from spectrum_trl.files import *; print(1, flush=True); write_json(2, Path('{name}'))"
    command = f'{sys.executable} -c "{code}" {rest}'
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert f"UserError: {name} is " in done.stderr and out.read_text() == kept


def test_a_folder_that_is_a_link_to_nothing_is_a_problem(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "gone")
    assert "is a link to" in next(folder_problems(link))
    assert "is a link to" in next(folder_problems(link / "below"))
    (tmp_path / "gone").mkdir()
    assert not list(folder_problems(link))


def test_what_fails_half_way_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    with pytest.raises(ZeroDivisionError), write_atomic(file) as temporary:
        temporary.write_text("half")
        _ = 1 / 0
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]


def test_only_what_killed_processes_left_of_a_file_is_removed(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    left = tmp_path / f".[a].md.{ended.pid}.tmp"
    others = [
        tmp_path / f".[a].md.{os.getpid()}.tmp",
        tmp_path / f".a.md.{ended.pid}.tmp",
        tmp_path / ".[a].md.x.tmp",
    ]
    for path in (left, *others):
        path.touch()
    remove_left(tmp_path / "[a].md")
    assert set(tmp_path.iterdir()) == set(others)
