"""Run recipes and commands in processes of their own, forked from one that has imported the libraries.

Importing torch, transformers and trl takes longer than most runs in the tests. What a fresh interpreter does
is tested by the literal commands of `accelerate launch`, torchrun and the console script.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.forkserver
import os
import re
import runpy
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess

ROOT = Path(__file__).parents[1]
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.preloaded"])


def printed(text: str, label: str) -> tuple[str, list[int]]:
    """Return the only line of an output that begins with a label, without it, and its whole numbers."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"{label}: "))
    line = line.removeprefix(f"{label}: ")
    return line, [int(number.replace(",", "")) for number in re.findall(r"(?<![\w.])\d[\d,]*(?![.\d])", line)]


def run_recipe(
    recipe: str | Path, *words: str | Path, cwd: Path = ROOT, **environment: str
) -> CompletedProcess[str]:
    """Run a recipe file as ``python recipe words`` does; SPECTRUM_DATA is unset unless it is given."""
    return _run([str(recipe), *map(str, words)], cwd=cwd, environment=environment)


def run_command(*words: str | Path, cwd: Path = ROOT, **environment: str) -> CompletedProcess[str]:
    """Run ``spectrum-trl words``."""
    return _run(["spectrum-trl", *map(str, words)], cwd=cwd, environment=environment)


def run_lm_eval(*words: str | Path, cwd: Path, **environment: str) -> CompletedProcess[str]:
    """Run ``lm_eval words``."""
    return _run(["lm_eval", *map(str, words)], cwd=cwd, environment=environment)


def start_recipe(
    recipe: str | Path, *words: str | Path, cwd: Path = ROOT, output: Path, **environment: str
) -> multiprocessing.process.BaseProcess:
    """Start a recipe and return at once; standard output and error both go to the file ``output``."""
    return _start([str(recipe), *map(str, words)], str(cwd), environment, str(output), str(output))


def run_processes(
    n: int, recipe: str | Path, *words: str | Path, shard: bool = False, **environment: str
) -> CompletedProcess[str]:
    """Run a recipe in n processes that torch.distributed connects, as torchrun does.

    Args:
        n: Number of processes.
        recipe: The file.
        *words: Its options.
        shard: Whether accelerate may shard on a CPU, see `tests.sharding`.
        **environment: Further variables.

    Returns:
        The first process's output, with the errors of all; the exit code of one that failed.
    """
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": str(n)}
        shared |= {"LOCAL_WORLD_SIZE": str(n), "SHARD_ON_CPU": "1" if shard else "", **environment}
        free.close()
        command, processes = [str(recipe), *map(str, words)], []
        for rank in range(n):
            own = shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            files = [str(Path(folder, f"{stream}{rank}")) for stream in ("out", "err")]
            processes.append(_start(command, str(ROOT), own, *files))
        # A process that fails leaves the others waiting for it, as under torchrun, which then ends them.
        # Asked for once: those that end in between would leave nothing to wait for, for ever.
        while running := [process.sentinel for process in processes if process.exitcode is None]:
            multiprocessing.connection.wait(running)
            if any(process.exitcode for process in processes):
                for process in processes:
                    process.terminate()
        errors = "".join(Path(folder, f"err{rank}").read_text() for rank in range(n))
        # Those that were ended for another's failure have negative codes.
        codes = [process.exitcode or 0 for process in processes]
        code = max(codes) or min(codes)
        return CompletedProcess(command, code, Path(folder, "out0").read_text(), errors)


def _run(words: list[str], *, cwd: Path, environment: Mapping[str, str]) -> CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = _start(words, str(cwd), dict(environment), str(out), str(err))
        process.join()
        code = 1 if process.exitcode is None else process.exitcode
        return CompletedProcess(words, code, out.read_text(), err.read_text())


def _start(*arguments: object) -> multiprocessing.process.BaseProcess:
    # The server finds what it preloads in the folder that it is started in.
    with contextlib.chdir(ROOT):
        multiprocessing.forkserver.ensure_running()
    process = _CONTEXT.Process(target=_script, args=arguments)
    process.start()
    return process


def _script(words: list[str], cwd: str, environment: Mapping[str, str], out: str, err: str) -> None:
    # What a shell starts in the background ignores it, and so would all its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for path, stream in ((out, 1), (err, 2)):
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(target, stream)
    os.environ.pop("SPECTRUM_DATA", None)
    os.environ |= {"HF_HUB_OFFLINE": "1", "COLUMNS": "200", **environment}
    os.chdir(cwd)
    if os.environ.pop("SHARD_ON_CPU", ""):
        from tests.sharding import shard_on_cpu

        shard_on_cpu()
    sys.argv = words
    if words[0] == "spectrum-trl":
        from spectrum_trl.commands.main import main

        main()
    elif words[0] == "lm_eval":
        runpy.run_module("lm_eval", run_name="__main__")
    else:
        sys.path.insert(0, str(Path(words[0]).resolve().parent))
        runpy.run_path(words[0], run_name="__main__")
