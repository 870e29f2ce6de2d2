"""The chat templates, on the golden values with real tokenizers and on a tokenizer of single bytes."""

import json
import logging
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import trl
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2 import TemplateError
from transformers import AutoTokenizer, PreTrainedTokenizerBase, Qwen3Config, Qwen3ForCausalLM
from trl import SFTConfig, SFTTrainer
from trl.chat_template_utils import is_chat_template_stop_token_trained

from spectrum_trl.errors import UserError
from spectrum_trl.paths import bundled
from spectrum_trl.prompts.families import families
from spectrum_trl.prompts.formats import CHAT_PROMPT, render
from spectrum_trl.prompts.messages import check, normalise
from spectrum_trl.prompts.templates import install, own_template
from tests.messages import naming

FAMILIES = ["gemma3", "qwen3", "llama3_1"]
FILES = sorted(bundled("chat_templates").glob("*.jinja"))
MESSAGES = [
    {"role": "description", "content": "Moods of a cat"},
    {"role": "input", "content": "noon"},
    {"role": "output", "content": "asleep"},
    {"role": "input", "content": "dusk"},
    {"role": "output", "content": "awake"},
]

Tokenizer = PreTrainedTokenizerBase
Load = Callable[[str], Tokenizer]
Case = dict[str, Any]


def encode(
    tokenizer: Tokenizer, messages: list[dict[str, str]], **variables: Any
) -> tuple[list[int], list[int]]:
    """Token ids and mask, as a user of stock transformers gets them."""
    encoded = tokenizer.apply_chat_template(
        messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True, **variables
    )
    return encoded["input_ids"], encoded["assistant_masks"]


