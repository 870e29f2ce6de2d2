"""Every stream of random numbers serves one purpose, and is named for it."""

import ast
from pathlib import Path

import numpy as np
import pytest

from spectrum_trl.suite.own.table import read_own
from spectrum_trl.suite.randomness import length_pmf, sequence_length, stream

PACKAGE = Path(__file__).parents[2] / "spectrum_trl"
MAKERS = ("default_rng", "Random", "RandomState", "SeedSequence")
# Where a seed alone makes a stream, and nothing else of that seed is drawn beside it.
ALONE = {
    "data/preview.py": "shows rows, which nothing depends on",
    "doctor/measure.py": "chooses rows to time, on which nothing depends",
    "evaluation/compare.py": "resamples differences",
    "metrics/intervals.py": "resamples values",
    "suite/randomness.py": "makes the named ones",
    "scoring/draw.py": "seeds are named by the caller: run, prompt, row and number",
    "suite/sequences/generators.py": "a checksum of the task's name is part of the seed",
    "tiny/report.py": "resamples values",
    "tiny/world/corpora.py": "a number of each part is part of the seed",
}


def bare_streams(file: Path) -> list[str]:
    """Return calls that make a stream of a seed without a name."""
    found = []
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in MAKERS:
            seed = node.args[0] if node.args else None
            named = isinstance(seed, ast.JoinedStr | ast.List) and any(
                isinstance(part, ast.Constant)
                and isinstance(part.value, str | bytes | int)
                or isinstance(part, ast.Starred | ast.FormattedValue)
                for part in (seed.values if isinstance(seed, ast.JoinedStr) else seed.elts)
            )
            if not named:
                found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize("seed", [0, 42])
def test_streams_of_other_names_have_nothing_in_common(seed: int) -> None:
    names = [
        {"task": "a", "purpose": "rows"},
        {"task": "a", "purpose": "outputs"},
        {"task": "b", "purpose": "rows"},
        {"task": "a", "purpose": "rows", "id": 1},
        {"task": "a", "purpose": "rows", "id": "2"},
        # Names cannot run into each other.
        {"task": "ar", "purpose": "ows"},
    ]
    drawn = np.array([stream(seed, **name).random(2000) for name in names])
    again = np.array([stream(seed, **name).random(2000) for name in names])
    assert (drawn == again).all() and (drawn != stream(seed + 1, **names[0]).random(2000)).all()
    off_diagonal = np.corrcoef(drawn) - np.eye(len(names))
    assert np.abs(off_diagonal).max() < 0.1


def test_two_tasks_order_the_same_groups_of_rows_independently(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("who,answer\n" + "".join(f"{n % 40},{n}\n" for n in range(800)))
    orders = []
    for name in ("first", "second"):
        file = tmp_path / f"{name}.yaml"
        file.write_text("spectrum: {file: a.csv, group_by: who, output: answer, descriptions: [d]}\n")
        sequences = read_own(file).sequences(tmp_path, seed=0)
        orders.append({one.sequence_id: [m["content"] for m in one.messages[1:]] for one in sequences})
    assert orders[0].keys() == orders[1].keys() and len(orders[0]) == 40
    assert all(sorted(orders[0][key]) == sorted(orders[1][key]) for key in orders[0])
    # Each of 20 places has the same answer with probability 1/20: 40 of 800 expected.
    same = sum(a == b for key in orders[0] for a, b in zip(orders[0][key], orders[1][key], strict=True))
    assert 15 < same < 70


def test_no_stream_of_the_package_is_made_of_a_seed_alone() -> None:
    found = {
        str(file.relative_to(PACKAGE)): calls
        for file in sorted(PACKAGE.rglob("*.py"))
        if (calls := bare_streams(file))
    }
    assert {name: calls for name, calls in found.items() if name not in ALONE} == {}
    assert not [name for name in ALONE if name not in found]


@pytest.mark.parametrize("mean", [2, 12, 128, 1024])
def test_lengths_are_positive_and_have_the_stated_mean(mean):
    rng = np.random.default_rng(1)
    lengths = np.array([sequence_length(rng, mean=mean) for _ in range(4000)])
    assert lengths.min() >= 1
    assert abs(lengths.mean() - mean) < 4 * lengths.std() / np.sqrt(len(lengths))


@pytest.mark.parametrize("mean", [12, 1024])
def test_pmf_sums_to_one_and_matches_the_draws(mean):
    pmf = length_pmf(mean)
    assert pmf[0] == 0
    assert pmf.sum() == pytest.approx(1, abs=1e-12)
    assert pmf @ np.arange(len(pmf)) == pytest.approx(mean, rel=1e-9)
    rng = np.random.default_rng(2)
    lengths = np.array([sequence_length(rng, mean=mean) for _ in range(4000)])
    for limit in (mean // 2, mean, 2 * mean):
        share = pmf[: limit + 1].sum()
        error = np.sqrt(share * (1 - share) / len(lengths))
        assert abs((lengths <= limit).mean() - share) < 4 * error + 1e-12


def test_a_mean_below_two_is_refused():
    with pytest.raises(ValueError):
        sequence_length(np.random.default_rng(0), mean=1)
