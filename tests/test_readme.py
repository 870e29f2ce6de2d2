"""What README and docs say works: commands run or at least parse, code runs, links lead to what is there."""

import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lm_eval.tasks import TaskManager
from typer.core import TyperGroup
from typer.main import get_command

from spectrum_trl.commands.main import app
from spectrum_trl.paths import TINY_BASE, bundled
from spectrum_trl.recipe.read import read_recipe
from spectrum_trl.recipe.recipe_file import find_recipe
from tests.evaluation.test_compare import write
from tests.processes import ROOT, run_command, run_lm_eval, run_recipe

README, CONTRIBUTING = ROOT / "README.md", ROOT / "CONTRIBUTING.md"
TRAINING = ROOT / "docs" / "training.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
# Pages without own commands, whose links are followed too.
OTHERS = [ROOT / "CHANGELOG.md", ROOT / "chat_templates/README.md", *sorted((ROOT / "tasks").rglob("*.md"))]
MOST_BYTES = 8_000
# Run where a block is bash, on fewer items; other commands, and those of sh blocks, are only parsed.
RUN = ("preview", "eval", "ask", "compare", "report", "tiny", "data list", "data status", "data show")

# The command on fewer items.
FEWER = """
from spectrum_trl.commands.main import main
from tests.small_models import fewer
with fewer():
    main()
"""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def commands(language: str) -> list[str]:
    """Return the commands of all pages, each once, without their comments."""
    text = "".join(block for page in (README, *DOCS) for block in blocks(page, language))
    lines = [line.split("  #")[0].strip() for line in text.replace("\\\n", " ").splitlines()]
    return [*dict.fromkeys(line for line in lines if line and not line.startswith("#"))]


def split_environment(command: str) -> tuple[dict[str, str], list[str]]:
    words = shlex.split(command)
    environment = {}
    while "=" in words[0]:
        name, value = words.pop(0).split("=", 1)
        environment[name] = value
    return environment, words


def case(command: str) -> Any:
    long = any(words in command for words in ("spectrum-trl eval", "spectrum-trl tiny", "lm_eval"))
    return pytest.param(command, marks=pytest.mark.slow if long else ())


def is_run(command: str) -> bool:
    return command.startswith(("lm_eval", *(f"spectrum-trl {verb} " for verb in RUN)))


def check_arguments(command: str) -> None:
    words = shlex.split(command.replace("torchrun --nproc-per-node 4 -m spectrum_trl", "spectrum-trl"))
    if words[0] == "make":
        known = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True)
        assert known.returncode == 0, known.stderr
    elif words[:2] == ["accelerate", "launch"] or words[:2] == ["spectrum-trl", "train"]:
        # Long or on GPUs: parsed here, run by tests/training/test_train.py with the tiny base.
        on_a_cpu = ["--use_cpu", "true", "--bf16", "false"]
        recipe = ROOT / words[2] if words[0] == "accelerate" else words[2]
        read_recipe(find_recipe(recipe), overrides=[*words[3:], *on_a_cpu])
    elif words[0] == "spectrum-trl":
        parser, rest = get_command(app), words[1:]
        while isinstance(parser, TyperGroup):
            parser, rest = parser.commands[rest[0]], rest[1:]
        parser.make_context(words[0], rest)
    elif words[0] == "lm_eval":
        assert words[words.index("--tasks") + 1] in ("spectrum_*", "my_ratings.yaml")
    else:
        assert words[:2] == ["pip", "install"], f"no check for {command!r}"
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        asked = re.findall(r"\[(.*?)\]", words[-1])
        assert {extra for names in asked for extra in names.split(",")} <= set(extras)


@pytest.mark.parametrize("command", [*commands("sh"), *(one for one in commands("bash") if not is_run(one))])
def test_a_command_has_the_arguments_that_the_page_gives_it(command: str) -> None:
    check_arguments(command)


