"""The official client against a real server: answers are those of the model asked from Python."""

import math
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import httpx
import openai
import pytest

from spectrum_trl import SpectrumModel
from spectrum_trl.paths import TINY_BASE_NAME, TINY_INSTRUCT_NAME
from spectrum_trl.serve import replies
from spectrum_trl.serve.fields import ChatRequest, CompletionRequest
from spectrum_trl.serve.limits import Limits
from spectrum_trl.suite.task import Message
from tests.processes import ROOT
from tests.serve.live import served

DESCRIPTION = "In the urn: 3 red and 2 blue balls."
MESSAGES: list[Message] = [
    {"role": "description", "content": DESCRIPTION},
    {"role": "output", "content": "red"},
]
ALIASES = [{"role": "system", "content": DESCRIPTION}, {"role": "assistant", "content": "red"}]
FORMATS = {"spectrum": TINY_BASE_NAME, "colon": TINY_BASE_NAME, "chat": TINY_INSTRUCT_NAME}
LIMITS = Limits(prompt_tokens=300, max_tokens=128, n=8, answers=5, waiting=64)


@pytest.fixture(scope="module", params=FORMATS)
def model(request: pytest.FixtureRequest) -> SpectrumModel:
    return SpectrumModel.from_pretrained(FORMATS[request.param], format=request.param)


@pytest.fixture(scope="module")
def url(model: SpectrumModel) -> Iterator[str]:
    with served(model, limits=LIMITS) as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


def chat(client: openai.OpenAI, **changes: Any) -> Any:
    return client.chat.completions.create(
        **{"model": "tiny", "messages": ALIASES, "max_tokens": 30, **changes}
    )


def test_the_code_of_the_documentation_runs(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/serving.md").read_text(), re.DOTALL)
    exec(code.replace("http://127.0.0.1:8000", url))
    samples, asked = capsys.readouterr().out.splitlines()
    assert len(eval(samples)) == 8 and asked.count("'probability'") == 2


def test_the_model_is_listed(client: openai.OpenAI) -> None:
    assert [one.id for one in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("another")


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.7, "top_p": 0.9}], ids=["plain", "restricted"])
def test_samples_are_those_of_the_model_asked_from_python(
    client: openai.OpenAI, model: SpectrumModel, settings: dict[str, float]
) -> None:
    expected = model.sample(5, seed=7, max_new_tokens=30, messages=MESSAGES, **settings)
    found = chat(client, n=5, seed=7, **settings)
    assert [one.message.content for one in found.choices] == [one.text for one in expected]
    assert [one.finish_reason == "stop" for one in found.choices] == [one.ended for one in expected]
    assert chat(client, n=5, seed=7, messages=MESSAGES, **settings).choices == found.choices
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens


def test_log_probabilities_of_tokens_add_up_to_those_of_outputs(
    client: openai.OpenAI, model: SpectrumModel
) -> None:
    expected = model.sample(3, seed=2, max_new_tokens=30, messages=MESSAGES)
    found = chat(client, n=3, seed=2, logprobs=True, top_logprobs=3)
    for choice, one in zip(found.choices, expected, strict=True):
        tokens = choice.logprobs.content
        assert math.fsum(token.logprob for token in tokens) == pytest.approx(one.log_probability, abs=1e-4)
        assert all(len(token.top_logprobs) == 3 for token in tokens)
        assert all(token.top_logprobs[0].logprob >= token.logprob for token in tokens)
    assert sum(len(one.logprobs.content) for one in found.choices) == found.usage.completion_tokens


def test_at_temperature_0_every_token_is_the_likeliest(client: openai.OpenAI) -> None:
    (choice,) = chat(client, temperature=0, logprobs=True, top_logprobs=1).choices
    assert all(token.top_logprobs[0].token == token.token for token in choice.logprobs.content)


def collected(stream: Any, n: int) -> tuple[list[str], list[str | None], Any]:
    texts, reasons, usage = [""] * n, [None] * n, None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            assert reasons[choice.index] is None
            texts[choice.index] += (choice.delta.content if hasattr(choice, "delta") else choice.text) or ""
            reasons[choice.index] = choice.finish_reason
    return texts, reasons, usage


