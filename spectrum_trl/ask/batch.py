"""Answer a file of questions: in blocks, shared by processes, and resumed after an interruption.

Results are appended in whole blocks. A block's figures depend on its own questions alone, so an interrupted
run that goes on gives the same bytes as one that was never stopped.
"""

import glob
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout
from tqdm import tqdm

from spectrum_trl.ask.rows import Row
from spectrum_trl.console import LAUNCHED, console, is_first_process, on_terminal
from spectrum_trl.errors import Interrupted, UserError
from spectrum_trl.files import finite, write_atomic, writing
from spectrum_trl.progress import line_each_minute
from spectrum_trl.strict.json import strict_json

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


class Answered(NamedTuple):
    """The end of a process's work.

    Attributes:
        failed: Number of rows in its share that could not be answered.
        joined: Whether it was the last to finish, so that the output is there.
    """

    failed: int
    joined: bool


def launched_share() -> Share:
    """Return this process's share, as a launcher such as torchrun numbers processes."""
    # A shell may have left some of these behind; a launcher sets all.
    if not all(name in os.environ for name in LAUNCHED):
        return Share()
    return Share(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))


def answer_launched(
    rows: Iterator[Row], answer: Answering, *, output: Path, settings: dict[str, Any], fresh: bool
) -> Answered:
    """Answer the share of a process that a launcher may have numbered, and show how far it is.

    Arguments and errors as for `answer_file`.

    Raises:
        Interrupted: After Ctrl-C, with the way on.
    """
    first = is_first_process()
    try:
        with line_each_minute("answering", out=console(stderr=True, quiet=not first)):
            return answer_file(
                rows,
                answer,
                output=output,
                settings=settings,
                share=launched_share(),
                fresh=fresh,
                shows_progress=first and on_terminal(),
            )
    except KeyboardInterrupt:
        raise Interrupted("repeat the same command to go on where it was") from None


def answer_file(
    rows: Iterator[Row],
    answer: Answering,
    *,
    output: Path,
    settings: dict[str, Any],
    share: Share,
    fresh: bool = False,
    shows_progress: bool = False,
) -> Answered:
    """Answer questions into a JSON Lines file, one line each; the last process to finish joins the shares.

    Args:
        rows: The questions.
        answer: Answers a block.
        output: The file.
        settings: Everything that determines the answers: those of other settings are not continued.
        share: This process's share.
        fresh: Whether to ignore what interrupted runs have left.
        shows_progress: Whether to show a bar.

    Raises:
        UserError: If an interrupted run with other settings has left answers, another process answers the
            same share, or nothing can be written.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    part = _part(output, digest, share)
    # A run that is refused leaves no lock of its own, by which the others would be refused in turn.
    with writing(output):
        _check_others(output, digest, fresh=fresh)
    with writing(output), _alone(part, output):
        if _done(part).exists():
            _done(part).rename(part)
        if fresh:
            part.unlink(missing_ok=True)
        done, failed = _whole_blocks(part)
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
        with FileLock(output.with_name(f".{output.name}.{digest}.join")):
            return Answered(failed, _join(output, digest, share))


def _part(output: Path, digest: str, share: Share) -> Path:
    """Return the file of a share; its name holds the settings, so that others never continue it."""
    return output.with_name(f".{output.name}.{digest}.{share.rank}of{share.of}")


def _done(part: Path) -> Path:
    return part.with_name(f"{part.name}.done")


def _alone(part: Path, output: Path) -> ExitStack:
    """Lock a share."""
    stack = ExitStack()
    try:
        stack.enter_context(FileLock(part.with_name(f"{part.name}.lock"), timeout=0))
    except Timeout:
        raise UserError(f"{output}: another process is answering into it; wait, or name another") from None
    return stack


def _check_others(output: Path, digest: str, *, fresh: bool) -> None:
    """Check that no interrupted run with other settings has left answers, or remove them."""
    own = f".{output.name}.{digest}."
    left = [path for path in _left(output, "*") if not path.name.startswith(own)]
    if left and not fresh:
        raise UserError(
            f"{output}: an interrupted run with other questions, options or weights has left answers; repeat "
            "its command to go on, add --fresh to start anew, or name another output"
        )
    for path in left:
        path.unlink(missing_ok=True)


def _left(output: Path, digest: str) -> list[Path]:
    return list(output.parent.glob(f".{glob.escape(output.name)}.{digest}.*"))


def _blocks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while block := list(itertools.islice(rows, BLOCK)):
        yield block


def _whole_blocks(part: Path) -> tuple[int, int]:
    """Cut what an interrupted run has left to whole blocks; return their number and that of failed rows."""
    if not part.exists():
        return 0, 0
    end, at, n_blocks, failed, of_block = 0, 0, 0, 0, 0
    with part.open("rb") as file:
        for number, line in enumerate(file, start=1):
            found = _parsed(line)
            if found is None:
                break
            at, of_block = at + len(line), of_block + ("error" in found)
            # The last block of all may be short; it is answered again.
            if number % BLOCK == 0:
                end, n_blocks, failed, of_block = at, n_blocks + 1, failed + of_block, 0
    os.truncate(part, end)
    return n_blocks, failed


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return the object of a whole line, or None if it is cut or damaged."""
    try:
        found = strict_json(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _join(output: Path, digest: str, share: Share) -> bool:
    """Join the shares block by block if all are there, and return whether they are."""
    parts = [_part(output, digest, Share(rank, share.of)) for rank in range(share.of)]
    finished = [_done(part) for part in parts]
    parts[share.rank].rename(finished[share.rank])
    if not all(path.exists() for path in finished):
        return False
    with ExitStack() as stack:
        streams = [stack.enter_context(path.open("rb")) for path in finished]
        target = stack.enter_context(stack.enter_context(write_atomic(output)).open("wb"))
        for turn in itertools.cycle(streams):
            block = list(itertools.islice(turn, BLOCK))
            # Blocks are dealt in turn, so the first share without one is the end of all.
            if not block:
                break
            target.writelines(block)
    for path in _left(output, digest):
        path.unlink(missing_ok=True)
    return True
