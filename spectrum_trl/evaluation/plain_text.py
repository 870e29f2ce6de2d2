"""Loss on plain text: English prose that every machine has, and that no source of the Suite holds."""

from collections.abc import Mapping, Sequence
from pydoc_data.topics import topics
from typing import Any

from datasets import Dataset

from spectrum_trl.evaluation.options import read_options

# In characters: about 350 tokens, which fit in any model's context.
LONGEST = 1500


def documents(**metadata: Any) -> dict[str, Dataset]:
    """Return the beginnings of the topics of Python's documentation, each with its number of tokens.

    Texts differ between Python's versions, so compare results of one version.
    """
    tokenizer = read_options(metadata).load_tokenizer()
    texts = [topics[name][:LONGEST] for name in sorted(topics)]
    lengths = [len(tokenizer.encode(text, add_special_tokens=False)) for text in texts]
    return {"test": Dataset.from_dict({"text": texts, "tokens": lengths})}


def process_results(doc: Mapping[str, Any], results: Sequence[float]) -> dict[str, list[float]]:
    """Return a text's loss in nats and its number of tokens."""
    return {"nats_per_token": [-results[0], doc["tokens"]]}