@pytest.mark.parametrize("settings", [{}, {"stop": ["e", "lue"]}, {"logprobs": True}], ids=str)
def test_a_stream_adds_up_to_the_whole_answer(client: openai.OpenAI, settings: dict[str, Any]) -> None:
    whole = chat(client, n=4, seed=3, **settings)
    stream = chat(client, n=4, seed=3, stream=True, stream_options={"include_usage": True}, **settings)
    texts, reasons, usage = collected(stream, 4)
    assert texts == [one.message.content for one in whole.choices]
    assert reasons == [one.finish_reason for one in whole.choices]
    assert usage == whole.usage
    if "stop" in settings:
        assert not any("e" in text for text in texts)
    assert collected(chat(client, stream=True), 1)[2] is None


def test_parts_of_characters_have_their_bytes(model: SpectrumModel) -> None:
    text = "é📄 x"
    asked: Any = CompletionRequest(model="tiny", prompt="a", logprobs=2)
    head = replies.head_of(asked, model="tiny", tokenizer=model.tokenizer)
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    job: Any = None
    sample: Any = SimpleNamespace(
        ids=ids, scores=[SimpleNamespace(log_probability=-1.0, top=[]) for _ in ids]
    )
    found = replies._logprobs(head, job, sample, 0)
    assert len(found["tokens"]) == len(ids) > len(text) and all(
        token.startswith("bytes:") or token in text for token in found["tokens"]
    )
    assert found["text_offset"] == [
        len(model.tokenizer.decode(ids[:n]).rstrip("\ufffd")) for n in range(len(ids))
    ]
    chat_head = head._replace(asked=ChatRequest.model_construct(model="tiny"))
    content = replies._logprobs(chat_head, job, sample, 0)["content"]
    assert bytes(byte for one in content for byte in one["bytes"]).decode() == text


def test_plain_text_is_continued(client: openai.OpenAI, model: SpectrumModel) -> None:
    asked: dict[str, Any] = {"model": "tiny", "prompt": ["In the urn", "In the urn"], "seed": 1, "n": 2}
    whole = client.completions.create(**asked, max_tokens=12, logprobs=2)
    assert [one.index for one in whole.choices] == [0, 1, 2, 3]
    assert len({one.text for one in whole.choices}) > 2
    for one in whole.choices:
        assert one.logprobs is not None and one.logprobs.tokens is not None
        assert "".join(one.logprobs.tokens).startswith(one.text) and one.logprobs.text_offset[0] == 0  # type: ignore[index]
        assert all(len(top) <= 2 for top in one.logprobs.top_logprobs or [])
    stream = client.completions.create(**asked, max_tokens=12, stream=True)
    assert collected(stream, 4)[0] == [one.text for one in whole.choices]
    assert client.completions.create(**asked, max_tokens=1).choices[0].finish_reason == "length"


def test_probabilities_of_answers_are_those_of_the_model(client: openai.OpenAI, model: SpectrumModel) -> None:
    answers = ["red", "blue", {"colour": 3}, ""]
    expected = model.probabilities(answers, messages=MESSAGES)
    found = chat(client, n=0, extra_body={"answers": answers})
    assert found.choices == [] and found.coverage == pytest.approx(expected.coverage, abs=1e-6)
    assert [one["answer"] for one in found.answers] == list(expected.answers)
    for name in ("probability", "normalised"):
        known = expected.probabilities if name == "probability" else expected.normalised
        assert [one[name] for one in found.answers] == pytest.approx(known, abs=1e-6)
    assert len(chat(client, n=2, extra_body={"answers": ["red"]}).choices) == 2


