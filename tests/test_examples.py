"""Every example is short and runs as it stands, on the tiny model and on real ones."""

import copy
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from spectrum_trl.models.load import load_model, load_tokenizer
from spectrum_trl.paths import TINY_BASE_NAME
from spectrum_trl.prompts import templates
from tests.processes import run_recipe

FOLDER = Path(__file__).parents[1] / "examples"
EXAMPLES, NOTEBOOKS = sorted(FOLDER.glob("*.py")), sorted(FOLDER.glob("*.ipynb"))
# What the scripts ask comes after their imports.
MOST_LINES = 15


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny base with the Spectrum template: its answers make no sense, but all the code runs."""
    folder = tmp_path_factory.mktemp("tuned")
    tokenizer = load_tokenizer(TINY_BASE_NAME)
    templates.install(tokenizer)
    tokenizer.save_pretrained(folder)
    load_model(TINY_BASE_NAME).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short(example: Path) -> None:
    lines = [line for line in example.read_text().splitlines() if line.strip()]
    assert len(lines) - 1 <= MOST_LINES, "a docstring and 15 lines"


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(example: Path, tuned: Path, request: pytest.FixtureRequest) -> None:
    words = [example, tuned]
    if example.stem == "opinions":
        data: Path = request.getfixturevalue("suite_data")
        words.append(data / "hub/llm_global_opinions/global_opinions.csv")
    done = run_recipe(*words)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_on_a_tuned_model_and_without_one(
    notebook: Path, tuned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = nbformat.read(notebook, as_version=4)
    assert all(not cell.get("outputs") for cell in found.cells), "outputs are not committed"
    monkeypatch.delenv("SPECTRUM_MODEL", raising=False)
    # In one kernel, which imports the libraries once.
    named = nbformat.v4.new_code_cell(f"import os; os.environ['SPECTRUM_MODEL'] = {str(tuned)!r}")
    found.cells += [named, *copy.deepcopy(found.cells)]
    NotebookClient(found, timeout=300).execute()
    texts = ["".join(str(output) for output in cell.get("outputs", ())) for cell in found.cells]
    assert any(texts[: len(texts) // 2]) and any(texts[len(texts) // 2 :])
