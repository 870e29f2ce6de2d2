"""The engine reads what requests share once, answers in their order, and goes on when memory runs out."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.errors import UserError
from spectrum_trl.models.initialise import new_model
from spectrum_trl.scoring import engine, forward
from spectrum_trl.scoring.engine import score
from spectrum_trl.scoring.tree import Node, Request, build
from tests.messages import naming
from tests.small_models import CONFIG, RECURRENT

SLIDING = {
    "model_type": "gemma3_text",
    "sliding_window": 8,
    "layer_types": ["sliding_attention", "full_attention"],
}


@pytest.fixture(scope="module", params=["full", "sliding"])
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    changes = SLIDING if request.param == "sliding" else {}
    return new_model({**CONFIG, "pad_token_id": 0, **changes}, vocab_size=50, seed=0).eval().double()


def by_hand(model: PreTrainedModel, request: Request) -> list[float]:
    with torch.no_grad():
        every = model(torch.tensor([list(request.ids)])).logits[0].log_softmax(-1)
    places = range(request.start, len(request.ids))
    return [float(every[n - 1, request.ids[n]]) for n in places]


def assert_right(model: PreTrainedModel, requests: list[Request], **settings: Any) -> None:
    for request, found in zip(requests, score(model, requests, **settings), strict=True):
        np.testing.assert_allclose(found.log_probabilities, by_hand(model, request), atol=1e-9)


def numbers(n: int, *, seed: int) -> list[int]:
    return np.random.default_rng(seed).integers(1, 50, size=n).tolist()


def nested() -> list[Request]:
    """Candidates after several contexts, each of which continues the one before: deep sharing."""
    found, context = [], numbers(70, seed=0)
    for depth in range(4):
        found += [Request([*context, *numbers(3, seed=n)], len(context)) for n in range(6)]
        context = [*context, *numbers(40, seed=depth + 10)]
    other = numbers(90, seed=5)
    found += [Request([*other, n], len(other)) for n in range(1, 5)]
    return [*found, *(Request([*other, n, 3, 4], len(other) + 1) for n in range(1, 5))]


@pytest.mark.parametrize("tokens_per_batch", [1, 200, 8192])
def test_nested_contexts_score_as_each_alone(model: PreTrainedModel, tokens_per_batch: int) -> None:
    requests = nested()
    np.random.default_rng(1).shuffle(requests)
    assert_right(model, requests, tokens_per_batch=tokens_per_batch)


IDS = st.lists(st.integers(1, 3), min_size=2, max_size=12)


@settings(max_examples=40)
@given(ids=st.lists(IDS, min_size=1, max_size=12), data=st.data())
def test_any_requests_score_as_each_alone(
    model: PreTrainedModel, monkeypatch_worth: Any, ids: list[list[int]], data: st.DataObject
) -> None:
    requests = [Request(one, data.draw(st.integers(1, len(one)))) for one in ids]
    with monkeypatch_worth(1):
        assert_right(model, requests)


@pytest.fixture(scope="module")
def monkeypatch_worth() -> Any:
    """Let short beginnings be shared too."""

    @contextmanager
    def set_to(value: int) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("spectrum_trl.scoring.tree.WORTH_SHARING", value)
            yield

    return set_to


def read(node: Node) -> int:
    return (
        (node.end - node.start)
        + sum(len(row.ids) - node.end for row in node.rows)
        + sum(read(branch) for branch in node.branches)
    )


def test_what_requests_share_is_read_once() -> None:
    ids = numbers(1000, seed=0)
    chain = [Request(ids[: n + 5], n) for n in range(20, 990, 40)]
    assert read(build(chain)) == len(chain[-1].ids) - 1
    single = [Request([*ids[:800], n], 800) for n in range(50)]
    assert read(build(single)) == 800
    several = [Request([*ids[:800], n, 1, 2], 800) for n in range(50)]
    assert read(build(several)) == 800 + 50 * 2
    deep = [Request([*r.ids[: r.start], n, 1], r.start) for r in chain for n in range(50, 60)]
    assert read(build(deep)) < 1000 + len(deep) * 2
    assert read(build(several, shares=False)) == 50 * 802


class Limited:
    """Lets a model fail where more rows than a limit are read, as a device does whose memory runs out."""

    def __init__(self, model: PreTrainedModel, limit: int) -> None:
        self.limit, self.seen = limit, list[int]()
        self.hook = model.register_forward_pre_hook(self.check, with_kwargs=True)

    def check(self, _: Any, arguments: Any, named: dict[str, Any]) -> None:
        rows = named["input_ids"].shape[0]
        if rows > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB.")
        self.seen.append(rows)


def test_batches_are_halved_where_memory_runs_out(model: PreTrainedModel) -> None:
    requests = nested()
    limited = Limited(model, 2)
    try:
        found = score(model, requests)
    finally:
        limited.hook.remove()
    assert max(limited.seen) <= 2
    for request, one in zip(requests, found, strict=True):
        np.testing.assert_allclose(one.log_probabilities, by_hand(model, request), atol=1e-9)


def test_a_single_row_that_does_not_fit_is_an_error(model: PreTrainedModel) -> None:
    limited = Limited(model, 0)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            score(model, nested())
    finally:
        limited.hook.remove()


def test_where_a_cache_cannot_be_copied_rows_are_read_whole(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "shares_cache", lambda _: False)
    monkeypatch.setattr(engine, "new_cache", None)
    assert_right(model, nested())


def test_recurrent_layers_are_not_copied() -> None:
    model = new_model({**CONFIG, **RECURRENT}, vocab_size=50, seed=0).eval()
    assert not forward.shares_cache(model)
    requests = [Request([*numbers(80, seed=1), n, 2], 80) for n in range(3)]
    for request, found in zip(requests, score(model, requests), strict=True):
        np.testing.assert_allclose(found.log_probabilities, by_hand(model, request), atol=1e-4)


def test_each_answer_is_reported_once(model: PreTrainedModel) -> None:
    reported: list[int] = []
    requests = [*nested(), Request([1, 2], 2)]
    found = score(model, requests, answered=lambda number, _: reported.append(number))
    assert sorted(reported) == list(range(len(requests)))
    assert found[-1] == (0.0, True)
    assert score(model, []) == []


def test_requests_beyond_the_context_are_counted(
    random_model: PreTrainedModel, world_tokenizer: PreTrainedTokenizerBase
) -> None:
    requests = [Request([1] * n, 1) for n in (10, 513, 514, 600)]
    with pytest.raises(UserError, match=naming("2 of 4", 599, 512)):
        score(random_model, requests)
    with pytest.raises(UserError, match=naming("4 of 4", 8)):
        score(random_model, requests, limit=8)


def test_the_head_reads_scored_places_only(model: PreTrainedModel) -> None:
    sizes: list[int] = []
    head = model.get_output_embeddings()
    assert head is not None
    hook = head.register_forward_hook(lambda _, __, out: sizes.append(out.shape[-2]))
    try:
        ids = numbers(500, seed=0)
        score(model, [Request(ids[: n + 2], n) for n in range(100, 400, 100)])
    finally:
        hook.remove()
    assert sum(sizes) == 6


def test_prefixes_behind_a_common_one_are_read_together(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = []
    real = engine.forward
    monkeypatch.setattr(engine, "forward", lambda *a, **k: passes.append(len(a[1])) or real(*a, **k))
    common = numbers(80, seed=0)
    contexts = [[*common, *numbers(40 + n % 2, seed=n)] for n in range(1, 41)]
    requests = [Request([*one, *numbers(3, seed=n)], len(one)) for one in contexts for n in range(50, 55)]
    assert_right(model, requests)
    # The common prefix, prefixes of two lengths, and what follows these.
    assert len(passes) <= 6
