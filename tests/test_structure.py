"""The house keeps its order: rooms import from the rooms below them only, and stay small."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "spectrum_trl"
# From the ground up. A module may import from its own room and from those before it.
FLOORS = [
    *(
        "errors",
        "files",
        "console",
        "paths",
        "strict_yaml",
        "progress",
        "metrics",
        "suite",
        "prompts",
        "templates",
        "recipe",
    ),
    *("models", "scoring", "tiny", "catalogue", "evaluation"),
    *("data", "runs", "training", "train", "commands"),
]
MODULES = sorted(file for file in PACKAGE.rglob("*.py"))


def room(module: str) -> str:
    return module.split(".")[1]


def imported(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("spectrum_trl.")}
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("spectrum_trl"):
            names = (
                [node.module]
                if node.module != "spectrum_trl"
                else [f"spectrum_trl.{a.name}" for a in node.names]
            )
            found |= {str(name) for name in names}
    return found


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_module_is_short_and_imports_downwards_only(file: Path) -> None:
    assert len(file.read_text("utf-8").splitlines()) <= 300
    if file == PACKAGE / "__init__.py":
        return
    own = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    upwards = [name for name in imported(file) if FLOORS.index(room(name)) > FLOORS.index(own)]
    assert not upwards


def test_at_most_ten_modules_lie_at_the_top() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 10
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert rooms | {file.stem for file in PACKAGE.glob("*.py") if file.stem != "__init__"} == set(FLOORS)


def test_the_suite_needs_neither_trl_nor_torch() -> None:
    # A fresh process: what the suite imports may import others in turn.
    modules = [
        ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for file in sorted((PACKAGE / "suite").rglob("*.py"))
    ]
    code = f"import sys, {', '.join(modules)}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "spectrum_trl.suite.builders" in loaded and not loaded & {"trl", "torch", "transformers"}
