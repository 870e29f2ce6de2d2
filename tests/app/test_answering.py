"""The path is that of the posterior predictive, and what is kept holds the same figures."""

import csv
import io
import itertools
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given

from spectrum_trl import SpectrumModel
from spectrum_trl.app.answering import LONGEST_PATH, Found, Shown, Step, Turn, answer
from spectrum_trl.app.draft import Draft
from spectrum_trl.app.exports import as_csv, as_json, as_python
from spectrum_trl.app.figures import exports_html, problems_html, results_html, samples_html
from spectrum_trl.ask.results import Probabilities, Sample
from spectrum_trl.errors import UserError
from spectrum_trl.paths import TINY_BASE_NAME, TINY_INSTRUCT_NAME
from spectrum_trl.serve.stopping import GivenUp
from tests.app.drafts import DRAFTS, HOSTILE
from tests.messages import named, naming

DRAFT = Draft(
    description="In the urn: 3 red and 2 blue balls.",
    examples=["red", ["dark?", "blue"], "red"],
    input="light?",
    answers=["red", "blue"],
    samples=5,
    seed=3,
)


@pytest.fixture(scope="module")
def shown() -> Shown:
    settings: Any = {"format": "colon", "dtype": "float64"}
    return Shown(TINY_BASE_NAME, SpectrumModel.from_pretrained(TINY_BASE_NAME, **settings), settings, 20)


@pytest.fixture(scope="module")
def found(shown: Shown) -> Found:
    return answer(shown, DRAFT, draws=True)


def test_each_step_of_the_path_is_the_model_given_so_many_examples(shown: Shown, found: Found) -> None:
    assert [step.examples for step in found.path] == [0, 1, 2, 3]
    for step in found.path:
        before = SpectrumModel(shown.model.model, shown.model.tokenizer, format="colon").update(
            DRAFT.examples[: step.examples], description=DRAFT.description
        )
        own = before.probabilities(DRAFT.answers, input=DRAFT.input)
        assert step.found.log_probabilities == pytest.approx(own.log_probabilities, abs=1e-9)
    assert len({step.found.normalised for step in found.path}) == 4


def test_a_long_path_ends_with_all_examples(shown: Shown) -> None:
    path = answer(shown, DRAFT.model_copy(update={"examples": ["red"] * 30}), draws=False).path
    assert [step.examples for step in path] == list(range(30 - LONGEST_PATH, 31))


def test_without_answers_there_is_no_path(shown: Shown) -> None:
    found = answer(shown, Draft(description="A colour."), draws=False)
    assert (found.path, found.samples) == ([], []) and "Enter answers" in results_html([found])


LONG = Draft(examples=["red " * 60] * 60, answers=[f"{n} {'red ' * 25}" for n in range(100)])


def test_a_question_longer_than_the_models_context_is_told_before_its_path_is_tokenized(shown: Shown) -> None:
    def never() -> None:
        raise AssertionError

    draft = LONG.model_copy(update={"description": "red and blue balls " * 300})
    with pytest.raises(UserError, match=naming("tokens", 4096)):
        answer(shown, draft, draws=False, between=never)


def test_what_nobody_waits_for_is_not_tokenized(shown: Shown) -> None:
    turn, looks = Turn("visitor"), itertools.count()

    def check() -> None:
        if next(looks) == 3:
            turn.is_over = True
        turn.check()

    with pytest.raises(GivenUp):
        answer(shown, LONG.model_copy(update={"examples": ["red"] * 40}), draws=False, between=check)
    assert next(looks) == 4


def test_what_is_wrong_with_a_question_is_told_once_in_its_own_words(shown: Shown) -> None:
    with pytest.raises(UserError) as raised:
        answer(shown, Draft(description=" ", examples=["red"] * 3, answers=["red"]), draws=False)
    (problem,) = raised.value.problems
    assert problem.startswith("message 1 (description) ")


def test_a_chat_begins_its_path_with_a_message() -> None:
    model = SpectrumModel.from_pretrained(TINY_INSTRUCT_NAME, format="chat")
    draft = Draft(examples=["red", "blue"], answers=["red"])
    assert [one.examples for one in answer(Shown("tiny", model), draft, draws=False).path] == [1, 2]


