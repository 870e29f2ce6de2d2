"""No figure comes from logits that are not numbers; tokens that cannot come are no fault."""

import math

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from spectrum_trl.errors import UserError
from spectrum_trl.models.initialise import new_model
from spectrum_trl.scoring.draw import Limits, draw
from spectrum_trl.scoring.engine import score
from spectrum_trl.scoring.forward import Prefix, check_logits, read
from spectrum_trl.scoring.tree import Request
from tests.messages import naming
from tests.small_models import CONFIG

FULL = {"model_type": "llama"}
SLIDING = {
    "model_type": "gemma3_text",
    "sliding_window": 8,
    "layer_types": ["sliding_attention", "full_attention"],
}
IDS = np.random.default_rng(0).integers(1, 50, size=30).tolist()


@pytest.mark.parametrize("row", [[0.0, 1.0], [-math.inf, 1.0], [-3e38, 3e38]])
def test_tokens_that_cannot_come_are_no_fault(row: list[float]) -> None:
    check_logits(torch.tensor([[0.0, 0.0], row]))


@pytest.mark.parametrize(
    "row", [[math.nan, 0.0], [math.inf, 0.0], [math.inf, -math.inf], [-math.inf, -math.inf]]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nan_infinity_and_a_row_without_a_token_that_can_come_are_refused(
    row: list[float], dtype: torch.dtype
) -> None:
    with pytest.raises(UserError, match=naming("NaN", str(dtype).removeprefix("torch."))):
        check_logits(torch.tensor([[0.0, 0.0], row], dtype=dtype))


@pytest.fixture(scope="module", params=[FULL, SLIDING], ids=["full", "sliding"])
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return new_model({**CONFIG, "pad_token_id": 0, **request.param}, vocab_size=50, seed=0).eval().double()


def prefix_of(model: PreTrainedModel, ids: list[int], after: Prefix | None = None) -> Prefix:
    found = read(model, ids, after=after)
    assert found is not None
    return found


def test_scores_after_a_prefix_that_was_read_in_two_parts_are_those_of_the_whole(
    model: PreTrainedModel,
) -> None:
    ends = [[1], [2, 3], [2, 4, 5], [], [2, *IDS, 7], [2, *IDS, 8]]
    requests = [Request([*IDS, *end], len(IDS)) for end in ends] + [Request([*IDS, 4, 4], len(IDS) - 2)]
    before = prefix_of(model, IDS[:20], prefix_of(model, IDS[:9]))
    found = score(model, requests, prefix=before)
    for one, expected in zip(found, score(model, requests), strict=True):
        np.testing.assert_allclose(one.log_probabilities, expected.log_probabilities, rtol=1e-9)
        assert one.correct == expected.correct


@pytest.mark.parametrize("start", [1, 19, 20])
def test_a_prefix_that_does_not_end_before_every_continuation_is_left_aside(
    model: PreTrainedModel, start: int
) -> None:
    before = prefix_of(model, IDS[:20])
    other = [Request([9, *IDS], 25)]
    for requests in ([Request(IDS, start)], [Request(IDS, 25), *other]):
        found = score(model, requests, prefix=before)
        for one, expected in zip(found, score(model, requests), strict=True):
            np.testing.assert_allclose(one.log_probabilities, expected.log_probabilities, rtol=1e-9)


def test_a_prefix_is_not_changed_by_what_follows_it(model: PreTrainedModel) -> None:
    before = prefix_of(model, IDS[:20])
    limits = Limits(max_new_tokens=5)
    texts = [draw(model, IDS, seeds=range(4), limits=limits, prefix=before) for _ in range(2)]
    assert texts[0] == texts[1] == draw(model, IDS, seeds=range(4), limits=limits)
    assert before.past.get_seq_length() == 20


def test_nothing_is_kept_of_no_tokens_or_too_many(model: PreTrainedModel) -> None:
    assert read(model, [], after=None) is None
    with pytest.raises(UserError, match="too long"):
        read(model, [1] * (model.config.max_position_embeddings + 1), after=None)
