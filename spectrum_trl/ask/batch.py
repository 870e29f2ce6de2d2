"""Answer a file of questions: in blocks, shared by processes, and resumed after an interruption.

Results are appended in whole blocks. A block's figures depend on its own questions alone, so an interrupted
run that goes on gives the same bytes as one that was never stopped.
"""

import itertools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock
from tqdm import tqdm

from spectrum_trl.ask.rows import Row
from spectrum_trl.errors import UserError
from spectrum_trl.files import finite, write_atomic, write_json, writing
from spectrum_trl.strict.json import read_json

BLOCK = 128
# Answers the questions of a block: one mapping each, in their order.
Answering = Callable[[Sequence[Row]], list[dict[str, Any]]]


class Share(NamedTuple):
    """A process's share of the blocks.

    Attributes:
        rank: Its number, from 0.
        of: Number of processes.
    """

    rank: int = 0
    of: int = 1


def launched_share() -> Share:
    """Return this process's share, as ``accelerate launch`` numbers processes."""
    return Share(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))


def answer_file(
    rows: Iterator[Row],
    answer: Answering,
    *,
    output: Path,
    settings: dict[str, Any],
    share: Share,
    fresh: bool = False,
    shows_progress: bool = False,
) -> int:
    """Answer questions into a JSON Lines file, one line each; the last process to finish joins the shares.

    Args:
        rows: The questions.
        answer: Answers a block.
        output: The file.
        settings: Everything that determines the answers: those of other settings are not continued.
        share: This process's share.
        fresh: Whether to ignore what an interrupted run has left.
        shows_progress: Whether to show a bar.

    Returns:
        The number of rows in this share that could not be answered.

    Raises:
        UserError: If an interrupted run with other settings has left answers, or nothing can be written.
    """
    part = _beside(output, share)
    with writing(output):
        if _done(part).exists():
            _done(part).rename(part)
        if fresh:
            part.unlink(missing_ok=True)
        _check_settings(output, settings, fresh=fresh)
        done = _whole_blocks(part)
        failed = _failures(part)
        bar = tqdm(desc="questions", disable=not shows_progress, initial=done * BLOCK)
        with part.open("ab") as file, bar:
            for number, block in enumerate(_blocks(rows)):
                if number % share.of != share.rank or number // share.of < done:
                    continue
                found = answer(block)
                failed += sum("error" in one for one in found)
                lines = (json.dumps(finite(one), ensure_ascii=False) + "\n" for one in found)
                file.write("".join(lines).encode())
                file.flush()
                bar.update(len(block))
            os.fsync(file.fileno())
        with _locked(output):
            _join(output, share)
    return failed


def _beside(output: Path, share: Share) -> Path:
    return output.with_name(f".{output.name}.{share.rank}of{share.of}")


def _done(part: Path) -> Path:
    return part.with_name(f"{part.name}.done")


def _locked(output: Path) -> FileLock:
    return FileLock(output.with_name(f".{output.name}.lock"))


def _blocks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while block := list(itertools.islice(rows, BLOCK)):
        yield block


def _check_settings(output: Path, settings: dict[str, Any], *, fresh: bool) -> None:
    """Check that what an interrupted run has left has the same settings, and note them."""
    place = output.with_name(f".{output.name}.settings")
    with _locked(output):
        before = read_json(place) if place.exists() else {}
        changed = [key for key in settings if before.get(key) != json.loads(json.dumps(settings[key]))]
        if before and changed and not fresh:
            raise UserError(
                f"{output}: an interrupted run with another {', another '.join(changed)} has left answers; "
                "repeat its command to go on, add --fresh to start anew, or name another output"
            )
        write_json(settings, place)


def _whole_blocks(part: Path) -> int:
    """Cut what an interrupted run has left to whole blocks, and return their number."""
    if not part.exists():
        return 0
    ends, at = [0], 0
    with part.open("rb") as file:
        for number, line in enumerate(file, start=1):
            at += len(line)
            if line.endswith(b"\n") and number % BLOCK == 0:
                ends.append(at)
    # The last block of all may be short; it is answered again.
    os.truncate(part, ends[-1])
    return len(ends) - 1


def _failures(part: Path) -> int:
    if not part.exists():
        return 0
    with part.open("rb") as file:
        return sum("error" in json.loads(line) for line in file)


def _join(output: Path, share: Share) -> None:
    """Join the shares block by block once all are there."""
    parts = [_beside(output, Share(rank, share.of)) for rank in range(share.of)]
    finished = [_done(part) for part in parts]
    parts[share.rank].rename(finished[share.rank])
    if not all(path.exists() for path in finished):
        return
    with ExitStack() as stack:
        streams = [stack.enter_context(path.open("rb")) for path in finished]
        target = stack.enter_context(stack.enter_context(write_atomic(output)).open("wb"))
        for turn in itertools.cycle(streams):
            block = list(itertools.islice(turn, BLOCK))
            # Blocks are dealt in turn, so the first share without one is the end of all.
            if not block:
                break
            target.writelines(block)
    for path in (*finished, *(output.with_name(f".{output.name}.{end}") for end in ("settings", "lock"))):
        path.unlink(missing_ok=True)
