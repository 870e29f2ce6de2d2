"""A file of one's own is JSON Lines in UTF-8, and every problem in it has its line."""

import json
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from spectrum_trl.data.conversations import read_conversations
from spectrum_trl.errors import UserError

GOOD = [{"role": "description", "content": "d"}, {"role": "output", "content": "x"}]
LINE = json.dumps({"messages": GOOD}).encode()


def read(file: Path, tokenizer: PreTrainedTokenizerBase, *lines: bytes, between: bytes = b"\n") -> list:
    file.write_bytes(between.join(lines))
    return read_conversations(file, tokenizer=tokenizer)


@pytest.mark.parametrize(
    "content", ["a\u2028b", "a\u0085b", "a\u2029b", "a\x0bb", "a\x0cb", "a\x1cb", "a\rb"]
)
def test_only_a_line_feed_ends_a_line(
    tmp_path: Path, tiny_tokenizer: PreTrainedTokenizerBase, content: str
) -> None:
    messages = [GOOD[0], {"role": "output", "content": content}]
    escape = content in ("a\x0bb", "a\x0cb", "a\x1cb", "a\rb")
    line = json.dumps({"messages": messages}, ensure_ascii=escape).encode()
    assert read(tmp_path / "a", tiny_tokenizer, LINE, line, LINE) == [GOOD, messages, GOOD]
    with pytest.raises(UserError) as caught:
        read(tmp_path / "a", tiny_tokenizer, line, b"{}", LINE)
    assert caught.value.problems[0].startswith(f"{tmp_path / 'a'}, line 2:")


def test_marks_carriage_returns_and_blank_lines_are_no_content(
    tmp_path: Path, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    assert read(tmp_path / "a", tiny_tokenizer, b"\xef\xbb\xbf" + LINE, LINE, between=b"\r\n") == [GOOD] * 2
    assert read(tmp_path / "a", tiny_tokenizer, b"", LINE, b"  ", LINE, b"") == [GOOD] * 2


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"messages": ' + b"9" * 5000 + b"}", "a number too long to read"),
        (b'{"messages": 1e999}', "the number 1e999 is too large"),
        (b'{"messages": [], "messages": []}', "the key 'messages' is repeated"),
        (
            b'{"messages": [{"role": "output", "role": "input", "content": "x"}]}',
            "the key 'role' is repeated",
        ),
        (b'["messages"]', "one JSON object"),
        (b"3", "one JSON object"),
        (b"null", "one JSON object"),
        (b'{"text": "x"}', '"messages" as its only key'),
        (b'{"messages": [', "not valid JSON: "),
        (b"\0", "not valid JSON"),
        ('{"messages": "é"}'.encode("latin-1"), "byte 15 is not UTF-8"),
        (b'{"messages": ["\\ud800"]}', "expected an object"),
        (b'{"messages": [{"role": "output", "content": "\\ud800"}]}', "surrogate"),
        (b'{"messages": [{"role": ["x"], "content": {}}]}', "role"),
        (b'{"messages": [{"role": "output", "content": null}]}', "NoneType"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_a_line_that_cannot_be_read_is_one_clear_message(
    tmp_path: Path, tiny_tokenizer: PreTrainedTokenizerBase, line: bytes, told: str
) -> None:
    with pytest.raises(UserError, match=told) as caught:
        read(tmp_path / "a", tiny_tokenizer, LINE, line, LINE)
    assert caught.value.problems[0].startswith(f"{tmp_path / 'a'}, line 2")
    assert len(caught.value.problems[0]) < 500


@pytest.mark.parametrize(
    ("encoding", "told"),
    [
        ("utf-16", "UTF-16.* UTF-8"),
        ("utf-32", "UTF-32.* UTF-8"),
        ("utf-16-le", "is not UTF-8"),
        ("utf-16-be", "is not UTF-8"),
        ("latin-1", "not UTF-8.* UTF-8"),
    ],
)
def test_another_encoding_is_named_or_refused(
    tmp_path: Path, tiny_tokenizer: PreTrainedTokenizerBase, encoding: str, told: str
) -> None:
    text = json.dumps({"messages": [GOOD[0], {"role": "output", "content": "é"}]}, ensure_ascii=False)
    (tmp_path / "a").write_text(text, encoding=encoding)
    with pytest.raises(UserError, match=told):
        read_conversations(tmp_path / "a", tokenizer=tiny_tokenizer)


def test_at_most_twenty_problems_are_shown(tmp_path: Path, tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path / "a", tiny_tokenizer, *[b"{}"] * 50)
    assert len(caught.value.problems) == 21 and "30 more" in caught.value.problems[-1]
