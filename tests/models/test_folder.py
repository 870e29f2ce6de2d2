"""Rounding to bfloat16 keeps small updates on average; a damaged record of training is no missing one."""

import json
from pathlib import Path

import pytest
import torch

from spectrum_trl.models.folder import rounded, training_record
from spectrum_trl.suite.task import EVALUATED


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_updates_far_below_a_step_are_kept_on_average() -> None:
    start = (torch.randn(200_000, generator=noise()) * 0.1).bfloat16().float()
    update = 1e-5 * torch.sign(torch.randn(200_000, generator=noise(1)))
    kept = (
        (rounded(start + update, torch.bfloat16, noise=noise(2)).float() - start) @ update / (update @ update)
    )
    nearest = ((start + update).bfloat16().float() - start) @ update / (update @ update)
    assert abs(kept - 1) < 0.1 and nearest < 0.5


def test_a_weight_on_the_grid_is_exact_and_others_go_to_one_of_their_neighbours() -> None:
    grid = torch.randn(10_000, generator=noise()).bfloat16()
    assert torch.equal(rounded(grid.float(), torch.bfloat16, noise=noise(1)), grid)
    weight = torch.randn(10_000, generator=noise(2))
    found = rounded(weight, torch.bfloat16, noise=noise(3)).float()
    assert ((found - weight).abs() <= weight.abs() * 2**-7).all()


def test_what_is_not_finite_stays_what_it_is() -> None:
    bits = torch.tensor([0x7F800001, 0x7FC00000, 0x7FFFFFFF, 0x7F800000, -0x800000], dtype=torch.int32)
    weight = bits.view(torch.float32)
    found = rounded(weight.repeat(100), torch.bfloat16, noise=noise()).float()
    assert torch.equal(found.nan_to_num(nan=7), weight.repeat(100).nan_to_num(nan=7))


def test_other_types_are_converted_as_usual() -> None:
    weight = torch.randn(100, generator=noise())
    for dtype in (torch.float32, torch.float16):
        assert torch.equal(rounded(weight, dtype, noise=noise()), weight.to(dtype))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"data": [{"task": "cards", "n": 1}]}', ({"cards": {"task": "cards", "n": 1}}, 0.0)),
        ('{"data": [], "settings": {"held_out_share": 0.1}}', ({}, 0.1)),
        ('{"data": [], "settings": {"held_out_share": null}}', ({}, 0.0)),
        # A model that was tuned twice: both data, and only whom both held out.
        (
            '{"data": [{"task": "a"}], "settings": {"held_out_share": 0.2}, '
            '"before": {"data": [{"task": "b"}], "held_out_share": 0.1}}',
            ({"a": {"task": "a"}, "b": {"task": "b"}}, 0.1),
        ),
        # Answers that one of two trainings left out were trained on in the other.
        (
            json.dumps(
                {"data": [{"task": "a", "dropped": {EVALUATED: 3}}], "before": {"data": [{"task": "a"}]}}
            ),
            ({"a": {"task": "a"}}, 0.0),
        ),
    ],
)
def test_a_record_of_training_is_read(tmp_path: Path, text: str, expected: object) -> None:
    (tmp_path / "provenance.json").write_text(text)
    assert training_record(str(tmp_path)) == expected


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"data": 5}', '{"data": ["a"]}', '{"data": [{}]}', '{"data": [], "settings": 1}']
    + [f'{{"data": [], "settings": {{"held_out_share": {share}}}}}' for share in ('"much"', -1, 5, "true")]
    + ["\xff"],
)
def test_a_damaged_record_of_training_counts_as_none_with_a_warning(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "provenance.json").write_text(text, encoding="latin-1")
    assert training_record(str(tmp_path)) is None
    assert f"{tmp_path / 'provenance.json'} is damaged" in caplog.text


@pytest.mark.parametrize("name", ["organisation/model", "a\0b", "a" * 1000])
def test_no_record_of_training_is_no_warning(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert training_record(name) is None and not caplog.text
