"""The figures of a page as HTML; its template escapes every text."""

import base64
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

from spectrum_trl.app.answering import Found, Shown
from spectrum_trl.app.draft import LONGEST_LINK, Draft, link
from spectrum_trl.app.exports import as_csv, as_json, as_python
from spectrum_trl.ask.results import Probabilities, Sample
from spectrum_trl.console import encoded, html_templates
from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.results import LOWEST_COVERAGE

# Answers of a path.
WIDEST = 8


def results_html(found: Sequence[Found]) -> str:
    """Return the bars of all models side by side, each with its path below."""
    return str(_template().results(found))


def samples_html(found: Sequence[Found], draft: Draft) -> str:
    """Return the samples of all models side by side, with their counts."""
    return str(_template().samples(found, draft))


def exports_html(draft: Draft, models: Sequence[Shown], found: Sequence[Found]) -> str:
    """Return the link to this page, its figures as files, and the Python that makes them."""
    draws = any(one.samples for one in found)
    code = as_python(draft, models, draws=draws)
    stem = "spectrum-samples" if draws else "spectrum"
    texts = [
        (f"{stem}.json", "application/json", as_json(draft, found)),
        (f"{stem}.csv", "text/csv", as_csv(found)),
        (f"{stem}.py", "text/x-python", code),
    ]
    # Within the page, so that no visitor's file lies on the server.
    files = [(name, kind, base64.b64encode(encoded(text)).decode()) for name, kind, text in texts]
    return str(_template().exports(link(draft), LONGEST_LINK, files, code))


def problems_html(error: UserError) -> str:
    """Return what is wrong with what was entered."""
    return str(_template().problems(error.problems))


@cache
def _template() -> Any:
    environment = html_templates("spectrum_trl.app")
    environment.filters["shortened"] = _shortened
    environment.globals |= {"lowest": LOWEST_COVERAGE, "repr": repr}
    environment.globals |= {"columns": _columns, "counted": _counted, "others": _others}
    return environment.get_template("figures.html.jinja").module


def _shortened(text: str, longest: int) -> str:
    line = " ⏎ ".join(text.splitlines())
    return line if len(line) <= longest else f"{line[:longest]} …"


def _columns(found: Probabilities) -> list[int]:
    """Return the numbers of the likeliest answers, in the order of the answers."""
    return sorted(sorted(range(len(found.answers)), key=lambda n: -found.log_probabilities[n])[:WIDEST])


def _counted(samples: Sequence[Sample]) -> list[tuple[str, int]]:
    """Return the texts with their counts; those cut at the maximum length end with an ellipsis."""
    return Counter(one.text if one.ended else f"{one.text} …" for one in samples).most_common()


def _others(samples: Sequence[Sample], answers: Sequence[str]) -> int:
    return sum(not one.ended or one.text not in answers for one in samples)
