"""The loss on plain text is that of the model's own pass over each text."""

import json
from pathlib import Path
from pydoc_data.topics import topics

import pytest
import torch
from rich.console import Console

from spectrum_trl.evaluation.evaluate import Setup, evaluate
from spectrum_trl.evaluation.plain_text import LONGEST
from spectrum_trl.models.load import load_model, load_tokenizer, model_path
from spectrum_trl.paths import TINY_BASE_NAME


def test_its_rows_are_the_losses_and_lengths_of_the_texts(tmp_path: Path) -> None:
    model_args = {"pretrained": model_path(TINY_BASE_NAME)}
    setup = Setup(backend="spectrum", model=model_args, options={}, output=tmp_path, limit=3, include=())
    figures = evaluate(setup, ["plain_text"], out=Console(quiet=True))["results"]["plain_text"]
    model, tokenizer = load_model(TINY_BASE_NAME), load_tokenizer(TINY_BASE_NAME)
    expected = []
    for name in sorted(topics)[:3]:
        ids = tokenizer.encode(topics[name][:LONGEST], add_special_tokens=False)
        inputs = torch.tensor([[tokenizer.eos_token_id, *ids]])
        with torch.no_grad():
            log_probs = torch.log_softmax(model(inputs).logits[0, :-1].double(), -1)
        expected.append([-float(log_probs.gather(-1, inputs[0, 1:, None]).sum()), len(ids)])
    (samples,) = tmp_path.glob("**/samples_plain_text_*.jsonl")
    rows = [json.loads(line)["nats_per_token"] for line in samples.read_text("utf-8").splitlines()]
    assert rows == [pytest.approx(row, rel=1e-6) for row in expected]
    total, length = (sum(column) for column in zip(*expected, strict=True))
    assert figures["nats_per_token,none"] == pytest.approx(total / length)
