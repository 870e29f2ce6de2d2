"""A report shows what the results say, escaped, on one page that needs nothing beside it."""

import csv
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from spectrum_trl.commands.report import report
from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.splits import HELD_OUT, OWN_TASKS, TRAINED
from spectrum_trl.report.figures import Mean, Row, baselines_of
from spectrum_trl.report.page import Page, page_of
from spectrum_trl.report.reading import read_evaluations
from spectrum_trl.report.scales import scale_for
from spectrum_trl.report.write import page_html, summary_csv, summary_markdown
from tests.messages import named, naming
from tests.processes import run_command
from tests.report.evaluations import write

HOSTILE = "<script>alert(1)<!-- \"' & \x1b[31m[red]x[/]<|im_end|> {{ 7 * 7 }} | `a` \u202eb"


class Tags(HTMLParser):
    """All tags, attributes and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in ("meta", "link", "wbr", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page(tmp_path: Path, *, words: str = "yes", low: float = 0.0) -> Page:
    folders = {
        "pretrained": write(tmp_path / "a", words=words),
        "instruct": write(tmp_path / "b", better=0.2, words=words),
        "tuned": write(tmp_path / "c", better=0.5, words=words, low=low),
    }
    return page_of(read_evaluations([f"{name}={folder}" for name, folder in folders.items()]))


def row(found: Page, task: str, metric: str, model: str) -> Row:
    return next(one for one in found.rows if (one.task, one.metric, one.model) == (task, metric, model))


def mean(found: Page, metric: str) -> Mean:
    return next(one for one in found.means if one.metric == metric)


def test_skill_is_the_share_of_the_way_from_the_baseline_to_the_best(tmp_path: Path) -> None:
    found = page(tmp_path)
    divergence = row(found, "spectrum_dist_urn", "js_divergence", "pretrained")
    assert (divergence.baseline, divergence.reference) == ("uniform guess", 0.5)
    assert divergence.skill == pytest.approx(1 - divergence.value / 0.5)
    # The floor of the loss is the entropy of the true shares, 1 nat here.
    assert row(found, "spectrum_dist_urn", "log_loss", "tuned").skill == pytest.approx(0.5)
    assert row(found, "spectrum_div_words", "yield_count", "tuned").skill == pytest.approx(0.5)
    # What a perfect model reaches is not known for outputs.
    loss = next(one for one in found.rows if one.metric == "loss")
    assert (loss.baseline, loss.reference - loss.value) == ("counting", pytest.approx(0.5))
    assert math.isnan(loss.skill)
    open_ended = {"loss": 3.0, "counting_loss": None, "uniform_loss": None, "unigram_loss": 4.0}
    assert baselines_of("loss", open_ended) == {"unigram": 4.0}
    assert baselines_of("loss", {"loss": 3.0}) == {}
    assert mean(found, "skill by js_divergence").values[0] == pytest.approx(
        (divergence.skill, float("nan"), float("nan")), nan_ok=True
    )


def with_marginals(folder: Path, *, items: int) -> Page:
    """Return the page of an evaluation in which answering alike beats the uniform guess."""
    file = next(write(folder).glob("results_*"))
    results = json.loads(file.read_text())
    urn, coin = (results["results"][name] for name in ("spectrum_dist_urn", "spectrum_icl_coinflip"))
    urn |= {"marginal_js_divergence,none": 0.4, "marginal_log_loss,none": 1.8}
    coin |= {"marginal_loss,none": 0.2, "marginal_counting_loss,none": 0.3}
    file.write_text(json.dumps(results))
    samples = next(folder.glob("samples_spectrum_dist_urn_*"))
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    for number, line in enumerate(lines):
        line["metrics"].append("marginal_js_divergence")
        line["marginal_js_divergence"] = [0.4, 1, str(number)] if number < items else None
    samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return page_of(read_evaluations([f"tuned={folder}"]))


def test_skill_is_measured_from_the_best_baseline_and_all_stand_beside_it(tmp_path: Path) -> None:
    found = with_marginals(tmp_path / "a", items=30)
    divergence, loss, own = (
        row(found, task, metric, "tuned")
        for task, metric in (
            ("spectrum_dist_urn", "js_divergence"),
            ("spectrum_dist_urn", "log_loss"),
            ("spectrum_icl_coinflip", "loss"),
        )
    )
    assert list(divergence.baselines.items()) == [("marginal", 0.4), ("uniform guess", 0.5)]
    assert divergence.skill == pytest.approx((0.4 - divergence.value) / 0.4)
    assert loss.skill == pytest.approx((1.8 - 1.5) / (1.8 - 1.0))
    assert [*own.baselines] == ["marginal", "counting from marginal", "counting", "uniform guess"]
    assert "marginal 0.4000, uniform guess 0.5000 |" in summary_markdown(found)
    (line,) = [
        one
        for one in csv.DictReader(summary_csv(found).splitlines())
        if (one["task"], one["metric"]) == ("spectrum_dist_urn", "js_divergence")
    ]
    assert (line["baseline"], line["baseline_value"]) == ("marginal", "0.4")
    assert (line["uniform_guess"], line["marginal"], line["counting"]) == ("0.5", "0.4", "")
    assert "marginal 0.4000<br>uniform guess 0.5000" in page_html(found)
    assert len(found.divergences[0].lines[0].references) == 3


def test_a_marginal_over_fewer_items_is_no_baseline(tmp_path: Path) -> None:
    found = with_marginals(tmp_path / "a", items=8)
    divergence = row(found, "spectrum_dist_urn", "js_divergence", "tuned")
    assert divergence.baselines == {"uniform guess": 0.5}
    assert len(found.divergences[0].lines[0].references) == 2


def test_low_coverage_is_marked_and_has_no_skill(tmp_path: Path) -> None:
    found = page(tmp_path, low=1.0)
    assert row(found, "spectrum_dist_urn", "js_divergence", "tuned").low_coverage
    assert str(row(found, "spectrum_dist_urn", "js_divergence", "tuned").skill) == "nan"
    assert not row(found, "spectrum_dist_urn", "log_loss", "tuned").low_coverage
    # Nor is it part of a mean.
    assert not any(one.metric == "js_divergence" for one in found.means)
    assert "low coverage" in page_html(found) and "(low coverage)" in summary_markdown(found)
    marks = [mark for line in found.divergences[0].lines for mark in line.marks]
    assert [mark.hollow for mark in marks] == [False, False, True]


def test_rows_of_low_coverage_within_a_mean_are_told(tmp_path: Path) -> None:
    folder = write(tmp_path / "a")
    file = next(folder.glob("samples_spectrum_dist_urn_*"))
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines[:7]:
        line["coverage"][0] = 0.04
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = page_of(read_evaluations([str(folder)]))
    divergence = row(found, "spectrum_dist_urn", "js_divergence", "org/model")
    assert (divergence.low_rows, divergence.low_coverage) == (7, False)
    for text in (page_html(found), summary_markdown(found)):
        assert len(re.findall(naming("7 of 30"), text)) == 1 and named(text, "low coverage", "7 of 30")
    rows = list(csv.DictReader(summary_csv(found).splitlines()))
    assert sorted({one["low_coverage_rows"] for one in rows}) == ["0", "7"]


def test_held_out_training_and_own_tasks_stand_apart(tmp_path: Path) -> None:
    found = page(tmp_path)
    splits = {one.task: one.group.split for one in found.rows}
    assert splits["spectrum_icl_flight"] == HELD_OUT and splits["spectrum_icl_coinflip"] == TRAINED
    assert splits["own yes"] == OWN_TASKS
    assert [picture.title for picture in found.accuracy] == [HELD_OUT, TRAINED, OWN_TASKS]
    assert "Steerability, held out" in page_html(found)


def test_means_over_tasks_have_intervals_of_their_rows(tmp_path: Path) -> None:
    write(tmp_path / "a", n=40)
    evaluations = read_evaluations([str(tmp_path / "a")])
    for task in ("spectrum_icl_flight", "spectrum_icl_coinflip"):
        evaluations[0].paired.data_of[task] = "flight"
    found = mean(page_of(evaluations), "loss")
    first, second = (
        row(page_of(evaluations), task, "loss", "org/model").value
        for task in ("spectrum_icl_flight", "spectrum_icl_coinflip")
    )
    assert found.tasks == 2 and found.values[0]
    assert found.values[0].mean == pytest.approx((first + second) / 2)
    assert found.values[0].low < found.values[0].mean < found.values[0].high


def test_pictures_have_a_point_for_each_model_and_the_commonest_answer_beside_it(tmp_path: Path) -> None:
    found = page(tmp_path)
    line = found.accuracy[0].lines[0]
    assert [mark.model for mark in line.marks] == [0, 1, 2] and len({mark.y for mark in line.marks}) == 3
    # Of the outputs after the first, two of three are "no".
    assert found.accuracy[0].lines[0].references == [
        (pytest.approx(16 + 330 * 2 / 3, abs=0.1), line.references[0][1])
    ]
    assert [label for label, _ in found.learning[0].table] == ["0", "1", "2", "4"]
    assert [x for x, _ in found.learning[0].x_ticks] == [mark.x for mark in found.learning[0].curves[0].marks]
    assert all(len(picture.curves) == 3 for picture in (*found.learning, *found.calibration, *found.validity))
    first, last = found.validity[0].guides[0], found.validity[0].guides[-1]
    assert first[3] == "10%" and last[3] == "90%"


def test_many_tasks_are_spread_over_pictures(tmp_path: Path) -> None:
    (one,) = read_evaluations([str(write(tmp_path / "a"))])
    for number in range(23):
        one.file.results[f"task_{number}"] = one.file.results["spectrum_icl_flight"]
    held_out = [picture for picture in page_of([one]).accuracy if picture.title.startswith(HELD_OUT)]
    assert [len(picture.lines) for picture in held_out] == [10, 10, 4]


def test_chosen_pairs_alone_are_compared(tmp_path: Path) -> None:
    found = page(tmp_path)
    assert [(one.first, one.second) for one in found.differences] == [
        ("pretrained", "tuned"),
        ("instruct", "tuned"),
    ]
    verdicts = {one.task: one.verdict for one in found.differences[0].found.tasks}  # type: ignore[union-attr]
    assert verdicts["spectrum_icl_flight"] == "improved"
    words = [f"x={tmp_path / 'a'}", f"y={tmp_path / 'b'}"]
    report(words, pair=["y,x"], output=tmp_path / "r.html")
    assert "x against y" in (tmp_path / "r.html").read_text("utf-8")


def test_nothing_from_data_becomes_markup(tmp_path: Path) -> None:
    found = page(tmp_path, words=HOSTILE)
    text = page_html(found)
    tags = Tags(text)
    assert not tags.open and not set(tags.tags) & {
        "script",
        "img",
        "iframe",
        "object",
        "embed",
        "form",
        "input",
    }
    assert not [name for name, _ in tags.attributes if name.startswith("on")]
    assert "\x1b" not in text and "␛[31m[red]x[/]<|im_end|> {{ 7 * 7 }}" in "".join(tags.texts)
    assert "<script" not in text.lower() and " 49 " not in text
    for one in (summary_markdown(found), summary_csv(found)):
        assert "\x1b" not in one
    assert "<" not in summary_markdown(found) and "\\[red\\]" in summary_markdown(found)
    # A table's rows have as many cells as its head, whatever a name holds.
    for table in summary_markdown(found).split("\n\n"):
        rows = [line for line in table.splitlines() if line.startswith("|")]
        assert len({line.replace("\\|", "").count("|") for line in rows}) <= 1


def test_a_page_needs_nothing_beside_it(tmp_path: Path) -> None:
    found = page(tmp_path)
    tags = Tags(page_html(found))
    links = [value for name, value in tags.attributes if name in ("href", "src", "data", "action")]
    assert all(value.startswith("#") or value == "data:," for value in links)
    assert "url(" not in page_html(found) and "@import" not in page_html(found)
    targets = {value for name, value in tags.attributes if name == "id"}
    assert {value[1:] for value in links if value.startswith("#")} == targets
    assert tags.tags.count("svg") > 10 and tags.tags.count("figure") == sum(
        name == "role" and value == "img" for name, value in tags.attributes
    )


def test_machines_get_the_same_figures(tmp_path: Path) -> None:
    found = page(tmp_path)
    rows = list(csv.DictReader(summary_csv(found).splitlines()))
    assert len(rows) == len(found.rows)
    assert [float(one["value"]) for one in rows] == [one.value for one in found.rows]
    assert {one["low_coverage"] for one in rows} == {"false"}
    tables, *pairs = summary_markdown(found).split("## Paired differences: ")
    assert set(re.findall(r"\| task .*", tables)) == {
        "| task | metric | n | pretrained | instruct | tuned | baseline |"
    }
    for one in found.rows:
        begin = f"| {one.task} | {one.metric} | {one.n} | "
        (line,) = (line for line in tables.splitlines() if line.startswith(begin))
        assert f"| {one.value:.4f}" in line
    assert len(pairs) == len(found.differences) == 2
    for pair, text in zip(found.differences, pairs, strict=True):
        assert pair.found
        for each in pair.found.tasks:
            assert f"| {each.difference.mean:+.4f}" in text and each.verdict in text


def parts(tmp_path: Path, **of_second: object) -> list[Path]:
    """Write the tasks of one evaluation as two, with further keys of the second."""
    folders = [write(tmp_path / name) for name in ("first", "second")]
    for folder in folders:
        (file,) = folder.glob("results_*.json")
        whole, first = json.loads(file.read_text()), folder.name == "first"
        for key in ("results", "configs"):
            whole[key] = {task: one for task, one in whole[key].items() if ("_icl_" in task) == first}
        file.write_text(json.dumps(whole | ({} if first else of_second)))
    return folders


def test_evaluations_of_different_tasks_of_a_model_are_one_column(tmp_path: Path) -> None:
    config = {"dtype": "float32", "seed": 42, "limit": 2, "metadata": {"sequences": 20}}
    missing = {"spectrum_icl_flight": {"files": "flight.csv", "how": "get it"}}
    folders = parts(tmp_path, config=config, missing=missing)
    whole = page_of(read_evaluations([f"x={write(tmp_path / 'all')}"]))
    joined = page_of(read_evaluations([f"x={folder}" for folder in folders]))
    assert sorted(joined.rows) == sorted(whole.rows)
    # The settings of both, and nothing is missing that one of them has.
    assert joined.models[0].settings == "dtype float32, seed 42, limit none / 2, sequences none / 20"
    assert [task for task, *_ in joined.missing] == ["spectrum_dist_mpi"]


def test_evaluations_of_a_model_before_and_after_further_training_are_not_joined(tmp_path: Path) -> None:
    folders = parts(tmp_path, trained_on=["coinflip"])
    for order in (folders, folders[::-1]):
        with pytest.raises(UserError, match="trained on different data"):
            read_evaluations([f"x={folder}" for folder in order])


def test_no_results_that_are_read_are_overwritten(tmp_path: Path) -> None:
    folders = parts(tmp_path)
    files = [next(folder.glob("results_*.json")) for folder in folders]
    before = [file.read_text() for file in files]
    for file in files:
        with pytest.raises(UserError, match="lies among the results"):
            report([f"x={folder}" for folder in folders], output=tmp_path / "page.html", csv=file)
    assert [file.read_text() for file in files] == before


def test_mistakes_are_one_message_and_leave_nothing(tmp_path: Path) -> None:
    good, other = write(tmp_path / "a"), write(tmp_path / "b")
    else_ = write(tmp_path / "d", model="org/else")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    broken = write(tmp_path / "c")
    results = broken / "results_2026-01-01.json"
    results.write_text(results.read_text().replace('"n-samples": {}', '"n-samples": {"x": 3}'))
    out = tmp_path / "report.html"
    for words, options, told in (
        (["nowhere"], {}, "nowhere contains no evaluation"),
        ([tmp_path / "table.csv"], {}, "is not a results file"),
        ([good, other], {}, "several results of own yes, spectrum_dist_urn, spectrum_div_words are named"),
        ([f"a={good}", f"a={else_}"], {}, "several results of several models are named 'a'"),
        ([f"={good}"], {}, "expected NAME=PATH"),
        ([broken], {}, "n-samples.x"),
        ([good], {"pair": ["org/modl,org/model"]}, "no model is named 'org/modl'. Did you mean 'org/model'?"),
        ([good], {"pair": ["x"]}, "write FIRST,SECOND"),
        ([good], {"csv": tmp_path / "no" / "x.csv"}, "there is no folder"),
        ([good], {"csv": out}, "name the same file"),
        ([good], {"csv": next(good.rglob("results_*.json"))}, "lies among the results"),
    ):
        with pytest.raises(UserError, match=re.escape(told)) as raised:
            report([str(word) for word in words], output=out, **options)  # type: ignore[arg-type]
        assert len(raised.value.problems) == 1 and not out.exists()
    done = run_command("report", good, "nowhere", "-o", out)
    assert done.returncode == 2 and "Traceback" not in done.stderr and not out.exists()


@pytest.mark.parametrize("option", ["output", "markdown", "csv"])
def test_a_hyphen_is_standard_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    results = str(write(tmp_path / "a"))
    report([results], output=Path("report.html"), markdown=Path("report.md"), csv=Path("report.csv"))
    capsys.readouterr()
    report([results], **{option: Path("-")})  # type: ignore[arg-type]
    ending = {"output": "html", "markdown": "md", "csv": "csv"}[option]
    assert capsys.readouterr().out == Path(f"report.{ending}").read_text("utf-8")
    assert not Path("-").exists()


def test_a_demo_run_is_printed_or_shown_on_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "demo"
    for name in ("pretrained", "tuned"):
        write(run / "compare" / name)
    printed: list[Path] = []
    monkeypatch.setattr("spectrum_trl.tiny.report.report_run", printed.append)
    report([str(run)])
    assert printed == [run]
    report([str(run)], output=tmp_path / "r.html")
    assert "pretrained, tuned" in (tmp_path / "r.html").read_text("utf-8")
    # With results of its own, it is an evaluation like others.
    write(run / "eval")
    monkeypatch.chdir(tmp_path)
    report([str(run)])
    assert printed == [run] and (tmp_path / "report.html").is_file()


def test_a_log_probability_above_0_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "a")
    for file in folder.glob("samples_spectrum_icl_flight_*"):
        file.write_text(file.read_text().replace("[-0.9]", "[1e30]"))
    with pytest.raises(
        UserError, match=naming("samples_spectrum_icl_flight_2026-01-01.jsonl", "log-probability", 0)
    ):
        read_evaluations([str(folder)])


def test_axes_are_logarithmic_where_figures_differ_widely() -> None:
    wide = scale_for([0.001, 50.0], begin=0, end=100)
    assert wide.log and wide.at(0.001) == 0
    assert [text for _, text in wide.ticks()] == ["0.001", "0.01", "0.1", "1", "10", "100"]
    plain = scale_for([0.0, float("nan"), 3.0], begin=100, end=0)
    assert not plain.log and plain.at(0) == 100 and plain.at(float(10**9)) == 0
    assert scale_for([10**30, 1e308], begin=0, end=1).ticks()


def test_evaluations_without_a_row_in_common_are_shown_without_differences(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a", model="a"), write(tmp_path / "b", model="b")
    for file in second.glob("samples_*.jsonl"):
        file.write_text(file.read_text().replace('"h', '"other'))
    found = page_of(read_evaluations([str(first), str(second)]))
    assert not found.differences[0].found and "in common" in page_html(found)


@pytest.mark.slow
def test_what_eval_writes_becomes_a_page(tmp_path: Path) -> None:
    tasks = "spectrum_icl_coinflip,spectrum_icl_flight,spectrum_dist_urn,spectrum_div_rng_1_100"
    words = ["--tasks", tasks, "--format", "colon", "--metadata", "samples=5,max_tokens=100", "--limit", "2"]
    done = run_command("eval", "spectrum-trl/tiny-base", *words, "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    done = run_command("report", tmp_path / "out", "-o", tmp_path / "report.html")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "Evaluation of base_model" in text and not Tags(text).open
    for heading in (
        "Accuracy by task",
        "Loss by number",
        "Divergence from",
        "Validity against",
        "Calibration",
    ):
        assert f"<h2>{heading}" in text


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 375])
def test_a_browser_shows_the_page_without_scrolling_sideways_or_asking_for_more(
    browser: object, width: int, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    file.write_text(page_html(page(tmp_path, words=HOSTILE)), "utf-8", errors="replace")
    shown = browser.new_page(viewport={"width": width, "height": 900})  # type: ignore[attr-defined]
    asked: list[str] = []
    said: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    shown.on("console", lambda message: said.append(message.text))
    shown.on("dialog", lambda dialog: said.append(dialog.message))
    shown.goto(file.as_uri())
    shown.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert asked == [file.as_uri()] and not said
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.locator("svg .mark").first.is_visible()


def test_figures_whose_answers_were_trained_on_say_so_wherever_they_stand(tmp_path: Path) -> None:
    folders = [write(tmp_path / name) for name in "ab"]
    (file,) = folders[1].glob("results_*")
    answers = {"spectrum_div_words": ["words_<b>list"]}
    file.write_text(
        json.dumps(json.loads(file.read_text()) | {"trained_on": [], "answers_trained_on": answers})
    )
    found = page_of(read_evaluations([f"base={folders[0]}", f"tuned={folders[1]}"]))
    rows = [one for one in found.rows if one.task == "spectrum_div_words"]
    # The models stand in one group, but only one of them has seen the answers.
    assert {one.group.split for one in rows} == {TRAINED} and [bool(one.answers) for one in rows] == [
        False,
        True,
    ]
    texts = [text.strip() for text in Tags(page_html(found)).texts]
    (said,) = (row["answers"] for row in csv.DictReader(summary_csv(found).splitlines()) if row["answers"])
    assert said.endswith(": words_<b>list")
    assert texts.count(said) == 2 and any("Differences" in text for text in texts)
    (line,) = (line for line in summary_markdown(found).splitlines() if "words_&lt;b&gt;list" in line)
    marked = f"({said.replace('<b>', '&lt;b&gt;')})"
    assert [marked in cell for cell in line.split(" | ")] == [False, False, False, False, True, False]


def test_shares_of_drawn_answers_are_counted_for_reading(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", words="1", n=2)
    (file,) = folder.glob("samples_spectrum_dist_urn_*")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    texts = [{**line, "filtered_resps": ["1", "1", "2", "No", "1", ""]} for line in lines]
    file.write_text("".join(json.dumps(line) + "\n" for line in texts))
    (reading, _) = next(
        one for one in page_of(read_evaluations([str(folder)])).readings if "dist" in one.task
    ).readings
    # Two of six texts name no candidate.
    assert [cells[2] for cells in reading.rows[:2]] == ["0.750", "0.250"]
