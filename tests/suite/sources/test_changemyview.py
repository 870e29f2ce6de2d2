import bz2
import json
from collections import Counter

import pytest

from spectrum_trl.errors import MissingData, UserError
from spectrum_trl.suite.sources.changemyview import PACKED, PLAIN, TASKS
from tests.messages import naming
from tests.suite.fixtures.changemyview import lines, thread, threads, write

CATEGORIES, POSTS = TASKS
LEFT_OUT = {
    "line that is no JSON object (threads.jsonl.bz2: 12)": 1,
    "without title or text": 3,
    "with at most 4 comments": 2,
    "without a comment that is there": 2,
}


def title(number):
    return f"CMV: Tea {number} < coffee & “milk”"


def body(number):
    return f"Reason {number} {{x}}.\n\n> *quoted*\n\n> as said"


def build(task, folder, *, seed=0, paper=False):
    dropped = Counter()
    return list(task.sequences(folder, seed=seed, dropped=dropped, paper=paper)), +dropped


def parts(sequences):
    """Return the turns of each sub-task: outputs, or pairs of input and output."""
    found = {}
    for sequence in sequences:
        turns = [turn["content"] for turn in sequence.messages[1:]]
        if sequence.messages[1]["role"] == "input":
            turns = list(zip(turns[::2], turns[1::2], strict=True))
        found.setdefault(sequence.sequence_id.split("/")[1], Counter()).update(turns)
    return found


def test_different_posts_and_titles(tmp_path):
    write(tmp_path)
    sequences, dropped = build(CATEGORIES, tmp_path)
    assert parts(sequences) == {
        "post": Counter(f"{title(n)}\n\n{body(n)}" for n in range(3)),
        "title": Counter(title(n) for n in range(3)),
    }
    assert dropped == LEFT_OUT | {"post seen before": 1, "title seen before": 1}
    assert len({sequence.sequence_id for sequence in sequences}) == len(sequences) >= 2


def test_texts_titles_and_scores(tmp_path):
    write(tmp_path)
    sequences, dropped = build(POSTS, tmp_path)
    used = (0, 1, 2, 1)
    assert parts(sequences) == {
        "selftext": Counter((title(n), body(n)) for n in used),
        "title": Counter((body(n), title(n)) for n in used),
        "score": Counter(
            (json.dumps({"title": title(n), "selftext": body(n)}, ensure_ascii=False), str(n - 1))
            for n in (0, 1, 1)
        ),
    }
    assert dropped == LEFT_OUT | {"empty output": 1}


def test_the_unpacked_file_serves_as_well(tmp_path):
    write(tmp_path)
    packed = build(POSTS, tmp_path)[0]
    (tmp_path / PLAIN).write_bytes(lines(threads()))
    assert build(POSTS, tmp_path)[0] == packed
    (tmp_path / PACKED).unlink()
    assert build(POSTS, tmp_path)[0] == packed and not POSTS.missing(tmp_path)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    (folder / PLAIN).parent.mkdir()
    found = [
        thread(n, num_comments=5 if n % 2 else 1, comments=[{"body": "x", "score": 1}]) for n in range(12_000)
    ]
    (folder / PLAIN).write_text("\n".join(map(json.dumps, found)), "utf-8")
    return folder


def test_all_threads_are_used_but_the_paper_draws_10000(many):
    everything, dropped = build(CATEGORIES, many)
    assert parts(everything)["title"] == Counter(title(n) for n in range(1, 12_000, 2))
    assert dropped == {"with at most 4 comments": 6000}
    drawn, dropped = build(CATEGORIES, many, paper=True)
    titles = parts(drawn)["title"]
    assert dropped == {"not drawn": 2000, "with at most 4 comments": 10_000 - titles.total()}
    assert 4700 < titles.total() < 5300 and max(titles.values()) == 1
    # Each half of the file is as likely to be drawn.
    first = sum(title(n) in titles for n in range(1, 6000, 2))
    assert 0.45 < first / titles.total() < 0.55
    assert drawn == build(CATEGORIES, many, paper=True)[0]
    assert parts(build(CATEGORIES, many, seed=1, paper=True)[0])["title"] != titles


def test_sub_tasks_have_orders_of_their_own_and_the_paper_a_cap(many):
    sequences, _ = build(POSTS, many)
    lengths = {
        part: [s.n_outputs for s in sequences if s.sequence_id.split("/")[1] == part]
        for part in parts(sequences)
    }
    assert len({tuple(each) for each in lengths.values()}) == 3
    assert all(sum(each) == 6000 for each in lengths.values())
    capped, _ = build(POSTS, many, paper=True)
    counts = Counter(s.sequence_id.split("/")[1] for s in capped)
    assert len(counts) == 3 and all(250 < count <= 500 for count in counts.values())


def test_at_most_500_sequences_of_each_sub_task_in_the_paper(tmp_path, monkeypatch):
    monkeypatch.setitem(POSTS.paper.keywords, "most", 2)
    (tmp_path / PLAIN).parent.mkdir()
    found = [thread(n) for n in range(200)]
    (tmp_path / PLAIN).write_text("\n".join(map(json.dumps, found)), "utf-8")
    assert Counter(s.sequence_id.split("/")[1] for s in build(POSTS, tmp_path, paper=True)[0]) == {
        "selftext": 2,
        "title": 2,
        "score": 2,
    }


def test_two_descriptions_for_each_sub_task(tmp_path):
    write(tmp_path)
    for task, n_parts in ((CATEGORIES, 2), (POSTS, 3)):
        said = {}
        for seed in range(12):
            for sequence in build(task, tmp_path, seed=seed)[0]:
                part = sequence.sequence_id.split("/")[1]
                said.setdefault(part, set()).add(sequence.messages[0]["content"])
        assert len(said) == n_parts and all(len(each) == 2 for each in said.values())


def test_a_missing_field_or_file_is_named(tmp_path):
    write(tmp_path)
    row = thread(0)
    row["self_text"] = row.pop("selftext")
    (tmp_path / PACKED).write_bytes(bz2.compress(json.dumps(row).encode()))
    with pytest.raises(UserError, match=naming(".bz2", "line 1", "'selftext'", "'self_text'")):
        build(POSTS, tmp_path)
    (tmp_path / PACKED).write_bytes(b"<html>")
    with pytest.raises(UserError, match=naming("threads.jsonl.bz2", "not valid", "JSON Lines")):
        build(POSTS, tmp_path)
    (tmp_path / PACKED).unlink()
    assert POSTS.missing(tmp_path) == [f"{PLAIN}*"]
    with pytest.raises(MissingData, match=naming("threads.jsonl.bz2", "exist")):
        build(POSTS, tmp_path)
