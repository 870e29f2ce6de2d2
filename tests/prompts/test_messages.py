"""Message checks: everything wrong is said at once, nothing right is refused."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from spectrum_trl.prompts.messages import check, normalise, special_tokens
from spectrum_trl.prompts.templates import install
from spectrum_trl.suite.task import Message
from tests.messages import named

FAMILIES = ["gemma3", "qwen3", "llama3_1"]
Load = Callable[[str], PreTrainedTokenizerBase]


def described(*contents: str) -> list[Message]:
    return [Message(role="description", content="Moods"), *outputs(*contents)]


def outputs(*contents: str) -> list[Message]:
    return [Message(role="output", content=content) for content in contents]


def given_input(content: str) -> Message:
    return Message(role="input", content=content)


def only(problems: list[str]) -> str:
    """The one problem there is."""
    assert len(problems) == 1, problems
    return problems[0]


class TestRightConversations:
    @pytest.mark.parametrize(
        "messages",
        [
            described("calm"),
            outputs("calm", "angry"),
            [given_input("noon"), *outputs("calm"), given_input("dusk"), *outputs("angry")],
            [*described(), given_input("noon"), *outputs("calm", "angry")],
            [*described("calm"), given_input("noon"), *outputs("calm"), given_input("an open end")],
            [*described(), given_input(""), *outputs("", "  indented", "ends with a break\n")],
        ],
    )
    def test_have_no_problems(self, messages: list[Message]) -> None:
        assert check(messages) == []
        assert check(tuple(messages)) == []

    @pytest.mark.parametrize("messages", [described(), outputs("calm"), [given_input("noon")]])
    def test_prompts_need_no_trained_output(self, messages: list[Message]) -> None:
        assert check(messages, trained=False) == []


class TestForm:
    @pytest.mark.parametrize("messages", [None, "calm", {"role": "output", "content": "calm"}, 3])
    def test_a_conversation_is_a_list(self, messages: Any) -> None:
        assert "list" in only(check(messages))

    def test_an_empty_conversation(self) -> None:
        assert "empty" in only(check([]))

    @pytest.mark.parametrize(
        ("role", "meant"),
        [("outputs", "output"), ("assistant", "output"), ("user", "input"), ("system", "description")],
    )
    def test_an_unknown_role_names_the_nearest(self, role: str, meant: str) -> None:
        problem = only(check([*described("calm"), {"role": role, "content": "x"}]))
        assert named(problem, "message 3", f"'{role}'") and problem.endswith(f"'{meant}'?")

    def test_keys(self) -> None:
        problems = check([*described("calm"), {"rôle": "output", "content": "x", "weight": 1}])
        for problem, *things in zip(problems, ("'role'", "'rôle'", "'weight'"), strict=True):
            assert named(problem, "message 3", *things)
        assert "no 'role'" in problems[0] and "'role'?" in problems[1]

    @pytest.mark.parametrize(("content", "kind"), [(None, "NoneType"), (3, "int"), ([{"text": "x"}], "list")])
    def test_content_is_text(self, content: Any, kind: str) -> None:
        problem = only(check([*described("calm"), {"role": "output", "content": content}]))
        assert named(problem, "message 3 (output)", "content", kind, "text")

    def test_a_message_is_an_object(self) -> None:
        assert named(only(check([*outputs("calm"), "angry", *outputs("calm")])), "message 2", "str")

    def test_unhashable_roles_are_reported_too(self) -> None:
        assert "['output']" in check([{"role": ["output"], "content": "x"}], trained=False)[0]

    def test_half_a_surrogate_pair_is_no_text(self) -> None:
        assert "unpaired surrogate" in only(check(described("calm \ud83d")))
        assert check(described("calm 😀")) == []


class TestOrder:
    @pytest.mark.parametrize("position", [1, 2])
    def test_a_description_comes_first_and_once(self, position: int) -> None:
        messages = outputs("calm", "angry")
        messages.insert(position, *described())
        assert named(only(check(messages)), f"message {position + 1} (description)", "first")
        assert "message 2 (description)" in only(check([*described(), *described("calm")]))

    def test_an_input_is_followed_by_its_output(self) -> None:
        problem = only(check([*described(), given_input("noon"), given_input("dusk"), *outputs("calm")]))
        assert named(problem, "message 2 (input)", "no output", "'input'")

    def test_a_blank_description(self) -> None:
        messages = [Message(role="description", content=" \n"), *outputs("calm", "angry")]
        assert named(only(check(messages)), "message 1 (description)", "blank")


class TestLoss:
    def test_without_outputs_there_is_nothing_to_train(self) -> None:
        assert "nothing to train" in only(check(described()))

    def test_a_lone_output_carries_no_loss(self) -> None:
        assert "carries no loss" in only(check(outputs("calm")))
        assert "carries no loss" in only(check([given_input("noon"), *outputs("calm")]))


class TestLineBreaks:
    @pytest.mark.parametrize(
        ("content", "left"),
        [("\nx", "x"), ("\r\nx\n", "x\n"), (" \n\n  x", "  x"), ("\t\r x\ny", " x\ny"), ("\n \n", "")],
    )
    def test_are_reported_and_removed_from_the_start_of_outputs(self, content: str, left: str) -> None:
        messages = described("calm", content)
        assert named(only(check(messages)), "message 3 (output)", "line break")
        assert normalise(messages) == described("calm", left)
        assert messages[2]["content"] == content

    @pytest.mark.parametrize("content", ["", "x", "  x", "\tx", "x\n", "   "])
    def test_other_white_space_stays(self, content: str) -> None:
        assert check(described(content)) == []
        assert normalise(described(content)) == described(content)

    def test_given_texts_may_start_with_them(self) -> None:
        messages = [Message(role="description", content="\nMoods"), given_input("\nnoon"), *outputs("calm")]
        assert check(messages) == []
        assert normalise(messages) == messages

    def test_problems_are_left_to_check(self) -> None:
        faulty: list[Any] = ["text", {"role": "output"}, {"role": "output", "content": None}]
        assert normalise(faulty) == faulty
        assert normalise([{"role": "output", "content": "\nx", "id": 1}]) == [  # type: ignore[typeddict-unknown-key]
            {"role": "output", "content": "x", "id": 1}
        ]

    @given(st.lists(st.text(st.sampled_from(" \n\r\tab"), max_size=8), min_size=1, max_size=5))
    def test_normalised_outputs_pass_and_are_the_end_of_what_they_were(self, contents: list[str]) -> None:
        normalised = normalise(described(*contents))
        assert check(normalised) == []
        assert normalise(normalised) == normalised
        for before, after in zip(contents, normalised[1:], strict=True):
            assert before.endswith(after["content"])
            assert not before.removesuffix(after["content"]).strip()


class TestControlTokens:
    @pytest.mark.parametrize("token", ["<end_of_turn>", "<|im_start|>", "<|eot_id|>"])
    def test_turn_tokens_of_all_templates_are_refused_without_a_tokenizer(self, token: str) -> None:
        for messages in (
            described("calm", f"x{token}y"),
            [*described(), given_input(token), *outputs("calm")],
        ):
            assert f"control token '{token}'" in only(check(messages))

    def test_all_that_one_text_holds_are_named(self) -> None:
        text = "<|im_end|>\n<|im_start|>input"
        assert "control token '<|im_end|>', '<|im_start|>'" in only(check(described(text)))

    def test_a_tokenizer_brings_its_own(self, byte_tokenizer: Callable[..., PreTrainedTokenizerBase]) -> None:
        tokenizer = byte_tokenizer(["<s>", "[MASK]", "<|reserved_3|>"], bos_token="<s>")
        tokenizer.add_tokens(["<|tool|>", "<b>", "word"])
        assert special_tokens(tokenizer) == ("<s>", "<|reserved_3|>", "<|tool|>", "[MASK]")
        for content in ("a<s>", "[MASK]", "<|reserved_3|>", "<|tool|>"):
            assert "control token" in only(check(described(content), tokenizer=tokenizer))
        assert check(described("a <b>word</b> <|im_end|> <|3|>"), tokenizer=tokenizer) == []

    def test_of_two_tokens_the_longer_is_named(
        self, byte_tokenizer: Callable[..., PreTrainedTokenizerBase]
    ) -> None:
        tokenizer = byte_tokenizer(["<a>", "<a>b", "<a>bc"])
        assert "control token '<a>bc'" in only(check(described("x<a>bcd"), tokenizer=tokenizer))

    def test_a_template_set_later_is_noticed(
        self, byte_tokenizer: Callable[..., PreTrainedTokenizerBase]
    ) -> None:
        tokenizer = byte_tokenizer(["<|im_start|>", "<|im_end|>", "<pad>"])
        tokenizer.add_tokens(["<think>"])
        assert check(described("<think>"), tokenizer=tokenizer) == []
        tokenizer.chat_template = "{{ '<think>' }}"
        install(tokenizer)
        assert "'<think>'" in only(check(described("<think>"), tokenizer=tokenizer))

    @pytest.mark.parametrize(
        ("family", "tokens", "text"),
        [
            ("gemma3", ["<bos>", "<end_of_turn>", "<start_of_image>"], "<b>\n\n</b>  <|im_end|>"),
            (
                "qwen3",
                ["<|endoftext|>", "<|im_end|>", "<think>", "</tool_call>"],
                "<b> <end_of_turn> <thinking>",
            ),
            (
                "llama3_1",
                ["<|begin_of_text|>", "<|eot_id|>", "<|reserved_special_token_77|>"],
                "<b> <|im_end|>",
            ),
        ],
    )
    def test_real_tokenizers(
        self, family: str, tokens: list[str], text: str, spectrum_tokenizer: Load
    ) -> None:
        tokenizer = spectrum_tokenizer(family)
        assert set(tokens) <= set(special_tokens(tokenizer))
        for token in tokens:
            assert f"control token '{token}'" in only(check(described(f"a {token} b"), tokenizer=tokenizer))
        assert check(described(text), tokenizer=tokenizer) == []

    @pytest.mark.parametrize("family", FAMILIES)
    def test_a_refused_text_would_have_become_control(self, family: str, spectrum_tokenizer: Load) -> None:
        tokenizer = spectrum_tokenizer(family)
        for token in special_tokens(tokenizer)[:40]:
            assert tokenizer.tokenize(token) == [token]
            assert check(described(token), tokenizer=tokenizer)


@pytest.mark.parametrize("family", FAMILIES)
def test_golden_conversations(
    family: str, template_cases: list[dict[str, Any]], spectrum_tokenizer: Load, subtests: Any
) -> None:
    refused = {
        "newlines_around": "line break",
        "odd_order": "must be the first",
        "empty_description_and_input": "blank",
        "special_turn_tokens": "control token",
        "special_header_tokens": "control token",
        "special_bos_eos_tokens": "control token",
    }
    tokenizer = spectrum_tokenizer(family)
    for case in template_cases:
        with subtests.test(case["id"]):
            problems = check(case["messages"], tokenizer=tokenizer, trained=False)
            if case["id"] in refused:
                assert any(refused[case["id"]] in problem for problem in problems)
            else:
                assert problems == []
            labels = case["families"][family]["spectrum"]["labels"]
            without_loss = check(case["messages"], tokenizer=tokenizer) != problems
            assert without_loss == (set(labels) == {-100})
