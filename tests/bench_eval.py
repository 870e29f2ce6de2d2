"""Compare ways to evaluate a model (``make bench-eval``): lm-eval's ``hf``, ours, and a hand-written ideal.

All answer the same requests of the same model, from texts. The ideal knows what an evaluation does not: which
requests belong together, and that nothing else is asked.
"""

import multiprocessing
import platform
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Annotated, Any, NamedTuple

import numpy as np
import psutil
import torch
import typer
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from rich.console import Console
from rich.table import Table
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.files import write_json
from spectrum_trl.models.initialise import new_model, new_tokenizer
from spectrum_trl.prompts import templates
from spectrum_trl.prompts.scored import Prompts
from spectrum_trl.scoring.lm import SpectrumLM
from spectrum_trl.suite.sequences.builders import description_message, iid

# Shapes of 3 and 50 million parameters. In real models of this size most weights are those of the vocabulary.
SHAPES: dict[str, dict[str, Any]] = {
    "3M": {"vocab_size": 16_000, "hidden_size": 128, "num_hidden_layers": 4},
    "50M": {"vocab_size": 48_000, "hidden_size": 512, "num_hidden_layers": 8},
}
OUTPUTS, ICL_TOKENS = 21, 1000
CANDIDATES, PROMPT_TOKENS = 50, 800
SAMPLES, NEW_TOKENS = 100, 8
WAYS = ("hf", "spectrum", "ideal")
# It takes minutes, and its ratios are far from their limits.
HF_ROUNDS = 1


class Work(NamedTuple):
    """Requests, and how the ideal answers them."""

    requests: list[Instance]
    ideal: Callable[[], list[float]]