def trained_texts(tokenizer: Tokenizer, ids: list[int], mask: list[int]) -> list[str]:
    """The text of every run of trained tokens."""
    runs = (
        list(run)
        for trained, run in groupby(zip(ids, mask, strict=True), key=lambda pair: pair[1])
        if trained
    )
    return [
        tokenizer.decode([i for i, _ in run], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        for run in runs
    ]


def text(tokenizer: Tokenizer, messages: list[dict[str, str]], **variables: Any) -> str:
    return tokenizer.apply_chat_template(messages, tokenize=False, **variables)


def variables(case: Case, fmt: str) -> dict[str, Any]:
    template = (
        {"chat_template": (bundled("chat_templates") / "colon.jinja").read_text()} if fmt == "colon" else {}
    )
    return {"add_generation_prompt": case["add_generation_prompt"], **template}


class TestGoldenValues:
    @pytest.mark.parametrize("fmt", ["spectrum", "colon"])
    @pytest.mark.parametrize("family", FAMILIES)
    def test_ids_and_labels(
        self, family: str, fmt: str, template_cases: list[Case], spectrum_tokenizer: Load, subtests: Any
    ) -> None:
        tokenizer = spectrum_tokenizer(family)
        for case in template_cases:
            expected = case["families"][family][fmt]
            length = len(expected["input_ids"]) - len(expected["appended_eos"])
            ids, mask = encode(tokenizer, case["messages"], **variables(case, fmt))
            with subtests.test(case["id"]):
                if expected["whole_text_ids"] is None:
                    assert ids == expected["input_ids"][:length]
                    labels = [token if trained else -100 for token, trained in zip(ids, mask, strict=True)]
                    assert labels == expected["labels"][:length]
                else:
                    # Golden ids join separately tokenized turns, transformers tokenizes the whole text. They
                    # differ only in conversations that `check` refuses: a line break that starts an output
                    # joins the header's, and a literal BOS token was dropped where a turn starts with it.
                    assert ids == expected["whole_text_ids"]
                    assert check(case["messages"], tokenizer=tokenizer, trained=False)

    @pytest.mark.parametrize("family", FAMILIES)
    def test_labels_are_those_of_separate_turns_after_normalising(
        self, family: str, template_cases: list[Case], spectrum_tokenizer: Load, subtests: Any
    ) -> None:
        tokenizer = spectrum_tokenizer(family)
        bos = [] if family == "qwen3" else [tokenizer.bos_token_id]
        for case in template_cases:
            if case["id"].startswith("special_"):
                continue
            segments = case["families"][family]["spectrum"]["loss_texts"]
            expected_ids, expected_mask = list(bos), [0] * len(bos)
            for segment, trained in segments:
                if trained:
                    segment = normalise([{"role": "output", "content": segment}])[0]["content"]
                ids = tokenizer.encode(segment, add_special_tokens=False)
                expected_ids += ids
                expected_mask += [int(trained)] * len(ids)
            with subtests.test(case["id"]):
                normalised = normalise(case["messages"])
                assert (expected_ids, expected_mask) == encode(
                    tokenizer, normalised, **variables(case, "spectrum")
                )

    @pytest.mark.parametrize("fmt", ["spectrum", "colon", "chat", "chat_simple"])
    @pytest.mark.parametrize("family", FAMILIES)
    def test_text(
        self, family: str, fmt: Any, template_cases: list[Case], spectrum_tokenizer: Load, subtests: Any
    ) -> None:
        tokenizer = spectrum_tokenizer(family)
        options: dict[str, Any] = {}
        if fmt.startswith("chat"):
            # The Llama archive carries an older template than the golden values were made with.
            base = Path(trl.__file__).parent / "chat_templates" / f"{family}.jinja"
            options["chat_template"] = base.read_text()
        for case in template_cases:
            expected = case["families"][family][fmt]
            options |= {"chat_prompt": case["chat_prompt"]} if fmt == "chat" else {}
            options["add_generation_prompt"] = case["add_generation_prompt"]
            with subtests.test(case["id"]):
                if "error" in expected:
                    with pytest.raises(UserError, match=expected["error"].removeprefix("TemplateError: ")):
                        render(case["messages"], tokenizer=tokenizer, fmt=fmt, **options)
                    continue
                rendered = render(case["messages"], tokenizer=tokenizer, fmt=fmt, **options)
                # Golden texts lack BOS, but for Llama's chat formats; Gemma's lack it in content too.
                bos = tokenizer.bos_token
                if bos is not None and fmt in ("spectrum", "colon"):
                    assert rendered.startswith(bos)
                    rendered = rendered.removeprefix(bos)
                if family == "gemma3" and fmt.startswith("chat"):
                    rendered = rendered.replace(bos, "")
                assert rendered == expected["text"]

    def test_chatml_template_gives_qwen_ids(
        self, template_cases: list[Case], tokenizer_folder: Callable[[str], Path]
    ) -> None:
        tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder("qwen3"))
        assert install(tokenizer, family="chatml") == "chatml"
        for case in template_cases:
            expected = case["families"]["qwen3"]["spectrum"]
            if expected["whole_text_ids"] is None:
                ids, mask = encode(tokenizer, case["messages"], **variables(case, "spectrum"))
                labels = [token if trained else -100 for token, trained in zip(ids, mask, strict=True)]
                length = len(ids)
                assert (ids, labels) == (expected["input_ids"][:length], expected["labels"][:length])
                assert expected["input_ids"][length:] == expected["appended_eos"]


class TestSavedTokenizer:
    @pytest.mark.slow
    def test_gives_golden_ids_without_this_package(
        self, template_cases: list[Case], spectrum_tokenizer: Load, tmp_path: Path
    ) -> None:
        cases = [
            case for case in template_cases if case["id"] in ("io_only", "desc_io_query", "outputs_only")
        ]
        for family in FAMILIES:
            spectrum_tokenizer(family).save_pretrained(tmp_path / family)
        script = (
            "import json, sys\n"
            "sys.modules['spectrum_trl'] = None\n"  # Importing it now raises ImportError.
            "from transformers import AutoTokenizer\n"
            "for family in sys.argv[1].split():\n"
            "    tokenizer = AutoTokenizer.from_pretrained(family)\n"
            "    for case in json.loads(sys.argv[2]):\n"
            "        options = dict(return_dict=True, return_assistant_tokens_mask=True)\n"
            "        options['add_generation_prompt'] = case['add_generation_prompt']\n"
            "        out = tokenizer.apply_chat_template(case['messages'], **options)\n"
            "        print(json.dumps([out['input_ids'], out['assistant_masks'], tokenizer.eos_token]))\n"
        )
        command = [sys.executable, "-I", "-c", script, " ".join(FAMILIES), json.dumps(cases)]
        printed = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
        lines = iter(printed.splitlines())
        for family in FAMILIES:
            for case in cases:
                expected = case["families"][family]["spectrum"]
                ids, mask, eos = json.loads(next(lines))
                assert ids + expected["appended_eos"] == expected["input_ids"]
                assert [bool(trained) for trained in mask] == [label != -100 for label in expected["labels"]][
                    : len(ids)
                ]
                assert eos == spectrum_tokenizer(family).eos_token

    def test_keeps_the_models_own_template(self, spectrum_tokenizer: Load, tmp_path: Path) -> None:
        tokenizer = spectrum_tokenizer("qwen3")
        tokenizer.save_pretrained(tmp_path)
        loaded = AutoTokenizer.from_pretrained(tmp_path)
        for fmt in ("spectrum", "chat"):
            assert render(MESSAGES, tokenizer=loaded, fmt=fmt) == render(
                MESSAGES, tokenizer=tokenizer, fmt=fmt
            )
        assert install(loaded) == "qwen3"
        assert loaded.chat_template == tokenizer.chat_template


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def template(request: pytest.FixtureRequest) -> Path:
    """Every file of the folder, without a list of them."""
    return request.param


