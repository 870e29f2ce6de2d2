"""Two evaluations are compared row by row, and nothing that is not paired goes unseen."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.compare import compare
from spectrum_trl.evaluation.results import Results, Value, read_results
from spectrum_trl.evaluation.splits import splits_of
from spectrum_trl.metrics.intervals import mean_interval
from tests.messages import naming
from tests.processes import printed, run_command


def write(
    folder: Path,
    tasks: dict[str, np.ndarray],
    *,
    changed: int = 0,
    date: str = "2026-01-01",
    fmt: str = "spectrum",
) -> Path:
    """Write results as lm-eval does: one loss per row, the first of them asked otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    results = {
        "results": {name: {"loss,none": float(values.mean())} for name, values in tasks.items()},
        "configs": {name: {"metadata": {"format": fmt}} for name in tasks},
        "higher_is_better": {name: {"loss": False, "yield_count": True} for name in tasks},
    }
    (folder / f"results_{date}.json").write_text(json.dumps(results))
    for name, values in tasks.items():
        rows: list[dict[str, Any]] = [
            {
                "doc_id": n,
                "doc_hash": f"{'other' if n < changed else 'same'}{n}",
                "metrics": ["loss", "calibration_error"],
                "loss": [float(value) * 3, 3],
                "calibration_error": {"correct": []},
            }
            for n, value in enumerate(values)
        ]
        lines = "\n".join(json.dumps(row) for row in rows)
        (folder / f"samples_{name}_{date}.jsonl").write_text(lines + "\n")
    return folder


@pytest.fixture
def losses() -> np.ndarray:
    return np.random.default_rng(0).exponential(2.0, size=60)


def test_paired_differences_show_what_two_means_would_hide(tmp_path: Path, losses: np.ndarray) -> None:
    noise = np.random.default_rng(1).normal(0, 0.05, size=60)
    before = {"better": losses, "same": losses, "worse": losses}
    after = {"better": losses - 0.1 + noise, "same": losses + noise, "worse": losses + 0.1 + noise}
    found = compare(read_results(write(tmp_path / "a", before)), read_results(write(tmp_path / "b", after)))
    assert {one.task: one.verdict for one in found.tasks} == {
        "better": "improved",
        "same": "not significant",
        "worse": "worsened",
    }
    (better, *_) = found.tasks
    assert better.n == 60 and better.left_out == 0
    assert better.difference.low < -0.1 < better.difference.high < 0
    # Unpaired, the means lie well within each other's noise.
    assert losses.std() / np.sqrt(60) > 2 * abs(better.difference.mean)
    assert abs(found.means["loss"].difference.mean) < 0.02


