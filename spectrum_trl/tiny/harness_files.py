"""Results of the tiny evaluation as lm-eval writes results, so that ``spectrum-trl compare`` pairs them."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spectrum_trl.files import write_atomic, write_json
from spectrum_trl.tiny.result import TinyResult

# Stands for lm-eval's date in the names of files: there is one result per folder.
DATE = "tiny"
HIGHER_IS_BETTER = {"loss": False, "js_divergence": False, "share_valid": True, "yield_count": True}


def write(result: TinyResult, folder: Path, *, fmt: str) -> list[Path]:
    """Write a result: one task per kind, one row per item; return the files.

    Args:
        result: Of one model.
        folder: Made where it is not there.
        fmt: Format of the prompts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tasks = dict(_tasks(result))
    for name, rows in tasks.items():
        lines = [
            {"doc_id": n, "doc_hash": _hash(name, result.seed, n), "metrics": list(row), **row}
            for n, row in enumerate(rows)
        ]
        with write_atomic(folder / f"samples_{name}_{DATE}.jsonl") as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    means = {
        name: {f"{metric},none": float(np.mean([row[metric] for row in rows])) for metric in rows[0]}
        for name, rows in tasks.items()
    }
    configs = {name: {"metadata": {"format": fmt}} for name in tasks}
    higher = {name: {metric: HIGHER_IS_BETTER[metric] for metric in rows[0]} for name, rows in tasks.items()}
    results = folder / f"results_{DATE}.json"
    write_json({"results": means, "configs": configs, "higher_is_better": higher}, results)
    return [results, *(folder / f"samples_{name}_{DATE}.jsonl" for name in tasks)]


def _tasks(result: TinyResult) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    yield "tiny_urn", [{"js_divergence": float(js)} for js in result.urn.js_divergence()]
    for name, part in (("coin", result.coin), ("categorical", result.die), ("numbers", result.number)):
        yield f"tiny_{name}", [{"loss": float(np.mean(losses[1:]))} for losses in part.losses]
    for kind, drawn in (("urns", result.urns), ("ranges", result.ranges)):
        yield (
            f"tiny_samples_of_{kind}",
            [
                {"share_valid": valid, "yield_count": found}
                for valid, found in zip(drawn.share_valid, drawn.yield_count, strict=True)
            ],
        )


def _hash(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
