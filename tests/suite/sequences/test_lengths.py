import numpy as np
import pytest

from spectrum_trl.suite.sequences.lengths import length_pmf, sequence_length


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