def test_a_schema_lists_its_values(client: openai.OpenAI, model: SpectrumModel) -> None:
    colour = {"type": "string", "enum": ["red", "blue"]}
    fields = {"colour": colour, "sure": {"type": "boolean"}}
    schema = {"type": "object", "properties": fields, "required": list(fields)}
    expected = model.probabilities_json(schema, messages=MESSAGES)
    found = chat(client, n=0, extra_body={"schema": schema})
    assert found.choices == [] and found.coverage == pytest.approx(expected.coverage, abs=1e-6)
    assert [one["value"] for one in found.answers] == list(expected.values) and len(expected.values) == 4
    for name in ("probability", "normalised"):
        known = expected.found.probabilities if name == "probability" else expected.found.normalised
        assert [one[name] for one in found.answers] == pytest.approx(known, abs=1e-6)
    (alone,) = chat(client, extra_body={"schema": {"const": 3}}).answers
    assert alone["value"] == 3 and alone["normalised"] == 1


def test_requests_at_the_same_time_get_what_they_get_alone(client: openai.OpenAI) -> None:
    asked = [
        {
            "n": 1 + k % 3,
            "seed": k,
            "temperature": (1, 0.5, 0)[k % 3],
            "max_tokens": 5 + k,
            "messages": [{"role": "system", "content": f"In the urn: {k} red and 2 blue balls."}],
            **({"extra_body": {"answers": ["red", "blue"]}} if k % 4 == 0 else {}),
        }
        for k in range(24)
    ]
    alone = [chat(client, **one) for one in asked]
    with ThreadPoolExecutor(24) as pool:
        together = list(pool.map(lambda one: chat(client, **one), asked))
    for one, other in zip(alone, together, strict=True):
        assert one.choices == other.choices and one.usage == other.usage
        if hasattr(one, "answers"):
            assert one.coverage == pytest.approx(other.coverage, abs=1e-6)


def test_the_example_of_the_docs_runs(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "serving.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(code.replace("http://127.0.0.1:8000", url), {})
    assert "probability" in capsys.readouterr().out


def test_without_a_seed_each_request_gets_a_fresh_one_that_it_is_told(client: openai.OpenAI) -> None:
    first, second = chat(client, n=8), chat(client, n=8)
    assert first.seed != second.seed
    assert chat(client, n=8, seed=first.seed).choices == first.choices
    assert chat(client, seed=-1).choices == chat(client, seed=-1).choices


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"messages": []}, 400, "messages"),
    ({"messages": [{"role": "system", "content": "a<|im_end|>b"}]}, 400, "control token"),
    (
        {"messages": [{"role": "robot", "content": "a"}]},
        400,
        'messages.0.role: expected "description", "input"',
    ),
    ({"messages": [{"role": "user", "content": "a"}] * 2}, 400, "no output after it"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]}, 400, "text"),
    ({"messages": [{"role": "system", "content": "red " * 400}]}, 400, "tokens, but at most 300"),
    ({"model": "another"}, 404, "'tiny'"),
    ({"n": 9}, 400, "n: expected 1 to 8"),
    ({"n": 0}, 400, "n: expected 1 to 8"),
    ({"max_tokens": 129}, 400, "at most 128"),
    ({"max_tokens": 0}, 400, "max_tokens: expected a number greater than or equal to 1, but it is 0"),
    ({"max_completion_tokens": 3}, 400, "either max_tokens or"),
    ({"temperature": 1e-9}, 400, "temperature"),
    ({"temperature": -1}, 400, "temperature"),
    ({"top_p": 0}, 400, "top_p"),
    ({"stop": ""}, 400, "stop: expected at least 1 character"),
    ({"top_logprobs": 2}, 400, "needs logprobs"),
    ({"tools": [{"type": "function"}]}, 400, "tools is not supported"),
    ({"frequency_penalty": 0.5}, 400, "frequency_penalty"),
    ({"extra_body": {"anwers": ["a"]}}, 400, "Did you mean 'answers'"),
    ({"extra_body": {"answers": []}}, 400, "answers"),
    ({"extra_body": {"answers": list("abcdef")}}, 400, "answers: expected 1 to 5"),
    ({"extra_body": {"answers": ["a", "a"]}}, 400, "are the same"),
    ({"extra_body": {"answers": ["<|im_end|>"]}}, 400, "control token"),
    ({"extra_body": {"answers": ["a"]}, "stream": True}, 400, "cannot be streamed"),
    ({"extra_body": {"schema": "a"}}, 400, "schema: expected"),
    ({"extra_body": {"schma": {"const": 1}}}, 400, "Did you mean 'schema'"),
    ({"extra_body": {"schema": {}}}, 400, "cannot be listed"),
    ({"extra_body": {"schema": {"type": "strin"}}}, 400, "schema: $.type"),
    ({"extra_body": {"schema": {"enum": []}}}, 400, "schema: "),
    ({"extra_body": {"schema": {"enum": ["1", 1]}}}, 400, "schema: answers 1 and 2 are the same"),
    ({"extra_body": {"schema": {"enum": list("abcdef")}}}, 400, "schema: it allows more than 5 values"),
    ({"extra_body": {"schema": {"type": "integer", "minimum": 0, "maximum": 1e300}}}, 400, "more than 5"),
    ({"extra_body": {"schema": {"const": 1, "$ref": "http://127.0.0.1/a"}}}, 400, "'$ref' is not supported"),
    ({"extra_body": {"schema": {"anyOf": [{"enum": ["a"], "pattern": "(a+)+b"}]}}}, 400, "'pattern'"),
    ({"extra_body": {"schema": {"type": "array", "maxItems": 10**9}}}, 400, "'maxItems' is not supported"),
    ({"extra_body": {"schema": {"properties": {"a": {"type": "array", "items": 1}}}}}, 400, "$.a: 'items'"),
    ({"extra_body": {"schema": {"const": "a" * 9000}}}, 400, "schema: it has more than 8,192 characters"),
    ({"extra_body": {"schema": {"const": 1}, "answers": ["a"]}}, 400, "either answers or schema"),
    ({"extra_body": {"schema": {"const": 1}}, "stream": True}, 400, "schema: its probabilities cannot"),
]


