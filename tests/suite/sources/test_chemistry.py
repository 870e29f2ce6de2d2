import json
from collections import Counter

import pandas as pd
import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.chemistry import ESOL as ESOL_FILE
from spectrum_trl.suite.sources.chemistry import OXIDATIVE as OXIDATIVE_FILE
from spectrum_trl.suite.sources.chemistry import TASKS
from tests.messages import naming

ESOL, OXIDATIVE = TASKS
HEADER = (
    "Compound ID,measured log(solubility:mol/L),ESOL predicted log(solubility:mol/L),"
    "SMILES,SELFIES,InChI,IUPAC\n"
)


def answers(sequence):
    turns = [turn["content"] for turn in sequence.messages[1:]]
    return list(zip(turns[::2], turns[1::2], strict=True))


def test_every_solubility_occurs_five_times(suite_data, built):
    sequences, dropped = built(ESOL)
    frame = pd.read_csv(suite_data / ESOL_FILE, dtype=str, keep_default_na=False)
    expected = Counter()
    for row in frame.to_dict("records"):
        shown = {name: row[name] for name in ("SMILES", "SELFIES", "InChI", "IUPAC") if row[name]}
        expected[json.dumps(shown), row["measured log(solubility:mol/L)"]] += 5
    got = Counter(
        (json.dumps(json.loads(shown)), value) for sequence in sequences for shown, value in answers(sequence)
    )
    assert got == expected
    assert len(sequences) == 5 * 62 and got.total() == 5 * 927
    assert Counter(sequence.n_outputs for sequence in sequences) == {15: 5 * 61, 927 - 61 * 15: 5}
    assert sum(count for (shown, _), count in got.items() if "IUPAC" not in json.loads(shown)) == 5 * 45
    assert dropped.total() == 0
    assert sequences == built(ESOL)[0] != built(ESOL, seed=1)[0]


def test_a_shuffle_holds_every_solubility_once(built):
    first, second = built(ESOL)[0][:62], built(ESOL)[0][62:124]
    once = [Counter(pair for sequence in part for pair in answers(sequence)) for part in (first, second)]
    assert once[0] == once[1]
    assert [answers(sequence) for sequence in first] != [answers(sequence) for sequence in second]


def test_every_experiment_occurs_once(suite_data, built):
    sequences, dropped = built(OXIDATIVE)
    frame = pd.read_csv(suite_data / OXIDATIVE_FILE, dtype=str)
    got = Counter(pair for sequence in sequences for pair in answers(sequence))
    assert got == Counter(zip(frame["prompt"].str.strip(), frame["C2_yield"], strict=True))
    assert len(sequences) == 102 and got.total() == 1016
    assert Counter(sequence.n_outputs for sequence in sequences) == {10: 101, 6: 1}
    assert dropped.total() == 0
    assert sequences == built(OXIDATIVE)[0] != built(OXIDATIVE, seed=1)[0]


def test_a_missing_name_is_left_out_and_empty_rows_are_counted(tmp_path):
    path = tmp_path / ESOL_FILE
    path.parent.mkdir(parents=True)
    path.write_text(
        HEADER
        + '"1,1-Ethan",-2.18,-2.7,CC,[C][C],"InChI=1S/C2H6/c1-2/h1-2H3",ethane\n'
        + "Butyne ,-1.240,-1.0,CCC#C,[C][C],InChI=1S/C4H6,\n"
        + "NA,,-1.0,C,[C],InChI=1S/CH4,methane\n"
        + "Nothing,1.0,-1.0,,,,\n"
    )
    dropped = Counter()
    sequences = list(ESOL.sequences(tmp_path, seed=0, dropped=dropped))
    assert len(sequences) == 5
    for sequence in sequences:
        assert {value: json.loads(shown) for shown, value in answers(sequence)} == {
            "-2.18": {
                "SMILES": "CC",
                "SELFIES": "[C][C]",
                "InChI": "InChI=1S/C2H6/c1-2/h1-2H3",
                "IUPAC": "ethane",
            },
            "-1.240": {"SMILES": "CCC#C", "SELFIES": "[C][C]", "InChI": "InChI=1S/C4H6"},
        }
    assert dropped == {"empty output": 1, "empty input": 1}


def test_experiments_without_a_part_are_counted(tmp_path):
    path = tmp_path / OXIDATIVE_FILE
    path.parent.mkdir(parents=True)
    path.write_text(
        'Name,C2_yield,prompt\n0.5,4.62," To make Mn-FeMoO4, at 50 °C."\n0.6,,x\n0.7,1.0, \n',
        encoding="utf-8",
    )
    dropped = Counter()
    (sequence,) = OXIDATIVE.sequences(tmp_path, seed=0, dropped=dropped)
    assert answers(sequence) == [("To make Mn-FeMoO4, at 50 °C.", "4.62")]
    assert dropped == {"empty output": 1, "empty input": 1}
    path.write_text("Name,C2yield,prompt\n0.5,4.62,x\n")
    with pytest.raises(UserError, match=naming("'C2_yield'", "'C2yield'")):
        list(OXIDATIVE.sequences(tmp_path, seed=0))
