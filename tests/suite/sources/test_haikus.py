import json
import math
import re
from collections import Counter, defaultdict

import pandas as pd
import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.haikus import FILE, TASKS
from tests.messages import naming

(HAIKUS,) = TASKS
HEADER = "0,1,2,source,0_syllables,1_syllables,2_syllables\n"


@pytest.fixture(scope="module")
def haikus(built):
    return built(HAIKUS)


@pytest.fixture(scope="module")
def table(suite_data):
    frame = pd.read_csv(suite_data / FILE, dtype=str).dropna()
    broken = frame["0"] + frame["1"] + frame["2"]
    assert broken.str.contains("[\x80-\x9f]").sum() == 173
    for line in "012":
        for wrong, right in {"\x85": "…", "\x92": "’", "\x96": "–", "\x97": "—"}.items():
            frame[line] = frame[line].str.replace(wrong, right)
    frame["poem"] = frame["0"].str.strip() + "\n" + frame["1"].str.strip() + "\n" + frame["2"].str.strip()
    counts = [frame[f"{line}_syllables"].str.split(",").str[0] for line in range(3)]
    frame["syllables"] = counts[0] + ", " + counts[1] + ", " + counts[2]
    return frame


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / FILE
    path.parent.mkdir(parents=True)
    path.write_text(
        HEADER
        + 'Old   pond --,"a frog jumps, loud",splash!,basho,3,"4,5",1\r\n'
        + " Old pond,again ,and again,basho,2,2,3\r\n"
        + "Old pond,again,and again,basho,2,2,3\n"
        + "two lines,only,,basho,2,2,0\n"
        + "...,--,!,issa,0,0,0\n"
        + "no,count,here,issa,1,,1\n"
        + "no,one's,poem,,1,1,2\n"
    )
    return tmp_path


def parts(sequences):
    """Return the samples of each part by group: (poem,) or (input, poem)."""
    found = {"syllables": defaultdict(list), "word": defaultdict(list), "poem": defaultdict(list)}
    for sequence in sequences:
        part, *source, _ = sequence.sequence_id.split("/")
        texts = [turn["content"] for turn in sequence.messages[1:]]
        pairs = zip(texts, strict=True) if part == "poem" else zip(texts[::2], texts[1::2], strict=True)
        found[part]["".join(source)].extend(pairs)
    return found


def test_every_poem_is_in_each_part_once(haikus, table):
    sequences, dropped = haikus
    found = parts(sequences)
    assert Counter(found["poem"][""]) == Counter(zip(table["poem"].unique(), strict=True))
    for source, rows in table.groupby("source"):
        assert Counter(found["syllables"][source]) == Counter(
            zip(rows["syllables"], rows["poem"], strict=True)
        )
        shown = Counter((json.loads(given)["syllables"], poem) for given, poem in found["word"][source])
        assert shown == Counter(found["syllables"][source])
    assert +dropped == {"poem without three lines": 25886 - len(table)} == {"poem without three lines": 128}
    sizes = table["source"].value_counts()
    assert (
        len(sequences) == 2 * sum(math.ceil(size / 64) for size in sizes) + math.ceil(len(table) / 64) == 1211
    )
    assert {sequence.n_outputs for sequence in sequences if sequence.n_outputs != 64} <= {
        size % 64 for size in (*sizes, len(table))
    }


def test_the_word_to_include_is_a_word_of_the_poem(haikus):
    places = []
    for pairs in parts(haikus[0])["word"].values():
        for given, poem in pairs:
            word = json.loads(given)["include_word"]
            assert re.fullmatch(r"\w(.*\w)?", word)
            assert re.search(rf"(?<!\w){re.escape(word)}(?!\w)", poem)
            places.append(poem.index(word) / len(poem))
    assert 0.4 < sum(places) / len(places) < 0.5


def test_the_seed_alone_decides(built, haikus):
    assert haikus == built(HAIKUS)
    assert haikus[0][700] != built(HAIKUS, seed=1)[0][700]


def test_parts_of_a_tiny_file(tiny):
    dropped = Counter()
    found = parts(HAIKUS.sequences(tiny, seed=0, dropped=dropped))
    frog, pond = "Old   pond --\na frog jumps, loud\nsplash!", "Old pond\nagain\nand again"
    assert Counter(found["syllables"]["basho"]) == {("3, 4, 1", frog): 1, ("2, 2, 3", pond): 2}
    assert found["syllables"]["issa"] == [("0, 0, 0", "...\n--\n!")]
    assert set(found["word"]) == {"basho"}
    assert Counter(poem for (poem,) in found["poem"][""]) == Counter(
        [frog, pond, "...\n--\n!", "no\ncount\nhere", "no\none's\npoem"]
    )
    assert dropped == {
        "poem without three lines": 1,
        "poem occurs again": 1,
        "empty input": 3,  # no count of syllables, twice; no word
        "empty group": 2,
    }


def test_characters_of_another_encoding_are_restored(tiny):
    (tiny / FILE).write_text(HEADER + "fog\x97,the owner\x92s \x81name,\x93snow\x94 \x85,s,1,2,3\n", "utf-8")
    found = parts(HAIKUS.sequences(tiny, seed=0))
    assert found["poem"][""] == [("fog—\nthe owner’s name\n“snow” …",)]


def test_a_word_holds_its_apostrophe_and_no_punctuation(tiny):
    words = {
        json.loads(given)["include_word"]
        for seed in range(60)
        for given, _ in parts(HAIKUS.sequences(tiny, seed=seed))["word"]["basho"]
    }
    assert words == {"Old", "pond", "a", "frog", "jumps", "loud", "splash", "again", "and"}


def test_a_renamed_column_is_named(tiny):
    path = tiny / FILE
    path.write_text(path.read_text().replace("1_syllables", "1_sylables"))
    with pytest.raises(UserError, match=naming("column", "'1_syllables'")):
        list(HAIKUS.sequences(tiny, seed=0))


def test_paper_sampling_stops_at_200_sequences_of_each_part(suite_data, haikus):
    found = list(HAIKUS.sequences(suite_data, seed=0, paper=True))
    starts = [each.sequence_id.split("/")[0] for each in found]
    assert Counter(starts) == {"syllables": 200, "word": 200, "poem": 200}
    assert found[:200] == haikus[0][:200]
