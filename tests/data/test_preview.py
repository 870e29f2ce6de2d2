"""The preview shows which tokens carry loss, and every count."""

import io
import json
from pathlib import Path

from rich.console import Console
from transformers import PreTrainedTokenizerBase

from spectrum_trl.data.mixture import build_mixture
from spectrum_trl.data.preview import TRAINED, coloured, show
from spectrum_trl.recipe.arguments import DataArguments


def test_exactly_the_trained_tokens_are_coloured(tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    messages = [
        {"role": "input", "content": "red"},
        {"role": "output", "content": "blue"},
        {"role": "output", "content": "green [bold]"},
    ]
    row = tiny_tokenizer.apply_chat_template(
        messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    text = coloured(row["input_ids"], row["assistant_masks"], tokenizer=tiny_tokenizer)
    trained = [text.plain[span.start : span.end] for span in text.spans if span.style == TRAINED]
    assert trained == ["green [bold]<|im_end|>"]


def test_the_preview_prints_counts_reasons_missing_data_and_samples(
    tiny_tokenizer: PreTrainedTokenizerBase, tmp_path
) -> None:
    data = DataArguments(
        tasks={"tiny_counts": {"max_sequences": 5}, "polis_vote": {}},
        split=["train"],
        data_dir=str(tmp_path),
        ignore_missing=True,
    )
    mixture = build_mixture(data, tokenizer=tiny_tokenizer, max_length=100)
    console = Console(record=True, width=200)
    show(mixture, tokenizer=tiny_tokenizer, console=console, samples=2, seed=0)
    printed = console.export_text()
    count = mixture.counts[0]
    for shown in ("tiny_counts", "cut sequences", f"{count.tokens:,}", f"{count.trained_tokens:,}"):
        assert shown in printed
    assert "polis_vote" in printed and "spectrum-trl data fetch polis" in printed
    assert "tokens used" in printed and "<|im_start|>output" in printed


def test_markup_and_control_characters_are_shown_and_not_obeyed(
    tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    folder = tmp_path / "["
    folder.mkdir()
    messages = [{"role": "output", "content": text} for text in ("red", "a\x1b[2J\x9b1mblue")]
    for name in ("x].jsonl", "[bold]x.jsonl"):
        (folder / name).write_text(json.dumps({"messages": messages}))
    data = DataArguments(train_files=[str(file) for file in folder.iterdir()])
    mixture = build_mixture(data, tokenizer=tiny_tokenizer, max_length=100, show_progress=True)
    out = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=400)
    show(mixture, tokenizer=tiny_tokenizer, console=out, samples=2, seed=0)
    printed = out.file.getvalue()
    assert all(str(file) in printed for file in folder.iterdir())
    assert "␛[2J" in printed and "\x1b[2J" not in printed and "\x9b" not in printed
