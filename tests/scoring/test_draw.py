"""Samples depend on their own seeds alone, and come from the distribution that is asked for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from spectrum_trl.errors import UserError
from spectrum_trl.models.initialise import new_model
from spectrum_trl.scoring import draw as module
from spectrum_trl.scoring.draw import Decoding, Limits, Text, draw, draw_each, greedy
from tests.messages import naming
from tests.small_models import CONFIG, RECURRENT

PROMPT = [3, 1, 4, 1, 5, 9, 2, 6]
LIMITS = Limits(12, ends=(7,))


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return new_model({**CONFIG, "initializer_range": 0.4}, vocab_size=60, seed=0).eval()


def probabilities(model: PreTrainedModel) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor([PROMPT])).logits[0, -1].double().softmax(-1)


@pytest.mark.parametrize("rows_per_batch", [1, 7, 100])
def test_batches_do_not_change_samples(model: PreTrainedModel, rows_per_batch: int) -> None:
    seeds = list(range(100))
    together = draw(model, PROMPT, seeds=seeds, limits=LIMITS)
    assert draw(model, PROMPT, seeds=seeds, limits=LIMITS, rows_per_batch=rows_per_batch) == together
    assert draw(model, PROMPT, seeds=seeds[::-3], limits=LIMITS) == together[::-3]
    assert len({tuple(ids) for ids in together}) > 90
    assert all(7 not in ids[:-1] and len(ids) <= 12 for ids in together)
    assert {len(ids) for ids in together} != {12}


def test_a_flat_distribution_gives_as_many_different_tokens_as_chance() -> None:
    flat = new_model({**CONFIG, "hidden_size": 8}, vocab_size=20_000, seed=0).eval()
    with torch.no_grad():
        flat.get_output_embeddings().weight.zero_()  # type: ignore[union-attr]
    drawn = draw(flat, [1], seeds=[(0, n) for n in range(2000)], limits=Limits(1))
    different = len({ids[0] for ids in drawn})
    assert 1860 <= different <= 1945


@pytest.mark.parametrize(
    "decoding", [Decoding(), Decoding(temperature=0.5), Decoding(top_k=3), Decoding(top_p=0.4)]
)
def test_frequencies_are_those_asked_for(model: PreTrainedModel, decoding: Decoding) -> None:
    n = 4000
    drawn = draw(model, PROMPT, seeds=range(n), limits=Limits(1), decoding=decoding)
    p = (probabilities(model) ** (1 / decoding.temperature)).numpy()
    p /= p.sum()
    order = np.argsort(-p)
    possible = np.ones(len(p), dtype=bool)
    if decoding.top_k:
        possible[order[decoding.top_k :]] = False
    possible[order[1:]] &= np.cumsum(p[order])[:-1] < decoding.top_p
    p = np.where(possible, p, 0) / p[possible].sum()
    frequencies = np.bincount([ids[0] for ids in drawn], minlength=len(p)) / n
    assert (np.abs(frequencies - p) <= 4.5 * np.sqrt(p * (1 - p) / n)).all()


def test_texts_stop_where_they_are_told_to(model: PreTrainedModel) -> None:
    plain = draw(model, PROMPT, seeds=range(20), limits=Limits(12))
    limits = Limits(12, stopped=lambda texts: [sum(ids) > 100 for ids in texts])
    for ids, short in zip(plain, draw(model, PROMPT, seeds=range(20), limits=limits), strict=True):
        assert short == next((ids[:n] for n in range(1, 13) if sum(ids[:n]) > 100), ids)


def test_the_likeliest_texts_are_the_same_alone_and_together(model: PreTrainedModel) -> None:
    prompts = [PROMPT, PROMPT[:3], [8] * 30, [9]]
    together = greedy(model.double(), prompts, limits=LIMITS)
    try:
        assert together == [greedy(model, [prompt], limits=LIMITS)[0] for prompt in prompts]
        ids = list(PROMPT)
        for token in together[0]:
            with torch.no_grad():
                assert token == int(model(torch.tensor([ids])).logits[0, -1].argmax())
            ids.append(token)
    finally:
        model.float()


@pytest.mark.parametrize("changes", [RECURRENT, {"model_type": "mamba"}], ids=["some layers", "all layers"])
def test_recurrent_layers_never_read_padding(changes: dict[str, Any]) -> None:
    model = new_model({**CONFIG, **changes, "pad_token_id": 0}, vocab_size=60, seed=0).eval()
    prompts = [PROMPT, PROMPT[:3], PROMPT * 5, PROMPT[2:5]]
    alone = [greedy(model, [prompt], limits=LIMITS)[0] for prompt in prompts]
    assert greedy(model, prompts, limits=LIMITS) == alone
    texts = [Text(tuple(prompt), n, 12) for n, prompt in enumerate(prompts)]
    assert draw_each(model, texts) == [draw_each(model, [text])[0] for text in texts]
    assert (
        draw(model, PROMPT, seeds=[3, 4], limits=LIMITS)[1]
        == draw(model, PROMPT, seeds=[4], limits=LIMITS)[0]
    )


def test_where_a_cache_cannot_be_copied_samples_are_the_same(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = draw(model, PROMPT, seeds=range(30), limits=LIMITS)
    monkeypatch.setattr(module, "shares_cache", lambda _: False)
    assert draw(model, PROMPT, seeds=range(30), limits=LIMITS) == expected


SLIDING = {"model_type": "gemma3_text", "sliding_window": 8, "pad_token_id": 0, "hidden_size": 16}


@pytest.mark.parametrize("changes", [{}, SLIDING], ids=["full attention", "sliding window"])
@pytest.mark.parametrize("shares", [True, False])
def test_texts_of_several_prompts_are_the_same_as_of_each_alone(
    changes: dict[str, Any], shares: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**CONFIG, "initializer_range": 0.4, **changes}
    model = new_model(settings, vocab_size=60, seed=0).eval().double()
    prompts = [tuple(PROMPT), (3,), tuple(PROMPT[:3]), tuple(PROMPT * 2)]
    decodings = [Decoding(), Decoding(0.7), Decoding(top_k=1), Decoding(top_p=0.5)]
    texts = [
        Text(prompt, (seed, 5), 4 + 9 * n, decoding)
        for n, (prompt, decoding) in enumerate(zip(prompts, decodings, strict=True))
        for seed in range(5)
    ]
    expected = [
        draw(model, one.prompt, seeds=[one.seed], limits=Limits(one.max_new_tokens), decoding=one.decoding)[0]
        for one in texts
    ]
    if not shares:
        monkeypatch.setattr(module, "shares_cache", lambda _: False)
    assert draw_each(model, texts) == expected
    assert draw_each(model, texts[::-2], tokens_at_once=50) == expected[::-2]
    assert draw_each(model, []) == []


@pytest.mark.parametrize("changes", [{}, SLIDING], ids=["full attention", "sliding window"])
def test_texts_that_join_others_are_the_same_as_alone(changes: dict[str, Any]) -> None:
    settings = {**CONFIG, "initializer_range": 0.4, **changes}
    model = new_model(settings, vocab_size=60, seed=0).eval().double()
    lengths = [(8, 3), (1, 30), (40, 6), (3, 25), (20, 1), (2, 2), (5, 40), (60, 9), (1, 1), (30, 20)]
    texts = [Text(tuple(k % 50 for k in range(n)), n, longest) for n, longest in lengths]
    expected = [
        draw(model, one.prompt, seeds=[one.seed], limits=Limits(one.max_new_tokens))[0] for one in texts
    ]
    # Some join at the first token, some when all others have ended, some both at once.
    waiting = iter(
        [[], texts[2:4], [], texts[4:6], *[[]] * 25, texts[6:7], [], [], texts[7:9], *[[]] * 36, texts[9:]]
    )
    assert draw_each(model, texts[:2], more=lambda: next(waiting, [])) == expected


def test_texts_that_joined_when_memory_ran_out_are_drawn_again(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [Text((n + 1,), n, 10) for n in range(6)]
    expected, real = draw_each(model, texts), module.forward

    def small(used: Any, segments: Any, *words: Any, **settings: Any) -> Any:
        if len(segments) > 4:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return real(used, segments, *words, **settings)

    waiting = iter([[], texts[2:]])
    monkeypatch.setattr(module, "forward", small)
    assert draw_each(model, texts[:2], more=lambda: next(waiting, [])) == expected


def test_what_watches_several_texts_sees_each_token_and_may_end_a_text(model: PreTrainedModel) -> None:
    texts = [Text(tuple(PROMPT), 1, 12), Text((3, 1), 2, 12), Text((3, 1), 3, 5)]
    plain, seen = draw_each(model, texts), list[tuple[int, tuple[int, ...]]]()

    def grown(numbers: Sequence[int], ids: list[list[int]], logits: torch.Tensor) -> list[bool]:
        assert logits.shape == (len(numbers), 60)
        seen.extend((n, tuple(one)) for n, one in zip(numbers, ids, strict=True))
        return [n == 1 and len(one) == 3 for n, one in zip(numbers, ids, strict=True)]

    drawn = draw_each(model, texts, grown=grown)
    assert drawn == [plain[0], plain[1][:3], plain[2]]
    assert set(seen) == {(n, tuple(ids[:k])) for n, ids in enumerate(drawn) for k in range(1, len(ids) + 1)}
    assert len(seen) == sum(map(len, drawn))


def test_a_context_that_is_too_short_is_refused(model: PreTrainedModel) -> None:
    with pytest.raises(UserError, match=naming("context", 512)):
        draw(model, PROMPT, seeds=[0], limits=Limits(512))
