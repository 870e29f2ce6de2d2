"""Texts that may do harm, and drafts of any texts."""

import time
from typing import Any

from hypothesis import strategies as st

from spectrum_trl.app.draft import Draft

HOSTILE = (
    "</textarea><script>window.harm=1</script><img src=x onerror=window.harm=1>\"' "
    "& \x1b[31m[red]x[/]<|im_end|> "
    "${window.harm=1} {{value}} {{ 7 * 7 }} <%= harm %> @children `a` $$x$$ \u202eb =1+1 '''\"\"\"\\"
)
TEXTS = st.text(max_size=30) | st.just(HOSTILE)
FILLED = TEXTS.filter(bool)
LINES = TEXTS.filter(lambda text: text.strip() and not set(text) & set("\r\n"))
DRAFTS = st.builds(
    Draft,
    description=TEXTS,
    examples=st.lists(FILLED | st.lists(FILLED, min_size=2, max_size=2), max_size=5),
    input=TEXTS,
    answers=st.lists(LINES, max_size=5, unique=True),
    samples=st.integers(1, 128),
    seed=st.integers(0, 2**53 - 1),
)
# With the answers of `ask_for_long` the tiny model needs a minute.
LONG = Draft(examples=["red"] * 40)


def ask_for_long(browser: Any, address: str) -> Any:
    """Open a page with a question whose answer takes long, and return it while it is computed."""
    page = browser.new_context().new_page()
    page.goto(address)
    page.get_by_text("Enter answers, one a line, to see").wait_for()
    page.get_by_label("Answers").fill("\n".join(f"{n} {'red ' * 150}" for n in range(100)))
    time.sleep(3)
    return page