def model_of(shape: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return a random model, and a tokenizer of few words: the rest of the vocabulary is never read."""
    settings = {"model_type": "qwen3", "head_dim": 64, "max_position_embeddings": 4096, **SHAPES[shape]}
    width = settings["hidden_size"]
    settings |= {"intermediate_size": 3 * width, "num_attention_heads": width // 64}
    settings |= {"num_key_value_heads": max(1, width // 128), "tie_word_embeddings": True}
    size = settings.pop("vocab_size")
    tokenizer = new_tokenizer([" ".join(words(200, seed=0)), "description output input"], vocab_size=600)
    templates.install(tokenizer)
    return new_model(settings, vocab_size=size, seed=0).eval(), tokenizer


def words(n: int, *, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("aeioubdgklmnprst"), size=5)) for _ in range(n)]


def text_of(n: int, *, seed: int) -> str:
    return " ".join(np.random.default_rng(seed).choice(words(200, seed=0), size=n * 2 // 5))


def icl(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Work:
    """One sequence: a description, and outputs after each other."""
    rest = ICL_TOKENS - OUTPUTS * 9
    outputs = [" ".join(pair) for pair in np.reshape(words(200, seed=0)[: 2 * OUTPUTS], (-1, 2))]
    prompts = Prompts(tokenizer, fmt="spectrum")
    scored = prompts.outputs(iid(outputs, description=text_of(rest, seed=1)))
    pairs = [pair for one in scored for pair in prompts.apart(one.context, one.output)]

    def ideal() -> list[float]:
        ids = tokenizer(scored[-1].context + scored[-1].output)["input_ids"]
        starts = [len(tokenizer(one.context)["input_ids"]) for one in scored]
        lengths = [len(tokenizer(one.output)["input_ids"]) for one in scored]
        ends = [start + length for start, length in zip(starts, lengths, strict=True)]
        places = torch.tensor([n for s, e in zip(starts, ends, strict=True) for n in range(s, e)])
        hidden = model.get_decoder()(input_ids=torch.tensor([ids[:-1]])).last_hidden_state[0]
        logits = model.get_output_embeddings()(hidden[places - 1]).log_softmax(-1)
        found = logits[range(len(places)), torch.tensor(ids)[places]].split(
            [end - start for start, end in zip(starts, ends, strict=True)]
        )
        return [float(part.sum()) for part in found]

    return Work(instances("loglikelihood", pairs), ideal)


def candidates(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Work:
    """One prompt with many answers."""
    prompts = Prompts(tokenizer, fmt="spectrum")
    context = prompts.prompt([description_message(text_of(PROMPT_TOKENS - 8, seed=2))])
    answers = [prompts.answer(word) for word in words(200, seed=0)[:CANDIDATES]]
    pairs = [pair for answer in answers for pair in prompts.apart(context, answer)]

    def ideal() -> list[float]:
        prompt = torch.tensor([tokenizer(context)["input_ids"]])
        rows = [torch.tensor(ids) for ids in tokenizer(answers)["input_ids"]]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        start = model(input_ids=prompt, use_cache=True, logits_to_keep=1)
        past = start.past_key_values
        past.batch_repeat_interleave(len(rows))
        logits = model(input_ids=ids[:, :-1], past_key_values=past).logits
        every = torch.cat([start.logits.expand(len(rows), -1, -1), logits], dim=1).log_softmax(-1)
        found = every.gather(-1, ids.unsqueeze(-1)).squeeze(-1)
        return [float(row[: len(one)].sum()) for row, one in zip(found, rows, strict=True)]

    return Work(instances("loglikelihood", pairs), ideal)


def samples(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Work:
    """One prompt, continued many times; random models never end a turn."""
    context = Prompts(tokenizer, fmt="spectrum").prompt([description_message(text_of(200, seed=3))])
    asked = {"until": ["<|im_end|>"], "do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
    asked["max_gen_toks"] = NEW_TOKENS

    def ideal() -> list[float]:
        start = model(
            input_ids=torch.tensor([tokenizer(context)["input_ids"]]), use_cache=True, logits_to_keep=1
        )
        past, logits = start.past_key_values, start.logits[:, -1].expand(SAMPLES, -1)
        past.batch_repeat_interleave(SAMPLES)
        found = []
        for step in range(NEW_TOKENS):
            found.append(torch.multinomial(logits.float().softmax(-1), 1))
            if step + 1 < NEW_TOKENS:
                logits = model(input_ids=found[-1], past_key_values=past).logits[:, -1]
        return [float(len(text)) for text in tokenizer.batch_decode(torch.cat(found, dim=1))]

    return Work(instances("generate_until", [(context, asked)] * SAMPLES), ideal)


WORKS: dict[str, Callable[[PreTrainedModel, PreTrainedTokenizerBase], Work]] = {
    "steerability": icl,
    "candidates": candidates,
    "samples": samples,
}


def instances(kind: Any, pairs: list[Any]) -> list[Instance]:
    return [Instance(kind, {}, pair, 0, ("bench", 0, 1)) for pair in pairs]


def runner(way: str, work: Work, *, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Any:
    if way == "ideal":
        return torch.inference_mode()(work.ideal)
    if way == "hf":
        # As `lm_eval --model hf` has it, one row at a time; generation in one batch of all samples.
        batch = SAMPLES if work.requests[0].request_type == "generate_until" else 1
        lm: Any = HFLM(model, tokenizer=tokenizer, batch_size=batch)
    else:
        lm = SpectrumLM(model, tokenizer=tokenizer)
    return lambda: getattr(lm, work.requests[0].request_type)(work.requests, disable_tqdm=True)


def measured(shape: str, kind: str, *, rounds: int, now: Callable[[], float]) -> dict[str, list[float]]:
    """Return the seconds of each way in each round; rounds go over all ways, so that noise hits all."""
    model, tokenizer = model_of(shape)
    work = WORKS[kind](model, tokenizer)
    runs = {way: runner(way, work, model=model, tokenizer=tokenizer) for way in WAYS}
    found = {way: run() for way, run in runs.items() if way != "hf"}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(rounds):
        for way, run in runs.items():
            if way == "hf" and number >= HF_ROUNDS:
                continue
            start = now()
            found[way] = run()
            seconds[way].append(now() - start)
    check(kind, found)
    return seconds


def check(kind: str, found: dict[str, Any]) -> None:
    """Check that all ways answer alike."""
    if kind == "samples":
        assert all(len(answers) == SAMPLES for answers in found.values())
        return
    for way in ("hf", "spectrum"):
        whole, spaces = found[way][::2], found[way][1::2]
        logs = [answer[0] - space[0] for answer, space in zip(whole, spaces, strict=True)]
        np.testing.assert_allclose(logs, found["ideal"], rtol=1e-3, atol=1e-3)


def memory(shape: str, kind: str, way: str) -> float:
    """Return by how many MiB a process of its own grows beyond model and libraries."""
    model, tokenizer = model_of(shape)
    run = runner(way, WORKS[kind](model, tokenizer), model=model, tokenizer=tokenizer)
    process, finished = psutil.Process(), threading.Event()
    sizes = [process.memory_info().rss]

    # Sampled, since not every system counts the peak.
    def watch() -> None:
        while not finished.wait(0.002):
            sizes.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    run()
    finished.set()
    watcher.join()
    return (max(sizes) - sizes[0]) / 2**20


def alone(shape: str, kind: str, way: str) -> float:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(memory, shape, kind, way).result()


def lines(results: dict[str, dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    for name, result in results.items():
        hf, ours, ideal = (result["seconds"][way] for way in WAYS)
        sizes = [f"{result['mebibytes'][way]:,.0f}" if result["mebibytes"] else "—" for way in WAYS]
        times = [f"{seconds * 1000:,.0f}" for seconds in (hf, ours, ideal)]
        yield (name, *times, f"{hf / ours:.1f}", f"{ours / ideal:.2f}", " / ".join(sizes))


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds over all ways; the median counts.")] = 5,
    shape: Annotated[list[str] | None, typer.Option(help="3M, 50M; both by default.")] = None,
    with_memory: Annotated[bool, typer.Option("--memory/--no-memory", help="Measure memory too.")] = True,
    cpu_time: Annotated[
        bool, typer.Option(help="Count processor time, for a machine with other work; use one thread.")
    ] = False,
    output: Annotated[Path, typer.Option(help="JSON file for the result.")] = Path("runs/bench_eval.json"),
) -> None:
    """Measure, print one table, and write it as JSON."""
    results: dict[str, dict[str, Any]] = {}
    for size in shape or SHAPES:
        for kind in WORKS:
            seconds = measured(
                size, kind, rounds=rounds, now=time.process_time if cpu_time else time.perf_counter
            )
            results[f"{size} {kind}"] = {
                "seconds": {way: median(found) for way, found in seconds.items()},
                "mebibytes": {way: alone(size, kind, way) for way in WAYS} if with_memory else {},
            }
    table = Table(title="Milliseconds per way, and peak memory in MiB beside the model's")
    for column in ("work", *WAYS, "hf / spectrum", "spectrum / ideal", "memory " + " / ".join(WAYS)):
        table.add_column(column, justify="left" if column == "work" else "right")
    for line in lines(results):
        table.add_row(*line)
    Console(width=120).print(table)
    setting = {
        "device": f"cpu ({platform.machine()})",
        "threads": torch.get_num_threads(),
        "time": "processor" if cpu_time else "wall",
        "versions": {package: version(package) for package in ("torch", "transformers", "lm_eval")},
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    write_json({**setting, "works": results}, output)


if __name__ == "__main__":
    typer.run(main)
