"""Check a machine: versions, devices, memory, optional packages, disk, data, and the Hub."""

import importlib.metadata
import os
import platform
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import psutil
import requests
import torch
from huggingface_hub import constants, get_token, whoami
from transformers.utils import is_flash_attn_2_available, is_kernels_available

from spectrum_trl.console import counted
from spectrum_trl.errors import UserError, first_line
from spectrum_trl.paths import bundled, cache_folder, data_dir
from spectrum_trl.suite.catalogue import suite_tasks
from spectrum_trl.suite.fetching.fetch import offline
from spectrum_trl.suite.fetching.status import status

State = Literal["fine", "note", "wrong"]
DISTRIBUTION = "spectrum-trl"
GB = 1e9
# Free space below which a first download or checkpoint fails, and below which a second one may.
NO_DISK, LITTLE_DISK = 1 * GB, 20 * GB
# No name server or proxy may take longer.
HUB_SECONDS = 5.0
# A sum of rounded 4-bit weights is this close to that of the weights themselves, in units of their size.
CLOSE = 0.2


class Finding(NamedTuple):
    """One line of the report.

    Attributes:
        name: What was checked.
        found: What was found.
        state: ``wrong`` stops work; a ``note`` stops some of it, or none.
        fix: What to do, or an empty string.
    """

    name: str
    found: str
    state: State = "fine"
    fix: str = ""


def findings() -> list[Finding]:
    """Check everything, in the order in which it is shown; a check that fails is a finding, too."""
    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        "versions": _versions,
        "devices": _devices,
        "memory": _memory,
        "attention": _attention,
        "bitsandbytes": _bitsandbytes,
        "disk": _disk,
        "data": _data,
        "Hub": _hub,
    }
    found: list[Finding] = []
    for name, check in checks.items():
        try:
            found += check()
        except UserError as error:
            found.append(Finding(name, "; ".join(error.problems), "wrong"))
    return found


