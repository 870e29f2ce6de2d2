"""Compare `SpectrumModel` with what one would write instead: ``make bench-ask``; ratios of one run."""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from spectrum_trl import SpectrumModel
from spectrum_trl.paths import TINY_BASE_NAME

ANSWERS = ["one", "two", "three", "four", "five", "six", "seven"]


def stock(model: SpectrumModel, contexts: list[str], answers: list[str]) -> list[list[float]]:
    """Score each answer after each context with one plain forward pass of transformers."""
    found = []
    for context in contexts:
        start = len(model.tokenizer(context, add_special_tokens=False)["input_ids"])
        row = []
        for answer in answers:
            text = context + model.prompts.answer(answer)
            ids = torch.tensor([model.tokenizer(text, add_special_tokens=False)["input_ids"]])
            with torch.inference_mode():
                logits = model.model(ids).logits[0, start - 1 : -1].float().log_softmax(-1)
            row.append(float(logits.gather(1, ids[0, start:, None]).sum()))
        found.append(row)
    return found


def ideal(model: SpectrumModel, context: str, answers: list[str]) -> list[float]:
    """Read the context once, and all answers in one padded batch behind a copy of its keys and values."""
    tokenizer: Any = model.tokenizer
    before = tokenizer(context, add_special_tokens=False)["input_ids"]
    texts = [context + model.prompts.answer(answer) for answer in answers]
    rest = [ids[len(before) :] for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]
    width = max(map(len, rest))
    padded = torch.zeros((len(rest), width), dtype=torch.long)
    for n, ids in enumerate(rest):
        padded[n, : len(ids)] = torch.tensor(ids)
    with torch.inference_mode():
        first = model.model(torch.tensor([before]), use_cache=True, logits_to_keep=1)
        past = first.past_key_values
        past.batch_repeat_interleave(len(rest))
        logits = model.model(padded, past_key_values=past).logits[:, :-1]
        whole = (
            torch.cat([first.logits[:, -1:].expand(len(rest), -1, -1), logits], dim=1).float().log_softmax(-1)
        )
    picked = whole.gather(2, padded.unsqueeze(2)).squeeze(2)
    return [float(picked[n, : len(ids)].sum()) for n, ids in enumerate(rest)]


def seconds(run: Callable[[], Any], *, rounds: int) -> tuple[float, Any]:
    """Return the median time of a function, and what it returned last."""
    taken, found = [], None
    for _ in range(rounds):
        started = time.perf_counter()
        found = run()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken), found


def start(code: str) -> float:
    """Return the processor seconds of a fresh interpreter that runs the code."""
    before = os.times()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def many_prompts(model: SpectrumModel, *, prompts: int) -> tuple[str, str, str]:
    """Return the row that compares single calls with ours, for prompts that begin differently."""
    examples = [f"number {n}" for n in range(12)]
    questions: Any = [{"description": f"A word for {n}.", "examples": examples} for n in range(prompts)]
    ours, found = seconds(lambda: model.probabilities_of([ANSWERS] * prompts, questions), rounds=1)
    some = range(0, prompts, max(1, prompts // 100))
    contexts = [model.prompts.prompt(messages) for messages in model._asked([questions[n] for n in some], {})]
    single, expected = seconds(lambda: stock(model, contexts, ANSWERS), rounds=1)
    difference = np.abs(np.array([found[n].log_probabilities for n in some]) - expected).max()
    ratio = single / len(contexts) * prompts / ours
    what = f"single calls of transformers / ours: {prompts} prompts x 7 answers"
    return what, f"{ratio:.1f}", f"{difference:.1e}"


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=TINY_BASE_NAME)
    parser.add_argument("--format", default="spectrum")
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    words = parser.parse_args()
    model = SpectrumModel.from_pretrained(words.model, format=words.format)
    table = Table("what", "ratio", "largest difference in nats")

    table.add_row(*many_prompts(model, prompts=words.prompts))

    answers = [f"{n} of them" for n in range(300)]
    question: Any = {"description": "Counts of things.", "examples": [f"{n} things" for n in range(100)]}
    (messages,) = model._asked([question], {})
    context = model.prompts.prompt(messages)
    ours, mine = seconds(lambda: model.probabilities_of([answers], [question]), rounds=words.rounds)
    best, hand = seconds(lambda: ideal(model, context, answers), rounds=words.rounds)
    tokens = len(model.tokenizer(context)["input_ids"])
    difference = np.abs(np.array(mine[0].log_probabilities) - hand).max()
    table.add_row(
        f"ours / hand-written ideal: 300 answers after {tokens} tokens",
        f"{ours / best:.2f}",
        f"{difference:.1e}",
    )

    imports = start("import torch, transformers")
    ready = start(
        "from spectrum_trl import SpectrumModel; "
        f"SpectrumModel.from_pretrained({words.model!r}, format={words.format!r})"
    )
    table.add_row(
        "SpectrumModel ready / import torch, transformers (processor time)", f"{ready / imports:.2f}", ""
    )
    started = start("import spectrum_trl") - start("pass")
    table.add_row("import spectrum_trl, processor seconds", f"{started:.2f}", "")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
