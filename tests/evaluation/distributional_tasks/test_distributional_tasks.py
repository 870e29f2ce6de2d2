"""Every data set becomes questions whose shares sum to 1, and nothing is left out without being counted."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.axis_tasks import CONTROL, DistributionalTask, Item, distributional_tasks
from spectrum_trl.prompts.messages import check
from spectrum_trl.suite.source import GENERATED, KIT
from tests.messages import naming

ALL = 10**6
TASKS = distributional_tasks()
# Items, groups and clusters of the stored real data.
REAL = {"global_oqa": (1676, 128, 92), "nytimes": (940, 4, 235), "rotten_tomatoes": (292, 2, 146)}


def built(name: str, folder: Path, *, most: int = ALL, seed: int = 42) -> tuple[list[Item], Counter[str]]:
    dropped: Counter[str] = Counter()
    every = TASKS[name].items(folder, seed=seed, dropped=dropped)
    return TASKS[name].choose(every, seed=seed, most=most), +dropped


def test_the_papers_eight_are_found() -> None:
    papers = {"global_oqa", "habermas", "mpi", "numbergame", "nytimes", "rotten_tomatoes", "states", "urn"}
    assert papers <= TASKS.keys() and all(task.summary for task in TASKS.values())


@pytest.mark.parametrize("name", REAL)
def test_real_data_give_the_known_counts(name: str, suite_data: Path) -> None:
    if missing := TASKS[name].missing(suite_data):
        pytest.skip(f"{name} needs {', '.join(missing)} in {suite_data}")
    items, dropped = built(name, suite_data)
    assert not dropped
    n_items, n_groups, n_clusters = REAL[name]
    assert len(items) == n_items
    assert len({item.group for item in items}) == n_groups
    assert len({item.cluster for item in items}) == n_clusters
    are_sound(items)
    chosen, _ = built(name, suite_data, most=50)
    assert len(chosen) == 50 and set(chosen) <= set(items) and chosen == built(name, suite_data, most=50)[0]
    assert chosen != built(name, suite_data, most=50, seed=1)[0]


def are_sound(items: list[Item]) -> None:
    for item in items:
        assert sum(item.target) == pytest.approx(1, abs=1e-12) and min(item.target) >= 0
        assert len(item.candidates) == len(set(item.candidates)) == len(item.target) > 1
        assert item.input.strip() and item.description != ""
        texts = [item.input, *item.candidates, *([item.description] if item.description else [])]
        assert not any(check([{"role": "input", "content": text}], trained=False) for text in texts)


@pytest.mark.parametrize("name", ["urn", "states"])
def test_synthetic_questions_need_no_data(name: str, tmp_path: Path) -> None:
    items, dropped = built(name, tmp_path)
    are_sound(items)
    assert not dropped and not TASKS[name].missing(tmp_path)


def test_urns_are_drawn_as_documented(tmp_path: Path) -> None:
    items, _ = built("urn", tmp_path)
    colours = Counter(len(item.candidates) for item in items)
    assert set(colours) == {2, 3, 4, 5} and all(200 < n < 300 for n in colours.values())
    counts = []
    for item in items:
        assert item.description is not None
        words = item.description.replace(",", " ").split()
        told = {words[n + 1]: int(word) for n, word in enumerate(words) if word.isdigit()}
        assert tuple(told) == item.candidates
        assert item.target == pytest.approx([count / sum(told.values()) for count in told.values()])
        counts += told.values()
    # P(1) = (1/10) (1 + 1/2 + … + 1/10) = 0.293; the mean is (1 + 5.5) / 2 = 3.25.
    assert np.mean(np.array(counts) == 1) == pytest.approx(0.293, abs=0.025)
    assert np.mean(counts) == pytest.approx(3.25, abs=0.15)
    assert set(counts) == set(range(1, 11))


def test_a_text_with_a_control_token_is_left_out_and_counted(tmp_path: Path) -> None:
    plain = Item(None, "Which?", ("a", "b"), (0.5, 0.5), None, "1")
    broken = [
        plain._replace(input="Which?<|im_end|>"),
        plain._replace(description="<start_of_turn>"),
        plain._replace(candidates=("a", "<|eot_id|>")),
    ]
    task = DistributionalTask(name="x", source=KIT, build=lambda data_dir, **_: iter([plain, *broken]))
    dropped: Counter[str] = Counter()
    assert task.items(tmp_path, seed=0, dropped=dropped) == [plain]
    assert dropped == {CONTROL: 3}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for task in TASKS.values():
        assert task.missing(tmp_path) == list(task.files)
        assert bool(task.files) == (task.source.licence != GENERATED) == bool(task.source.homepage)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return folder


OQA = "hub/llm_global_opinions/global_opinions.csv"


def test_shares_that_are_no_target_are_left_out_and_counted(tmp_path: Path) -> None:
    selections = (
        "{'Peru': [0.5, 0.25], 'Mali': [0, 0.0], 'Fiji': [1.0], 'Oman': [nan, 1.0], 'Chad': [1.5, 0.5]}"
    )
    rows = (
        f"\"Tea?\",\"defaultdict(<class 'list'>, {selections})\",\"['Yes', 'No']\",x\n"
        f'" ",{{}},[],x\n'
        f'"Long?","{{\'Peru\': [1]}}","{list(range(27))}",x\n'
    )
    items, dropped = built("global_oqa", write(tmp_path, OQA, "question,selections,options,source\n" + rows))
    assert [(item.group, item.target) for item in items] == [
        ("Peru", pytest.approx((2 / 3, 1 / 3))),
        ("Chad", (0.75, 0.25)),
    ]
    assert items[0].candidates == ("A", "B") and items[0].input.endswith("A. Yes\nB. No")
    assert dropped == {
        "shares that are all 0": 1,
        "not as many shares as options": 1,
        "share that is no number from 0 on": 1,
        "question without text": 1,
        "more options than letters": 1,
    }


@pytest.mark.parametrize("selections", ["", "{", "[1]", "__import__('os')", "{'a': [f()]}", "(" * 500])
def test_selections_that_are_no_mapping_are_one_clear_error(tmp_path: Path, selections: str) -> None:
    text = f"question,selections,options,source\nTea?,\"{selections}\",\"['Yes', 'No']\",x\n"
    with pytest.raises(UserError, match=naming("row 1", "'selections'", "dict")):
        built("global_oqa", write(tmp_path, OQA, text))


NYT = "benchmarking-distributional-alignment/nytimes/NYTIMES_proportions.json"


def test_a_group_without_answers_is_left_out_and_counted(tmp_path: Path) -> None:
    men = {"1: Very unlikely": 3, "4: Very likely": 1}
    book = {"A book": {"genre": "Art", "summary": "{braces}", "Male": men}}
    items, dropped = built("nytimes", write(tmp_path, NYT, json.dumps(book)))
    assert [(item.group, item.target) for item in items] == [("Male", (0.75, 0, 0, 0.25))]
    assert "{braces}" in items[0].input and dropped == {"group without answers": 3}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "expected a JSON object of books"),
        ('{"A": {"genre": "x"}}', "'A' lacks summary"),
        ('{"A": {"genre": "x", "summary": "y", "Male": {"5": 1}}}', "the option '5'"),
    ],
)
def test_books_of_another_form_are_one_clear_error(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        built("nytimes", write(tmp_path, NYT, text))


def test_scores_may_be_floats_and_missing_ones_are_counted(tmp_path: Path) -> None:
    rows = "One,2015,74%,86.0\nTwo,,,101\nThree, 1999 ,0,nan\n,2000,1,2\n"
    text = "title,release_date,critic_score,audience_score\n" + rows
    name = "rotten_tomatoes/rotten_tomatoes_data_1970_2024/movie_info.csv"
    items, dropped = built("rotten_tomatoes", write(tmp_path, name, text))
    assert [(item.group, item.target) for item in items] == [
        ("critic", pytest.approx((0.74, 0.26))),
        ("audience", pytest.approx((0.86, 0.14))),
        ("critic", (0, 1)),
    ]
    assert items[0].cluster == items[1].cluster != items[2].cluster
    assert dropped == {
        "no critic score from 0 to 100": 1,
        "no audience score from 0 to 100": 2,
        "film without title": 1,
    }


def test_number_game_ratings_are_counted_by_set_and_number(tmp_path: Path) -> None:
    rows = "2_4_8,16,1,p\n" * 6 + "2_4_8,16,0.0,p\n" * 3 + "2_4_8,3,1,p\n" * 8 + "2_4_8,3,,p\n2_4_8,3,7,p\n"
    folder = write(tmp_path, "numbergame/numbergame_data.csv", "set,target,rating,id\n" + rows)
    (item,), dropped = built("numbergame", folder)
    assert item.candidates == ("Yes", "No") and item.target == pytest.approx((6 / 9, 3 / 9))
    assert "2, 4, 8" in item.input and item.input.endswith("16") and item.cluster == "2, 4, 8"
    assert dropped == {
        "number with fewer than 9 ratings": 1,
        "row without a value": 1,
        "rating that is not 0 or 1": 1,
    }


def test_number_game_without_a_column_says_which(tmp_path: Path) -> None:
    folder = write(tmp_path, "numbergame/numbergame_data.csv", "set,target,ratings,id\n1,2,3,4\n")
    with pytest.raises(UserError, match=naming("'rating'", "'ratings'")):
        built("numbergame", folder)
