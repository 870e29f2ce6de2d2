"""Film reviews from IMDb with their polarity, the training split (25,000 reviews, half of them positive).

HTML line breaks are kept. A label other than 0 and 1 (the unlabelled split has -1) is counted and left out.
"""

from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Source, hub

FILE = "imdb/plain_text/train-00000-of-00001.parquet"
SOURCE = Source(
    name="imdb",
    title="Large Movie Review Dataset (stanfordnlp/imdb)",
    licence="unstated (the card says other)",
    citation="Maas, Daly, Pham, Huang, Ng, Potts, Learning Word Vectors for Sentiment Analysis, 2011, ACL",
    downloads=hub("stanfordnlp/imdb", "e6281661ce1c48d982bc483cf8a173c1bbeb5d31", "imdb", FILE),
    size=21_000_000,
    unchecked="No file was at hand: columns text and label (0 negative, 1 positive) are those of the "
    "research code and of public loaders of this revision. The size is the Hub's rounded figure.",
)
DESCRIPTIONS = (
    "Reviews of films by users of IMDb. The output says of each whether it is negative or positive.",
    "Input: what somebody wrote about a film. Output: positive if the writer liked it, negative if not.",
    "Film reviews and their overall verdict, which is one of two words: negative, positive.",
)

TASKS = [
    declared_task(
        "imdb",
        source=SOURCE,
        kind="annotation",
        summary="whether film reviews are negative or positive",
        paper={"draws": 200},
        file=FILE,
        input="text",
        output="label",
        labels={"0": "negative", "1": "positive"},
        descriptions=DESCRIPTIONS,
        mean_length=128,
        name="imdb",
    ),
]
