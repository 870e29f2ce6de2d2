"""Other servers answer from a saved folder as ours does: same prompts, likeliest texts and scores."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from openai import OpenAI

from spectrum_trl import SpectrumModel
from spectrum_trl.models.initialise import new_model
from spectrum_trl.paths import TINY_BASE_NAME
from spectrum_trl.suite.task import Message
from tests.serve.live import served
from tests.small_models import CONFIG

MESSAGES: list[Message] = [
    {"role": "description", "content": "A colour for each mood."},
    {"role": "input", "content": "calm"},
    {"role": "output", "content": "blue"},
    {"role": "input", "content": "angry"},
]
ALIASES = {"description": "system", "input": "user", "output": "assistant"}
TOKENS = 8
SECONDS = 400


@pytest.fixture(scope="module")
def model() -> SpectrumModel:
    # vLLM has no attention for the tiny models' heads on a CPU.
    shape = {"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32}
    tokenizer = SpectrumModel.from_pretrained(TINY_BASE_NAME, format="spectrum").prompts.tokenizer
    made = new_model({**CONFIG, "model_type": "qwen3", **shape}, vocab_size=len(tokenizer), seed=0)
    return SpectrumModel(made.eval(), tokenizer)


@pytest.fixture(scope="module")
def folder(model: SpectrumModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "tiny"
    model.model.save_pretrained(folder)
    model.prompts.tokenizer.save_pretrained(folder)
    return folder


@contextmanager
def running(*command: str, log: Path) -> Iterator[OpenAI]:
    """Run another server until the block ends; yields a client once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with log.open("wb") as out:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"},
        )
    client = OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
    try:
        ends = time.monotonic() + SECONDS
        while True:
            assert server.poll() is None and time.monotonic() < ends, log.read_text()[-3000:]
            time.sleep(0.5)
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).is_success:
                    break
            except httpx.TransportError:
                pass
        yield client
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def asked(client: OpenAI, *, model: str, roles: dict[str, str], **settings: Any) -> Any:
    messages: Any = [{**one, "role": roles.get(one["role"], one["role"])} for one in MESSAGES]
    return client.chat.completions.create(
        model=model, messages=messages, temperature=0, max_tokens=TOKENS, **settings
    )


def streamed(client: OpenAI, model: str) -> str:
    pieces = asked(client, model=model, roles=ALIASES, stream=True)
    return "".join(one.choices[0].delta.content or "" for one in pieces if one.choices)


def ours(model: SpectrumModel) -> Any:
    with served(model) as address:
        client = OpenAI(base_url=f"{address}/v1", api_key="none")
        return asked(client, model="tiny", roles=ALIASES, logprobs=True)


@pytest.mark.slow
def test_transformers_serve_gives_the_likeliest_output_after_the_same_prompt(
    model: SpectrumModel, folder: Path, tmp_path: Path
) -> None:
    expected = ours(model)
    program = str(Path(sys.executable).with_name("transformers"))
    with running(program, "serve", str(folder), "--dtype", "float32", log=tmp_path / "log") as client:
        for roles in (ALIASES, {}):
            found = asked(client, model=str(folder), roles=roles)
            assert found.choices[0].message.content == expected.choices[0].message.content
            assert found.usage.prompt_tokens == expected.usage.prompt_tokens
            assert streamed(client, str(folder)) == expected.choices[0].message.content


@pytest.mark.slow
def test_vllm_gives_the_likeliest_output_and_its_scores_after_the_same_prompt(
    model: SpectrumModel, folder: Path, tmp_path: Path
) -> None:
    python = os.environ.get("SPECTRUM_VLLM")
    if python is None:
        pytest.skip("vLLM needs an environment of its own: make test-vllm makes it")
    expected = ours(model)
    program = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    words = ["--dtype", "float32", "--max-model-len", "512", "--enforce-eager"]
    with running(*program, *words, log=tmp_path / "log") as client:
        for roles in (ALIASES, {}):
            found = asked(client, model=str(folder), roles=roles, logprobs=True)
            assert found.choices[0].message.content == expected.choices[0].message.content
            assert found.usage.prompt_tokens == expected.usage.prompt_tokens
            scores = [[one.logprob for one in each.choices[0].logprobs.content] for each in (found, expected)]
            np.testing.assert_allclose(*scores, atol=1e-3)
        assert streamed(client, str(folder)) == expected.choices[0].message.content
        drawn = [
            asked(client, model=str(folder), roles=ALIASES, n=3, seed=1, extra_body={"temperature": 1})
            for _ in range(2)
        ]
        texts = [[one.message.content for one in each.choices] for each in drawn]
        assert texts[0] == texts[1] and len(set(texts[0])) == 3
