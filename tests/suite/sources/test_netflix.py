import time
import tracemalloc
from collections import Counter

import numpy as np
import pytest

from spectrum_trl.errors import MissingData, UserError
from spectrum_trl.suite.sources import netflix
from spectrum_trl.suite.sources.netflix import TASKS
from spectrum_trl.suite.task import Data
from tests.messages import naming
from tests.suite.fixtures.netflix import FILMS, SHOWN, stars, write, write_many

RATINGS, VIEWS = TASKS
DROPPED = {
    "line of movie_titles.csv that is not number, year, title": 2,
    "line that is neither a film nor a rating of one (combined_data_1.txt: 14, 15, 17, …)": 4,
    "rating of a film without a title": 1,
    "rating by a customer with fewer than 10": 9,
    "film that the customer rated before": 1,
}


def build(task, folder, *, seed=0, paper=False):
    dropped = Counter()
    return list(task.sequences(folder, seed=seed, dropped=dropped, paper=paper)), +dropped


def contents(sequences):
    """Return each customer's turns after the description, and check that no sequence mixes customers."""
    found = {}
    for sequence in sequences:
        customer, _ = sequence.sequence_id.split("/")
        found.setdefault(int(customer), []).extend(turn["content"] for turn in sequence.messages[1:])
    return found


def expected(customer):
    return {SHOWN[film]: str(stars(customer, film)) for film in range(1, FILMS[customer] + 1)}


def test_a_customer_rates_each_film_once_whatever_the_line_ends(tmp_path):
    write(tmp_path)
    sequences, dropped = build(RATINGS, tmp_path)
    found = contents(sequences)
    assert list(found) == [1488844, 7]
    for customer, turns in found.items():
        assert Counter(zip(turns[::2], turns[1::2], strict=True)) == Counter(expected(customer).items())
    assert dropped == DROPPED


def test_views_are_the_titles_alone(tmp_path):
    write(tmp_path)
    sequences, dropped = build(VIEWS, tmp_path)
    assert {customer: sorted(turns) for customer, turns in contents(sequences).items()} == {
        customer: sorted(expected(customer)) for customer in (1488844, 7)
    }
    assert {turn["role"] for sequence in sequences for turn in sequence.messages[1:]} == {"output"}
    assert dropped == DROPPED


def test_blocks_of_any_size_read_the_same(tmp_path, monkeypatch):
    write(tmp_path)
    whole = build(RATINGS, tmp_path)
    for size in (1, 7, 64):
        monkeypatch.setattr(netflix, "BLOCK_BYTES", size)
        assert build(RATINGS, tmp_path) == whole


def test_order_depends_on_the_seed_alone(tmp_path):
    write(tmp_path)
    assert build(VIEWS, tmp_path) == build(VIEWS, tmp_path)
    assert build(VIEWS, tmp_path)[0] != build(VIEWS, tmp_path, seed=1)[0]
    seen = {
        build(task, tmp_path, seed=seed)[0][0].messages[0]["content"] for task in TASKS for seed in range(9)
    }
    assert seen == {*netflix.RATING_DESCRIPTIONS, *netflix.VIEW_DESCRIPTIONS}


def test_customers_are_drawn_and_the_others_counted(tmp_path, monkeypatch):
    write_many(tmp_path, n_ratings=20_000)
    monkeypatch.setattr(netflix, "CUSTOMERS", 30)
    sequences, dropped = build(RATINGS, tmp_path)
    assert len(contents(sequences)) == 30
    used = sum(sequence.n_outputs for sequence in sequences)
    assert used + dropped.total() == 20_000
    assert set(dropped) == {"rating by a customer who was not drawn"}
    assert contents(sequences).keys() != contents(build(RATINGS, tmp_path, seed=1)[0]).keys()
    assert contents(sequences).keys() == contents(build(VIEWS, tmp_path)[0]).keys()


def test_the_paper_takes_one_sequence_of_each_of_a_thousand_customers_or_all(tmp_path, monkeypatch):
    write_many(tmp_path, n_ratings=20_000)
    assert RATINGS.paper.keywords["most"] == 1000 and "most" not in VIEWS.paper.keywords
    monkeypatch.setattr(netflix, "CUSTOMERS", 30)
    for task, most, n_customers in ((RATINGS, 10, 10), (VIEWS, None, 30)):
        found = list(task.paper(Data(tmp_path, 0, Counter()), most=most))
        assert len({name.split("/")[0] for name, _ in found}) == len(found) == n_customers


def test_reading_takes_a_short_time_and_little_memory(tmp_path):
    write_many(tmp_path, n_ratings=200_000)
    paths = [tmp_path / path for path in netflix.RATINGS]
    all_films = np.ones(netflix.NUMBERS, dtype=bool)
    tracemalloc.start()
    start = time.perf_counter()
    counts = netflix._counts(paths, all_films, dropped=Counter())
    seconds, (_, peak) = time.perf_counter() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert counts.sum() == 200_000
    assert seconds < 3
    assert peak < counts.nbytes + 25 * netflix.BLOCK_BYTES


def test_files_without_ratings_or_titles_are_refused(tmp_path):
    write(tmp_path)
    (tmp_path / netflix.TITLES).write_bytes(b"\n\n")
    with pytest.raises(UserError, match=naming("movie_titles.csv", "titles")):
        build(RATINGS, tmp_path)
    (tmp_path / netflix.TITLES).write_bytes(b"99,2000,Nothing\n")
    with pytest.raises(UserError, match=naming("netflix", "ratings")):
        build(RATINGS, tmp_path)
    (tmp_path / netflix.RATINGS[3]).unlink()
    assert RATINGS.missing(tmp_path) == [netflix.RATINGS[3]]
    with pytest.raises(MissingData, match=naming("combined_data_4.txt", "exist")):
        build(RATINGS, tmp_path)
