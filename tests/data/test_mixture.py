"""A mixture is chosen by name or glob, cut to whole turns, and everything is counted."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from transformers import PreTrainedTokenizerBase

from spectrum_trl.data.choice import select_eval_tasks, select_tasks
from spectrum_trl.data.conversations import weighted
from spectrum_trl.data.encode import Encoder, encode
from spectrum_trl.data.mixture import Mixture, build_mixture, messages_of_file
from spectrum_trl.errors import MissingData, UserError
from spectrum_trl.recipe.arguments import DataArguments, FileOptions, TaskOptions
from tests.messages import named, naming

TINY = DataArguments(
    tasks={f"tiny_{kind}": {"max_sequences": 20} for kind in ("counts", "labels", "near", "range")},
    description_probability=1.0,
)


def outputs(*texts: str, described: bool = True) -> list[dict[str, str]]:
    first = [{"role": "description", "content": "words"}] if described else []
    return first + [{"role": "output", "content": text} for text in texts]


def jsonl(folder: Path, *conversations: object) -> str:
    file = folder / "own.jsonl"
    file.write_text("\n".join(json.dumps({"messages": c}) for c in conversations))
    return str(file)


def test_globs_reach_the_chosen_splits_only() -> None:
    assert set(select_tasks(TINY)) >= {"tiny_counts", "tiny_labels", "tiny_near", "tiny_range"}
    suite = select_tasks(DataArguments(tasks=["*"]))
    assert {"coinflip", "polis_vote"} <= set(suite)
    assert not any(name.startswith("tiny_") or name == "flight" for name in suite)


def test_an_exclamation_mark_leaves_out_tasks_that_stand_before_it(tmp_path: Path) -> None:
    every = set(select_tasks(DataArguments(tasks=["*"])))
    rest = set(select_tasks(DataArguments(tasks=["*", "!gsm8k*", "!coinflip"])))
    assert every - rest == {name for name in every if name.startswith("gsm8k")} | {"coinflip"}
    assert set(select_tasks(DataArguments(tasks=["*", "!gsm8k*", "gsm8k_question"]))) - rest == {
        "coinflip",
        "gsm8k_question",
    }
    wrong = {"!coinflip": {}, "cards": {}, "!coinflp": {}, "!cards": {"weight": 2}, "!mine.yaml": {}}
    with pytest.raises(UserError) as caught:
        select_tasks(DataArguments(tasks=wrong))
    assert [
        ("'!coinflip'" in one, "'coinflip'" in one, "no options" in one) for one in caught.value.problems
    ] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
        (False, False, False),
    ]


def test_every_problem_in_the_choice_of_tasks_is_told_at_once() -> None:
    data = DataArguments(tasks={"coinflp": {}, "flight": {}})
    with pytest.raises(UserError) as caught:
        select_tasks(data)
    problems = str(caught.value)
    assert named(problems, "tasks", "'coinflp'", "'coinflip'") and named(
        problems, "'flight'", "test", "`split`"
    )


def own_table(folder: Path, name: str, task: str) -> str:
    (folder / "a.csv").write_text("user,stars\nann,1\n")
    keys = "{file: a.csv, group_by: user, output: stars, descriptions: [x]}"
    (folder / name).write_text(f"task: {task}\nspectrum: {keys}\n")
    return str(folder / name)


def test_two_entries_that_give_the_same_task_are_told(tmp_path: Path) -> None:
    one, two = (own_table(tmp_path, f"{name}.yaml", "mine") for name in ("one", "two"))
    flip = own_table(tmp_path, "flip.yaml", "coinflip")
    assert list(select_tasks(DataArguments(tasks=[one, "coinflip"]))) == ["mine", "coinflip"]
    for first, second, name in (
        (one, two, "mine"),
        ("coinflip", flip, "coinflip"),
        (flip, "coin*", "coinflip"),
    ):
        with pytest.raises(UserError) as caught:
            select_tasks(DataArguments(tasks=[first, second]))
        (problem,) = caught.value.problems
        assert named(problem, "tasks", first, second, name, "`task`")


def test_counts_agree_with_the_data(tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    mixture = build_mixture(TINY, tokenizer=tiny_tokenizer, max_length=64)
    assert len(mixture.dataset) == sum(count.sequences for count in mixture.counts) == 80
    assert sum(count.tokens for count in mixture.counts) == sum(map(len, mixture.dataset["input_ids"]))
    assert sum(count.trained_tokens for count in mixture.counts) == sum(
        map(sum, mixture.dataset["assistant_masks"])
    )
    assert max(map(len, mixture.dataset["input_ids"])) <= 64
    assert any(count.cut_sequences and count.cut_outputs for count in mixture.counts)


def test_the_same_seed_gives_the_same_data_and_hash(tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    def hashes(seed: int) -> list[str]:
        data = DataArguments(tasks={"tiny_labels": {"max_sequences": 9}}, split=["train"], mixture_seed=seed)
        return [c.sha256 for c in build_mixture(data, tokenizer=tiny_tokenizer, max_length=256).counts]

    assert hashes(0) == hashes(0) != hashes(1)


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_descriptions_are_kept_with_the_stated_probability(
    tiny_tokenizer: PreTrainedTokenizerBase, probability: float
) -> None:
    data = DataArguments(
        tasks={"tiny_labels": {"max_sequences": 400}},
        split=["train"],
        description_probability=probability,
    )
    rows = build_mixture(data, tokenizer=tiny_tokenizer, max_length=256).dataset["messages"]
    options = np.mean([row[0]["role"] == "description" for row in rows])
    assert abs(options - probability) <= 4 * np.sqrt(probability * (1 - probability) / 400)


def test_weight_repeats_and_thins_out(tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    def n(weight: float) -> int:
        tasks = {"tiny_near": {"max_sequences": 200, "weight": weight}}
        data = DataArguments(tasks=tasks, split=["train"])
        return len(build_mixture(data, tokenizer=tiny_tokenizer, max_length=256).dataset)

    assert n(2) == 400
    assert 60 <= n(0.5) <= 140


def test_sequences_without_a_trained_output_are_dropped_and_counted(
    tiny_tokenizer: PreTrainedTokenizerBase,
) -> None:
    rows, count = encode(
        "t",
        [outputs("red", described=False), outputs("red", "blue", described=False)],
        Encoder(tiny_tokenizer, max_length=99),
        dropped=Counter(),
    )
    assert len(rows) == 1 and count.dropped == {"no trained output": 1}


@pytest.mark.parametrize(
    ("conversation", "told"),
    [
        ([{"role": "descripton", "content": "x"}, {"role": "output", "content": "y"}], "description"),
        (outputs("red", described=False), "loss"),
        (outputs("red", "<|im_end|>"), "<|im_end|>"),
        ([], "empty"),
        ({"role": "output"}, "list of messages"),
    ],
)
def test_a_problem_in_a_file_of_ones_own_names_file_and_line(
    tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path, conversation: object, told: str
) -> None:
    file = jsonl(tmp_path, outputs("red", "blue"), conversation, conversation)
    data = DataArguments(train_files=[file])
    with pytest.raises(UserError) as caught:
        build_mixture(data, tokenizer=tiny_tokenizer, max_length=99)
    assert len(caught.value.problems) >= 2
    assert all(p.startswith((f"{file}, line 2:", f"{file}, line 3:")) for p in caught.value.problems)
    assert told in str(caught.value)


def test_an_empty_file_and_no_tasks_at_all_are_errors(
    tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=naming("own.jsonl", "empty")):
        build_mixture(DataArguments(train_files=[jsonl(tmp_path)]), tokenizer=tiny_tokenizer, max_length=99)
    with pytest.raises(UserError, match=naming("tasks", "train_files")):
        build_mixture(DataArguments(), tokenizer=tiny_tokenizer, max_length=99)


def test_a_missing_file_of_ones_own_is_told_before_any_data_are_built(
    tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    files = ["nowhere.jsonl", str(tmp_path)]
    data = DataArguments(tasks=["polis_vote"], train_files=files, data_dir="nowhere-either")
    with pytest.raises(UserError) as caught:
        build_mixture(data, tokenizer=tiny_tokenizer, max_length=99)
    missing, folder = caught.value.problems
    assert named(missing, "train_files", "nowhere.jsonl", "exist")
    assert named(folder, "train_files", tmp_path, "folder")


def test_files_of_one_name_in_two_folders_are_drawn_from_apart(
    tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    files = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        files.append(jsonl(tmp_path / name, *(outputs(str(n), "x") for n in range(60))))
    assert Path(files[0]).name == Path(files[1]).name
    data = DataArguments(train_files=dict.fromkeys(files, {"max_sequences": 10}))
    mixture = build_mixture(data, tokenizer=tiny_tokenizer, max_length=99)
    first, second = mixture.counts
    assert first.sequences == second.sequences == 10 and first.sha256 != second.sha256


def test_each_file_of_ones_own_is_a_task_with_options_of_its_own(
    tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    files = []
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        files.append(jsonl(tmp_path / name, *(outputs(name, str(n), "x") for n in range(60))))
    options = [{"max_sequences": 10, "weight": 2}, {"description_probability": 0.5}, None]

    def built(seed: int) -> Mixture:
        data = DataArguments(train_files=dict(zip(files, options, strict=True)), mixture_seed=seed)
        return build_mixture(data, tokenizer=tiny_tokenizer, max_length=99)

    mixture, again, other = built(0), built(0), built(1)
    assert [(count.task, count.sequences) for count in mixture.counts] == list(
        zip(files, (20, 60, 60), strict=True)
    )
    assert [c.sha256 for c in mixture.counts] == [c.sha256 for c in again.counts]
    assert mixture.counts[0].sha256 != other.counts[0].sha256
    described = Counter(row["task"] for row in mixture.dataset if row["messages"][0]["role"] == "description")
    # As written unless the recipe says otherwise.
    assert described[files[0]] == 20 and described[files[2]] == 60 and 15 <= described[files[1]] <= 45
    drawn = [row["messages"][2]["content"] for row in mixture.dataset if row["task"] == files[0]]
    assert len(set(drawn)) == 10 and drawn[::2] == drawn[1::2]


def test_ones_own_file_trains(tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    file = jsonl(tmp_path, outputs("red", "blue"))
    mixture = build_mixture(DataArguments(train_files=[file]), tokenizer=tiny_tokenizer, max_length=99)
    assert mixture.dataset["messages"][0] == outputs("red", "blue")


def test_a_control_token_in_a_task_is_dropped_and_counted(
    tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    folder = tmp_path / "misc"
    folder.mkdir()
    header = "Show Number, Air Date, Round, Category, Value, Question, Answer\n"
    lines = [f'1,2000-01-01,Jeopardy!,"C","$1","clue {n}","answer<|im_end|>"\n' for n in range(30)]
    (folder / "JEOPARDY_CSV.csv").write_text(header + "".join(lines))
    data = DataArguments(tasks=["jeopardy_answer_prediction"], data_dir=str(tmp_path))
    with pytest.raises(UserError, match=naming("'<|im_end|>'", 1, "train_files")):
        build_mixture(data, tokenizer=tiny_tokenizer, max_length=512)


def test_missing_data_stop_the_run_or_are_listed(
    tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPECTRUM_DATA", raising=False)
    monkeypatch.setenv("SPECTRUM_CACHE", str(tmp_path))
    data = DataArguments(tasks={"polis_*": {}, "coinflip": {"max_sequences": 3}})
    with pytest.raises(MissingData, match=naming("polis_vote", "spectrum-trl data fetch polis")):
        build_mixture(data, tokenizer=tiny_tokenizer, max_length=256)
    data.data_dir = str(tmp_path / "nowhere")
    with pytest.raises(MissingData, match=naming("data_dir", tmp_path / "nowhere", "not a folder")):
        build_mixture(data, tokenizer=tiny_tokenizer, max_length=256)
    data.data_dir = str(tmp_path)
    with pytest.raises(MissingData, match="openData"):
        build_mixture(data, tokenizer=tiny_tokenizer, max_length=256)
    data.ignore_missing = True
    mixture = build_mixture(data, tokenizer=tiny_tokenizer, max_length=256)
    assert set(mixture.missing) == {"polis_vote", "polis_comment"}
    assert [count.task for count in mixture.counts] == ["coinflip"]


def test_lists_of_the_answers_of_an_evaluation_are_left_out_and_counted(
    tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    numbers = [str(n) for n in range(1, 11)]
    for name, answers in {"numbers/rng-0": numbers, "fruits/fruit-0": ["{Fig}", "{Kiwi}"]}.items():
        file = tmp_path / f"diffuse-distributions/prompts/{name}.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"request": "Pick one.", "targets": answers}))

    def counts(leave_out: bool) -> tuple[int, dict[str, int]]:
        tasks = {"diffuse_distribution": {"max_sequences": 15}}
        data = DataArguments(tasks=tasks, data_dir=str(tmp_path), leave_out_evaluated=leave_out)
        (count,) = build_mixture(data, tokenizer=tiny_tokenizer, max_length=256).counts
        return count.sequences, count.dropped

    assert counts(False) == (15, {})
    # Each list comes in ten orders; the cap is filled with others.
    assert counts(True) == (10, {"list of an evaluation's answers": 10})


def trained_and_all(mixture: Mixture, tokenizer: PreTrainedTokenizerBase) -> list[tuple[str, str]]:
    """The text with loss, and the whole text, of every row."""
    return [
        (
            tokenizer.decode([i for i, m in zip(ids, mask, strict=True) if m]),
            tokenizer.decode(ids),
        )
        for ids, mask in zip(mixture.dataset["input_ids"], mixture.dataset["assistant_masks"], strict=True)
    ]


def test_plain_text_has_no_turn_tokens_and_trains_what_follows_the_description(
    tiny_tokenizer: PreTrainedTokenizerBase,
) -> None:
    data = DataArguments(
        tasks={"tiny_records": {"max_sequences": 20}}, layout="text", description_probability=1
    )
    mixture = build_mixture(data, tokenizer=tiny_tokenizer, max_length=256)
    messages = mixture.dataset["messages"]
    for (trained, whole), turns in zip(trained_and_all(mixture, tiny_tokenizer), messages, strict=True):
        before, rest = (turn["content"] for turn in turns)
        assert whole == f"{before}{rest}<|endoftext|>"
        assert trained.strip() == f"{rest}<|endoftext|>"


def test_chat_trains_the_answers_in_turns_of_a_chat_model(tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    data = DataArguments(
        tasks={"tiny_answers": {"max_sequences": 20}}, layout="chat", description_probability=1
    )
    mixture = build_mixture(data, tokenizer=tiny_tokenizer, max_length=256)
    messages = mixture.dataset["messages"]
    for (trained, whole), turns in zip(trained_and_all(mixture, tiny_tokenizer), messages, strict=True):
        answers = [turn["content"] for turn in turns if turn["role"] == "output"]
        assert trained == "".join(f"{answer}<|im_end|>" for answer in answers)
        assert whole.startswith("<|im_start|>system\n") and "<|im_start|>user\n" in whole
        assert whole.count("<|im_start|>assistant\n") == len(answers)


def long_table(folder: Path) -> str:
    """An own table of two people with 60 answers each."""
    rows = "".join(f"{user},film {n},{n % 5}\n" for user in ("ann", "bob") for n in range(60))
    (folder / "long.csv").write_text("user,film,stars\n" + rows)
    keys = "{file: long.csv, group_by: user, input: film, output: stars, descriptions: [Ratings of films.]}"
    (folder / "long.yaml").write_text(f"task: long\nspectrum: {keys}\n")
    return str(folder / "long.yaml")


def test_a_recipe_says_what_becomes_of_long_sequences(
    tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPECTRUM_CACHE", str(tmp_path / "cache"))
    counts = {}
    for way in ("cut", "split"):
        data = DataArguments(tasks=[long_table(tmp_path)], long_sequences=way, description_probability=1.0)
        counts[way] = build_mixture(data, tokenizer=tiny_tokenizer, max_length=256).counts[0]
    assert counts["cut"].sequences == 2 and 0 < counts["cut"].outputs < 120
    assert counts["split"].sequences > 2 and counts["split"].outputs == 120


def test_a_recipe_says_how_much_is_sampled(
    tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPECTRUM_CACHE", str(tmp_path / "cache"))
    rows = [{"question": f"What is {n} and {n}?", "answer": str(2 * n)} for n in range(200)]
    place = tmp_path / "hub" / "gsm8k" / "main"
    place.mkdir(parents=True)
    (place / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    sequences = {}
    for sampling in ("default", "paper"):
        data = DataArguments(tasks=["gsm8k_question"], data_dir=str(tmp_path), sampling=sampling)
        sequences[sampling] = (
            build_mixture(data, tokenizer=tiny_tokenizer, max_length=4096).counts[0].sequences
        )
    # The paper draws 50 sequences; 200 rows make a few.
    assert sequences["paper"] >= 45 > 20 > sequences["default"]


def test_which_descriptions_are_dropped_does_not_depend_on_a_cap(
    tmp_path: Path, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    roles = ("description", "input", "output")
    lines = [
        json.dumps({"messages": [{"role": role, "content": f"{n}"} for role in roles]}) for n in range(60)
    ]
    (tmp_path / "mine.jsonl").write_text("\n".join(lines))

    def kept(cap: int | None, weight: float = 1) -> dict[str, bool]:
        options = FileOptions(max_sequences=cap, weight=weight, description_probability=0.5)
        found = messages_of_file(
            str(tmp_path / "mine.jsonl"), options, tokenizer=tiny_tokenizer, seed=0, dropped=Counter()
        )
        first: dict[str, bool] = {}
        for messages in found:
            first.setdefault(messages[-1]["content"], messages[0]["role"] == "description")
        return first

    everything = kept(None)
    assert len(everything) == 60 and 15 < sum(everything.values()) < 45
    # Nor on the number of copies.
    for fewer in (kept(40), kept(20), kept(None, weight=3), kept(None, weight=0.5)):
        assert fewer.items() <= everything.items()


def test_copies_and_descriptions_are_drawn_independently() -> None:
    conversations = [
        (n, [{"role": "description", "content": ""}, {"role": "output", "content": f"{n}"}])
        for n in range(4000)
    ]
    drawn = list(weighted(conversations, weight=1.5, description_probability=0.5, seed=0, name="a"))
    copies = Counter(messages[-1]["content"] for messages in drawn)
    described = Counter(messages[-1]["content"] for messages in drawn if len(messages) == 2)
    twice = [described[name] / 2 for name, n in copies.items() if n == 2]
    once = [described[name] for name, n in copies.items() if n == 1]
    assert len(once) + len(twice) == 4000 and abs(len(twice) - 2000) < 130
    # 0.05 is four standard errors of the difference at most.
    assert abs(sum(twice) / len(twice) - sum(once) / len(once)) < 0.06


def contents(mixture: Mixture) -> set[str]:
    return {json.dumps(row) for row in mixture.dataset["messages"]}


def test_individuals_and_lines_held_out_are_left_out_and_counted(
    tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    rows = [f"{n},{n % 7}" for n in range(200)]
    (tmp_path / "a.csv").write_text("\n".join(["user,stars", *rows]))
    keys = "{file: a.csv, group_by: user, output: stars, descriptions: ['{user}']}"
    (tmp_path / "mine.yaml").write_text(f"task: mine\nspectrum: {keys}\n")
    lines = jsonl(tmp_path, *(outputs(f"word {n}") for n in range(200)))
    data = DataArguments(
        tasks={str(tmp_path / "mine.yaml"): {}, "coinflip": {"max_sequences": 5}},
        train_files={lines: {}},
        description_probability=1.0,
    )
    every, some = (
        build_mixture(replace(data, held_out_share=share), tokenizer=tiny_tokenizer, max_length=64)
        for share in (0.0, 0.25)
    )
    assert contents(some) < contents(every)
    for before, after in zip(every.counts, some.counts, strict=True):
        held = after.dropped.get("held out of training", 0)
        assert before.sequences == after.sequences + held and not before.dropped
        assert held == 0 if after.task == "coinflip" else 0.15 < held / 200 < 0.35
    # What is held out does not depend on the seed.
    other = replace(data, held_out_share=0.25, mixture_seed=3, tasks={str(tmp_path / "mine.yaml"): {}})
    found = build_mixture(other, tokenizer=tiny_tokenizer, max_length=64)
    assert contents(found) < contents(some)


def test_held_out_data_are_capped_and_are_what_training_left_out_or_other_tasks(
    tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    lines = jsonl(tmp_path, *(outputs(f"word {n}") for n in range(200)))
    data = DataArguments(
        tasks={"coinflip": {"max_sequences": 5}, "cards": {"max_sequences": 5}},
        train_files={lines: {"weight": 3}},
        eval_tasks={"flight": {"max_sequences": 2}, "zipfian": {}},
        held_out_share=0.25,
        eval_max_sequences=7,
        split=["train", "test"],
    )
    mixture = build_mixture(data, tokenizer=tiny_tokenizer, max_length=256, evaluates=True)
    sizes = {"coinflip": 7, "cards": 7, lines: 7, "flight": 2, "zipfian": 7}
    assert {name: len(rows) for name, rows in mixture.held_out.items()} == sizes
    assert {count.task: count.sequences for count in mixture.held_out_counts} == sizes
    trained = contents(mixture)
    for rows in mixture.held_out.values():
        assert not {json.dumps(row) for row in rows["messages"]} & trained
    assert not build_mixture(data, tokenizer=tiny_tokenizer, max_length=256).held_out


def test_nothing_to_evaluate_on_is_told_with_the_fix(
    tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    lines = jsonl(tmp_path, outputs("a"))
    data = DataArguments(train_files={lines: {}}, held_out_share=0.01)
    with pytest.raises(UserError, match=naming("eval_strategy", "1%", "held_out_share", "eval_tasks")):
        build_mixture(data, tokenizer=tiny_tokenizer, max_length=64, evaluates=True)


def test_held_out_sequences_that_are_too_long_are_told(
    tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    def build(lengths: dict[int, int], max_length: int) -> Mixture:
        rows = [f"{n},{'word ' * lengths.get(n, 1)}{n}" for n in range(8) for _ in range(2)]
        (tmp_path / "a.csv").write_text("\n".join(["user,answer", *rows]))
        keys = "{file: a.csv, group_by: user, output: answer, descriptions: [x]}"
        (tmp_path / "own.yaml").write_text(f"task: own\nspectrum: {keys}\n")
        data = DataArguments(tasks=[str(tmp_path / "own.yaml")], held_out_share=0.5)
        return build_mixture(data, tokenizer=tiny_tokenizer, max_length=max_length, evaluates=True)

    rows = build({}, 64).held_out["own"]["messages"]
    held_out = {int(row[-1]["content"].split()[-1]) for row in rows}
    assert 0 < len(held_out) < 8
    with pytest.raises(UserError, match=naming("eval_strategy", "50%", "max_length")) as caught:
        build(dict.fromkeys(held_out, 90), 64)
    assert named(caught.value.problems[0], f": {len(held_out)}")


def test_an_exclamation_mark_leaves_out_tasks_named_in_full_too() -> None:
    given: list[tuple[list[str], list[str]]] = [
        (["fli*", "zipfian", "!zipfian"], ["flight"]),
        (["zipfian", "!zip*", "flight"], ["flight"]),
        (["fli*", "!flight", "flight"], ["flight"]),
    ]
    for names, expected in given:
        assert list(select_eval_tasks(DataArguments(tasks=["coinflip"], eval_tasks=names))) == expected
    with pytest.raises(UserError, match=naming("tasks: '!flight'", "nothing before it")):
        select_tasks(DataArguments(tasks=["*", "!flight"]))
    weighted = {"flight": TaskOptions(weight=2.0)}
    with pytest.raises(UserError, match=naming("eval_tasks: flight", "weight")):
        select_eval_tasks(DataArguments(tasks=["coinflip"], eval_tasks=weighted))


def test_tasks_to_evaluate_on_must_not_be_trained_on() -> None:
    chosen = select_eval_tasks(DataArguments(tasks=["coinflip"], eval_tasks=["fli*", "zipfian"]))
    assert {name: choice.options.max_sequences for name, choice in chosen.items()} == {
        "zipfian": 20,
        "flight": 20,
    }
    for name, problem in (
        ("coinflip", "eval_tasks: coinflip is trained on, too; remove it"),
        ("zipf*", "eval_tasks: 'zipf*' is in split train; name its tasks one by one"),
        ("zipfan", "eval_tasks: no task is named 'zipfan'. Did you mean 'zipfian'?"),
    ):
        with pytest.raises(UserError) as caught:
            select_eval_tasks(DataArguments(tasks=["coinflip"], eval_tasks=[name]))
        assert problem in caught.value.problems[0]