@pytest.mark.slow
def test_many_tasks_are_corrected_for(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    before = {f"task{n}": rng.normal(size=30) for n in range(60)}
    after = {name: rng.normal(size=30) for name in before}
    found = compare(read_results(write(tmp_path / "a", before)), read_results(write(tmp_path / "b", after)))
    assert [one.verdict for one in found.tasks].count("not significant") == 60


def results(metric: str, tasks: dict[str, list[Value]]) -> Results:
    """One metric, of which more is better."""
    rows = {name: {metric: {(n, "same"): v for n, v in enumerate(values)}} for name, values in tasks.items()}
    return Results(Path("results.json"), dict.fromkeys(tasks, {metric: True}), {}, rows)


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, pytest.param(500, marks=pytest.mark.nightly)])
def test_rows_of_one_question_that_err_together_are_no_difference(n: int) -> None:
    rng, false, missed = np.random.default_rng(2), 0, 0
    for _ in range(n):
        noise = rng.normal(size=(60, 1)) + rng.normal(size=(60, 4))
        zero, after = (
            results("js", {"task": [Value(v, 1, str(n // 4)) for n, v in enumerate(values)]})
            for values in (np.zeros(240), noise.ravel())
        )
        (one,) = compare(zero, after, metrics=["js"]).tasks
        false += one.verdict != "not significant"
        missed += not one.difference.low <= 0 <= one.difference.high
    assert one.n == 240 and one.clusters == 60
    # Of tests that each err with probability 0.05, more do with probability 0.003.
    most = binom.isf(0.003, n, 0.05)
    assert false <= most and missed <= most


def test_rows_weigh_as_in_the_figure_of_the_evaluation() -> None:
    first, second = (results("loss", {"task": [Value(a, 9), Value(0.0, 1)]}) for a in (1.0, 2.0))
    (one,) = compare(first, second).tasks
    assert (one.first, one.second, one.difference.mean) == pytest.approx((0.9, 1.8, 0.9))


def test_nothing_is_called_unchanged_without_a_test() -> None:
    one = results("yield_count", {"single": [Value(2)], "infinite": [Value(float("inf"))] + [Value(1)] * 9})
    two = results("yield_count", {"single": [Value(60)], "infinite": [Value(1)] * 10})
    assert [one.verdict for one in compare(one, two).tasks] == ["not tested", "not tested"]


def test_tasks_of_one_row_are_tested_together() -> None:
    rng = np.random.default_rng(0)
    before = {f"task{n:02}": [Value(float(v))] for n, v in enumerate(rng.normal(20, 5, size=22))}
    after = {name: [Value(value.mean + float(rng.normal(3, 2)))] for name, (value,) in before.items()}
    found = compare(results("yield_count", before), results("yield_count", after))
    assert {one.verdict for one in found.tasks} == {"not tested"}
    mean = found.means["yield_count"]
    assert mean.tasks == 22 and mean.p < 0.001 and 0 < mean.difference.low < 3 < mean.difference.high + 1


def test_means_may_be_of_groups_of_tasks_alone() -> None:
    before = {name: [Value(float(n)) for n in range(30)] for name in ("a1", "a2", "b1", "b2")}
    after = {
        name: [Value(one.mean + (1 if name[0] == "a" else -2)) for one in rows]
        for name, rows in before.items()
    }
    found = compare(results("loss", before), results("loss", after), group=lambda task: task[0])
    assert {name: one.difference.mean for name, one in found.means.items()} == {"loss (a)": 1, "loss (b)": -2}
    assert {one.tasks for one in found.means.values()} == {2}


def test_differences_that_rare_long_outputs_decide_have_no_interval() -> None:
    rng = np.random.default_rng(0)
    names = ("few_texts", "ratings", "others")
    first, second = (
        results("loss", {name: [*map(Value, rng.exponential(size=60))] for name in names}) for _ in range(2)
    )
    marked = [one._replace(rare_long=frozenset({"few_texts"})) for one in (first, second)]
    found = {one.task: np.isnan(one.difference.low) for one in compare(*marked).tasks}
    assert found == {"few_texts": True, "ratings": False, "others": False}
    assert np.isnan(compare(*marked).means["loss"].difference.low)
    assert np.isfinite(compare(first, second).means["loss"].difference.low)


def test_what_only_one_side_has_is_listed() -> None:
    rows = [Value(1.0)] * 3
    found = compare(results("loss", {"a": rows, "b": rows}), results("loss", {"a": rows, "c": rows}))
    assert [one[:2] for one in found.unpaired] == [("b", "loss"), ("c", "loss")]
    assert "first" in found.unpaired[0][2] and "second" in found.unpaired[1][2]


def test_rows_that_are_not_paired_are_counted(tmp_path: Path, losses: np.ndarray) -> None:
    first = write(tmp_path / "a", {"task": losses})
    second = write(tmp_path / "b", {"task": losses[:50]}, changed=5)
    (one,) = compare(read_results(first), read_results(second)).tasks
    assert one.n == 45 and one.left_out == 5 + 5 + 10


def test_nothing_in_common_is_one_clear_message(tmp_path: Path, losses: np.ndarray) -> None:
    first, second = write(tmp_path / "a", {"one": losses}), write(tmp_path / "b", {"two": losses})
    with pytest.raises(UserError, match=naming(first, second, "loss")):
        compare(read_results(first), read_results(second))


def test_the_newest_results_count_wherever_they_lie(tmp_path: Path, losses: np.ndarray) -> None:
    write(tmp_path / "out" / "model", {"task": losses}, date="2026-01-01T00")
    write(tmp_path / "out" / "model", {"task": losses + 1}, date="2026-02-01T00")
    found = read_results(tmp_path / "out")
    assert found.rows["task"]["loss"][(0, "same0")] == pytest.approx((losses[0] + 1, 3, None))
    assert list(found.rows["task"]) == ["loss"]


@pytest.mark.parametrize("damage", ["none", "no samples", "not json", "not UTF-8", "not results"])
def test_what_cannot_be_read_is_one_clear_message(tmp_path: Path, losses: np.ndarray, damage: str) -> None:
    folder = tmp_path / "a"
    if damage != "none":
        write(folder, {"task": losses})
    if damage == "no samples":
        next(folder.glob("samples_*")).unlink()
    elif damage == "not json":
        next(folder.glob("samples_*")).write_text("{\n")
    elif damage == "not UTF-8":
        next(folder.glob("samples_*")).write_bytes(b'{"doc_id": "\xff"}\n')
    elif damage == "not results":
        next(folder.glob("results_*")).write_text("[]")
    told = {
        "none": "holds no results",
        "no samples": "--log_samples",
        "not json": "line 1",
        "not UTF-8": "line 1",
        "not results": "not a",
    }
    with pytest.raises(UserError, match=told[damage]):
        read_results(folder)


def test_the_command_prints_and_writes(tmp_path: Path, losses: np.ndarray) -> None:
    first, second = write(tmp_path / "a", {"task": losses}), write(tmp_path / "b", {"task": losses - 0.5})
    done = run_command("compare", first, second, "--output", tmp_path / "c.json")
    assert done.returncode == 0, done.stderr
    assert "improved" in done.stdout
    (one,) = json.loads((tmp_path / "c.json").read_text())["tasks"]
    assert one["difference"]["mean"] == pytest.approx(-0.5) and one["verdict"] == "improved"
    assert run_command("compare", first, tmp_path / "nowhere").returncode == 2


def test_a_piped_table_has_names_and_figures_in_one_piece(tmp_path: Path, losses: np.ndarray) -> None:
    name = "spectrum_icl_a_task_of_forty_characters"
    first, second = write(tmp_path / "a", {name: losses}), write(tmp_path / "b", {name: 2 * losses + 1})
    (row,) = (text for text in run_command("compare", first, second).stdout.splitlines() if name in text)
    interval = mean_interval(losses + 1, seed=0)
    assert f"{interval.mean:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]" in row and "worsened" in row


def test_other_formats_are_told(tmp_path: Path, losses: np.ndarray) -> None:
    first = write(tmp_path / "a", {"task": losses}, fmt="chat")
    second = write(tmp_path / "b", {"task": losses})
    assert compare(read_results(first), read_results(second)).formats == {"task": ("chat", "spectrum")}
    done = run_command("compare", first, second)
    told = printed(done.stdout, "task")[0]
    assert "chat" in told and "spectrum" in told
    assert compare(read_results(first), read_results(first)).formats == {}


def test_a_comparison_that_cannot_be_written_is_told_before_it_is_made(
    tmp_path: Path, losses: np.ndarray
) -> None:
    first, second = write(tmp_path / "a", {"task": losses}), write(tmp_path / "b", {"task": losses})
    for output in (tmp_path, tmp_path / "nowhere" / "c.json"):
        done = run_command("compare", first, second, "--output", output)
        assert done.returncode == 2 and "Traceback" not in done.stderr and not done.stdout


@pytest.mark.parametrize(
    ("row", "why"),
    {
        "a repeated key": ('"loss": [1, 1], "loss": [2, 1]', "repeated"),
        "a negative count": ('"loss": [1.0, -3]', "over -3 outputs"),
        "no count": ('"loss": [1.0, NaN]', "over nan outputs"),
        "a count too large": ('"loss": [1.0, 1e308]', "over 1e\\+308 outputs"),
        "a number too large": ('"loss": 1e999', "too large"),
        "digits": (f'"loss": {"9" * 5000}', "too long"),
        "depth": (f'"loss": {"[" * 5000}', "too deeply"),
        "a broken encoding": ('"loss": "\xff"', "utf-8"),
    }.values(),
)
def test_samples_that_somebody_broke_are_named_by_their_line(
    row: str, why: str, tmp_path: Path, losses: np.ndarray
) -> None:
    folder = write(tmp_path, {"task": losses})
    line = f'{{"doc_id": 99, "doc_hash": "x", "metrics": ["loss"], {row}}}\n'
    with next(folder.glob("samples_*")).open("ab") as file:
        file.write(line.encode("latin-1"))
    with pytest.raises(UserError, match=f"line 61: .*{why}"):
        read_results(folder)


def test_a_row_that_is_there_twice_is_named(tmp_path: Path, losses: np.ndarray) -> None:
    file = next(write(tmp_path, {"task": losses}).glob("samples_*"))
    file.write_text(file.read_text() + file.read_text().splitlines()[4] + "\n")
    with pytest.raises(UserError, match=naming("line 61", "line 5")):
        read_results(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000,
        '{"results": []}',
        '{"results": {}, "results": {}}',
        '{"results": {"a": 1e999}}',
        '{"results": {"../x": {}}}',
        f'{{"results": {{"{"a" * 300}": {{}}}}}}',
        '{"results": {"a": {}}, "higher_is_better": {"a": {"loss": "false"}}}',
    ],
)
def test_a_results_file_that_is_none_is_a_message(text: str, tmp_path: Path) -> None:
    (tmp_path / "results_2026.json").write_text(text)
    with pytest.raises(UserError, match=naming("results_2026.json", "not a results file")):
        read_results(tmp_path)


def test_shares_of_low_coverage_are_marked_and_not_tested(tmp_path: Path) -> None:
    def results(shift: float, coverage: float) -> Results:
        shares = {(n, "a"): Value(0.3 + shift + n / 1000) for n in range(40)}
        covered = {(n, "a"): Value(coverage) for n in range(40)}
        rows = {"js_divergence": shares, "log_loss": shares, "coverage": covered}
        return Results(tmp_path, {}, {}, {"task": rows})

    metrics = ("js_divergence", "log_loss", "coverage")
    for before, after, expected in (
        (0.9, 0.9, "changed"),
        (1e-15, 0.9, "low coverage"),
        (0.9, 0.04, "low coverage"),
    ):
        found = compare(results(0, before), results(-0.1, after), metrics=metrics)
        verdicts = {one.metric: one.verdict for one in found.tasks}
        assert verdicts["js_divergence"] == expected and verdicts["log_loss"] == "changed"


@pytest.mark.parametrize("coverage", ["[5.0, 1]", "[-0.2, 2]", "-0.1"])
def test_a_coverage_that_is_no_share_is_named_by_its_line(coverage: str, tmp_path: Path) -> None:
    folder = write(tmp_path, {"task": np.ones(3)})
    line = f'{{"doc_id": 9, "doc_hash": "x", "metrics": ["coverage"], "coverage": {coverage}}}\n'
    with next(folder.glob("samples_*")).open("a") as file:
        file.write(line)
    with pytest.raises(UserError, match=naming("line 4", "coverage", "0 to 1")):
        read_results(folder)


@pytest.mark.parametrize(
    ("common", "expected"), [(0.5, "changed"), (0.001, "low coverage"), (np.nan, "low coverage")]
)
def test_the_coverage_of_the_rows_compared_decides(tmp_path: Path, common: float, expected: str) -> None:
    def results(shift: float, n: int, other: float) -> Results:
        shares = {(row, "a"): Value(0.3 + shift + row / 1000) for row in range(n)}
        covered = {(row, "a"): Value(common if row < 30 else other) for row in range(n)}
        return Results(tmp_path, {}, {}, {"task": {"js_divergence": shares, "coverage": covered}})

    first, second = results(0, 30, 0), results(-0.1, 400, 0.001 if common == 0.5 else 0.5)
    (one,) = compare(first, second, metrics=["js_divergence"]).tasks
    assert one.verdict == expected


def test_other_formats_are_listed_also_where_coverage_is_low(tmp_path: Path) -> None:
    rows = {(n, "a"): Value(n / 100) for n in range(30)}
    covered = {key: Value(1e-9) for key in rows}
    sides = [
        Results(tmp_path, {}, {"task": fmt}, {"task": {"js_divergence": rows, "coverage": covered}})
        for fmt in ("colon", "chat")
    ]
    assert compare(*sides, metrics=["js_divergence"]).formats == {"task": ("colon", "chat")}


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [range(110, 150), pytest.param(range(200), marks=pytest.mark.nightly)])
def test_what_its_own_interval_holds_is_no_difference(seeds: range) -> None:
    # Random signs take skewed differences with a mean of 0 for more: three times in these.
    tested = 0
    for seed in seeds:
        values = np.random.default_rng(seed).lognormal(0, 1, 60) - np.exp(0.5)
        zero, after = (
            results("loss", {"task": [Value(float(v)) for v in side]}) for side in (0 * values, values)
        )
        (one,) = compare(zero, after, metrics=["loss"]).tasks
        inside = one.difference.low <= 0 <= one.difference.high
        assert not (inside and one.verdict in ("improved", "worsened"))
        tested += one.p < 0.05 and inside
    assert tested >= 3


@pytest.mark.filterwarnings("error")
def test_few_skewed_differences_need_an_interval_without_zero_too() -> None:
    # Of a mean of 0: random signs alone call a sixth of such samples different.
    seeds = (10, 17, 28, 45)
    found = []
    for seed in seeds:
        values = np.random.default_rng(seed).lognormal(0, 1, 12) - np.exp(0.5)
        zero, after = (
            results("loss", {"task": [Value(float(v)) for v in side]}) for side in (0 * values, values)
        )
        (one,) = compare(zero, after, metrics=["loss"]).tasks
        assert one.p < 0.05 and np.isnan(one.difference.low)
        found.append(one.verdict)
    assert found == ["not significant"] * len(seeds)
    # Equal but for rounding.
    zero, after = (results("loss", {"task": [Value(n / 7 + more) for n in range(12)]}) for more in (0.0, 0.1))
    assert compare(zero, after, metrics=["loss"]).tasks[0].verdict == "improved"


@pytest.mark.parametrize(("outputs", "expected"), [(10.0, "low coverage"), (1.0, "changed")])
def test_a_loss_among_labels_of_low_coverage_is_marked_and_its_coverage_weighs_by_outputs(
    tmp_path: Path, outputs: float, expected: str
) -> None:
    def results(shift: float) -> Results:
        restricted = {(n, "a"): Value(0.3 + shift + n / 1000, outputs if n < 20 else 1) for n in range(40)}
        covered = {
            key: Value(0.001 if value.outputs > 1 else 0.2, value.outputs)
            for key, value in restricted.items()
        }
        rows = {"loss": restricted, "loss_restricted": restricted, "coverage": covered}
        return Results(tmp_path, {}, {}, {"task": rows})

    verdicts = {one.metric: one.verdict for one in compare(results(0), results(-0.1)).tasks}
    assert verdicts["loss_restricted"] == expected and verdicts["loss"] == "changed"


def known(
    folder: Path,
    *,
    trained_on: list[str] | None,
    values: np.ndarray,
    answers: dict[str, list[str]] | None = None,
    held_out: float = 0.0,
    evaluated: float | None = None,
) -> Path:
    """Write results of three tasks, with the record of what the model was trained on.

    The training held out a share of individuals, and a share of them may be evaluated.
    """
    suite = {"spectrum_icl_coinflip": "coinflip", "spectrum_icl_gsm8k": "gsm8k", "spectrum_dist_urn": "urn"}
    write(folder, {name: values for name in suite})
    (file,) = folder.glob("results_*.json")
    whole = json.loads(file.read_text())
    for name, task in suite.items():
        whole["configs"][name]["metadata"]["spectrum"] = {"task": task}
        if evaluated is not None:
            whole["configs"][name]["metadata"]["held_out_share"] = evaluated
    record = {} if trained_on is None else {"trained_on": trained_on, "held_out_share": held_out}
    file.write_text(json.dumps(whole | record | ({} if answers is None else {"answers_trained_on": answers})))
    return folder


def test_a_task_whose_answers_one_model_was_trained_on_is_not_held_out_and_says_so(
    tmp_path: Path, losses: np.ndarray
) -> None:
    base = known(tmp_path / "base", trained_on=[], values=losses)
    answers = {"spectrum_dist_urn": ["a_list", "[b]another[/b]"]}
    tuned = known(tmp_path / "tuned", trained_on=["a_list"], values=losses - 0.1, answers=answers)
    done = run_command("compare", base, tuned, "--metric", "loss", "--output", tmp_path / "found.json")
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if "spectrum_dist_urn" in line)
    assert "answers" in line and "[b]another[/b], a_list)" in line
    assert "(trained on)" not in done.stdout and done.stdout.count("[b]another[/b]") == 1
    assert json.loads((tmp_path / "found.json").read_text())["means"]["loss (held out)"]["tasks"] == 2


@pytest.mark.parametrize(
    ("trained_on", "expected"),
    [(["gsm8k", "urn"], {"spectrum_icl_gsm8k"}), ([], set()), (None, {"spectrum_icl_coinflip"})],
)
def test_what_a_model_was_trained_on_is_marked_and_has_a_mean_of_its_own(
    trained_on: list[str] | None, expected: set[str], tmp_path: Path, losses: np.ndarray
) -> None:
    base = known(tmp_path / "base", trained_on=None, values=losses)
    tuned = known(tmp_path / "tuned", trained_on=trained_on, values=losses - 0.1)
    split = splits_of([read_results(base), read_results(tuned)])
    names = {"spectrum_icl_coinflip", "spectrum_icl_gsm8k", "spectrum_dist_urn"}
    assert {name for name in names if split(name) == "trained on"} == expected
    done = run_command("compare", base, tuned, "--metric", "loss", "--output", tmp_path / "found.json")
    assert done.returncode == 0, done.stderr
    means = json.loads((tmp_path / "found.json").read_text())["means"]
    assert {name: mean["tasks"] for name, mean in means.items()} == {"loss (held out)": 3 - len(expected)}
    assert {name for name in names if f"{name} (trained on)" in done.stdout} == expected


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("lewidi_varierrnli_nli_detection_individual_categorical", "trained on"),
        ("lewidi_varierrnli_nli_detection_individual", "trained on"),
        ("polis_vote", "held out"),
        ("geometric", "held out"),
        ("coinflip", "trained on"),
    ],
)
def test_a_task_is_not_held_out_if_another_of_its_source_was_trained_on(
    task: str, expected: str, tmp_path: Path
) -> None:
    trained_on = frozenset({"lewidi_varierrnli_nli_detection_individual", "coinflip"})
    one = Results(tmp_path, {}, {}, {"evaluated": {}}, trained_on, data_of={"evaluated": task})
    assert splits_of([one])("evaluated") == expected


