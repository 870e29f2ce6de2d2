"""Streams of random numbers, each named for what it serves, so that no two purposes share one."""

import hashlib
import json

import numpy as np


def stream(seed: int, *, task: str, purpose: str, id: str | int = "") -> np.random.Generator:
    """Return a stream of its own for each combination of seed and names.

    Args:
        seed: The user's.
        task: Whose data are drawn.
        purpose: What is drawn, in a few words.
        id: Of the row or sample, where each has a stream.
    """
    name = json.dumps([seed, task, purpose, str(id)])
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest(), "big"))
