"""Check that a tokenizer splits text as its ``tokenizer.json`` does."""

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from spectrum_trl.errors import UserError

# Texts that the pre-tokenizers and normalizers of published models treat differently.
PROBES = (
    "The quick brown fox, it's 42 years old; isn't it?",
    " one  two   three    four ",
    "1234567890 3.14159 1,000,000 v2.0",
    "a\nb\n\nc\r\nd\t\te \n \n f",
    "Crème brûlée, naïve, cafe\u0301, Straße, ŒUVRE",
    "日本語の文章。中文句子,한국어 문장",
    "def f(x_1: int) -> None:\n    return [x**2 for x in range(10)]  # done",
    "😀👩\u200d👩\u200d👧 🇩🇪 ➜ ½ №",
)


def check_splitting(tokenizer: PreTrainedTokenizerBase, file: str, *, name: str) -> None:
    """Check that a loaded tokenizer returns the same ids as its file.

    For some classes, transformers rebuilds the pre-tokenizer regardless of the file
    (https://github.com/huggingface/transformers/issues/44254). Only differences in the ids count.

    Args:
        tokenizer: The loaded tokenizer.
        file: Its ``tokenizer.json``.
        name: Name of the model, for the message.

    Raises:
        UserError: With the first text that the two split differently.
    """
    published = Tokenizer.from_file(file)
    published.no_truncation()
    published.no_padding()
    for text in PROBES:
        expected = published.encode(text, add_special_tokens=False).ids
        found = tokenizer.encode(text, add_special_tokens=False)
        if found != expected:
            raise UserError(
                f"the tokenizer of {name!r} does not split text as its tokenizer.json does: {text!r} becomes "
                f"{len(found)} tokens, {found[:6]} …, instead of {len(expected)}, {expected[:6]} …: "
                f"transformers loaded it as {type(tokenizer).__name__}, and settings in "
                "tokenizer_config.json override parts of the file; if the model was trained with that file, "
                'set "tokenizer_class": "PreTrainedTokenizerFast" in tokenizer_config.json and '
                "remove settings of the other class, such as add_prefix_space"
            )
