"""A user's own task of each kind works from a YAML file beside its data; every mistake has its message."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lm_eval.tasks import TaskManager

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.own.tasks import own_distributional, own_diversity, own_icl
from spectrum_trl.metrics.distributional import compare
from spectrum_trl.suite.building.cache import built_sequences
from tests.evaluation.harness import evaluate
from tests.messages import named, naming

CLASS = {"diversity": "Diversity", "distributional": "Distributional", "icl": "Icl"}
GENERATION = {"description": "A colour", "validator": {"list": ["red", "blue"]}}
QUESTIONS = {"file": "answers.jsonl", "input": "{question}"}
SEQUENCES = {
    "file": "votes.csv",
    "group_by": "who",
    "input": "dish",
    "output": "vote",
    "descriptions": ["Votes of {who}"],
}


def task_of(folder: Path, axis: str, spectrum: Any, tokenizer: Any, **options: Any) -> Any:
    # JSON is YAML, but for the tag that names the class.
    text = f"task: mine\nclass: !function spectrum_trl.evaluation.{axis}.{CLASS[axis]}\n"
    (folder / "mine.yaml").write_text(f"{text}spectrum: {json.dumps(spectrum)}\n")
    metadata = {"tokenizer": tokenizer, "max_length": 512, **options}
    manager = TaskManager(include_path=str(folder), include_defaults=False, metadata=metadata)
    (task,) = manager.load(["mine"])["tasks"].values()
    return task


def jsonl(path: Path, *rows: Any) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def question(**changes: Any) -> dict[str, Any]:
    return {"question": "Which?", "candidates": ["red", "blue"], "shares": [3, 1]} | changes


@pytest.mark.slow
def test_a_prompt_with_a_list_beside_it(tmp_path: Path, uniform_model, world_tokenizer) -> None:
    (tmp_path / "colours.txt").write_text("red\nblue\n")
    own = {
        "description": "A colour",
        "examples": ["Red"],
        "validator": {"file": "colours.txt", "ignore_case": True},
        "max_new_tokens": 4,
    }
    task = task_of(tmp_path, "diversity", own, world_tokenizer, samples=5)
    found = task.score(task.eval_docs[0], ["red", "RED", "blue", "green", ""])
    assert found["share_valid"][0] == 0.6 and found["recall"][0] == 1 and found["yield_count"][0] == 2
    assert evaluate(task, uniform_model, world_tokenizer)["share_valid"] <= 1


@pytest.mark.slow
def test_questions_with_shares(tmp_path: Path, uniform_model, world_tokenizer) -> None:
    rows = [question(), question(shares=[0.5, 0.5], candidates=["blue", "red"])]
    jsonl(tmp_path / "answers.jsonl", *rows)
    task = task_of(tmp_path, "distributional", QUESTIONS, world_tokenizer)
    assert [row["target"] for row in task.eval_docs] == [[0.75, 0.25], [0.5, 0.5]]
    assert evaluate(task, uniform_model, world_tokenizer)["items"] == 2


@pytest.mark.slow
def test_a_table_of_answers(tmp_path: Path, uniform_model, world_tokenizer) -> None:
    rows = [
        f"{who},{dish},{'red' if dish == 'tea' else 'blue'}" for who in "ab" for dish in ("tea", "cod", "pie")
    ]
    (tmp_path / "votes.csv").write_text("\n".join(["who,dish,vote", *rows]))
    task = task_of(tmp_path, "icl", SEQUENCES, world_tokenizer)
    assert len(task.eval_docs) == 2
    assert evaluate(task, uniform_model, world_tokenizer)["loss"] > 0


def items(folder: Path, own: Any) -> list[Any]:
    task = own_distributional(own, file=str(folder / "mine.yaml"))
    return task.items(Path(), seed=0, dropped=Counter())


def test_texts_name_columns_and_rows_their_groups(tmp_path: Path) -> None:
    table = (
        "place,q,candidates,shares\n"
        'Peru,"Tea {or} not?","[""yes"", ""no"", 3]","[1, 2, 1]"\nMali,Tea?,"[""a"",""b""]","[0, 1]"\n'
    )
    (tmp_path / "mine.csv").write_text(table)
    own = {
        "file": "mine.csv",
        "description": "People of {place}",
        "input": "{q} {{yes}}",
        "group": "place",
        "cluster": "q",
    }
    peru, mali = items(tmp_path, own)
    assert peru == (
        "People of Peru",
        "Tea {or} not? {yes}",
        ("yes", "no", "3"),
        (0.25, 0.5, 0.25),
        "Peru",
        "Tea {or} not?",
        None,
    )
    assert peru.cluster == "Tea {or} not?" and mali.target == (0, 1)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"validatr": {}}, "spectrum.validatr: unknown key.*Did you mean 'validator'"),
        ({"validator": {"regx": "a"}}, "spectrum.validator.regx: unknown key.*Did you mean 'regex'"),
        (
            {"validator": {"range": {"min": 1, "max": 2, "kin": "int"}}},
            "validator.range.kin: .*'kin'.*'kind'",
        ),
        ({"validator": {}}, "spectrum.validator: give exactly one of"),
        ({"validator": {"list": [True]}}, "validator.list.0: .* text,.* true"),
        ({"validator": {"regex": "(a"}}, "spectrum.validator.regex: '\\(a' is not a pattern"),
        ({"validator": {"file": "none.txt"}}, "spectrum.validator.file: .*none.txt cannot be read"),
        ({"validator": {"function": "checks"}}, "spectrum.validator.function: expected module:function"),
        ({"examples": ["red", "Red", "green"]}, "rejects 'Red'"),
        ({"validator": {"regex": "(?!)"}}, "the empty text"),
        ({"validator": {"regex": "^\\b$"}}, "the empty text"),
        ({"validator": {"list": [" ", ""]}}, "validator.list: .*blank"),
        ({"validator": {"range": {"min": 1.2, "max": 1.8}}}, "validator.range: no number of up to 200"),
        ({"validator": {"range": {"min": 1e250, "max": 1e260, "kind": "float"}}}, "no number of up to 200"),
        ({"examples": ["red\nblue"]}, "has a line break"),
        ({"examples": ["  "]}, "is blank"),
        ({"description": "A <|im_end|>"}, "control token"),
        ({"description": ""}, "at least 1 character"),
        ({"max_new_tokens": 0}, "max_new_tokens: .* 1,.* 0"),
        (
            {"validator": {"judge": {"model": "m", "endpoint": "x"}}},
            "validator.judge.endpoint: expected a URL",
        ),
    ],
)
def test_mistakes_in_a_prompt_are_named(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        own_diversity({**GENERATION, **wrong}, file=str(tmp_path / "mine.yaml"), name="mine")
    assert all(problem.startswith(str(tmp_path / "mine.yaml")) for problem in caught.value.problems)


def test_what_a_validator_of_ones_own_raises_has_its_key_and_no_hint_is_the_name_given(
    tmp_path: Path,
) -> None:
    (tmp_path / "checks.py").write_text("def valid(text):\n    return 1 / 0\n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    for validator, said in (
        ({"function": "checks:valid"}, "spectrum.validator: it fails on 'red': ZeroDivisionError"),
        (
            {"file": "latin.txt"},
            f"spectrum.validator.file: {tmp_path}/latin.txt cannot be read: it is not UTF-8.",
        ),
    ):
        wrong = {"description": "A colour", "examples": ["red"], "validator": validator}
        with pytest.raises(UserError) as caught:
            own_diversity(wrong, file=str(tmp_path / "mine.yaml"), name="mine")
        (problem,) = caught.value.problems
        assert problem.startswith(f"{tmp_path}/mine.yaml: {said}") and "Did you mean" not in problem


def test_all_mistakes_of_a_prompt_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        own_diversity({"descripton": "x", "max_new_tokens": "y"}, file="mine.yaml", name="mine")
    assert len(caught.value.problems) == 4
    assert named(str(caught.value), "mine.yaml", "spectrum.description", "missing")
    with pytest.raises(UserError) as caught:
        own_diversity({**GENERATION, "examples": ["a", "b"]}, file="mine.yaml", name="mine")
    assert len(caught.value.problems) == 2
    with pytest.raises(UserError, match=naming("mine.yaml", "description", "validator", "max_new_tokens")):
        own_diversity([], file="mine.yaml", name="mine")  # type: ignore[arg-type]


def test_a_judge_is_not_asked_before_there_are_answers(tmp_path: Path) -> None:
    own = {**GENERATION, "examples": ["red"], "validator": {"judge": {"model": "/nowhere"}}}
    task = own_diversity(own, file=str(tmp_path / "mine.yaml"), name="mine")
    assert task.universe is None and task.validator(Path())("") is False


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"file": "answer.jsonl"}, "answer.jsonl .*'answers.jsonl'"),
        ({"file": "answers.txt"}, ".csv, .tsv, .json.*'answers.txt'"),
        ({"input": "{question"}, "spectrum: '{question'.* braces"),
        ({"input": "{}"}, "expected a column's name in braces"),
        ({"input": "{question.x}"}, "expected a column's name in braces"),
        ({"input": "{question!r}"}, "expected a column's name in braces"),
        ({"input": "{qestion}"}, "line 1 .*'qestion'.*'question'"),
        ({"group": "place"}, "line 1 .*'place'"),
        ({"inptu": "x"}, "'inptu'.*'input'"),
    ],
)
def test_mistakes_in_questions_are_named(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    jsonl(tmp_path / "answers.jsonl", question())
    with pytest.raises(UserError, match=said):
        items(tmp_path, {**QUESTIONS, **wrong})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shares": [1]}, "2 candidates.* 1 share"),
        ({"shares": [0, 0]}, "above 0"),
        ({"shares": [1, -1]}, "1e\\+15"),
        ({"shares": [1, "1"]}, "1e\\+15"),
        ({"shares": [1, True]}, "1e\\+15"),
        ({"shares": [1, 1e308]}, "1e\\+15"),
        ({"shares": "many"}, "shares: expected a list \\(in CSV, a JSON array\\)"),
        ({"candidates": None}, "candidates: expected a list"),
        ({"candidates": ["red", " red"]}, "two or more different texts"),
        ({"candidates": ["red", ""]}, "non-blank"),
        ({"candidates": ["red", None]}, "non-blank"),
        ({"candidates": ["red", ["x"]]}, "non-blank"),
        ({"candidates": ["red"], "shares": [1]}, "two or more different texts"),
        ({"question": " "}, "the input is blank"),
    ],
)
def test_mistakes_in_a_row_are_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    jsonl(tmp_path / "answers.jsonl", question(), question(**changes))
    with pytest.raises(UserError, match=f"answers.jsonl, row 2: .*{said}"):
        items(tmp_path, QUESTIONS)


def test_many_wrong_rows_are_counted(tmp_path: Path) -> None:
    jsonl(tmp_path / "answers.jsonl", *[question(shares=[])] * 9)
    with pytest.raises(UserError, match="\\b6 more"):
        items(tmp_path, QUESTIONS)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"file": "vote.csv"}, "vote.csv .*'votes.csv'"),
        ({"output": "votes"}, "'votes'.*'vote'"),
        ({"descriptions": ["{whom}"]}, "'whom'.*'who'"),
        ({"descriptions": []}, "at least 1 item"),
        ({"description_probability": 2}, "less than or equal to 1"),
        ({"outpt": "vote"}, "'outpt'.*'output'"),
        ({"output": "note"}, "left out.*empty output.*2}"),
    ],
)
def test_mistakes_in_a_table_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any], said: str
) -> None:
    monkeypatch.setenv("SPECTRUM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "votes.csv").write_text("who,dish,vote,note\na,tea,red,\na,cod,blue,\n")
    with pytest.raises(UserError, match=said):
        task = own_icl({**SEQUENCES, **wrong}, file=str(tmp_path / "mine.yaml"), name="mine")
        list(built_sequences(task, data_dir=Path(), seed=0, dropped=Counter()))


def test_a_broken_table_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_text('{"question": "x"\n[1]\n')
    with pytest.raises(UserError, match=naming("answers.jsonl", "1, 2")):
        items(tmp_path, QUESTIONS)
    (tmp_path / "answers.jsonl").write_text("")
    with pytest.raises(UserError, match=naming("answers.jsonl", "empty")):
        items(tmp_path, QUESTIONS)


WAYS_OUT = {
    "sys.exit": "import sys\ndef valid(text):\n    sys.exit(0)\n",
    "exit": "def valid(text):\n    raise SystemExit\n",
    "no end": "def valid(text):\n    return valid(text)\n",
    "an answer": "class A:\n    def __bool__(self):\n        raise SystemExit\nvalid = lambda text: A()\n",
    "at import": "import sys\nsys.exit(0)\n",
}


@pytest.mark.parametrize("code", WAYS_OUT.values(), ids=WAYS_OUT)
def test_code_of_the_user_s_that_leaves_is_a_message(code: str, tmp_path: Path) -> None:
    (tmp_path / "ways.py").write_text(code)
    own = {**GENERATION, "examples": ["red"], "validator": {"function": "ways:valid"}}
    with pytest.raises(UserError, match="mine.yaml: spectrum.*('red'|import)"):
        own_diversity(own, file=str(tmp_path / "mine.yaml"), name="mine")


@pytest.mark.parametrize(
    "name", ["[/]", "../../x", "a" * 200, "", ".", "..", "a\nb", "é" * 60, "\x1b[31m", ":x:"]
)
def test_a_name_that_no_file_or_table_can_have_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=naming("mine.yaml", "task", "short name")):
        own_diversity(GENERATION, file="mine.yaml", name=name)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"shares": [1, NaN]}', "NaN is not valid JSON"),
        (f'{{"shares": [1, {10**400}]}}', "a number too long"),
        ('{"shares": [1, 1e400]}', "the number 1e400 is too large"),
        ('{"shares": [1, 2], "shares": [2, 1]}', "the key 'shares' is repeated"),
        (f'{{"shares": {"[" * 500}{"]" * 500}}}', "nested too deeply"),
    ],
)
def test_a_line_that_json_or_numbers_cannot_hold_is_named(line: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_text(f"{json.dumps(question())}\n{line}\n")
    with pytest.raises(UserError, match=f"answers.jsonl, line 2: .*{said}"):
        items(tmp_path, QUESTIONS)


def test_the_marginal_is_of_the_groups_other_questions_alone(world_tokenizer, tmp_path: Path) -> None:
    rows = [
        ("a", "x", [1, 3]),
        ("b", "x", [1, 0]),
        ("a", "y", [1, 1]),
        ("a", "y", [0, 1]),
        ("b", "y", [0, 1]),
    ]
    names = ("question", "who", "shares")
    jsonl(tmp_path / "mine.jsonl", *(question(**dict(zip(names, row, strict=True))) for row in rows))
    own = {"file": "mine.jsonl", "input": "{question}", "group": "who", "cluster": "question"}
    task = task_of(tmp_path, "distributional", own, world_tokenizer)
    scored = [task.score(row, [(-1.0,)] * 2) for row in task.eval_docs]
    found = [row["marginal_js_divergence"][0] for row in scored]
    expected = [([1, 3], [1, 0]), ([1, 0], [1, 3]), ([1, 1], [0, 1]), ([0, 1], [0, 1]), ([0, 1], [1, 3])]
    assert found == pytest.approx([compare(target, others).js_divergence for target, others in expected])
    # Nobody said how many answers were counted, or that they have an order.
    assert all(row["floor_js_divergence"] is None and "ordinal_distance" not in row for row in scored)


@pytest.mark.parametrize("apart", [True, False])
def test_labels_that_each_sequence_has_for_itself_have_no_baseline(
    apart: bool, world_tokenizer, tmp_path: Path
) -> None:
    polls = {n: "ab" if not apart else chr(97 + 2 * n) + chr(98 + 2 * n) for n in range(6)}
    lines = [f"{n},{labels[vote % 3 % 2]}" for n, labels in polls.items() for vote in range(20)]
    (tmp_path / "votes.csv").write_text("\n".join(["poll,vote", *lines]) + "\n")
    own = {"file": "votes.csv", "group_by": "poll", "output": "vote", "descriptions": ["Votes."]}
    task = task_of(tmp_path, "icl", own, world_tokenizer)
    row = task.eval_docs[0]
    found = task.score(row, [(-1.0,)] * len(list(task.requests(row))))
    if apart:
        assert found["counting_loss"] is found["uniform_loss"] is found["majority_accuracy"] is None
    else:
        assert found["uniform_loss"] == [pytest.approx(19 * np.log(2)), 19]
