"""Which system, user and assistant turns a conversation becomes for a model's own chat template."""

from types import SimpleNamespace
from typing import Any

import pytest

from spectrum_trl.prompts.formats import CHAT_PROMPT, render

D = {"role": "description", "content": "Moods"}
E = {"role": "description", "content": "At night"}
X, Y = ({"role": "input", "content": content} for content in ("noon", "dusk"))
A, B = ({"role": "output", "content": content} for content in ("calm", "cross"))


def shown(messages: list[dict[str, str]], **options: Any) -> list[tuple[str, str]]:
    """Return the turns that a template is given."""
    given: list[tuple[str, str]] = []

    def apply(turns: list[dict[str, str]], **_: Any) -> str:
        given.extend((turn["role"], turn["content"]) for turn in turns)
        return "text"

    tokenizer: Any = SimpleNamespace(apply_chat_template=apply)
    render(messages, tokenizer=tokenizer, chat_template="a template", **options)  # type: ignore[arg-type]
    return given


ASKED = ("user", "Generate")
CALM, CROSS = ("assistant", "calm"), ("assistant", "cross")


@pytest.mark.parametrize(
    ("messages", "simple", "chat", "turns"),
    [
        ([D, A, B], "Moods", "Description: Moods", [ASKED, CALM, ASKED, CROSS]),
        ([D, X, A, Y, B], "Moods", "Description: Moods", [("user", "noon"), CALM, ("user", "dusk"), CROSS]),
        # Without a description, the first output and its input are examples.
        ([A, B], "Example Output: calm", None, [ASKED, CROSS]),
        ([X, A, Y, B], "Example Input: noon\n\nExample Output: calm", None, [("user", "dusk"), CROSS]),
        # A template wants something to answer.
        ([D], "Moods", "Description: Moods", [("user", "")]),
        ([A], "Example Output: calm", None, [("user", "")]),
    ],
)
def test_description_or_examples_are_the_system_text(
    messages: list[dict[str, str]], simple: str, chat: str | None, turns: list[tuple[str, str]]
) -> None:
    open_turns = turns if turns[-1][0] == "user" else [*turns, ("user", "Generate.")]
    for options, system in (
        ({"fmt": "chat_simple"}, simple),
        ({"fmt": "chat"}, f"{CHAT_PROMPT}\n\n{chat or simple}"),
        ({"fmt": "chat", "chat_prompt": "Draw."}, f"Draw.\n\n{chat or simple}"),
    ):
        assert shown(messages, **options) == [("system", system), *turns]
        assert shown(messages, add_generation_prompt=True, **options) == [("system", system), *open_turns]


def test_a_later_description_repeats_the_system_text_so_far() -> None:
    assert shown([D, A, E, B], fmt="chat_simple") == [
        *(("system", "Moods"), ASKED, CALM),
        *(("system", "Moods\n\nAt night"), ASKED, CROSS),
    ]
    assert shown([A, E, B], fmt="chat_simple") == [
        ("system", "Example Output: calm"),
        *(("system", "Example Output: calm\n\nAt night"), ASKED, CROSS),
    ]
    assert shown([X, D, A], fmt="chat_simple") == [("user", "noon"), ("system", "Moods"), CALM]


def test_empty_outputs_stay_and_a_blank_system_text_is_left_out() -> None:
    empty = {"role": "output", "content": ""}
    assert shown([D, empty], fmt="chat_simple") == [("system", "Moods"), ASKED, ("assistant", "")]
    assert shown([D | {"content": " "}, A], fmt="chat_simple") == [ASKED, CALM]


def test_inputs_alone_are_asked_under_the_instruction() -> None:
    assert shown([X], fmt="chat", add_generation_prompt=True) == [("system", CHAT_PROMPT), ("user", "noon")]
    assert shown([X, Y], fmt="chat") == [("system", CHAT_PROMPT), ("user", "noon"), ("user", "dusk")]
    assert shown([X], fmt="chat_simple") == [("user", "noon")]
