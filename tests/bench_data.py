"""How long the Suite's data take to build, how that grows, and how much memory it needs: `make bench-data`.

Each build runs in processes of its own, whose peak memory the system tells. Absolute times are this
machine's; the growth is a ratio from one run.
"""

import argparse
import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
FILMS, CUSTOMERS = 2000, 400_000
# Runs a command and prints the seconds and the largest memory of any process in it, in MiB.
MEASURE = """
import resource, subprocess, sys, time
started = time.monotonic()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(code, time.monotonic() - started, peak)
"""


COMMAND = "from spectrum_trl.commands.main import main; main()"


class Cost(NamedTuple):
    """What a build cost.

    Attributes:
        seconds: On the clock.
        peak: Memory of its largest process, in MiB.
    """

    seconds: float
    peak: float


def build(output: Path, *names: str, data_dir: Path, num_proc: int = 1) -> Cost:
    """Build tasks with the command, and return what that cost."""
    command = [sys.executable, "-c", MEASURE, sys.executable, "-c", COMMAND, "data", "build"]
    command += [*names, "--output", str(output), "--data-dir", str(data_dir), "--num-proc", str(num_proc)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    code, seconds, peak = done.stdout.split()
    if code != "0":
        raise RuntimeError(done.stderr)
    return Cost(float(seconds), float(peak))


def hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of everything that a build wrote, by name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob("*"))
        if path.suffix in (".parquet", ".json")
    }


def write_netflix(folder: Path, *, ratings: int, seed: int = 0) -> None:
    """Write invented ratings in the form of the Netflix Prize files."""
    rng = np.random.default_rng(seed)
    place = folder / "netflix"
    place.mkdir(parents=True)
    titles = (f"{film},{1950 + film % 60},Film {film}\n" for film in range(1, FILMS + 1))
    (place / "movie_titles.csv").write_text("".join(titles), encoding="latin-1")
    each = ratings // FILMS
    for number, films in enumerate(np.array_split(np.arange(1, FILMS + 1), 4), 1):
        with open(place / f"combined_data_{number}.txt", "w", encoding="ascii") as file:
            for film in films:
                who = rng.choice(CUSTOMERS, each, replace=False) + 1
                stars = rng.integers(1, 6, each)
                rows = (f"{w},{s},2005-01-01" for w, s in zip(who.tolist(), stars.tolist(), strict=True))
                file.write(f"{film}:\n" + "\n".join(rows) + "\n")


def write_gradings(folder: Path, *, rows: int, seed: int = 0) -> None:
    """Write invented ratings by many people, in the form of the toxicity perspectives."""
    rng = np.random.default_rng(seed)
    place = folder / "hatespeech"
    place.mkdir(parents=True)
    with open(place / "classified_data_final_w_worker_hash.json", "w", encoding="utf-8") as file:
        for number in range(rows // 5):
            ratings = [
                {"worker_id": f"w{who}", "toxic_score": int(score), "age_range": "25 - 34"}
                for who, score in zip(
                    rng.integers(rows // 50, size=5).tolist(), rng.integers(5, size=5), strict=True
                )
            ]
            row = {"comment_id": number, "comment": f"comment {number} of a thread", "ratings": ratings}
            file.write(json.dumps(row) + "\n")


def write_polis(folder: Path, *, voters: int, comments: int = 60, seed: int = 0) -> None:
    """Write an invented conversation in the form of Polis."""
    rng = np.random.default_rng(seed)
    place = folder / "openData" / "invented"
    place.mkdir(parents=True)
    (place / "summary.csv").write_text("topic,A new bridge\nconversation-description,Should it be built?\n")
    with open(place / "comments.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["timestamp", "comment-id", "author-id", "moderated", "comment-body"])
        writer.writerows(
            [1, n, 10**9, 1, f"The bridge needs {n} lanes for bicycles"] for n in range(comments)
        )
    with open(place / "votes.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["timestamp", "comment-id", "voter-id", "vote"])
        for voter in range(voters):
            chosen = rng.choice(comments, comments // 2, replace=False).tolist()
            writer.writerows([10**6 + n, n, voter, int(rng.integers(-1, 2))] for n in chosen)


def growth(*, rows: int, scratch: Path) -> dict[str, tuple[int, int, Cost, Cost]]:
    """Return the cost of an individual task with so many rows, and with eight times as many."""
    found = {}
    for name, write in (
        ("polis_vote", lambda folder, n: write_polis(folder, voters=n // 30)),
        ("hatespeech_individual", lambda folder, n: write_gradings(folder, rows=n)),
    ):
        costs = []
        for times in (1, 8):
            data = scratch / f"{name}-{times}"
            write(data, rows * times)
            costs.append(build(scratch / f"{name}-{times}-built", name, data_dir=data))
        found[name] = (rows, rows * 8, *costs)
    return found


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="of the smaller individual task")
    parser.add_argument("--netflix", type=int, default=10_000_000, help="invented Netflix ratings")
    options = parser.parse_args()
    table = Table("what", "seconds", "peak MiB")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        if data := os.environ.get("SPECTRUM_DATA"):
            two = build(scratch / "two", data_dir=Path(data), num_proc=2)
            one = build(scratch / "one", data_dir=Path(data))
            table.add_row("all tasks with data, 2 processes", f"{two.seconds:.1f}", f"{two.peak:.0f}")
            table.add_row("all tasks with data, 1 process", f"{one.seconds:.1f}", f"{one.peak:.0f}")
            same = hashes(scratch / "one") == hashes(scratch / "two")
            table.add_row("the same bytes with 1 and 2 processes", "yes" if same else "NO", "")
        write_netflix(scratch / "data", ratings=options.netflix)
        cost = build(scratch / "netflix", "netflix_*", data_dir=scratch / "data")
        table.add_row(f"netflix, {options.netflix:,} ratings", f"{cost.seconds:.1f}", f"{cost.peak:.0f}")
        for name, (few, many, small, large) in growth(rows=options.rows, scratch=scratch).items():
            table.add_row(f"{name}, {few:,} rows", f"{small.seconds:.1f}", f"{small.peak:.0f}")
            table.add_row(f"{name}, {many:,} rows", f"{large.seconds:.1f}", f"{large.peak:.0f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