@pytest.mark.parametrize("command", [case(command) for command in commands("bash") if is_run(command)])
def test_a_command_works(command: str, tmp_path: Path) -> None:
    environment, words = split_environment(command)
    if words[0] == "spectrum-trl":
        words = ["spectrum-trl/tiny-base" if word.startswith("runs/") else word for word in words]
        # A recipe's own tasks would take long to build.
        few = {
            "preview": ["--tasks", '{"tiny_counts": {"max_sequences": 8}}'],
            "eval": ["--output", str(tmp_path / "out"), "--limit", "2"],
            # Any tuned model is asked without a format.
            "ask": ["--format", "spectrum", "--max-new-tokens", "8"],
        }.get(words[1], [])
        if words[1] in ("compare", "report"):
            values, page = np.arange(20.0), str(tmp_path / "report.html")
            folders = [str(write(tmp_path / name, {"task": values})) for name in "ab"]
            words = [*words[:2], *folders, *(["-o", page] if words[1] == "report" else [])]
        if words[1] == "tiny":
            script = tmp_path / "tiny.py"
            script.write_text(FEWER)
            done = run_recipe(script, *words[1:], **environment)
        else:
            done = run_command(*words[1:], *few, **environment)
        assert done.returncode == 0, done.stderr
    else:
        pattern = words.index("--tasks") + 1
        manager = TaskManager(include_path=str(bundled("tasks")), include_defaults=False)
        assert manager.match_tasks([words[pattern]])
        words[pattern] = "spectrum_dist_states"
        words = [word.replace("runs/demo", str(TINY_BASE)) for word in words]
        done = run_lm_eval(*words[1:], cwd=tmp_path)
        assert done.returncode == 0 and "js_divergence" in done.stdout, done.stderr


@pytest.mark.parametrize("code", [*blocks(README, "python"), *blocks(TRAINING, "python")])
def test_code_runs(code: str, tmp_path: Path) -> None:
    if "runs/lora" in code:
        words = [
            "--model_name_or_path",
            "spectrum-trl/tiny-base",
            "--copy_role_tokens_from",
            "",
            "--max_steps",
            "1",
        ]
        words += ["--gradient_accumulation_steps", "1", "--bf16", "false", "--use_cpu", "true"]
        words += ["--dtype", "float32"]
        words += [
            "--tasks",
            '{"tiny_range": {"max_sequences": 8}}',
            "--output_dir",
            str(tmp_path / "runs/lora"),
        ]
        done = run_recipe("recipes/lora.yaml", *words)
        assert done.returncode == 0, done.stderr
    script = tmp_path / "script.py"
    script.write_text(code)
    done = run_recipe(script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_tree_names_every_recipe_module_room_and_page() -> None:
    (tree,) = blocks(CONTRIBUTING, "text")
    (pages,) = re.findall(r"^docs/ .*", tree, re.MULTILINE)
    package = ROOT / "spectrum_trl"
    wanted = {file.name for file in bundled("recipes").glob("*.yaml")}
    wanted |= {file.name for file in package.glob("*.py") if file.name != "__init__.py"}
    wanted |= {f"{room.parent.name}/" for room in package.glob("*/__init__.py")}
    wanted |= {f"{room.parent.name}/" for room in (package / "suite").glob("*/__init__.py")}
    assert not wanted - set(tree.split())
    assert not [page.stem for page in (ROOT / "docs").glob("*.md") if page.stem not in pages.lower()]


def anchors(page: Path) -> set[str]:
    """Return the headings of a page as GitHub links to them."""
    headings = re.findall(r"^#+ (.*)", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [README, CONTRIBUTING, *DOCS, *OTHERS], ids=lambda page: page.name)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)(.+?)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    text = README.read_text()
    assert len(text.encode()) <= MOST_BYTES
    assert not [page.name for page in DOCS if f"](docs/{page.name}" not in text]


@pytest.mark.slow
def test_the_stock_benchmarks_of_make_eval_capability_are_tasks_of_the_harness() -> None:
    manager = TaskManager()
    known = {*manager.all_subtasks, *manager.all_groups, *manager.all_tags}
    for words in ([], ["QUICK=1"]):
        command = ["make", "-n", "eval-capability", *words]
        made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        (names,) = re.findall(r"--tasks (\S+)", made.stdout)
        assert set(names.split(",")) <= known
