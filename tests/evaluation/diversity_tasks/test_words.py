from pathlib import Path

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.diversity_tasks.words import FILE, gerunds
from tests.messages import naming


def table(folder: Path, *words: str, columns: int = 24) -> Path:
    rows = [",".join(["x"] * 5 + [word] + ["x"] * (columns - 6)) for word in words]
    path = folder / "verbs.txt"
    path.write_text(";;; notice\n" + "\n".join(rows) + "\n")
    return path


def test_the_real_table_has_its_first_verb_and_no_other_words(suite_data: Path) -> None:
    if not (suite_data / FILE).is_file():
        pytest.skip(f"needs {FILE} in {suite_data}")
    found = gerunds(suite_data / FILE)
    assert len(found) == 8458
    assert {"convoluting", "romanizing", "sauteing"} <= found and not {"", "daydream", "facingoff"} & found


def test_marks_of_accents_are_left_out(tmp_path: Path) -> None:
    path = table(tmp_path, "saut_eing", "f^eting", "X-raying", "daydream", "", "LHliking")
    assert gerunds(path) == {"sauteing", "feting", "x-raying"}


def test_another_table_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=naming("line 2", 24, 9)):
        gerunds(table(tmp_path, "running", columns=9))
    with pytest.raises(UserError, match=naming("verbs.txt", "no verbs")):
        gerunds(table(tmp_path, "run"))
