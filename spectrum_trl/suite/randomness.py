"""Named streams of random numbers: no two purposes share one."""

import hashlib
import json

import numpy as np


def stream(seed: int, *, task: str, purpose: str, id: str | int = "") -> np.random.Generator:
    """Return a random generator for one combination of seed and names, independent of all others.

    Args:
        seed: The user's seed.
        task: The task whose data are drawn.
        purpose: What is drawn, in a few words.
        id: The row or sample, where each has its own stream.
    """
    name = json.dumps([seed, task, purpose, str(id)])
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest(), "big"))


def task_seed(seed: int, *, task: str) -> int:
    """Return a task's own seed: streams named by purpose and id alone are then no other task's.

    Args:
        seed: The user's seed.
        task: Name of the task.
    """
    return int(stream(seed, task=task, purpose="seed").integers(2**63))