def tested_versions() -> dict[str, str]:
    """Return the versions that this package is tested with, by the names of constraints.txt."""
    text = bundled("constraints.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE))


def _same(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _versions() -> Iterator[Finding]:
    yield Finding("Python", platform.python_version())
    tested = {_same(name): version for name, version in tested_versions().items()}
    other, missing, same = [], [], 0
    for requirement in importlib.metadata.requires(DISTRIBUTION) or ():
        name = re.split(r"[^\w.-]", requirement)[0]
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            # Another check reports what an extra lacks.
            missing += [] if "extra ==" in requirement else [name]
            continue
        expected = tested.get(_same(name))
        # A build such as 2.13.0+cpu is of the same version.
        if expected in (None, installed.partition("+")[0]):
            same += 1
        else:
            other.append(f"{name} {installed} (tested: {expected})")
    fix = f"pip install --constraint {bundled('constraints.txt')} {DISTRIBUTION}"
    if missing:
        yield Finding("packages", f"not installed: {', '.join(missing)}", "wrong", fix)
    if other:
        yield Finding("packages", f"other than tested: {', '.join(dict.fromkeys(other))}", "note", fix)
    else:
        yield Finding("packages", f"{counted(same, 'version')} as tested")


def _devices() -> Iterator[Finding]:
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        used = f"{free / GB:.1f} of {total / GB:.1f} GB free"
        yield Finding(f"GPU {number}", f"{torch.cuda.get_device_name(number)}, {used}")
    if not torch.cuda.is_available():
        built = "" if torch.version.cuda is None else f", though torch is built for CUDA {torch.version.cuda}"
        fix = "recipes for GPUs need one; `recipes/*_cpu.yaml` and those that say so in their header do not"
        yield Finding("GPU", f"none that torch can use{built}", "note", fix)
    half = torch.cpu.get_capabilities().get("avx512_bf16", False)
    yield Finding(
        "CPU",
        f"{counted(os.cpu_count() or 1, 'core')}, {counted(torch.get_num_threads(), 'thread')} used, "
        f"bfloat16 instructions: {'yes' if half else 'no'}",
    )


def machine_memory() -> tuple[int, int]:
    """Return the bytes of memory that are available now, and those of the machine or its container."""
    memory = psutil.virtual_memory()
    total = memory.total
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        total = min(total, int(text))
    return min(memory.available, total), total


def _memory() -> Iterator[Finding]:
    available, total = machine_memory()
    found = f"{available / GB:.1f} of {total / GB:.1f} GB available"
    yield Finding(
        "memory",
        found,
        "fine" if available > 4 * GB else "note",
        "" if available > 4 * GB else "end other programs, or train the tiny model",
    )


def _attention() -> Iterator[Finding]:
    extra = {"flash-attn": is_flash_attn_2_available(), "kernels": is_kernels_available()}
    there = [name for name, usable in extra.items() if usable]
    found = f"sdpa{''.join(f', {name}' for name in there)}"
    if there or not torch.cuda.is_available():
        yield Finding("attention", found)
        return
    fix = "with sdpa, pack one row a device; for more, `pip install kernels` and set attn_implementation"
    yield Finding("attention", found, "note", fix)


def _bitsandbytes() -> Iterator[Finding]:
    fix = "for QLoRA and 8-bit optimizers: pip install 'spectrum-trl[quant]'"
    try:
        from bitsandbytes.functional import dequantize_4bit, quantize_4bit
    except ImportError:
        yield Finding("bitsandbytes", "not installed", "note", fix)
        return
    try:
        weights = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
        weights = weights.to("cuda" if torch.cuda.is_available() else "cpu", torch.bfloat16)
        again = dequantize_4bit(*quantize_4bit(weights, quant_type="nf4"))
        error = float((again - weights).float().norm() / weights.float().norm())
    # Its libraries for a device raise anything.
    except Exception as problem:
        yield Finding(
            "bitsandbytes", f"does not work: {first_line(problem)}", "note", f"install it again; {fix}"
        )
        return
    version = importlib.metadata.version("bitsandbytes")
    if error > CLOSE:
        yield Finding(
            "bitsandbytes", f"{version} changes weights by {error:.0%}", "note", f"install it again; {fix}"
        )
    else:
        yield Finding("bitsandbytes", f"{version} quantizes to 4 bits (error {error:.0%})")


def _disk() -> Iterator[Finding]:
    places = {
        "cache": cache_folder(),
        "models": Path(constants.HF_HUB_CACHE),
        "output": Path("runs").absolute(),
    }
    seen: dict[int, tuple[Path, list[str]]] = {}
    for name, place in places.items():
        there = next(folder for folder in (place, *place.parents) if folder.exists())
        seen.setdefault(there.stat().st_dev, (there, []))[1].append(name)
    for there, names in seen.values():
        free = shutil.disk_usage(there).free
        state: State = "wrong" if free < NO_DISK else "note" if free < LITTLE_DISK else "fine"
        fix = (
            ""
            if state == "fine"
            else (
                "make room, or name other folders: SPECTRUM_CACHE, HF_HOME, output_dir; checkpoints "
                "with their optimizer are three times the model, and save_total_limit keeps fewer"
            )
        )
        yield Finding(f"disk ({', '.join(names)})", f"{free / GB:.1f} GB free", state, fix)


def _data() -> Iterator[Finding]:
    folder = data_dir()
    tasks = suite_tasks().values()
    states = [status(task, data_dir=folder).state for task in tasks]
    ready = states.count("ready")
    found = f"{ready} of {counted(len(states), 'task')} ready in {folder}"
    if ready == len(states):
        yield Finding("data", found)
        return
    can = states.count("can be fetched")
    first = f"`spectrum-trl data fetch` fetches {can:,} of the others; " if can else ""
    yield Finding("data", found, "note", f"{first}`spectrum-trl data status` says how to get the rest")


def _hub() -> Iterator[Finding]:
    token = get_token()
    if offline():
        there = "a token is set" if token else "no token is set"
        yield Finding(
            "Hub", f"offline by HF_HUB_OFFLINE; {there}", "note", "unset it to fetch models and data"
        )
        return
    found: list[Finding] = []
    # A daemon: one that waits for a name server does not keep the program.
    asking = threading.Thread(target=lambda: found.extend(_ask_hub(token)), daemon=True)
    asking.start()
    asking.join(2 * HUB_SECONDS)
    yield from found or [_unreachable(f"no answer within {2 * HUB_SECONDS:.0f} s")]


def _unreachable(why: str) -> Finding:
    fix = "check the network or HF_ENDPOINT; without one, set HF_HUB_OFFLINE=1 and name local folders"
    return Finding("Hub", f"{constants.ENDPOINT} is not reachable: {why}", "note", fix)


def _ask_hub(token: str | None) -> Iterator[Finding]:
    """Look for the Hub and then for what its token may do; the token itself is never shown."""
    try:
        requests.head(constants.ENDPOINT, timeout=HUB_SECONDS)
    except requests.RequestException as error:
        yield _unreachable(type(error).__name__)
        return
    yield Finding("Hub", f"{constants.ENDPOINT} is reachable")
    if not token:
        fix = "for gated models such as Gemma and Llama, and to publish: hf auth login"
        yield Finding("Hub token", "none", "note", fix)
        return
    try:
        rights = rights_of(whoami(token))
    # The error quotes the request, and the token could be part of it.
    except Exception as error:
        yield Finding(
            "Hub token", f"not accepted ({type(error).__name__})", "wrong", "hf auth login, with a new one"
        )
        return
    yield rights


def rights_of(account: dict[str, Any]) -> Finding:
    """Return what the token of an account may do.

    Args:
        account: The Hub's answer to who is asking.
    """
    own = (account.get("auth") or {}).get("accessToken") or {}
    role = own.get("role", "unknown")
    found = f"of {account.get('name', 'an unknown account')}, role {role}"
    if role == "fineGrained":
        scoped = (own.get("fineGrained") or {}).get("scoped") or []
        granted = {right for scope in scoped for right in scope.get("permissions", ())}
        found += f" ({', '.join(sorted(granted)) or 'no rights'})"
        writes = "repo.write" in granted
    else:
        writes = role in ("write", "admin")
    if writes:
        return Finding("Hub token", found)
    return Finding(
        "Hub token", found, "note", "`spectrum-trl push` needs a token that may write repositories"
    )
