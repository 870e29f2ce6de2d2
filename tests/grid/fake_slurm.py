"""A SLURM of one folder: sbatch, squeue, sacct, scancel, scontrol, srun, which really run what is submitted.

`install` writes the commands into a folder for the PATH. A plan says what befalls which task of the next
array on its first start, once a process of it has a word in its command: "preempt" (the signal before the
end, then requeued by the job itself), "kill" (its node is lost, and SLURM requeues it), "timeout".
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

COMMANDS = ("sbatch", "squeue", "sacct", "scancel", "scontrol", "srun")
ACTIVE = ("PENDING", "RUNNING")
PAUSE = 0.05


def install(folder: Path) -> dict[str, str]:
    """Write the commands; return the environment that uses them."""
    programs, state = folder / "bin", folder / "state"
    for part in (programs, state):
        part.mkdir(parents=True)
    for name in COMMANDS:
        file = programs / name
        file.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {name} "$@"\n')
        file.chmod(0o755)
    return {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "FAKE_SLURM": str(state)}


def plan(environment: dict[str, str], *, word: str = "sleep", **events: list[int]) -> None:
    """Set what befalls the tasks of the next array."""
    Path(environment["FAKE_SLURM"], "plan").write_text(json.dumps({"word": word, "events": events}))


def starts(environment: dict[str, str]) -> dict[str, int]:
    """Return how often each task was started, by id."""
    return {file.name: read(file)["starts"] for file in Path(environment["FAKE_SLURM"]).glob("task_*")}


def folder() -> Path:
    return Path(os.environ["FAKE_SLURM"])


def read(file: Path) -> dict:
    return json.loads(file.read_text())


def task_file(task: str) -> Path:
    return folder() / f"task_{task}"


def update(task: str, **changes: object) -> None:
    file = task_file(task)
    found = {**(read(file) if file.exists() else {"starts": 0}), **changes}
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.write_text(json.dumps(found))
    temporary.replace(file)


def sbatch(script: str) -> None:
    number = str(len(list(folder().glob("script_*"))) + 1)
    text = Path(script).read_text()
    (folder() / f"script_{number}").write_text(text)
    flags = dict(
        line.removeprefix("#SBATCH --").partition("=")[::2]
        for line in text.splitlines()
        if line.startswith("#SBATCH")
    )
    flags = {name: "".join(shlex.split(value)) for name, value in flags.items()}
    array, _, limit = flags.get("array", "").partition("%")
    tasks = [f"{number}_{index}" for index in range(int(array.partition("-")[2]) + 1)] if array else [number]
    for task in tasks:
        update(task, state="PENDING")
    subprocess.Popen(
        [sys.executable, __file__, "schedule", number, limit or "1", *tasks],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    print(f"Submitted batch job {number}")


def schedule(number: str, limit: str, *tasks: str) -> None:
    planned = folder() / "plan"
    word, events = read(planned).values() if planned.exists() else ("", {})
    planned.unlink(missing_ok=True)
    fate = {f"{number}_{index}": event for event, found in events.items() for index in found}
    running: dict[str, subprocess.Popen] = {}
    while running or any(read(task_file(task))["state"] == "PENDING" for task in tasks):
        for task in tasks:
            if (
                task not in running
                and len(running) < int(limit)
                and read(task_file(task))["state"] == "PENDING"
            ):
                running[task] = start(number, task)
        for task, process in list(running.items()):
            event = fate.get(task) if runs(process, word) else None
            if event:
                del fate[task]
                strike(process, event)
                if event == "kill":
                    update(task, requeue=True)
                elif event == "timeout":
                    update(task, state="TIMEOUT")
            if process.poll() is not None:
                del running[task]
                known = read(task_file(task))
                if known.get("requeue"):
                    update(task, state="PENDING", requeue=False)
                elif known["state"] == "RUNNING":
                    update(task, state="FAILED" if process.returncode else "COMPLETED")
        time.sleep(PAUSE)


def start(number: str, task: str) -> subprocess.Popen:
    index = task.partition("_")[2]
    one = {
        "SLURM_JOB_ID": number + index,
        "SLURM_NTASKS": "1",
        "SLURM_PROCID": "0",
        "SLURM_JOB_NUM_NODES": "1",
    }
    if index:
        one |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": index}
    process = subprocess.Popen(
        ["bash", str(folder() / f"script_{number}")], env={**os.environ, **one}, start_new_session=True
    )
    update(task, state="RUNNING", starts=read(task_file(task))["starts"] + 1, pid=process.pid)
    return process


def runs(process: subprocess.Popen, word: str) -> bool:
    try:
        return any(word in one.cmdline() for one in psutil.Process(process.pid).children(recursive=True))
    except psutil.Error:
        return False


def strike(process: subprocess.Popen, event: str) -> None:
    tree = psutil.Process(process.pid).children(recursive=True)
    if event == "preempt":
        # To the step, not to the shell; srun has become submitit's process.
        tree[0].send_signal(signal.SIGUSR2)
        return
    for one in [*reversed(tree), psutil.Process(process.pid)]:
        one.kill()


def squeue(*words: str) -> None:
    assert {"--noheader", "--array", "--format=%i %T"} <= set(words)
    for file in sorted(folder().glob("task_*")):
        if (state := read(file)["state"]) in ACTIVE:
            print(file.name.removeprefix("task_"), state)


def sacct(*words: str) -> None:
    (task,) = (word.removeprefix("--jobs=") for word in words if word.startswith("--jobs="))
    print(read(task_file(task))["state"])


def scancel(*words: str) -> None:
    for task in (word for word in words if not word.startswith("--")):
        known = read(task_file(task))
        step = psutil.Process(known["pid"]).children() if known["state"] == "RUNNING" else []
        if "--signal=USR2" not in words:
            update(task, state="CANCELLED by 1000")
        for one in step:
            one.send_signal(signal.SIGUSR2 if "--signal=USR2" in words else signal.SIGTERM)


def scontrol(verb: str, task: str) -> None:
    assert verb == "requeue"
    update(task, requeue=True)


def srun(*words: str) -> None:
    command = list(words)
    while command[0].startswith("--"):
        option = command.pop(0)
        if option in ("--output", "--error"):
            path = command.pop(0).replace("%t", "0")
            for letter, name in (("%A", "ARRAY_JOB"), ("%a", "ARRAY_TASK"), ("%j", "JOB")):
                path = path.replace(letter, os.environ.get(f"SLURM_{name}_ID", ""))
            target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(target, 1 if option == "--output" else 2)
    os.execvp(command[0], command)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