@pytest.mark.parametrize(
    ("held_out", "evaluated", "expected"),
    [
        (0.1, 0.1, "held-out individuals"),
        (0.2, 0.1, "held-out individuals"),
        (0.1, 0.2, "trained on"),
        (0.0, 0.1, "trained on"),
        (0.1, None, "trained on"),
    ],
)
def test_individuals_that_training_held_out_are_set_apart_if_only_they_are_evaluated(
    held_out: float, evaluated: float | None, expected: str, tmp_path: Path, losses: np.ndarray
) -> None:
    base = known(tmp_path / "base", trained_on=None, values=losses, evaluated=evaluated)
    tuned = known(
        tmp_path / "tuned", trained_on=["gsm8k"], values=losses - 0.1, held_out=held_out, evaluated=evaluated
    )
    split = splits_of([read_results(base), read_results(tuned)])
    assert split("spectrum_icl_gsm8k") == expected and split("spectrum_icl_coinflip") == "held out"
    repeated = known(tmp_path / "more", trained_on=["gsm8k", "prism_prompts"], values=losses, held_out=0.5)
    named = read_results(repeated)._replace(data_of={"spectrum_icl_gsm8k": "prism_prompts_individual"})
    assert splits_of([named])("spectrum_icl_gsm8k") == "trained on"
    everyone = known(tmp_path / "all", trained_on=[], values=losses)
    assert splits_of([read_results(everyone), read_results(tuned)])("spectrum_icl_gsm8k") == "trained on"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("trained_on", value) for value in ("gsm8k", {"gsm8k": 1}, 5, True, [1], [["a"]], [None])),
        *(("held_out_share", value) for value in (-1, 5, True, None, [0.1], float("nan"), float("inf"))),
        *(("answers_trained_on", {"a": value}) for value in ("abc", 5, None, [5])),
        *(("of_task", value) for value in (-1, 5, True, [0.1], float("nan"))),
    ],
)
def test_a_damaged_record_of_training_is_an_error_and_holds_nothing_out(
    key: str, value: object, tmp_path: Path, losses: np.ndarray
) -> None:
    (file,) = write(tmp_path / "a", {"a": losses}).glob("results_*.json")
    whole = json.loads(file.read_text())
    if key == "of_task":
        whole["configs"]["a"]["metadata"]["held_out_share"] = value
    else:
        whole |= {"trained_on": ["gsm8k"], key: value}
    file.write_text(json.dumps(whole))
    with pytest.raises(UserError, match="is not a results file"):
        read_results(file)
