"""Grid files: what ships prints as many commands as its header says; mistakes are found before any runs."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from spectrum_trl.commands.main import app
from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.options import read_options, read_words
from spectrum_trl.grid import evaluations
from spectrum_trl.grid.job import command_line
from spectrum_trl.grid.read import FOLDER, read_grid
from spectrum_trl.paths import bundled
from spectrum_trl.recipe.read import read_recipe
from tests.processes import ROOT

GRIDS = sorted((bundled("recipes") / "grids").glob("*.yaml"))


@pytest.mark.parametrize("file", GRIDS, ids=lambda file: file.stem)
def test_a_bundled_grid_counts_its_jobs_says_its_cost_and_prints_valid_commands(file: Path) -> None:
    header = "".join(line for line in file.read_text().splitlines(True) if line.startswith("#"))
    (number,) = re.findall(r"^# Jobs: (\d+),", header, re.MULTILINE)
    assert f"spectrum-trl grid {file.stem} --print" in header and "estimate" in header
    grid = read_grid(Path(file.stem))
    assert len(grid.jobs) == int(number)
    assert len({job.name for job in grid.jobs}) == len(grid.jobs)
    assert {"time", "gpus_per_node", "array_parallelism"} <= grid.slurm.keys()
    for job in grid.jobs:
        check_command(command_line(job, grid.environment))


def check_command(line: str) -> None:
    words = shlex.split(line)
    if words[:2] == ["accelerate", "launch"]:
        recipe = read_recipe(words[2], overrides=[*words[3:], "--use_cpu", "true", "--bf16", "false"])
        assert recipe.training.output_dir == words[words.index("--output_dir") + 1]
        return
    assert words[:2] == ["spectrum-trl", "eval"]
    context = get_command(app).commands["eval"].make_context("eval", words[2:])
    read_options(read_words(context.params["metadata"], option="--metadata", beside={}))


def test_the_papers_models_stand_in_their_formats() -> None:
    jobs = read_grid(Path("steerability")).jobs
    tasks = {job.wanted.model: (job.wanted.options.format, len(job.wanted.tasks)) for job in jobs}
    assert tasks["google/gemma-3-12b-pt"] == ("colon", 95)
    assert tasks["Qwen/Qwen3-14B"] == ("chat", 95)
    assert tasks["tsor13/spectrum-Llama-3.1-8B-v0"] == ("spectrum", 24)
    assert all(job.wanted.options.k_tokenizer for job in jobs)
    modes = [job.wanted.options.mode for job in read_grid(Path("diversity")).jobs]
    assert {mode: modes.count(mode) for mode in modes} == {"both": 9, "description": 9, "examples": 9}


def test_every_option_of_the_command_can_be_an_axis() -> None:
    options = {parameter.name for parameter in get_command(app).commands["eval"].params}
    assert options - {"output", "fresh", "metadata"} <= set(evaluations.keys())


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    def write(matrix: dict[str, Any], *, command: str = "eval", **rest: Any) -> Path:
        file = tmp_path / "grid.yaml"
        file.write_text(yaml.safe_dump({"command": command, "matrix": matrix, **rest}, sort_keys=False))
        return file

    return write


MATRIX = {"model": "runs/demo", "tasks": "spectrum_dist_urn"}


def test_values_are_quoted_and_sorted_into_options_and_metadata(written: Callable[..., Path]) -> None:
    own = {
        "model": "a folder/it's $HOME",
        "limit": 2,
        "seed": 3,
        "restricted": True,
        "include_path": [["my tasks"]],
    }
    file = written({**MATRIX, **own}, environment={"HF_HUB_OFFLINE": 1, "NOTE": "a b"}, output="out put")
    grid = read_grid(file)
    line = command_line(grid.jobs[0], grid.environment)
    assert line.startswith("HF_HUB_OFFLINE=1 NOTE='a b' spectrum-trl eval 'a folder/it'\"'\"'s $HOME' ")
    words = shlex.split(line)
    assert words[words.index("--metadata") + 1] == "seed=3,restricted=true"
    assert words[words.index("--include-path") + 1] == "my tasks"
    assert grid.jobs[0].folder.parent == Path("out put")


def test_models_of_the_same_last_name_get_columns_of_their_own(written: Callable[..., Path]) -> None:
    tasks = ["spectrum_dist_urn", "spectrum_dist_states"]
    jobs = read_grid(written({"model": ["a/x", "b/x"], "tasks": tasks})).jobs
    labels = [job.label for job in jobs]
    assert labels[0] == labels[1] == "x" and labels[2] == labels[3] != "x"
    assert len({job.name for job in jobs}) == 4 and "/" not in "".join(job.name for job in jobs)


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ({**MATRIX, "formats": ["chat"]}, r"unknown key 'formats'. Did you mean 'format'\?"),
        ({**MATRIX, "format": ["chta"]}, r'job 1: format: .*Did you mean "?\'?chat'),
        ({**MATRIX, "samples": [0], "mode": ["examples"]}, "samples: .*greater"),
        ({**MATRIX, "tasks": ["spectrum_dist_ur"]}, "Did you mean 'spectrum_dist_urn'"),
        ({**MATRIX, "revision": ["main"]}, "unknown key 'revision'"),
        ({"model": ["a"]}, "tasks: this key is missing"),
        ({**MATRIX, "model": ["a", "a"]}, "several combinations are the same job"),
        ({**MATRIX, "model": ["--fresh"]}, "model: "),
        ({**MATRIX, "k_tokenizer": ["a,b"]}, "--metadata cannot carry"),
        ({**MATRIX, "exclude": [{"model": "runs/demo"}]}, "no combination is left"),
    ],
)
def test_a_mistake_in_the_matrix_is_named(
    matrix: dict[str, Any], said: str, written: Callable[..., Path]
) -> None:
    with pytest.raises(UserError, match=said):
        read_grid(written(matrix))


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ({"enviroment": {}}, "Did you mean 'environment'"),
        ({"environment": {"A B": "1"}}, "'A B' is not the name of a variable"),
        ({"accelerate": {"num_processes": 2}}, "its options are for `command: train`"),
        ({"output": "/dev/null/x"}, "output: "),
        ({"command": "evaluate"}, 'command: expected "eval" or "train"'),
    ],
)
def test_a_mistake_beside_the_matrix_is_named(
    rest: dict[str, Any], said: str, written: Callable[..., Path]
) -> None:
    with pytest.raises(UserError, match=said):
        read_grid(written(MATRIX, **rest))


def test_mistakes_of_recipes_are_all_named_once(written: Callable[..., Path]) -> None:
    matrix = {"recipe": ["demo", "dmo"], "learning_rte": [1, 2]}
    with pytest.raises(UserError, match="Did you mean 'learning_rate'"):
        read_grid(written(matrix, command="train"))
    matrix = {"recipe": ["demo", "dmo"], "learning_rate": [1.0, 2.0], "tasks": ["coinflp"]}
    with pytest.raises(UserError) as error:
        read_grid(written(matrix, command="train"))
    assert len(error.value.problems) == 2
    with pytest.raises(UserError, match="learning_rate: .*abc"):
        read_grid(written({"recipe": "demo", "learning_rate": ["abc"]}, command="train"))
    with pytest.raises(UserError, match="--num_proceses"):
        read_grid(written({"recipe": "demo"}, command="train", accelerate={"num_proceses": 2}))


def test_lists_and_numbers_of_a_recipe_come_back_from_its_command(written: Callable[..., Path]) -> None:
    matrix = {"recipe": "lora", "lora_target_modules": [["q_proj"], ["k_proj", "v_proj"]], "seed": 2}
    grid = read_grid(written(matrix, command="train", accelerate={"num_processes": 2}))
    words = shlex.split(command_line(grid.jobs[1], {}))
    assert words[:4] == ["accelerate", "launch", "--num_processes", "2"]
    recipe = read_recipe(words[4], overrides=[*words[5:], "--use_cpu", "true", "--bf16", "false"])
    assert recipe.model.lora_target_modules == ["k_proj", "v_proj"] and recipe.training.seed == 2


def test_an_unknown_grid_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match="Did you mean 'steerability'"):
        read_grid(Path("sterability"))


def test_the_page_counts_the_jobs_of_its_example_and_of_the_papers_grids(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "grids.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (number,) = re.findall(r"this file has (\d+)", page)
    (tmp_path / "my_grid.yaml").write_text(example)
    grid = read_grid(tmp_path / "my_grid.yaml")
    assert len(grid.jobs) == int(number) and grid.output == FOLDER / "my_grid"
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", page, re.MULTILINE))
    assert rows == {file.stem: str(len(read_grid(file).jobs)) for file in GRIDS}
