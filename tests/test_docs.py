"""The pages in docs/ say what is: their tables are written from the code, their examples run."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest

from spectrum_trl.evaluation.summary import number
from spectrum_trl.paths import bundled
from spectrum_trl.suite import write_docs
from spectrum_trl.suite.catalogue import suite_tasks
from spectrum_trl.tiny import scores, table
from tests.processes import ROOT, run_command, run_lm_eval, run_recipe

PAGES = [ROOT / "README.md", ROOT / "docs" / "suite.md"]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize("page", write_docs.PAGES, ids=lambda page: page.name)
def test_what_is_written_of_the_suite_is_todays(page: Path) -> None:
    text = page.read_text()
    assert write_docs.BEGIN.format("tasks") in text
    assert write_docs.written(text) == text, "run `make tasks`"


def test_tasks_beyond_the_paper_are_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = suite_tasks()
    source = replace(tasks["polis_vote"].source, name="penguins")
    more = {
        "draws": replace(tasks["coinflip"], name="draws", in_paper=False),
        "penguins": replace(tasks["polis_vote"], name="penguins", source=source, in_paper=False),
    }
    before = write_docs.counts()
    monkeypatch.setattr(write_docs, "suite_tasks", lambda: tasks | more)
    assert write_docs.counts() == f"{before}; and 2 beyond the paper"


@pytest.mark.slow
def test_the_python_of_the_suite_runs(tmp_path: Path) -> None:
    for code in blocks(ROOT / "docs" / "suite.md", "python"):
        script = tmp_path / "script.py"
        script.write_text(code)
        done = run_recipe(script, cwd=tmp_path, SPECTRUM_CACHE=str(tmp_path))
        assert done.returncode == 0 and "description" in done.stdout, done.stderr


def test_both_pages_have_the_same_own_table() -> None:
    yaml = [[block for block in blocks(page, "yaml") if "my_ratings" in block] for page in PAGES]
    assert yaml[0] == yaml[1] and len(yaml[0]) == 1


@pytest.mark.slow
def test_ones_own_table_is_shown_trained_on_and_evaluated_as_the_readme_says(tmp_path: Path) -> None:
    (example,) = (block for block in blocks(PAGES[0], "yaml") if "my_ratings" in block)
    (commands,) = (block for block in blocks(PAGES[0], "sh") if "my_ratings" in block)
    (tmp_path / "my_ratings.yaml").write_text(example)
    with open(tmp_path / "ratings.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "film", "stars"])
        writer.writerows(
            [f"u{n}", film, n % 5 + 1] for n in range(24) for film in ("Alien", "Heat", "Up", "Ran")
        )
    show, train, evaluate = (line.split() for line in commands.splitlines())
    cache = {"SPECTRUM_CACHE": str(tmp_path / "cache")}
    done = run_command(*show[1:], cwd=tmp_path, **cache)
    assert done.returncode == 0 and "One person rates films" in done.stdout, done.stderr
    # The launcher has tests of its own.
    assert train[:3] == ["spectrum-trl", "train", "suite_cpu"]
    done = run_recipe(ROOT / "recipes" / "suite_cpu.yaml", *train[3:], cwd=tmp_path, **cache)
    assert done.returncode == 0 and "my_ratings" in done.stdout, done.stderr
    assert evaluate[0] == "lm_eval"
    done = run_lm_eval(*evaluate[1:], cwd=tmp_path, **cache)
    assert done.returncode == 0 and "my_ratings" in done.stdout and "|loss " in done.stdout, done.stderr


def test_the_demos_table_has_the_figures_of_the_recorded_run() -> None:
    """The other columns are of a run that takes minutes."""
    recorded = scores.load(bundled("recipes") / "demo_all_tokens.json")
    wanted = [cells[1] for cells in _rows_of(table.markdown({"recorded": recorded}))]
    assert [cells[4] for cells in _table(ROOT / "docs" / "tiny.md")] == wanted


def test_the_readmes_table_has_the_figures_of_the_real_run() -> None:
    page, head = ROOT / "docs" / "results.md", "|  | n | chat model"
    rows = _table(page, head)
    assert _table(ROOT / "README.md", head) == rows and len(rows) == 6
    _compare(rows, page.parent / "results" / "smollm2_135m.csv", columns=("start_chat", "full"))
    rows = _table(page, "|  | n | pretrained")
    _compare(rows, page.parent / "results" / "gemma3_270m.csv", columns=("start_colon", "full"))


def _compare(rows: list[list[str]], table: Path, *, columns: tuple[str, str]) -> None:
    recorded: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in _recorded(table):
        if row["model"] in columns:
            recorded.setdefault((row["task"], row["metric"]), []).append(row)
    known = [
        [one["n"], *(_value(each["value"]) for each in (one, other)), _value(other["baseline_value"])]
        for one, other in recorded.values()
    ]
    assert known
    for _, n, *cells in rows:
        assert [n, *(re.findall(r"—|\d+\.\d{4}", cell)[0] for cell in cells)] in known


@pytest.mark.parametrize(
    "table", sorted((ROOT / "docs" / "results").glob("*.csv")), ids=lambda path: path.stem
)
def test_every_figure_of_a_real_run_is_on_its_page(table: Path) -> None:
    lines = table.with_suffix(".md").read_text().splitlines()
    for row in _recorded(table):
        begin = f"| {row['task']} | {row['metric']} | {row['n']} | "
        line = next(one for one in lines if one.startswith(begin))
        assert f"| {_value(row['value'])}" in line and (row["low_coverage"] == "false" or "low cov" in line)


def _recorded(table: Path) -> list[dict[str, str]]:
    with open(table, newline="") as file:
        return list(csv.DictReader(file))


def _value(text: str) -> str:
    return number(float(text or "nan"))


def _table(page: Path, head: str = "|  | pretrained") -> list[list[str]]:
    text = page.read_text()
    return _rows_of(text[text.index(head) :].split("\n\n")[0])


def _rows_of(markdown: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines()[2:]]
