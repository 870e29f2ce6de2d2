"""A real SLURM of one node on loopback, of Debian's slurmctld, slurmd, slurm-client and munge, as root."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "srun")
SECONDS = 60
CONF = """
ClusterName=tests
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ctld}
SlurmdPort={d}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MailProg=/bin/true
SchedulerParameters=batch_sched_delay=1,sched_interval=2
SwitchType=switch/none
ReturnToService=2
NodeName=localhost NodeAddr=127.0.0.1 NodeHostname={host} CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Return why no SLURM can be started here; empty if it can."""
    absent = [name for name in PROGRAMS if not found(name)]
    if absent:
        return f"needs {', '.join(absent)}: apt-get install slurmctld slurmd slurm-client munge"
    return "" if os.geteuid() == 0 else "SLURM's daemons run as root here"


def found(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")


@contextmanager
def started(folder: Path) -> Iterator[dict[str, str]]:
    """Start the daemons, yield the environment that uses them, and stop them."""
    for part in ("state", "spool"):
        (folder / part).mkdir(parents=True)
    # munged accepts no folder of its socket that others can write.
    folder.chmod(0o755)
    conf, key = folder / "slurm.conf", folder / "munge.key"
    conf.write_text(
        CONF.format(folder=folder, host=socket.gethostname(), ctld=free(), d=free(), cpus=os.cpu_count())
    )
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    environment = {"SLURM_CONF": str(conf)}
    munge = ["--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket"]
    munge += [
        f"--pid-file={folder}/munged.pid",
        f"--log-file={folder}/munged.log",
        f"--seed-file={folder}/seed",
    ]
    with ExitStack() as stack:
        for name, words in (("munged", munge), ("slurmctld", ["-D", "-c"]), ("slurmd", ["-D", "-c"])):
            stack.enter_context(daemon([str(found(name)), *words], folder / f"{name}.out", environment))
        wait_for_the_node(environment, folder)
        yield environment


@contextmanager
def daemon(words: list[str], log: Path, environment: dict[str, str]) -> Iterator[None]:
    with log.open("wb") as stream:
        process = subprocess.Popen(words, stdout=stream, stderr=stream, env={**os.environ, **environment})
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_the_node(environment: dict[str, str], folder: Path) -> None:
    for _ in range(SECONDS * 5):
        done = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )
        if done.stdout.strip() == "idle":
            return
        time.sleep(0.2)
    logs = "\n".join(f"{file.name}: {file.read_text()[-800:]}" for file in folder.glob("*.[lo][ou]*"))
    raise RuntimeError(f"SLURM did not start: {done.stdout} {done.stderr}\n{logs}")


def free() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
