"""A file of sequences gives back what was written, and is there whole or not at all."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectrum_trl.errors import UserError
from spectrum_trl.suite.building import record
from spectrum_trl.suite.building.record import SCHEMA, Written, read_sequences, write_sequences
from spectrum_trl.suite.task import SampleSequence
from tests.messages import naming

TEXTS = st.text(st.characters(codec="utf-8"), max_size=9)
SEQUENCES = st.lists(
    st.builds(
        SampleSequence,
        messages=st.lists(
            st.fixed_dictionaries(
                {"role": st.sampled_from(["description", "input", "output"]), "content": TEXTS}
            )
        ),
        task=TEXTS,
        source=TEXTS,
        kind=st.sampled_from(["individual", "numeric"]),
        split=st.sampled_from(["train", "test"]),
        sequence_id=TEXTS,
        individual=st.none() | TEXTS,
    ),
    max_size=8,
)


def some(n: int) -> Iterator[SampleSequence]:
    for index in range(n):
        yield SampleSequence(
            messages=[{"role": "output", "content": str(index)}] * 3,
            task="t",
            source="s",
            kind="numeric",
            split="train",
            sequence_id=str(index),
        )


@given(sequences=SEQUENCES, part=st.integers(1, 20))
def test_what_is_written_is_read_back(
    sequences: list[SampleSequence], part: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("parquet") / "a.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record, "PART_TURNS", part)
        written = write_sequences(sequences, path)
    assert list(read_sequences(path)) == sequences
    assert written == Written(len(sequences), sum(each.n_outputs for each in sequences))
    assert pyarrow.parquet.read_schema(path) == SCHEMA


def test_the_same_sequences_are_the_same_bytes_in_parts(tmp_path: Path) -> None:
    for name in "ab":
        write_sequences(some(20_000), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert pyarrow.parquet.ParquetFile(tmp_path / "a").num_row_groups == 3


def test_an_error_on_the_way_leaves_what_was_there(tmp_path: Path) -> None:
    def broken() -> Iterator[SampleSequence]:
        yield from some(20_000)
        raise ValueError("broken")

    write_sequences(some(3), tmp_path / "a.parquet")
    before = (tmp_path / "a.parquet").read_bytes()
    for name in ("a.parquet", "b.parquet"):
        with pytest.raises(ValueError, match="broken"):
            write_sequences(broken(), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]
    assert (tmp_path / "a.parquet").read_bytes() == before


def test_a_file_of_an_earlier_version_has_no_individuals_to_hold_out_and_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"sequence_id": ["0"], "n_outputs": [1]}), path)
    with pytest.raises(UserError, match=naming("old.parquet", "individuals", "build it again")):
        list(read_sequences(path))