def test_the_python_prints_the_same_figures(shown: Shown, found: Found) -> None:
    names: dict[str, Any] = {}
    exec(as_python(DRAFT, [shown], draws=True), names)
    path = names["found"]
    steps = [row for step in found.path for row in step.found.rows()]
    for column in ("answer", "probability", "normalised", "coverage"):
        assert list(path[column]) == [row[column] for row in steps]
    assert names["samples"] == found.samples and len(found.samples) == 5


def test_csv_and_json_hold_the_same_figures(found: Found) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv([found]))))
    assert [(row["examples"], row["answer"]) for row in rows[:3]] == [
        ("0", "red"),
        ("0", "blue"),
        ("1", "red"),
    ]
    last = found.path[-1].found
    assert tuple(float(row["normalised"]) for row in rows[-2:]) == last.normalised
    assert {row["uniform_guess"] for row in rows} == {"0.5"} and {row["model"] for row in rows} == {
        TINY_BASE_NAME
    }
    kept = json.loads(as_json(DRAFT, [found]))
    assert kept["asked"] == DRAFT.model_dump()
    (model,) = kept["models"]
    assert [one["normalised"] for one in model["path"][-1]["answers"]] == list(last.normalised)
    assert model["path"][-1]["coverage"] == last.coverage
    assert model["samples"] == [one._asdict() for one in found.samples]


class Parsed(HTMLParser):
    """The names of all tags and attributes of a page, its texts, and its links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names |= {tag, *(name for name, _ in attrs)}
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


EXPECTED = {
    *("div", "section", "h2", "table", "caption", "thead", "tbody", "tr", "th", "td", "p", "span", "a"),
    *("details", "summary", "pre", "code"),
    *("class", "style", "scope", "aria-hidden", "aria-label", "role", "tabindex", "download", "href"),
}


def made_up(draft: Draft) -> Found:
    """Return figures of which every text is a visitor's."""
    probabilities = Probabilities(tuple(draft.answers), tuple(-1.0 - n for n in range(len(draft.answers))))
    path = [Step(n, probabilities) for n in range(len(draft.examples) + 1)] if draft.answers else []
    return Found(draft.description, path, [Sample(draft.input, -1.0, True), Sample(draft.input, -2.0, False)])


@given(draft=DRAFTS)
def test_no_text_becomes_markup_or_code(draft: Draft) -> None:
    found, model = made_up(draft), SpectrumModel.__new__(SpectrumModel)
    model.prompts = type("Written", (), {"fmt": "spectrum"})()  # type: ignore[assignment]
    models = [Shown(draft.description, model, {"adapter": draft.input})]
    compile(as_python(draft, models, draws=True), "spectrum.py", "exec")
    pages = [results_html([found]), samples_html([found], draft), exports_html(draft, models, [found])]
    pages.append(problems_html(UserError(draft.description)))
    for page in pages:
        parsed = Parsed(page)
        assert parsed.names <= EXPECTED and "\x1b" not in page and page.encode()
        assert all(one.startswith(("?ask=", "data:")) for one in parsed.links)


def test_hostile_texts_are_shown_as_they_are() -> None:
    draft = Draft(description=HOSTILE, input="a", answers=[HOSTILE, " b"])
    page = Parsed(results_html([made_up(draft)]))
    assert HOSTILE.replace("\x1b", "␛") in page.text and "' b'" in page.text


def test_low_coverage_is_told_in_words_beside_the_uniform_guess() -> None:
    low = Found("tiny", [Step(0, Probabilities(("a", "b"), (-8.0, -9.0)))], [])
    page = Parsed(results_html([low])).text
    assert named(page, "Coverage", 0.000459, 0.05) and "uniform guess\n0.500" in page


def test_counts_tell_which_samples_are_no_answer_and_which_were_cut() -> None:
    samples = [Sample("red", -1.0, True), Sample("red", -1.0, True), Sample("red", -9.0, False)]
    page = Parsed(samples_html([Found("tiny", [], samples)], Draft(answers=["red"], seed=7))).text
    # Different samples, samples, the seed, and samples that are none of the answers.
    (told,) = (line for line in page.splitlines() if "seed" in line)
    assert re.findall(r"\d+", told) == ["2", "3", "7", "1"] and "red …" in page