def control_tokens(template: Path) -> tuple[str, ...]:
    family = families().get(template.stem)
    return family.control_tokens if family else ()


@pytest.fixture
def tokenizer(template: Path, byte_tokenizer: Callable[..., Tokenizer]) -> Tokenizer:
    """A tokenizer of bytes and the template's own tokens, with the template set by hand."""
    source = template.read_text()
    built = byte_tokenizer([*control_tokens(template), "<s>", "<pad>"], bos_token="<s>", pad_token="<pad>")
    built.chat_template = source
    return built


@pytest.fixture
def sample(template: Path) -> Callable[[str], str]:
    """The trained text of an output."""
    if template.stem not in families():
        return lambda content: f" {content}\n\n"
    return lambda content: content + families()[template.stem].end_of_turn


class TestEveryTemplate:
    def test_is_found_from_the_vocabulary_and_set_by_install(
        self, template: Path, tokenizer: Tokenizer, sample: Callable[[str], str]
    ) -> None:
        if template.stem not in families():
            with pytest.raises(UserError, match=naming("gemma3: <start_of_turn>", "<|eot_id|>")):
                install(tokenizer)
            return
        tokenizer.chat_template = "{{ messages[0]['content'] }}"
        assert install(tokenizer) == template.stem
        assert tokenizer.eos_token == sample("")
        assert tokenizer.pad_token not in (None, tokenizer.eos_token)
        assert own_template(tokenizer) == "{{ messages[0]['content'] }}"
        assert text(tokenizer, MESSAGES) == text(tokenizer, MESSAGES, chat_template=template.read_text())

    def test_trains_content_and_the_end_of_the_turn_only(
        self, tokenizer: Tokenizer, sample: Callable[[str], str]
    ) -> None:
        ids, mask = encode(tokenizer, MESSAGES)
        assert trained_texts(tokenizer, ids, mask) == [sample("asleep"), sample("awake")]

    def test_first_output_needs_a_description(
        self, template: Path, tokenizer: Tokenizer, sample: Callable[[str], str]
    ) -> None:
        ids, mask = encode(tokenizer, MESSAGES[1:])
        first = [] if template.stem in families() else [sample("asleep")]
        assert trained_texts(tokenizer, ids, mask) == [*first, sample("awake")]

    def test_description_after_the_first_output_does_not_rescue_it(
        self, template: Path, tokenizer: Tokenizer, sample: Callable[[str], str]
    ) -> None:
        ids, mask = encode(tokenizer, [MESSAGES[2], MESSAGES[0]])
        assert trained_texts(tokenizer, ids, mask) == (
            [] if template.stem in families() else [sample("asleep")]
        )

    def test_prompt_and_sample_make_the_training_text(
        self, tokenizer: Tokenizer, sample: Callable[[str], str]
    ) -> None:
        prompt = text(tokenizer, MESSAGES[:-1], add_generation_prompt=True)
        assert prompt.startswith(text(tokenizer, MESSAGES[:-1]))
        assert text(tokenizer, MESSAGES).startswith(prompt + sample("awake"))
        assert text(tokenizer, MESSAGES).removeprefix(prompt + sample("awake")) in ("", "\n")

    def test_writes_nothing_but_bos_headers_and_content(self, template: Path, tokenizer: Tokenizer) -> None:
        written = text(tokenizer, MESSAGES)
        assert written.count("<s>") <= 1
        left = written.removeprefix("<s>")
        for token in control_tokens(template):
            left = left.replace(token, " ")
        for message in MESSAGES:
            left = left.replace(message["content"], "", 1)
        assert set(left.replace(":", " ").lower().split()) == {"description", "input", "output"}

    def test_never_trims_given_content(self, tokenizer: Tokenizer) -> None:
        assert "  a\n \n" in text(tokenizer, [{"role": "description", "content": "  a\n \n"}, MESSAGES[2]])

    @pytest.mark.parametrize(("train_on", "trained"), [("outputs", [0, 1, 2]), ("first", [0]), ("last", [2])])
    def test_train_on_chooses_outputs(
        self, tokenizer: Tokenizer, sample: Callable[[str], str], train_on: str, trained: list[int]
    ) -> None:
        outputs = ["one", "two", "three"]
        messages = [
            MESSAGES[0],
            *({"role": "output", "content": content} for content in outputs),
            MESSAGES[1],
        ]
        ids, mask = encode(tokenizer, messages, train_on=train_on)
        assert trained_texts(tokenizer, ids, mask) == [sample(outputs[i]) for i in trained]
        assert ids == encode(tokenizer, messages)[0]

    def test_train_on_keeps_the_rule_of_the_first_output(
        self, template: Path, tokenizer: Tokenizer, sample: Callable[[str], str]
    ) -> None:
        ids, mask = encode(tokenizer, MESSAGES[1:], train_on="first")
        expected = "awake" if template.stem in families() else "asleep"
        assert trained_texts(tokenizer, ids, mask) == [sample(expected)]
        if template.stem in families():
            assert not any(encode(tokenizer, [MESSAGES[2]], train_on="last")[1])

    def test_train_on_refuses_other_values(self, tokenizer: Tokenizer) -> None:
        with pytest.raises(TemplateError, match="train_on is 'all'"):
            text(tokenizer, MESSAGES, train_on="all")

    def test_chat_roles_are_other_names(self, tokenizer: Tokenizer) -> None:
        names = {"description": "system", "input": "user", "output": "assistant"}
        chat = [{"role": names[message["role"]], "content": message["content"]} for message in MESSAGES]
        assert encode(tokenizer, chat) == encode(tokenizer, MESSAGES)
        assert text(tokenizer, chat, add_generation_prompt=True) == text(
            tokenizer, MESSAGES, add_generation_prompt=True
        )

    def test_empty_chat_texts_are_left_out_and_own_ones_kept(self, tokenizer: Tokenizer) -> None:
        outputs = [MESSAGES[2], {"role": "output", "content": ""}, MESSAGES[4]]
        chat = [{"role": "system", "content": ""}]
        for output in outputs:
            chat += [{"role": "user", "content": ""}, {"role": "assistant", "content": output["content"]}]
        assert text(tokenizer, chat) == text(tokenizer, outputs)
        own = [{"role": "description", "content": ""}, {"role": "input", "content": ""}, MESSAGES[2]]
        assert (
            text(tokenizer, own).lower().count("description")
            == text(tokenizer, own).lower().count("input")
            == 1
        )

    def test_refuses_an_unknown_role_by_name(self, tokenizer: Tokenizer) -> None:
        with pytest.raises(TemplateError, match=naming("message 2", "'outputs'", "'output'")):
            text(tokenizer, [MESSAGES[0], {"role": "outputs", "content": "x"}])

    @pytest.mark.parametrize("content", [None, 5, [{"type": "text", "text": "x"}]])
    def test_refuses_content_that_is_no_text(self, tokenizer: Tokenizer, content: Any) -> None:
        with pytest.raises(TemplateError, match=naming("message 2", "output", "content")):
            text(tokenizer, [MESSAGES[0], {"role": "output", "content": content}])

    def test_trl_finds_the_end_of_the_turn_trained(self, template: Path, tokenizer: Tokenizer) -> None:
        # Plain text ends a sample with a blank line, which TRL takes for content: its warning is right there.
        assert is_chat_template_stop_token_trained(tokenizer) == (template.stem in families())


