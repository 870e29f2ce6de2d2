"""Which answers are valid, which are one answer, and that every prompt's examples are valid."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sympy import isprime

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.axis_tasks import DiversityTask, diversity_tasks, read_prompts
from spectrum_trl.prompts.messages import check
from tests.messages import named

TASKS = diversity_tasks()
NAMES = (
    *("basic_emails", "car_brand", "car_make_model", "claude_gerunds", "color_interesting_ex"),
    *("color_normal_ex", "element_names", "element_symbols", "international_phone_numbers", "prime_numbers"),
    *("professional_emails", "random_seed", "rng_1_10", "rng_1_100", "small_prime_numbers"),
    *("us_phone_numbers", "us_states_abbreviations", "us_states_any_format", "us_states_full_names"),
    *("weekdays_abbreviated", "weekdays_any_format", "weekdays_full"),
)
SIZES = {
    "element_names": 118,
    "element_symbols": 118,
    "rng_1_10": 10,
    "rng_1_100": 100,
    "small_prime_numbers": 25,
    "us_states_abbreviations": 50,
    "us_states_any_format": 50,
    "us_states_full_names": 50,
    "weekdays_abbreviated": 7,
    "weekdays_any_format": 7,
    "weekdays_full": 7,
}


def is_valid(name: str, text: str, folder: Path = Path()) -> bool:
    task = TASKS[name]
    return task.validator(folder)(task.canonical(text))


@pytest.fixture(params=[task for task in TASKS.values()], ids=lambda task: task.name)
def task(request: pytest.FixtureRequest) -> DiversityTask:
    return request.param


@pytest.fixture
def data(request: pytest.FixtureRequest, task: DiversityTask) -> Path:
    """The folder of the real data, where a task reads any."""
    folder: Path = request.getfixturevalue("suite_data") if task.files else Path()
    if missing := task.missing(folder):
        pytest.skip(f"{task.name} needs {', '.join(missing)} in {folder}")
    return folder


def test_the_papers_22_are_found() -> None:
    assert set(NAMES) <= TASKS.keys()
    assert {name: len(universe) for name in NAMES if (universe := TASKS[name].universe)} == SIZES


def test_examples_are_three_different_valid_answers(task: DiversityTask, data: Path) -> None:
    valid = task.validator(data)
    answers = [task.canonical(example) for example in task.examples]
    assert len(set(answers)) == 3 and all(valid(answer) for answer in answers)
    assert not valid("") and not valid("x" * 10_000) and not valid("9" * 10_000)


def test_prompts_are_plain_text_with_different_examples(task: DiversityTask) -> None:
    texts = [task.description, *task.examples]
    assert not any(check([{"role": "input", "content": text}], trained=False) for text in texts)
    assert all(text == text.strip() and "\n" not in text for text in texts)
    assert bool(task.files) == bool(task.source.homepage)


def test_closed_lists_are_canonical_and_valid(task: DiversityTask) -> None:
    if task.universe is None:
        return
    valid = task.validator(Path())
    assert len(set(task.universe)) == len(task.universe)
    assert all(valid(answer) and task.canonical(answer) == answer for answer in task.universe)


@given(text=st.text(max_size=40))
def test_the_canonical_form_is_final_and_no_text_is_an_error(text: str) -> None:
    for task in TASKS.values():
        form = task.canonical(text)
        assert task.canonical(form) == form, task.name
        if not task.files:
            assert task.validator(Path())(form) in (True, False)


@example(text="..")
@given(text=st.from_regex(r"[-+(0-9) .@a-zA-Z_]{1,25}", fullmatch=True))
def test_texts_like_answers_are_no_error_either(text: str) -> None:
    for task in TASKS.values():
        form = task.canonical(text)
        assert task.canonical(form) == form, task.name
        if not task.files:
            assert task.validator(Path())(form) in (True, False)


@given(number=st.integers(min_value=-5, max_value=2**33))
def test_numbers_are_valid_where_they_should_be(number: int) -> None:
    text = str(number)
    assert is_valid("rng_1_10", text) == (1 <= number <= 10)
    assert is_valid("rng_1_100", text) == (1 <= number <= 100)
    assert is_valid("random_seed", text) == (0 <= number < 2**32)
    assert is_valid("prime_numbers", text) == (number > 1 and isprime(number))
    assert is_valid("small_prime_numbers", text) == (1 < number < 100 and isprime(number))


@pytest.mark.parametrize("text", ["+7", "07", "7.0", "1_1", "٧", "７", "seven", "-7", "7 7", "-0", "7,"])
def test_only_plain_digits_are_numbers(text: str) -> None:
    for name in ("rng_1_10", "rng_1_100", "random_seed", "prime_numbers", "small_prime_numbers"):
        assert not is_valid(name, text)


def test_large_primes_are_found_at_once() -> None:
    assert is_valid("prime_numbers", str(2**89 - 1)) and not is_valid("prime_numbers", str(2**89 + 1))


VALID = {
    "us_states_full_names": ["Ohio", " north dakota ", "NEW YORK", "New  York"],
    "us_states_abbreviations": ["OH", " ND"],
    "us_states_any_format": ["Ohio", "OH", "new york"],
    "weekdays_full": ["Monday", "SUNDAY"],
    "weekdays_abbreviated": ["Mon", "SUN", "wed."],
    "weekdays_any_format": ["Monday", "Mon", "Tues.", "Thurs", "th", "Su", "M"],
    "element_symbols": ["Fe", "Og", " K "],
    "element_names": ["iron", "Aluminium", "aluminum", "SULPHUR", "Caesium"],
    "basic_emails": ["a.b+c@mail.example.co.uk", "A_B%c@X.org", "x@a-b.io"],
    "professional_emails": ["jo@firm.io", "ann@dept.uni.edu", "b@shop.co.uk"],
    "us_phone_numbers": ["(206) 555-0142", "206.555.0142", "+1 206-555-0142", "2065550142", "800-555-0199"],
    "international_phone_numbers": ["+442079460123", "+81 3-6384-9000", "+1 (206) 555-0142"],
}
INVALID = {
    "us_states_full_names": ["Guam", "OH", "District of Columbia", "Ohio."],
    "us_states_abbreviations": ["oh", "DC", "Ohio", "O.H."],
    "us_states_any_format": ["oh", "PR"],
    "weekdays_full": ["Mon", "Monday.", "Lundi"],
    "weekdays_abbreviated": ["Monday", "Tues", "M", "Mon.."],
    "weekdays_any_format": ["Monday.", "X", "S"],
    "element_symbols": ["FE", "fe", "n", "D", "Iron"],
    "element_names": ["neutron", "Fe", "bronze"],
    "basic_emails": ["a@b", "a b@c.de", "a..b@c.de", "a@-b.com", "a@b.test", "Jo <a@b.com>", "mailto:"],
    "professional_emails": [
        *("jo@gmail.com", "jo@Yahoo.com", "firm.com", "jo@yahoo.ca", "jo@hotmail.it", "jo@live.co.uk"),
        *("jo@outlook.de", "jo@protonmail.ch", "jo@comcast.net", "jo@naver.com", "jo@t-online.de"),
    ],
    "us_phone_numbers": ["555-0142", "604-555-0123", "123-456-7890", "call 206 555 0142", "٢٠٦ ٥٥٥ ٠١٤٢"],
    "international_phone_numbers": ["2065550142", "+999 1234567", "+1 206", "+1 206 555 0142 ext. 5"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in VALID for text in VALID[name]])
def test_these_are_valid(name: str, text: str) -> None:
    assert is_valid(name, text)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in INVALID for text in INVALID[name]])
def test_these_are_not(name: str, text: str) -> None:
    assert not is_valid(name, text)


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("us_states_any_format", ["Ohio", "OH", "ohio "]),
        ("us_states_full_names", ["New York", "new\u00a0 york"]),
        ("weekdays_any_format", ["Tuesday", "TUE", "tues.", "T"]),
        ("weekdays_abbreviated", ["Tue", "tue.", "TUE"]),
        ("element_names", ["Aluminium", "aluminum"]),
        ("us_phone_numbers", ["(206) 555-0142", "206-555-0142", "+1 206 555 0142"]),
        ("international_phone_numbers", ["+44 20 7946 0123", "+442079460123"]),
        ("basic_emails", ["Jo@Firm.com", "jo@firm.com"]),
        ("color_normal_ex", ["Stingray  Grey", "stingray gray"]),
        ("car_brand", ["Mercedes", "mercedes benz", "Mercedes-Benz"]),
        ("car_make_model", ["2015 Honda CR-V", "honda crv", "Honda CR-V 2020"]),
        ("car_make_model", ["Mazda Miata", "Mazda MX-5", "MAZDA MX-5 Miata"]),
        ("car_make_model", ["Chevy Silverado", "Chevrolet Silverado"]),
        ("claude_gerunds", ["Sautéing", "sauteing"]),
    ],
)
def test_these_are_one_answer(name: str, texts: list[str]) -> None:
    assert len({TASKS[name].canonical(text) for text in texts}) == 1


@pytest.mark.parametrize(
    ("name", "valid", "invalid"),
    [
        (
            "car_make_model",
            ["Ford F-150", "Toyota Tacoma", "Mazda 3", "Mazda Mazda3", "Mazda Miata", "Tesla Model 3"],
            ["BMW", "BMW is great", "Honda Civic EX", "Toyota Regular Cab", "Land Rover Range", "Civic"],
        ),
        ("car_brand", ["BMW", "mazda", "Chevy", "Mercedes"], ["Peugeot", "Model 3", "BMW X5"]),
        (
            "claude_gerunds",
            ["Running", "x-raying", "convoluting", "sautéing"],
            ["daydream", "String", "LHliking"],
        ),
        ("color_normal_ex", ["Gray", "grey", "Petal Pink"], ["#ff0000", "Tuesday colour"]),
    ],
)
def test_real_lists_tell_these_apart(
    name: str, valid: list[str], invalid: list[str], suite_data: Path
) -> None:
    if missing := TASKS[name].missing(suite_data):
        pytest.skip(f"{name} needs {', '.join(missing)} in {suite_data}")
    assert [text for text in valid if not is_valid(name, text, suite_data)] == []
    assert [text for text in invalid if is_valid(name, text, suite_data)] == []


def test_a_misspelt_key_of_a_prompt_is_told_with_its_row_and_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "prompts.yaml"
    file.write_text("days: {description: A day, exampels: [Monday], max_new_tokens: many}")
    with pytest.raises(UserError) as caught:
        read_prompts(file)
    missing, wrong, unknown = caught.value.problems
    assert named(missing, file, "days.examples", "missing")
    assert named(wrong, file, "days.max_new_tokens", "integer", '"many"')
    assert named(unknown, file, "days.exampels", "'exampels'", "'examples'")
