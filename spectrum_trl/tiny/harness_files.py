"""Write results of the tiny evaluation in lm-eval's format, so ``spectrum-trl compare`` can pair them."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spectrum_trl.files import write_atomic, write_json
from spectrum_trl.tiny.scores import TinyResult
from spectrum_trl.tiny.table import POSITIONS

# In place of lm-eval's date in file names: there is one result per folder.
DATE = "tiny"
HIGHER_IS_BETTER = {
    **dict.fromkeys(("loss", "loss_late", "js_divergence", "collision"), False),
    **dict.fromkeys(("mode_match", "coverage", "share_valid", "yield_count"), True),
}


def write(result: TinyResult, folder: Path) -> list[Path]:
    """Write a result as one task per kind and one row per item.

    Args:
        result: The result of one model.
        folder: The folder to write to; created if it does not exist.

    Returns:
        The written files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tasks = dict(_tasks(result))
    for name, rows in tasks.items():
        lines = [
            {"doc_id": n, "doc_hash": _hash(name, result.part, result.seed, n), "metrics": list(row), **row}
            for n, row in enumerate(rows)
        ]
        with write_atomic(folder / f"samples_{name}_{DATE}.jsonl") as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    means = {
        name: {f"{metric},none": _mean([row[metric] for row in rows]) for metric in rows[0]}
        for name, rows in tasks.items()
    }
    configs = {name: {"metadata": {"format": result.fmt}} for name in tasks}
    higher = {name: {metric: HIGHER_IS_BETTER[metric] for metric in rows[0]} for name, rows in tasks.items()}
    results = folder / f"results_{DATE}.json"
    write_json({"results": means, "configs": configs, "higher_is_better": higher}, results)
    return [results, *(folder / f"samples_{name}_{DATE}.jsonl" for name in tasks)]


def _tasks(result: TinyResult) -> Iterator[tuple[str, list[dict[str, list[Any]]]]]:
    """Yield tasks and their rows: each metric's sum, count and, for dependent rows, their common cluster."""
    yield (
        "tiny_urn",
        [
            {
                name: [float(getattr(urn, name)), 1, world]
                for name in ("js_divergence", "mode_match", "coverage")
            }
            for urn, world in zip(result.urn.compared(), result.urn.proportions(), strict=True)
        ],
    )
    for name, part in (("coin", result.coin), ("categorical", result.die), ("numbers", result.number)):
        late = POSITIONS["≥ 8 examples"]
        yield (
            f"tiny_{name}",
            [
                {
                    "loss": [float(np.sum(row)), len(row)],
                    "loss_late": [float(np.sum(row[late])), len(row[late])],
                }
                for row in part.losses
            ],
        )
    for kind, drawn in (("urns", result.urns), ("ranges", result.ranges)):
        columns = {name: getattr(drawn, name) for name in ("share_valid", "collision", "yield_count")}
        yield (
            f"tiny_samples_of_{kind}",
            [
                {name: [float(values[n]), 1, world] for name, values in columns.items()}
                for n, world in enumerate(drawn.worlds())
            ],
        )


def _mean(values: list[list[Any]]) -> float:
    return float(sum(value[0] for value in values) / sum(value[1] for value in values))


def _hash(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