class TestInstall:
    def test_missing_tokens_are_all_listed(self, byte_tokenizer: Callable[..., Tokenizer]) -> None:
        tokenizer = byte_tokenizer(["<|eot_id|>", "<pad>"])
        with pytest.raises(UserError) as caught:
            install(tokenizer)
        for token in ("<start_of_turn>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>"):
            assert token in str(caught.value)
        assert "<|eot_id|>" not in str(caught.value)
        assert tokenizer.chat_template is None

    def test_named_family_reports_all_that_is_missing(self, byte_tokenizer: Callable[..., Tokenizer]) -> None:
        with pytest.raises(UserError) as caught:
            install(byte_tokenizer(["<start_of_turn>"]), family="gemma3")
        assert len(caught.value.problems) == 3
        for word in ("lacks <end_of_turn>", "no bos_token", "padding token other than <end_of_turn>"):
            assert word in str(caught.value)

    def test_unknown_family_names_the_nearest(self, byte_tokenizer: Callable[..., Tokenizer]) -> None:
        with pytest.raises(UserError, match=naming("'gemma_3'", "gemma3, llama3_1, qwen3", "'gemma3'")):
            install(byte_tokenizer([]), family="gemma_3")
        with pytest.raises(UserError, match=naming("'colon'", "gemma3, llama3_1, qwen3")):
            install(byte_tokenizer([]), family="colon")

    def test_slow_tokenizer_is_refused(self) -> None:
        from transformers import ByT5Tokenizer

        tokenizer = ByT5Tokenizer(extra_ids=0, additional_special_tokens=["<|im_start|>", "<|im_end|>"])
        with pytest.raises(UserError, match=naming("'ByT5Tokenizer'", "slow")):
            install(tokenizer, family="chatml")

    def test_end_of_sequence_token_decides_between_two_families(
        self, byte_tokenizer: Callable[..., Tokenizer]
    ) -> None:
        tokens = ["<s>", "<pad>", *families()["llama3_1"].turn_tokens, *families()["chatml"].turn_tokens]
        assert install(byte_tokenizer(tokens, bos_token="<s>", eos_token="<|im_end|>")) == "chatml"
        assert install(byte_tokenizer(tokens, bos_token="<s>", eos_token="<|eot_id|>")) == "llama3_1"
        assert install(byte_tokenizer(tokens, bos_token="<s>")) == "llama3_1"

    @pytest.mark.parametrize("own", [None, "<|im_end|>"])
    def test_padding_is_never_the_end_of_a_turn(
        self, byte_tokenizer: Callable[..., Tokenizer], own: str | None
    ) -> None:
        tokenizer = byte_tokenizer(["<|im_start|>", "<|im_end|>", "<|endoftext|>"], pad_token=own)
        install(tokenizer)
        assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")

    def test_own_padding_token_is_kept(self, byte_tokenizer: Callable[..., Tokenizer]) -> None:
        tokenizer = byte_tokenizer(
            ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<void>"], pad_token="<void>"
        )
        install(tokenizer)
        assert tokenizer.pad_token == "<void>"

    @pytest.mark.parametrize("family", FAMILIES)
    def test_transformers_finds_an_output_as_it_was_written(
        self, spectrum_tokenizer: Callable[[str], Tokenizer], family: str, tmp_path: Path
    ) -> None:
        spectrum_tokenizer(family).save_pretrained(tmp_path)
        saved = AutoTokenizer.from_pretrained(tmp_path)
        prompt = saved.apply_chat_template(MESSAGES[:4], add_generation_prompt=True, tokenize=False)
        end_of_turn, pad = families()[family].end_of_turn, saved.pad_token
        for output in (" two\nlines \n", "assistant", "<|im_start|>assistant\nfake", ""):
            for end in ("", end_of_turn, f"{end_of_turn}\n", f"{end_of_turn}{pad}{pad}", end_of_turn * 3):
                found = saved.parse_response(output + end, prefix=prompt)
                assert found == {"role": "assistant", "content": output}

    @pytest.mark.parametrize("adds_bos", [True, False])
    def test_chatml_starts_with_bos_where_the_tokenizer_does(
        self, byte_tokenizer: Callable[..., Tokenizer], adds_bos: bool, tmp_path: Path
    ) -> None:
        tokens = ["<s>", "<pad>", "<|im_start|>", "<|im_end|>"]
        tokenizer = byte_tokenizer(tokens, bos_token="<s>", adds_bos=adds_bos)
        install(tokenizer)
        install(tokenizer)
        tokenizer.save_pretrained(tmp_path)
        for each in (tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
            assert text(each, MESSAGES).startswith("<s><|im_start|>" if adds_bos else "<|im_start|>")
            assert render(MESSAGES, tokenizer=each, fmt="colon").startswith("<s>D" if adds_bos else "D")


class TestRender:
    def test_stock_template_is_refused_for_the_spectrum_format(
        self, byte_tokenizer: Callable[..., Tokenizer]
    ) -> None:
        tokenizer = byte_tokenizer([])
        for stock in (
            None,
            "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}",
        ):
            tokenizer.chat_template = stock
            with pytest.raises(UserError, match=naming("templates.install")):
                render(MESSAGES, tokenizer=tokenizer)

    def test_model_without_chat_template_is_refused_for_chat_formats(
        self, byte_tokenizer: Callable[..., Tokenizer]
    ) -> None:
        tokenizer = byte_tokenizer(["<|im_start|>", "<|im_end|>", "<pad>"])
        install(tokenizer)
        for fmt in ("chat", "chat_simple"):
            with pytest.raises(UserError, match=naming("chat_template", "'spectrum'", "'colon'")):
                render(MESSAGES, tokenizer=tokenizer, fmt=fmt)

    def test_empty_text_is_an_error(self, byte_tokenizer: Callable[..., Tokenizer]) -> None:
        with pytest.raises(UserError, match="as empty text"):
            render(
                MESSAGES, tokenizer=byte_tokenizer([]), fmt="chat", chat_template="{% if false %}x{% endif %}"
            )

    def test_wrong_arguments_are_explained(self, byte_tokenizer: Callable[..., Tokenizer]) -> None:
        tokenizer = byte_tokenizer([])
        with pytest.raises(UserError, match=naming("format", "'chat_simpel'", "'chat_simple'")):
            render(MESSAGES, tokenizer=tokenizer, fmt="chat_simpel")
        with pytest.raises(UserError, match=naming("chat_prompt", "'chat'", "'colon'")):
            render(MESSAGES, tokenizer=tokenizer, fmt="colon", chat_prompt="Guess.")
        for fmt in ("colon", "chat"):
            with pytest.raises(UserError, match=naming("conversation", "empty")):
                render([], tokenizer=tokenizer, fmt=fmt, chat_template="x")
            with pytest.raises(UserError, match="message 1.*'answer'"):
                render([{"role": "answer", "content": ""}], tokenizer=tokenizer, fmt=fmt, chat_template="x")

    def test_chat_instruction_has_a_default(self, spectrum_tokenizer: Load) -> None:
        tokenizer = spectrum_tokenizer("qwen3")
        rendered = render(MESSAGES[1:2], tokenizer=tokenizer, fmt="chat", add_generation_prompt=True)
        assert rendered.startswith(
            f"<|im_start|>system\n{CHAT_PROMPT}<|im_end|>\n<|im_start|>user\nnoon<|im_end|>\n"
        )
        assert CHAT_PROMPT not in render(MESSAGES, tokenizer=tokenizer, fmt="chat_simple")

    def test_every_answer_of_a_reasoning_model_starts_alike(self, spectrum_tokenizer: Load) -> None:
        tokenizer = spectrum_tokenizer("qwen3")
        rendered = render(MESSAGES, tokenizer=tokenizer, fmt="chat", add_generation_prompt=True)
        answers = rendered.split("<|im_start|>assistant\n")[1:]
        assert len(answers) == 3
        assert all(answer.startswith("<think>\n\n</think>\n\n") for answer in answers)


characters = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="▁")
margins = st.sampled_from(["", " ", "\n", "\n\n", " \r\n ", "\t"])
contents = st.tuples(margins, st.text(characters | st.sampled_from(" \n.:<|>"), max_size=9), margins).map(
    "".join
)


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, str]]:
    messages = [{"role": "description", "content": draw(contents)}] if draw(st.booleans()) else []
    for given_text, output in draw(
        st.lists(st.tuples(st.none() | contents, contents), min_size=1, max_size=4)
    ):
        messages += [] if given_text is None else [{"role": "input", "content": given_text}]
        messages.append({"role": "output", "content": output})
    return messages


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=conversations())
def test_trained_tokens_are_exactly_the_outputs(
    family: str, spectrum_tokenizer: Load, messages: list[dict[str, str]]
) -> None:
    tokenizer = spectrum_tokenizer(family)
    messages = normalise(messages)
    outputs = [message["content"] for message in messages if message["role"] == "output"]
    trained = outputs if messages[0]["role"] == "description" else outputs[1:]
    # Qwen's tokenizer composes accents.
    expected = [unicodedata.normalize("NFC", f"{output}{tokenizer.eos_token}") for output in trained]
    found = trained_texts(tokenizer, *encode(tokenizer, messages))
    assert [unicodedata.normalize("NFC", run) for run in found] == expected


