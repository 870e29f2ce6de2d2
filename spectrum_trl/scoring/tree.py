"""Arrange requests in a prefix tree, so a model reads each shared prefix only once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.uint32]
# A separate pass over a shared prefix pays off if it saves about this many tokens.
WORTH_SHARING = 64


class Request(NamedTuple):
    """Tokens to score, given those before them.

    Attributes:
        ids: Context and continuation.
        start: Index of the continuation's first token, at least 1.
    """

    ids: Sequence[int]
    start: int


class Row(NamedTuple):
    """Tokens that a model reads.

    Attributes:
        ids: Shape (tokens,). The last token of a request is predicted, but never read.
        requests: Indices of the requests whose tokens, but the last, are a prefix of these.
    """

    ids: Ids
    requests: list[int]

    @property
    def end(self) -> int:
        """Index after the last token."""
        return len(self.ids)


@dataclass
class Node:
    """A prefix that rows share, starting where its parent's ends.

    Attributes:
        ids: Tokens of any of the rows.
        start: Index of the node's first token.
        end: Index after its last token.
        requests: Indices of the requests of all rows.
        rows: Rows that share nothing more.
        branches: Longer prefixes that some of the other rows share.
    """

    ids: Ids
    start: int
    end: int
    requests: list[int]
    rows: list[Row] = field(default_factory=list)
    branches: list["Node"] = field(default_factory=list)


def build(requests: Sequence[Request], *, shares: bool = True) -> Node:
    """Arrange requests by their common prefixes.

    Args:
        requests: Each with at least one context token and at least one token to score.
        shares: Whether a prefix may be read once for several rows.

    Returns:
        The root, whose prefix is empty.
    """
    rows = _rows(requests)
    root = Node(rows[0].ids if rows else np.empty(0, dtype=np.uint32), 0, 0, list(range(len(requests))))
    if not shares:
        root.rows = rows
        return root
    common = [_common(one.ids, other.ids) for one, other in zip(rows, rows[1:], strict=False)]
    todo = [(root, 0, len(rows), 0)]
    while todo:
        node, first, last, level = todo.pop()
        for start, end in _runs(common, first, last, level=level):
            if end - start == 1:
                node.rows.append(rows[start])
                continue
            longest = min(common[start : end - 1])
            below = node
            if (end - start - 1) * (longest - node.end) >= WORTH_SHARING:
                wanted = [n for row in rows[start:end] for n in row.requests]
                below = Node(rows[start].ids, node.end, longest, wanted)
                node.branches.append(below)
            todo.append((below, start, end, longest))
    return root


def _rows(requests: Sequence[Request]) -> list[Row]:
    """Return the tokens to read, sorted; a prefix of the next row joins it."""
    read = [np.asarray(request.ids[:-1], dtype=np.uint32) for request in requests]
    # Bytes of big-endian numbers sort like the numbers, and faster.
    keys = [ids.astype(">u4").tobytes() for ids in read]
    rows: list[Row] = []
    key = b""
    for n in sorted(range(len(requests)), key=keys.__getitem__, reverse=True):
        if rows and key.startswith(keys[n]):
            rows[-1].requests.append(n)
        else:
            rows.append(Row(read[n], [n]))
            key = keys[n]
    return rows[::-1]


def _common(one: Ids, other: Ids) -> int:
    """Return the length of the common prefix; it is shorter than both."""
    length = min(len(one), len(other))
    return int((one[:length] != other[:length]).argmax())


def _runs(common: Sequence[int], first: int, last: int, *, level: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of neighbouring rows that share more than ``level`` tokens."""
    start = first
    for n in range(first, last):
        if n == last - 1 or common[n] <= level:
            yield start, n + 1
            start = n + 1
