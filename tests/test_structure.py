"""The house keeps its order: rooms import from the rooms below them only, and stay small."""

import ast
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGE = Path(__file__).parents[1] / "spectrum_trl"
# From the ground up. A module may import from its own room and from those before it.
FLOORS = [
    *(
        "console",
        "errors",
        "files",
        "paths",
        "strict",
        "progress",
        "metrics",
        "suite",
        "prompts",
        "templates",
        "recipe",
    ),
    *("models", "scoring", "tiny", "known_tasks", "evaluation", "ask", "serve", "app", "report"),
    *("data", "runs", "training", "doctor", "launch", "grid", "commands", "__main__"),
]
MODULES = sorted(file for file in PACKAGE.rglob("*.py"))


def room(module: str) -> str:
    return module.split(".")[1]


def imported(file: Path, package: str = "spectrum_trl") -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith(package)}
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(package):
            names = (
                [node.module]
                if node.module != "spectrum_trl"
                else [f"spectrum_trl.{a.name}" for a in node.names]
            )
            found |= {str(name) for name in names}
    return found


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_module_is_short_and_imports_downwards_only(file: Path) -> None:
    assert len(file.read_text("utf-8").splitlines()) <= 400
    if file == PACKAGE / "__init__.py":
        return
    own = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    upwards = [name for name in imported(file) if FLOORS.index(room(name)) > FLOORS.index(own)]
    assert not upwards


def test_at_most_ten_modules_lie_at_the_top() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 10
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert rooms | {file.stem for file in PACKAGE.glob("*.py") if file.stem != "__init__"} == set(FLOORS)


def loaded_by(*modules: str) -> set[str]:
    # A fresh process: what a module imports may import others in turn.
    code = f"import sys, {', '.join(modules)}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_suite_needs_neither_trl_nor_torch() -> None:
    modules = [
        ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for file in sorted((PACKAGE / "suite").rglob("*.py"))
    ]
    loaded = loaded_by(*modules)
    assert "spectrum_trl.suite.sequences.builders" in loaded and not loaded & {"trl", "torch", "transformers"}


@pytest.mark.slow
def test_an_evaluation_waits_neither_for_peft_nor_for_what_only_comparisons_need() -> None:
    # peft imports bitsandbytes, which imports torch's compiler: as long as all the rest.
    loaded = loaded_by("spectrum_trl.evaluation.evaluate", "spectrum_trl.scoring.lm")
    slow = {"peft", "bitsandbytes", "scipy.stats", "statsmodels", "matplotlib", "trl"}
    assert "lm_eval.models.huggingface" in loaded and not loaded & slow


@pytest.mark.slow
def test_training_waits_for_plots_only_where_it_draws_them() -> None:
    loaded = loaded_by("spectrum_trl.training.train")
    assert "trl" in loaded and not loaded & {"matplotlib", "statsmodels"}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *extras["quant"], *extras["serve"], *extras["app"], *extras["wandb"]]
    asked += extras["slurm"]
    declared = {canonicalize_name(Requirement(text).name) for text in asked}
    own = {"spectrum_trl", *sys.stdlib_module_names}
    modules = {name.split(".")[0] for file in MODULES for name in imported(file, "")} - own
    of = packages_distributions()
    needed = {canonicalize_name(of[module][0]) for module in modules if module in of}
    # pytest-like tools of the environment are nobody's import here; bitsandbytes is looked up by name.
    assert needed <= declared and declared - needed <= {"bitsandbytes", "wandb"}, needed ^ declared
    assert set(extras) == {"quant", "wandb", "capability", "slurm", "serve", "app", "dev"}