class TestTrl:
    def trainer(
        self, tokenizer: Tokenizer, rows: list[dict[str, Any]], folder: Path, **options: Any
    ) -> SFTTrainer:
        config = Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
            num_key_value_heads=1,
            head_dim=8,
        )
        args = SFTConfig(
            output_dir=str(folder),
            assistant_only_loss=True,
            max_length=2048,
            use_cpu=True,
            bf16=False,
            report_to="none",
            **options,
        )
        data = Dataset.from_list(rows)
        return SFTTrainer(Qwen3ForCausalLM(config), args=args, train_dataset=data, processing_class=tokenizer)

    @pytest.mark.parametrize("packing", [False, True])
    def test_labels_are_the_golden_ones(
        self,
        template_cases: list[Case],
        spectrum_tokenizer: Load,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        packing: bool,
    ) -> None:
        expected, rows = [], []
        for case in template_cases:
            values = case["families"]["qwen3"]["spectrum"]
            if case["add_generation_prompt"] or values["whole_text_ids"] is not None:
                continue
            if set(values["labels"]) != {-100}:
                length = len(values["labels"]) - len(values["appended_eos"])
                expected.append((values["input_ids"][:length], values["labels"][:length]))
                rows.append({"messages": case["messages"]})
        with caplog.at_level(logging.WARNING):
            data = self.trainer(spectrum_tokenizer("qwen3"), rows, tmp_path, packing=packing).train_dataset
        assert "end-of-turn" not in caplog.text
        assert "template" not in caplog.text
        found = [split for row in data for split in unpacked(row)]
        assert len(data) < len(rows) if packing else len(data) == len(rows)
        assert sorted(found) == sorted(expected)
        assert len(expected) > 10

    def test_template_that_leaves_the_end_of_turn_out_would_be_warned_of(
        self, byte_tokenizer: Callable[..., Tokenizer], tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        tokenizer = byte_tokenizer(["<|im_start|>", "<|im_end|>", "<pad>"])
        install(tokenizer)
        good = tokenizer.chat_template
        tokenizer.chat_template = good.replace("{{- sample }}", "{{- message['content'] }}", 1)
        assert tokenizer.chat_template != good
        with caplog.at_level(logging.WARNING):
            self.trainer(tokenizer, [{"messages": MESSAGES}], tmp_path)
        assert "end-of-turn" in caplog.text

    def test_train_on_is_passed_through_the_data(
        self, byte_tokenizer: Callable[..., Tokenizer], tmp_path: Path
    ) -> None:
        tokenizer = byte_tokenizer(["<|im_start|>", "<|im_end|>", "<pad>"])
        install(tokenizer)
        row = {"messages": MESSAGES, "chat_template_kwargs": {"train_on": "last"}}
        data = self.trainer(tokenizer, [row], tmp_path).train_dataset
        labels = [label for label in data[0]["labels"] if label != -100]
        assert tokenizer.decode(labels) == "awake<|im_end|>"


def unpacked(row: dict[str, Any]) -> list[tuple[list[int], list[int]]]:
    """The sequences of a row that may hold several."""
    rows, start = [], 0
    for length in row.get("seq_lengths") or [len(row["input_ids"])]:
        rows.append((row["input_ids"][start : start + length], row["labels"][start : start + length]))
        start += length
    return rows
