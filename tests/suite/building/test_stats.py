"""The numbers of a task are counts of its sequences."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectrum_trl.suite.building import stats
from spectrum_trl.suite.building.stats import TaskStats, about_tokens, task_stats
from spectrum_trl.suite.task import Message, SampleSequence


def sequence(*outputs: str, description: str = "d") -> SampleSequence:
    messages: list[Message] = [{"role": "description", "content": description}]
    messages += [{"role": "output", "content": each} for each in outputs]
    return SampleSequence(
        messages=messages, task="t", source="s", kind="numeric", split="train", sequence_id="0"
    )


def test_a_small_task_counted_by_hand() -> None:
    found = task_stats([sequence("a", "b"), sequence("a", "a", description="four")])
    # Six turns of five tokens and of a text of at most four bytes.
    entropy = 0.75 * math.log(4 / 3) + 0.25 * math.log(4)
    assert found == TaskStats(2, 4, 2, pytest.approx(entropy), 6 * 6)  # type: ignore[arg-type]


@given(st.lists(st.lists(st.text(max_size=2), max_size=5), max_size=6))
def test_entropy_is_that_of_the_outputs(texts: list[list[str]]) -> None:
    found = task_stats(sequence(*outputs) for outputs in texts)
    counts = Counter(text for outputs in texts for text in outputs)
    assert (found.sequences, found.outputs, found.different) == (len(texts), counts.total(), len(counts))
    shares = [n / counts.total() for n in counts.values()]
    assert found.entropy == pytest.approx(-sum(share * math.log(share) for share in shares))
    assert 0 <= found.entropy <= math.log(max(found.outputs, 1)) + 1e-9


def test_tokens_are_about_a_quarter_of_the_bytes_or_what_a_tokenizer_says() -> None:
    assert (
        about_tokens([{"role": "output", "content": "優" * 4}, {"role": "output", "content": ""}])
        == 3 + 5 + 5
    )
    assert task_stats([sequence("a"), sequence("b")], tokens=len).tokens == 4


def test_beyond_what_is_kept_entropy_is_a_lower_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "MOST_OUTPUTS", 3)
    found = task_stats([sequence(*map(str, range(10)), "0")])
    assert found.outputs == 11 and found.different == 3 and 0 < found.entropy < math.log(10)


def test_nothing_at_all() -> None:
    assert task_stats([]) == TaskStats(0, 0, 0, 0.0, 0)
