import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.babynames import TASKS
from tests.messages import naming

(BABYNAMES,) = TASKS
SEXES = {"girls": "F", "boys": "M"}


@pytest.fixture(scope="module")
def draws(built):
    return built(BABYNAMES)


@pytest.fixture(scope="module")
def counts(suite_data):
    """Children by (year or None, sex) and name, read line by line."""
    found = defaultdict(Counter)
    for path in suite_data.glob("baby_names/yob*.txt"):
        for line in path.read_text().split():
            name, sex, count = line.split(",")
            found[int(path.stem[3:]), sex][name] += int(count)
            found[None, sex][name] += int(count)
    return found


def asked(sequence):
    """Year (None: all), and (how many, sex) of each part, read back from the description."""
    said = sequence.messages[0]["content"]
    (year,) = re.findall(r"(?:in|names in) (\d{4})\b", said) or [None]
    parts = re.findall(r"the ([\d,]+) most common names of (girls|boys)", said)
    return year and int(year), [(int(number.replace(",", "")), SEXES[who]) for number, who in parts]


def outputs(sequence):
    return [turn["content"] for turn in sequence.messages[1:]]


def test_there_are_500_draws_without_repeated_names(draws):
    sequences, dropped = draws
    assert len({sequence.sequence_id for sequence in sequences}) == len(sequences) == 500
    assert dropped.total() == 0
    for sequence in sequences:
        names = outputs(sequence)
        assert 0 < len(set(names)) == len(names) <= 5000


def test_every_draw_holds_exactly_the_names_its_description_promises(draws, counts):
    for sequence in draws[0]:
        year, parts = asked(sequence)
        expected = set()
        for number, sex in parts:
            ranked = sorted(counts[year, sex].items(), key=lambda item: (-item[1], item[0]))
            assert len(ranked) >= number
            expected |= {name for name, _ in ranked[:number]}
        assert set(outputs(sequence)) == expected


def test_the_first_name_of_a_year_is_not_lost(draws, counts):
    first = {(year, sex): names.most_common(1)[0][0] for (year, sex), names in counts.items()}
    assert first[1880, "F"] == "Mary"
    for sequence in draws[0]:
        year, parts = asked(sequence)
        assert {first[year, sex] for _, sex in parts} <= set(outputs(sequence))


def test_all_settings_of_the_catalogue_occur(draws):
    settings = [asked(sequence) for sequence in draws[0]]
    groups = Counter("".join(sex for _, sex in parts) for _, parts in settings)
    assert set(groups) == {"F", "M", "FM"} and min(groups.values()) > 120
    years = Counter(year for year, _ in settings)
    assert 200 < years.pop(None) < 300
    assert np.mean(list(years.elements())) > 1960  # 1975 expected, 1951.5 if all were equally likely
    sizes = Counter(sum(number for number, _ in parts) for _, parts in settings)
    assert {10, 100, 1000, 5000} <= set(sizes)


def test_frequency_decides_the_order_only_where_the_description_says_so(draws, counts):
    places = {True: [], False: []}
    for sequence in draws[0]:
        year, parts = asked(sequence)
        names = outputs(sequence)
        if len(names) >= 100:
            top = max((counts[year, sex] for _, sex in parts), key=lambda names: names.total()).most_common(
                1
            )[0][0]
            by_frequency = "how many children" in sequence.messages[0]["content"]
            places[by_frequency].append(names.index(top) / len(names))
    assert np.mean(places[True]) < 0.15
    assert 0.4 < np.mean(places[False]) < 0.6


def test_a_draw_in_proportion_is_weighted_sampling_without_replacement(tmp_path):
    folder = tmp_path / "baby_names"
    folder.mkdir()
    (folder / "yob2000.txt").write_text("Ann,F,6\r\nBea,F,3\r\nCai,F,1\r\nDan,M,1\r\n")
    orders = Counter()
    for seed in range(8):
        for sequence in BABYNAMES.sequences(tmp_path, seed=seed):
            said = sequence.messages[0]["content"]
            if "how many children" in said and "boys" not in said:
                orders["".join(name[0] for name in outputs(sequence))] += 1
    n = orders.total()
    assert n > 500
    for order, probability in (("ABC", 0.6 * 3 / 4), ("BAC", 0.3 * 6 / 7), ("CAB", 0.1 * 6 / 9)):
        assert abs(orders[order] / n - probability) < 4 * np.sqrt(probability * (1 - probability) / n)


def test_the_seed_alone_decides(built, draws):
    assert draws[0][:20] == built(BABYNAMES)[0][:20]
    assert draws[0][:20] != built(BABYNAMES, seed=1)[0][:20]


def test_rows_that_cannot_be_used_are_counted(tmp_path):
    folder = tmp_path / "baby_names"
    folder.mkdir()
    (folder / "yob1990.txt").write_text("Ann,F,6\n,F,3\nBob,X,3\nNan,M,0\nNA,M,4\n")
    dropped = Counter()
    sequences = list(BABYNAMES.sequences(tmp_path, seed=0, dropped=dropped))
    assert dropped.total() == 3
    assert {name for sequence in sequences for name in outputs(sequence)} == {"Ann", "NA"}


def test_a_broken_year_is_named(tmp_path):
    folder = tmp_path / "baby_names"
    folder.mkdir()
    assert BABYNAMES.missing(tmp_path) == list(BABYNAMES.files)
    (folder / "yob1990.txt").write_text("Ann,F,many\n")
    with pytest.raises(UserError, match=naming("yob1990.txt", "row 1", "'count'", "'many'")):
        list(BABYNAMES.sequences(tmp_path, seed=0))
