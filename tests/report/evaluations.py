"""Evaluations in lm-eval's format, with the figures of all three axes, written without a model."""

import json
from pathlib import Path
from typing import Any

import numpy as np

DATE = "2026-01-01"
LOG = [-0.7, -1.2]


def write(
    folder: Path,
    *,
    model: str = "org/model",
    better: float = 0.0,
    low: float = 0.0,
    words: str = "yes",
    n: int = 30,
) -> Path:
    """Write one task of each axis, and one that is the user's own.

    Args:
        folder: Where to.
        model: Name of the model.
        better: What is taken off every loss.
        low: 1 for a distributional task with low coverage.
        words: Text of task, description, answers and samples.
        n: Number of rows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    losses = rng.uniform(2, 3, n) - better
    tasks = {
        "spectrum_icl_coinflip": _sequences(losses, words),
        "spectrum_icl_flight": _sequences(losses + 1, words),
        "spectrum_dist_urn": _shares(losses / 10, words, coverage=1e-6 if low else 0.9),
        "spectrum_div_words": [_samples(words)],
        f"own {words}".replace("/", "∕"): _sequences(losses, words),
    }
    figures = {name: _figures(rows, low=low) for name, rows in tasks.items()}
    spectrum = {name: {"task": name.removeprefix("spectrum_icl_")} for name in tasks}
    spectrum |= {name: {"file": "x.csv"} for name in tasks if name.startswith("own ")}
    results: dict[str, Any] = {
        "results": figures,
        "configs": {name: {"metadata": {"format": "colon", "spectrum": spectrum[name]}} for name in tasks},
        "higher_is_better": {name: {"loss": False, "js_divergence": False} for name in tasks},
        "n-samples": {},
        "missing": {"spectrum_dist_mpi": {"files": "mpi.csv", "how": f"get {words}"}},
        "model_name": model,
        "config": {"dtype": "float32", "seed": 42, "limit": None, "metadata": {}},
    }
    (folder / f"results_{DATE}.json").write_text(json.dumps(results))
    for name, rows in tasks.items():
        lines = [{"doc_id": k, "doc_hash": f"h{k}", "filter": "none", **row} for k, row in enumerate(rows)]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"samples_{name}_{DATE}.jsonl").write_text(text)
    return folder


def _sequences(losses: np.ndarray, words: str) -> list[dict[str, Any]]:
    turns = [("description", f"A {words} coin"), *(("output", text) for text in (words, "no", "no", words))]
    messages = [{"role": role, "content": text} for role, text in turns]
    return [
        {
            "doc": {"id": str(k), "messages": messages},
            "filtered_resps": [["-1.0", "True"]],
            "metrics": ["loss", "accuracy", "calibration_error"],
            "loss": [float(loss) * 3, 3],
            "accuracy": [1.0 + k % 2, 3],
            "calibration_error": {"correct": LOG, "rivals": [[-0.9], [-1.5, -2.0]]},
        }
        for k, loss in enumerate(losses)
    ]


def _shares(divergences: np.ndarray, words: str, *, coverage: float) -> list[dict[str, Any]]:
    doc = {"description": words, "input": "Which?", "candidates": [words, "no"], "target": [0.75, 0.25]}
    return [
        {
            "doc": doc,
            "filtered_resps": [[str(log), "False"] for log in LOG],
            "metrics": ["js_divergence", "coverage"],
            "js_divergence": [float(value), 1, str(k)],
            "coverage": [coverage, 1, str(k)],
        }
        for k, value in enumerate(divergences)
    ]


def _samples(words: str) -> dict[str, Any]:
    return {
        "doc": {"description": f"A word like {words}", "examples": [words]},
        "filtered_resps": [words, words, "no", [f"{words}\ud800"]],
        "metrics": ["yield_count", "share_valid", "share_unique"],
        "yield_count": [12.0, 1],
        "share_valid": [0.8, 1],
        "share_unique": [0.5, 1],
    }


def _figures(rows: list[dict[str, Any]], *, low: float) -> dict[str, Any]:
    """Return the means of the rows, with the baselines that an evaluation adds."""
    means = {
        name: sum(row[name][0] for row in rows) / sum(row[name][1] for row in rows)
        for name in rows[0]["metrics"]
        if name != "calibration_error"
    }
    if "loss" in means:
        curve = {f"loss_at_{k}": means["loss"] / k for k in (1, 2, 4)}
        means |= {"sequences": len(rows), "loss_low": means["loss"] - 0.1, "loss_high": means["loss"] + 0.1}
        means |= curve | {"loss_first": means["loss"] + 1, "regret": 0.5, "calibration_error": 0.1}
        means |= {"counting_loss": means["loss"] + 0.5, "uniform_loss": means["loss"] + 0.6}
    if "js_divergence" in means:
        means |= {"items": len(rows), "uniform_js_divergence": 0.5, "low_coverage": low}
        means |= {"log_loss": 1.5, "uniform_log_loss": 2.0, "uniform_cross_entropy": 2.0}
        means |= {"uniform_kl_divergence": 1.0}
    if "yield_count" in means:
        means |= {"samples": 30, "exact_yield": 24.0, "yield_count_low": 8.0, "yield_count_high": 16.0}
    return {f"{name},none": value for name, value in means.items()}