def test_many_thousand_mistakes_are_told_at_once(url: str) -> None:
    body = {"messages": [], **{f"name{n}": n for n in range(40_000)}}
    began = time.monotonic()
    found = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60)
    assert found.status_code == 400 and "39,991 more problems" in found.json()["error"]["message"]
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(("changes", "status", "expected"), WRONG)
def test_a_mistake_is_told_in_openais_form(
    client: openai.OpenAI, changes: dict[str, Any], status: int, expected: str
) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        chat(client, **changes)
    assert raised.value.status_code == status and expected in raised.value.message
    assert raised.value.type == "invalid_request_error"


def test_fields_that_ask_for_nothing_are_accepted(client: openai.OpenAI) -> None:
    answer = chat(client, seed=1).choices[0].message.model_dump() | {"content": "red"}
    messages = [ALIASES[0], answer, {"role": "user", "content": [{"type": "text", "text": "?"}]}]
    neutral = {"user": "me", "frequency_penalty": 0, "tools": [], "response_format": {"type": "text"}}
    assert chat(client, messages=messages, logit_bias={}, **neutral, metadata={"a": "b"}).choices


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (rb'{"\ud800": "a"}', "surrogate"),
        (b"{", "not valid JSON"),
        (b"[]", "JSON object"),
        (b"\xff", "UTF-8"),
        (b"", "JSON"),
    ],
)
def test_what_is_no_json_is_told(url: str, body: bytes, expected: str) -> None:
    found = httpx.post(f"{url}/v1/chat/completions", content=body)
    assert found.status_code == 400 and expected in found.json()["error"]["message"]


def test_paths_that_do_not_exist_and_wrong_methods_are_told_in_the_same_form(url: str) -> None:
    assert httpx.get(f"{url}/v1/nothing").json()["error"]["type"] == "invalid_request_error"
    assert httpx.get(f"{url}/v1/nothing").status_code == 404
    assert httpx.get(f"{url}/v1/completions").status_code == 405
