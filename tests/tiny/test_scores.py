"""A file is refused if its numbers cannot be those of an evaluation; the record stands for a whole one."""

import json
from pathlib import Path
from typing import Any

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.paths import bundled
from spectrum_trl.tiny import scores

RECORD = json.loads((bundled("recipes") / "demo_all_tokens.json").read_text("utf-8"))


def changed(part: str, name: str, value: Any) -> dict[str, Any]:
    return RECORD | {part: RECORD[part] | {name: value}}


@pytest.mark.parametrize(
    ("part", "name"),
    [("urn", "exact"), ("urn", "observed"), ("coin", "losses"), ("die", "optimal"), ("number", "losses")],
)
@pytest.mark.parametrize("row", [[], [0.5], [float("nan")] * 25], ids=["empty", "short", "NaN"])
def test_rows_that_are_not_of_their_item_are_refused(
    part: str, name: str, row: list[float], tmp_path: Path
) -> None:
    file, rows = tmp_path / "x.json", RECORD[part][name]
    for value in ([row, *rows[1:]], rows[1:]):
        file.write_text(json.dumps(changed(part, name, value)))
        with pytest.raises(UserError, match="not a result"):
            scores.load(file)


@pytest.mark.parametrize("name", [name for name, value in RECORD["urns"].items() if isinstance(value, list)])
def test_samples_of_fewer_prompts_than_the_others_are_refused(name: str, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    for value in ([], RECORD["urns"][name][1:]):
        file.write_text(json.dumps(changed("urns", name, value)))
        with pytest.raises(UserError, match="not a result"):
            scores.load(file)


@pytest.mark.parametrize(("name", "value"), [("n", 0), ("answers", [0] * len(RECORD["ranges"]["answers"]))])
def test_counts_below_one_are_refused(name: str, value: Any, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps(changed("ranges", name, value)))
    with pytest.raises(UserError, match="not a result"):
        scores.load(file)
