"""Time what users wait for at the start of a command: ``make bench-start`` prints processor seconds."""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from spectrum_trl.paths import EMBEDDED, TINY_BASE_NAME

ROOT = Path(__file__).parents[1]
IMPORTS = "import torch, transformers, trl, datasets"
# What no recipe and no evaluation can do without.
LOAD = (
    f"transformers.AutoModelForCausalLM.from_pretrained({str(EMBEDDED[TINY_BASE_NAME])!r}); "
    "import lm_eval.evaluator, lm_eval.tasks, lm_eval.models.huggingface"
)
SPECTRUM = Path(sys.executable).with_name("spectrum-trl")


def commands(folder: str) -> dict[str, list[str]]:
    """Return what is timed, by title; the imports come first."""
    ours = {
        "misspelt recipe": ["train", "dmo"],
        "misspelt option": ["train", "demo", "--lerning_rate", "1"],
        "misspelt task of a recipe": ["preview", "demo", "--tasks", "coinflp"],
        "misspelt task of the Suite": ["data", "show", "coinflp"],
        "misspelt evaluation": ["eval", TINY_BASE_NAME, "--tasks", "spectrum_dist_unr"],
        "misspelt option of an evaluation": ["eval", TINY_BASE_NAME, "--metadata", "sed=1"],
        "data list": ["data", "list"],
        "--help": ["--help"],
        "preview of the tiny model": ["preview", "demo", "--most", "20"],
        "eval of the tiny model": [
            *("eval", TINY_BASE_NAME, "--tasks", "spectrum_dist_urn", "--limit", "1", "--output", folder),
            *("--format", "colon"),
        ],
    }
    stock = {
        IMPORTS: IMPORTS,
        "… and trl.SFTConfig": f"{IMPORTS}; trl.SFTConfig",
        "… and the tiny model by transformers, lm_eval": f"{IMPORTS}; {LOAD}",
    }
    first = {title: [sys.executable, "-c", code] for title, code in stock.items()}
    return first | {title: [str(SPECTRUM), *words] for title, words in ours.items()}


def processor_seconds(command: list[str]) -> float:
    """Return the user and system time of a command, that of its children included."""
    before = os.times()
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=ROOT, env=environment, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """Print the medians, and their ratios to the imports of the same run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    taken: dict[str, list[float]] = {}
    for _ in range(rounds):
        for title in commands(""):
            with tempfile.TemporaryDirectory() as folder:
                taken.setdefault(title, []).append(processor_seconds(commands(folder)[title]))
    table = Table("command", "processor s", "of the imports")
    base = statistics.median(taken[IMPORTS])
    for title, seconds in taken.items():
        median = statistics.median(seconds)
        table.add_row(title, f"{median:.2f}", f"{median / base:.2f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
