"""The page in a real browser: its figures are the model's, whatever is typed, and nothing else is asked."""

import json
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from spectrum_trl import SpectrumModel
from spectrum_trl.app.answering import Found, Shown, answer
from spectrum_trl.app.draft import FIRST, Draft, link
from spectrum_trl.paths import TINY_BASE_NAME, TINY_INSTRUCT_NAME
from tests.app.drafts import HOSTILE, LONG, ask_for_long
from tests.messages import named
from tests.serve.live import running

pytestmark = pytest.mark.slow
FORMATS = {TINY_INSTRUCT_NAME: "spectrum", TINY_BASE_NAME: "colon"}
# Connections of this process to other computers while the server runs.
left: list[object] = []


def watch(event: str, given: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(given[1], tuple) and given[1][0] not in ("127.0.0.1", "::1"):
        left.append(given[1])
    if event == "socket.getaddrinfo" and given[0] not in ("127.0.0.1", "localhost", socket.gethostname()):
        left.append(given[0])


def loaded() -> list[Shown]:
    return [
        Shown(name, SpectrumModel.from_pretrained(name, format=format), {"format": format}, 30)  # type: ignore[arg-type]
        for name, format in FORMATS.items()
    ]


@pytest.fixture(scope="module")
def models() -> list[Shown]:
    # Of their own, because those of the server are another thread's.
    return loaded()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    # Gradio takes seconds to import, in each process that collects tests.
    from spectrum_trl.app.page import build_app

    sys.addaudithook(watch)
    left.clear()
    app, ending = build_app(loaded())
    with running(app) as url:
        yield url
        ending()
    assert not left


def slowly(shown: Shown, draft: Draft, *, draws: bool, **settings: Any) -> Found:
    time.sleep(1.5 if draws else 0)
    return answer(shown, draft, draws=draws, **settings)


class Visit:
    """A page in a browser, with all that it asked for and said."""

    def __init__(self, browser: Any, address: str, *, width: int = 1280) -> None:
        self.asked: list[str] = []
        self.said: list[str] = []
        self.page = browser.new_context().new_page()
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.goto(address)
        self.host = urlsplit(address).netloc

    def shows(self, models: list[Shown], draft: Draft) -> None:
        """Wait until the page shows the figures of a draft."""
        for n, shown in enumerate(models):
            path = answer(shown, draft, draws=False).path
            shares = [f"{share:.3f}" for share in path[-1].found.normalised]
            cells = "td.number:nth-child(3)"
            self.page.wait_for_function(
                """([n, cells, shares]) => {
                    const section = document.querySelectorAll(".models section")[n];
                    const found = [...section?.querySelectorAll(cells) ?? []].map(one => one.innerText);
                    return JSON.stringify(found) === JSON.stringify(shares);
                }""",
                arg=[n, cells, shares],
                timeout=60_000,
            )
            section = self.page.locator(".models section").nth(n)
            assert section.locator(".wide tbody tr").count() == len(path) + 1
            assert f"Coverage {path[-1].found.coverage:.3g}" in section.inner_text()

    def draws(self, text: str) -> None:
        """Draw samples until the page says so."""
        self.page.get_by_role("button", name="Draw samples").click()
        self.page.get_by_text(text).first.wait_for()

    def gone(self, text: str) -> None:
        """Wait until the page shows a text no longer."""
        self.page.get_by_text(text).first.wait_for(state="detached")

    def check(self) -> None:
        """Check that nothing was asked of other computers, and that the browser had nothing to say."""
        others = [one for one in self.asked if urlsplit(one).netloc != self.host and one[:5] != "data:"]
        assert not others and not self.said
        self.page.context.close()


def test_typing_and_adding_an_example_move_the_bars(browser: Any, url: str, models: list[Shown]) -> None:
    visit = Visit(browser, url)
    visit.shows(models, FIRST)
    draft = FIRST.model_copy(update={"description": "In the urn: 9 green balls and 1 red ball."})
    visit.page.get_by_label("Description").fill(draft.description)
    visit.shows(models, draft)
    before = visit.page.locator(".bar").first.get_attribute("style")
    draft = draft.model_copy(update={"examples": [*draft.examples, "green"]})
    visit.page.get_by_label("New example").fill("green")
    visit.page.get_by_role("button", name="Add the example").click()
    visit.shows(models, draft)
    assert visit.page.locator(".bar").first.get_attribute("style") != before
    draft = draft.model_copy(update={"answers": ["green", "red"]})
    visit.page.get_by_label("Answers").fill("green\nred\n")
    visit.shows(models, draft)
    visit.check()


def test_the_keyboard_alone_does_everything(browser: Any, url: str, models: list[Shown]) -> None:
    visit = Visit(browser, url)
    visit.shows(models, FIRST)
    press, focused = visit.page.keyboard.press, "document.activeElement.closest('[id]').id"
    reached = []
    for _ in range(30):
        press("Tab")
        where = visit.page.evaluate(focused)
        reached.append(where)
        if where == "examples":
            # The second example becomes another one.
            for key in ("ArrowRight", "ArrowDown", "Enter", "Control+A"):
                # The table draws the cell that is reached before it takes the next key.
                visit.page.wait_for_timeout(300)
                press(key)
            visit.page.keyboard.type("green")
            press("Enter")
            visit.shows(models, FIRST.model_copy(update={"examples": ["red", "green", "blue"]}))
        elif where == "example":
            visit.page.keyboard.type("green")
            press("Enter")
            visit.shows(models, FIRST.model_copy(update={"examples": ["red", "green", "blue", "green"]}))
        elif where == "draw":
            press("Enter")
            break
    order = ["description", "examples", "example", "add", "input", "answers", "n", "seed", "draw"]
    assert [where for where in reached if where in order] == order
    visit.page.get_by_text("different among 16 samples").first.wait_for()
    visit.check()


def test_samples_and_what_is_kept_are_those_of_the_model(
    browser: Any, url: str, models: list[Shown], tmp_path: Path
) -> None:
    draft = FIRST.model_copy(update={"samples": 6, "seed": 2, "answers": ["red", "blue"]})
    visit = Visit(browser, f"{url}/{link(draft)}")
    visit.shows(models, draft)
    visit.draws("different among 6 samples with seed 2")
    for name in ("spectrum-samples.json", "spectrum.csv", "spectrum-samples.py"):
        with visit.page.expect_download() as downloaded:
            visit.page.get_by_role("link", name=name).click()
        downloaded.value.save_as(tmp_path / name)
    kept = json.loads((tmp_path / "spectrum-samples.json").read_text("utf-8"))
    assert kept["asked"] == draft.model_dump() and [one["model"] for one in kept["models"]] == list(FORMATS)
    for shown, one in zip(models, kept["models"], strict=True):
        found = answer(shown, draft, draws=True)
        assert one["samples"] == [sample._asdict() for sample in found.samples]
    assert (tmp_path / "spectrum.csv").read_text("utf-8").count("\n") == 1 + 2 * 4 * 2
    assert "seed=2" in (tmp_path / "spectrum-samples.py").read_text("utf-8")
    visit.page.get_by_role("link", name="Link to this page").first.click()
    visit.shows(models, draft)
    visit.check()


def test_samples_of_an_earlier_question_do_not_stay(
    browser: Any, url: str, models: list[Shown], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spectrum_trl.app.page.answer", slowly)
    draft = FIRST.model_copy(update={"samples": 128})
    visit = Visit(browser, f"{url}/{link(draft)}")
    visit.shows(models, draft)
    visit.page.get_by_role("button", name="Draw samples").click()
    visit.page.wait_for_timeout(500)
    changed = draft.model_copy(update={"answers": ["blue", "green"]})
    visit.page.get_by_label("Answers").fill("blue\ngreen")
    visit.shows(models, changed)
    visit.page.wait_for_timeout(1000)
    visit.gone("different among")
    visit.draws("different among 128 samples")
    visit.page.wait_for_timeout(1000)
    assert visit.page.get_by_text("different among 128 samples").count() == len(models)
    visit.check()


def test_samples_stay_with_their_question_whatever_is_typed_and_taken_back(
    browser: Any, url: str, models: list[Shown], monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = Visit(browser, url)
    visit.shows(models, FIRST)
    description, drawn = visit.page.get_by_label("Description"), "different among 16 samples"
    visit.draws(drawn)
    # The question that stands there is drawn for again, while another one stood there in between.
    monkeypatch.setattr("spectrum_trl.app.page.answer", slowly)
    visit.page.get_by_label("Seed").fill("1")
    # The figures stand there already: only that the samples go says that the page has seen the seed.
    visit.gone(drawn)
    visit.page.get_by_role("button", name="Draw samples").click()
    description.fill("another")
    description.fill(FIRST.description)
    visit.page.get_by_text(f"{drawn} with seed 1").first.wait_for()
    visit.page.wait_for_timeout(4000)
    assert visit.page.get_by_text(f"{drawn} with seed 1").count() == len(models)
    visit.check()


def test_figures_never_stay_beside_a_number_out_of_range(browser: Any, url: str, models: list[Shown]) -> None:
    visit = Visit(browser, url)
    visit.shows(models, FIRST)
    visit.page.get_by_label("Samples").fill("0")
    visit.page.get_by_role("alert").wait_for()
    visit.page.locator(".bar").first.wait_for(state="detached")
    visit.page.get_by_label("Samples").fill("4")
    visit.shows(models, FIRST)
    visit.check()


def test_no_text_does_harm(browser: Any, url: str, models: list[Shown]) -> None:
    # The models refuse control tokens, which the last draft holds.
    plain = HOSTILE.replace("<|im_end|>", "")
    draft = Draft(description=plain, examples=[plain, [plain, plain]], input=plain, answers=[plain, "b"])
    visit = Visit(browser, f"{url}/{link(draft)}")
    visit.shows(models, draft)
    assert plain[:40] in visit.page.locator("section").first.inner_text()
    assert visit.page.get_by_label("Description").input_value() == plain
    visit.draws("different among 16")
    visit.page.get_by_text("The Python that makes this").first.click()
    harm = "[window.harm, document.querySelectorAll('img').length]"
    assert visit.page.evaluate(harm) == [None, 0]
    visit.check()
    visit = Visit(browser, f"{url}/{link(Draft(description='x<|im_end|>', answers=[HOSTILE]))}")
    visit.page.get_by_role("alert").or_(visit.page.locator(".spectrum .bar").first).first.wait_for()
    assert visit.page.evaluate(harm) == [None, 0]
    visit.check()


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ('{"anwsers": ["<b>a"]}', "Did you mean 'answers'?"),
        ('{"answers": ["a", "a"]}', "answers 1 and 2 are the same, 'a': remove one"),
        ('{"answers": ["a"], "description": "<script>window.harm=1</script>" 1', "this link is damaged"),
    ],
)
def test_a_mistake_is_told_in_words(browser: Any, url: str, held: str, expected: str) -> None:
    visit = Visit(browser, f"{url}/?{urlencode({'ask': held})}")
    alert = visit.page.get_by_role("alert")
    alert.wait_for()
    visit.page.wait_for_timeout(1000)
    assert expected in alert.inner_text()
    visit.check()


def test_a_phone_shows_everything_without_scrolling_sideways(
    browser: Any, url: str, models: list[Shown]
) -> None:
    answers = ["red", "x" * 300, *(f"answer {n}" for n in range(10))]
    draft = FIRST.model_copy(update={"answers": answers, "description": "y" * 300})
    visit = Visit(browser, f"{url}/{link(draft)}", width=390)
    visit.shows(models, draft)
    visit.draws("different among 16")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert named(visit.page.locator("section").first.inner_text(), 8, "answers")
    visit.check()


def test_visitors_see_their_own_figures_only(browser: Any, url: str, models: list[Shown]) -> None:
    visits = [Visit(browser, url) for _ in range(3)]
    for visit in visits:
        visit.shows(models, FIRST)
    drafts = [FIRST.model_copy(update={"answers": ["red", f"secret {n}"]}) for n in range(3)]
    for visit, draft in zip(visits, drafts, strict=True):
        visit.page.get_by_label("Answers").fill("\n".join(draft.answers))
    for n, (visit, draft) in enumerate(zip(visits, drafts, strict=True)):
        visit.shows(models, draft)
        others = [f"secret {other}" for other in range(3) if other != n]
        assert not any(other in visit.page.content() for other in others)
        visit.check()


def test_what_a_visitor_who_left_has_asked_is_not_computed(
    browser: Any, url: str, models: list[Shown]
) -> None:
    ask_for_long(browser, f"{url}/{link(LONG)}").context.close()
    began = time.monotonic()
    visit = Visit(browser, url)
    visit.shows(models, FIRST)
    assert time.monotonic() - began < 15
    visit.check()
