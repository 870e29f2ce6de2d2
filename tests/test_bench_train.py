"""What `make bench-train` compares: two shapes of data, and ways that all run."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from tests import bench_train


@pytest.mark.slow
def test_the_two_shapes_are_nearly_full_and_short(tiny_tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_train, "SEQUENCES", 64)
    full = tuple(share * 1024 for share in bench_train.NEARLY_FULL)
    for lengths, expected in ((full, (0.88 * 1024, 0.93 * 1024)), (bench_train.SHORT, (55, 66))):
        rows = bench_train.sequences(tiny_tokenizer, lengths=lengths)
        sizes = [len(ids) for ids in rows["input_ids"]]
        assert expected[0] < np.mean(sizes) < expected[1] and max(sizes) <= 1024
        assert all(any(mask) for mask in rows["assistant_masks"])


@pytest.mark.slow
# Flex attention is compiled, which takes longer than all others together.
@pytest.mark.parametrize("some", [slice(0, 9, 4), pytest.param(slice(None), marks=pytest.mark.nightly)])
def test_ways_run_and_the_table_names_them(
    some: slice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_train, "SEQUENCES", 24)
    compared = bench_train.ways(128)[some]
    assert len(compared) >= 3
    monkeypatch.setattr(bench_train, "ways", lambda max_length: compared)
    app = typer.Typer()
    app.command()(bench_train.main)
    output = tmp_path / "result.json"
    words = ["--max-length", "128", "--seconds", "0.01", "--rounds", "1", "--output", str(output)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    result = json.loads(output.read_text())
    ways = {way.name for way in compared}
    for shape in result["shapes"].values():
        assert shape["tokens_per_second"].keys() | shape["failed"].keys() == ways
        assert all("flex_attention" in name for name in shape["failed"])
        assert all(rate > 0 for rate in shape["tokens_per_second"].values())
    assert all(name in done.output for name in ways)
