"""Posts of r/changemyview (Webis-CMV-20) whose writers are open to changing their view: 65,169 threads.

The file, compressed or not, is read line by line; only a thread's title, text and score are kept. Threads
without title or text, with at most four comments, or without an existing comment that has a score are
counted and left out, as in the paper. A post is its title, a blank line and its text.
"""

import math
import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from spectrum_trl.suite.sequences.builders import Part, Row, Sequences, grouped, pooled_parts, text
from spectrum_trl.suite.source import Download, Source
from spectrum_trl.suite.task import Data, Task

PACKED, PLAIN = "changemyview/threads.jsonl.bz2", "changemyview/threads.jsonl"
SOURCE = Source(
    name="changemyview",
    title="Webis-CMV-20 (Zenodo 3778298)",
    homepage="https://zenodo.org/records/3778298",
    licence="CC BY 4.0 (the collection; posts are their writers')",
    citation="Al Khatib, Völske, Syed, Kolyada, Stein, Exploiting Personal Characteristics of Debaters for "
    "Predicting Persuasiveness, 2020, ACL",
    downloads=(
        Download(path=PACKED, url="https://zenodo.org/records/3778298/files/threads.jsonl.bz2?download=1"),
    ),
    size=660_900_000,
    unchecked="No file was at hand: fields, number of threads and size are those of public loaders and "
    "reports on this record, the licence that of a public downloader. That every line has all five fields is "
    "assumed, and the wording of the moderators' footnote is that of the research code.",
)
GONE = ("", "[deleted]", "[removed]")
COMMENTS = 4
THREADS = 10_000
SEQUENCES = 500
# The footnote that moderators append to posts, with the rule above it.
FOOTNOTE = re.compile(
    r"(?:^[ \t]*_{3,}[ \t]*\n\s*)?^[ \t]*>[ \t]*\*.*footnote.*$", re.IGNORECASE | re.MULTILINE
)
ESCAPED = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}

POST_DESCRIPTIONS = (
    "Posts by people who hold a view and invite others to change it: a title, a blank line and the reasons.",
    "From the forum r/changemyview: each output is a whole post, title first, by somebody who is open to "
    "other opinions on the matter.",
)
TITLE_DESCRIPTIONS = (
    "Titles of posts by people who are ready to change the view that the title states.",
    "Each output names, in a line, an opinion that its holder put up for discussion in r/changemyview.",
)
BODY_DESCRIPTIONS = (
    "Input: the title of a post in r/changemyview. Output: the text below it, in which its writer explains "
    "the view that may be changed.",
    "Given an opinion in a line, the output is how its holder argues for it while asking to be convinced "
    "otherwise.",
)
TITLED_DESCRIPTIONS = (
    "Input: the text of a post in r/changemyview. Output: the title that its writer gave it.",
    "For each text that defends a view open to change, the line that sums it up as the post's title.",
)
SCORE_DESCRIPTIONS = (
    "Input: JSON with title and selftext of a post in r/changemyview. Output: its score, a whole number, "
    "votes up minus votes down.",
    "How did readers of r/changemyview vote on this post? Net score (upvotes less downvotes) as an integer.",
)


def _clean(value: Any) -> str:
    """Return a text as its writer typed it, without the moderators' footnote."""
    plain = text(value)
    for escaped, character in ESCAPED.items():
        plain = plain.replace(escaped, character)
    return text(FOOTNOTE.sub("", plain.replace("\r\n", "\n")))


def _number(value: Any) -> int | None:
    """Return a whole number; None for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and math.isfinite(value) else None


def _alive(comment: Any) -> bool:
    return (
        isinstance(comment, dict)
        and comment.get("score") is not None
        and text(comment.get("body")) not in GONE
    )


def _thread(row: Row) -> Row | str:
    """Return the fields used of a thread, or why it is left out."""
    title, selftext = _clean(row["title"]), _clean(row["selftext"])
    if title in GONE or selftext in GONE:
        return "without title or text"
    if (_number(row["num_comments"]) or 0) <= COMMENTS:
        return f"with at most {COMMENTS} comments"
    comments = row["comments"] if isinstance(row["comments"], list) else []
    if not any(map(_alive, comments)):
        return "without a comment that is there"
    post = f"{title}\n\n{selftext}"
    return {"title": title, "selftext": selftext, "post": post, "score": _number(row["score"])}


def _drawn(threads: Iterable[Row | str], most: int, data: Data) -> Iterator[Row | str]:
    """Yield ``most`` threads, each as likely as any other, in file order."""
    rng = np.random.default_rng([data.seed, *b"changemyview"])
    held: dict[int, tuple[int, Row | str]] = {}
    for number, thread in enumerate(threads):
        place = number if number < most else int(rng.integers(number + 1))
        data.dropped["not drawn"] += place in held or place >= most
        if place < most:
            held[place] = number, thread
    yield from (thread for _, thread in sorted(held.values(), key=lambda each: each[0]))


def _threads(data: Data, *, most: int | None) -> Iterator[Row]:
    file = PLAIN if (data.folder / PLAIN).exists() else PACKED
    rows = data.table(file, ("title", "selftext", "score", "num_comments", "comments"))
    threads: Iterator[Row | str] = map(_thread, rows)
    for thread in threads if most is None else _drawn(threads, most, data):
        if isinstance(thread, str):
            data.dropped[thread] += 1
        else:
            yield thread


def categories(data: Data, *, threads: int | None = None) -> Sequences:
    """Build sequences of different posts, and of different titles, about 16 each."""
    rows = list(_threads(data, most=threads))
    for column, descriptions in (("post", POST_DESCRIPTIONS), ("title", TITLE_DESCRIPTIONS)):
        yield from grouped(
            data.different(rows, column),
            data,
            name=f"changemyview_categories/{column}",
            output=column,
            descriptions=descriptions,
            mean_length=16,
        )


PARTS = (
    Part("selftext", "selftext", BODY_DESCRIPTIONS, "title"),
    Part("title", "title", TITLED_DESCRIPTIONS, "selftext"),
    Part("score", "score", SCORE_DESCRIPTIONS, ("title", "selftext")),
)


def posts(data: Data, *, threads: int | None = None, most: int | None = None) -> Sequences:
    """Build sequences of titles given texts, texts given titles, and scores; at most ``most`` of each."""
    rows = list(_threads(data, most=threads))
    yield from pooled_parts(rows, data, task="changemyview_posts", parts=PARTS, mean_length=16, most=most)


task = partial(Task, source=SOURCE, kind="generation", files=(f"{PLAIN}*",))
TASKS = [
    task(
        name="changemyview_categories",
        summary="posts on views open to change, and their titles",
        build=categories,
        paper=partial(categories, threads=THREADS),
        repeats=("changemyview_posts",),
    ),
    task(
        name="changemyview_posts",
        summary="texts, titles and scores of posts on views open to change",
        build=posts,
        paper=partial(posts, threads=THREADS, most=SEQUENCES),
        repeats=("changemyview_categories",),
    ),
]
