import csv
from collections import Counter
from functools import cache

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.polis import TASKS
from tests.messages import naming
from tests.suite.fixtures import polis as fixture

POLIS_VOTE, POLIS_COMMENT = TASKS
LABELS = {"1": "Agree", "-1": "Disagree", "0": "Pass"}


@cache
def raw(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def conversations(data):
    return sorted(path.parent for path in data.glob("openData/*/summary.csv"))


def answers(sequence):
    turns = sequence.messages[1:]
    return [(turns[i]["content"], turns[i + 1]["content"]) for i in range(0, len(turns), 2)]


@pytest.fixture(scope="module")
def votes(built):
    return built(POLIS_VOTE)


@pytest.fixture
def tiny(tmp_path):
    fixture.write(tmp_path)
    return tmp_path


def junk(comment, conversation):
    """The filters of the catalogue, written once more."""
    words = len(comment.split())
    few = words < 4 and conversation != "vtaiwan.uberx"
    return not comment.strip() or few or ("test" in comment.lower() and words < 3)


def test_one_is_agree_and_minus_one_is_disagree(suite_data, votes):
    """The totals of comments.csv count every vote ever cast, and the outputs follow them."""
    totals = Counter()
    for folder in conversations(suite_data):
        if (folder / "votes.csv").exists():
            cast = Counter((row["comment-id"], row["vote"]) for row in raw(folder / "votes.csv"))
            for comment in raw(folder / "comments.csv"):
                assert cast[comment["comment-id"], "1"] == int(comment["agrees"])
                assert cast[comment["comment-id"], "-1"] == int(comment["disagrees"])
                totals.update(Agree=int(comment["agrees"]), Disagree=int(comment["disagrees"]))
    sequences, dropped = votes
    outputs = Counter(answer for sequence in sequences for _, answer in answers(sequence))
    assert set(outputs) == {"Agree", "Disagree", "Pass"}
    left_out = dropped.total() - dropped["conversation without votes.csv"]
    for label, total in totals.items():
        assert total - left_out <= outputs[label] <= total
    assert totals["Agree"] > 2 * totals["Disagree"]  # so the bounds above cannot hold with the labels swapped


def test_every_vote_is_an_output_or_counted(suite_data, votes):
    sequences, dropped = votes
    expected, n_votes, without = Counter(), 0, 0
    for folder in conversations(suite_data):
        if not (folder / "votes.csv").exists():
            without += 1
            continue
        comments = {row["comment-id"]: row for row in raw(folder / "comments.csv")}
        last = {}
        for row in raw(folder / "votes.csv"):
            n_votes += 1
            key = row["voter-id"], row["comment-id"]
            if key not in last or int(row["timestamp"]) >= int(last[key]["timestamp"]):
                last[key] = row
        for (voter, comment_id), row in last.items():
            comment = comments[comment_id]
            delay = int(row["timestamp"]) - int(comment["timestamp"])
            if (comment["author-id"] != voter or delay >= 2000) and not junk(
                comment["comment-body"], folder.name
            ):
                sample = comment["comment-body"].strip(), LABELS[row["vote"]]
                expected[f"{folder.name}/{voter}", *sample] += 1
    n_usable = Counter(name for name, *_ in expected.elements())
    expected = Counter({key: count for key, count in expected.items() if n_usable[key[0]] >= 4})
    assert Counter((s.sequence_id, *answer) for s in sequences for answer in answers(s)) == expected
    assert dropped["conversation without votes.csv"] == without
    assert expected.total() + dropped.total() - without == n_votes
    assert min(sequence.n_outputs for sequence in sequences) == 4


def test_paper_sampling_takes_the_first_500_voters_of_each_discussion(suite_data, votes):
    found = Counter(
        each.sequence_id.rpartition("/")[0] for each in POLIS_VOTE.sequences(suite_data, seed=0, paper=True)
    )
    everybody = Counter(each.sequence_id.rpartition("/")[0] for each in votes[0])
    assert found == {name: min(count, 500) for name, count in everybody.items()}
    assert found != everybody


def test_votes_recorded_while_posting_are_nearly_all_agree_or_pass_of_the_author(suite_data, votes):
    """What justifies leaving them out: they come within two seconds of the comment itself."""
    early = own = 0
    for folder in conversations(suite_data):
        if (folder / "votes.csv").exists():
            comments = {row["comment-id"]: row for row in raw(folder / "comments.csv")}
            first = {}
            for row in sorted(raw(folder / "votes.csv"), key=lambda row: int(row["timestamp"])):
                if row["voter-id"] == comments[row["comment-id"]]["author-id"]:
                    first.setdefault(row["comment-id"], row)
            own += len(first)
            early += sum(
                int(row["timestamp"]) - int(comments[key]["timestamp"]) < 2000 for key, row in first.items()
            )
    assert early / own > 0.9


def test_a_voter_looked_up_by_hand(suite_data, votes):
    if not (suite_data / "openData/15-per-hour-seattle").is_dir():
        pytest.skip("needs openData/15-per-hour-seattle")
    found = {sequence.sequence_id: sequence for sequence in votes[0]}["15-per-hour-seattle/2"]
    assert sorted((text[:24], answer) for text, answer in answers(found)) == [
        ("Given inflation, unless ", "Agree"),
        ("I don't think it's a bad", "Pass"),
        ("There seems to be a fall", "Disagree"),
        ("This is a game changer. ", "Disagree"),
    ]
    assert "$15/hour" in found.messages[0]["content"]


def test_ids_are_unique_and_every_description_names_the_topic(suite_data, votes):
    topics = {}
    for folder in conversations(suite_data):
        with (folder / "summary.csv").open(encoding="utf-8-sig", newline="") as file:
            topics[folder.name] = dict(csv.reader(file))["topic"].strip()
    sequences, _ = votes
    assert len({sequence.sequence_id for sequence in sequences}) == len(sequences)
    assert all(topics[s.sequence_id.rpartition("/")[0]] in s.messages[0]["content"] for s in sequences)


def test_accepted_comments_are_each_one_output(suite_data, built):
    sequences, dropped = built(POLIS_COMMENT)
    expected, rejected = Counter(), 0
    for folder in conversations(suite_data):
        for row in raw(folder / "comments.csv"):
            if row["moderated"] == "-1":
                rejected += 1
            elif not junk(row["comment-body"], folder.name):
                expected[folder.name, row["comment-body"].strip()] += 1
    got = Counter(
        (sequence.sequence_id.rpartition("/")[0], turn["content"])
        for sequence in sequences
        for turn in sequence.messages[1:]
    )
    assert got == expected
    assert dropped["comment rejected by a moderator"] == rejected
    assert {turn["role"] for sequence in sequences for turn in sequence.messages[1:]} == {"output"}
    assert 45 < got.total() / len(sequences) < 80
    assert sequences == built(POLIS_COMMENT)[0]
    assert sequences != built(POLIS_COMMENT, seed=1)[0]


def test_votes_of_a_tiny_conversation(tiny):
    dropped = Counter()
    found = {s.sequence_id: s for s in POLIS_VOTE.sequences(tiny, seed=0, dropped=dropped)}
    fine = [(f"Tea number {n} is fine", "Agree") for n in (5, 6, 7)]
    assert {name: sorted(answers(sequence)) for name, sequence in found.items()} == {
        "tea/7": [("Buy my spam now", "Pass"), ("Tea is good indeed", "Agree"), *fine],
        "tea/9": [("Tea is good indeed", "Disagree"), *fine],
        **{f"vtaiwan.uberx/{voter}": [(f"優步應該合法{n}", "Disagree") for n in range(5)] for voter in "12"},
    }
    assert dropped == {
        "vote changed later": 3,
        "vote recorded while posting": 1,
        "vote on an unknown comment": 1,
        "vote on a comment without text": 1,
        "vote on a comment of fewer than 4 words": 1,
        "vote on a comment to test": 2,
        "empty output": 1,
        "of a group with fewer than 4 samples": 3,
    }


def test_descriptions_hold_the_topic_and_no_addresses(tiny):
    said = {
        s.messages[0]["content"]
        for seed in range(30)
        for s in POLIS_VOTE.sequences(tiny, seed=seed)
        if s.sequence_id.startswith("tea/")
    }
    assert all("Tea {or} not" in text and "http" not in text for text in said)
    assert len(said) == 6
    assert sum("See this" in text for text in said) == 3


def test_comments_of_a_tiny_conversation(tiny):
    dropped = Counter()
    found = list(POLIS_COMMENT.sequences(tiny, seed=0, dropped=dropped))
    assert {s.sequence_id: sorted(turn["content"] for turn in s.messages[1:]) for s in found} == {
        "tea/0": [
            "Tea is good indeed",
            *(f"Tea number {n} is fine" for n in (5, 6, 7)),
            "Two\nlines of text",
        ],
        "vtaiwan.uberx/0": [f"優步應該合法{n}" for n in range(5)],
    }
    assert dropped == {
        "comment rejected by a moderator": 1,
        "comment without text": 1,
        "comment of fewer than 4 words": 1,
        "comment to test": 1,
    }


def test_a_conversation_without_votes_is_counted(tiny):
    (tiny / "openData/tea/votes.csv").unlink()
    dropped = Counter()
    found = list(POLIS_VOTE.sequences(tiny, seed=0, dropped=dropped))
    assert {each.sequence_id.split("/")[0] for each in found} == {"vtaiwan.uberx"}
    assert dropped["conversation without votes.csv"] == 1
    (tiny / "openData/vtaiwan.uberx/votes.csv").unlink()
    assert POLIS_VOTE.missing(tiny) == ["openData/*/votes.csv"]


def test_a_lacking_column_and_a_lacking_topic_are_named(tiny):
    path = tiny / "openData/tea/votes.csv"
    path.write_text(path.read_text().replace("voter-id", "voter_id"))
    with pytest.raises(UserError, match=naming("votes.csv", "'voter-id'", "'voter_id'")):
        list(POLIS_VOTE.sequences(tiny, seed=0))
    (tiny / "openData/tea/summary.csv").write_text("title,Tea\n")
    with pytest.raises(UserError, match=naming("summary.csv", "topic")):
        list(POLIS_COMMENT.sequences(tiny, seed=0))
