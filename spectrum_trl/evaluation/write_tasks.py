"""Write the task files for lm-evaluation-harness: one short YAML file per task, and the table of each README.

python -m spectrum_trl.evaluation.write_tasks     # after adding a task; a test checks that files are current
"""

import re
from pathlib import Path
from typing import Any

from spectrum_trl.evaluation.axis_tasks import distributional_tasks, diversity_tasks
from spectrum_trl.known_tasks import TINY_PREFIX, tasks
from spectrum_trl.paths import PACKAGE, bundled

HEAD = "# Written by spectrum_trl/evaluation/write_tasks.py\n"
TAGS = {"icl": "spectrum_icl", "distributional": "spectrum_dist", "diversity": "spectrum_div"}
QUICK, HELD_OUT = "spectrum_quick", "spectrum_icl_heldout"
# Synthetic tasks that take a small model minutes on a CPU.
QUICK_TASKS = {
    "icl": ("cards", "flight"),
    "distributional": ("urn", "states"),
    "diversity": ("rng_1_100", "us_states_full_names"),
}
# Ends what a README says of the axis; the table of its tasks follows.
HEADING = "\n## Tasks\n"


def task_files(axis: str) -> list[tuple[Any, tuple[str, ...]]]:
    """Return the tasks of an axis in alphabetical order, each with its tags besides that of the axis."""
    of_axis: dict[str, Any] = {
        "icl": tasks,
        "distributional": distributional_tasks,
        "diversity": diversity_tasks,
    }
    return [
        (task, (HELD_OUT,) * (getattr(task, "split", "") == "test") + (QUICK,) * (name in QUICK_TASKS[axis]))
        for name, task in of_axis[axis]().items()
        if not name.startswith(TINY_PREFIX)
    ]


def contents(axis: str) -> dict[str, str]:
    """Return the files of an axis: name to text."""
    tag = TAGS[axis]
    files = {
        f"_{axis}_yaml": f"{HEAD}class: !function spectrum_trl.evaluation.{axis}.{axis.capitalize()}\n"
        f"tag: {tag}\nmetadata:\n  version: 1.0\n"
    }
    rows = ["| task | what | source | licence | further tags |", "| --- | --- | --- | --- | --- |"]
    for task, more in task_files(axis):
        name = f"{tag}_{task.name}"
        tags = f"tag: [{', '.join((tag, *more))}]\n" if more else ""
        files[f"{name}.yaml"] = (
            f"include: _{axis}_yaml\ntask: {name}\n{tags}spectrum: {{task: {task.name}}}\n"
        )
        what = task.description if axis == "diversity" else task.summary
        source = f"{task.source.title} | {task.source.licence}"
        rows.append(f"| `{name}` | {what} | {source} | {', '.join(more) or '—'} |")
    about = (bundled("tasks") / axis / "README.md").read_text(encoding="utf-8").partition(HEADING)[0]
    files["README.md"] = "\n".join((f"{about}{HEADING}", *rows, ""))
    return files


def outdated(axis: str, folder: Path) -> list[Path]:
    """Return the files of deleted tasks in the folder of an axis; what this module did not write stays."""
    ours = re.compile(rf"include: _{axis}_yaml\ntask: \S+\n(tag: \[.*\]\n)?spectrum: {{task: \w+}}\n")
    files = contents(axis)
    return [
        file
        for file in sorted(folder.glob("*.yaml"))
        if file.name not in files
        and file.is_file()
        and ours.fullmatch(file.read_bytes().decode(errors="replace"))
    ]


def main() -> None:
    """Write all files into the clone, and remove those of deleted tasks."""
    for axis in TAGS:
        folder = PACKAGE.parent / "tasks" / axis
        folder.mkdir(parents=True, exist_ok=True)
        files = contents(axis)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        for old in outdated(axis, folder):
            old.unlink()
            print(f"removed tasks/{axis}/{old.name}")


if __name__ == "__main__":
    main()
