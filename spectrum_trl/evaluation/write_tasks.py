"""Write the task files for lm-evaluation-harness: one short YAML file per task, and a README per axis.

python -m spectrum_trl.evaluation.write_tasks     # after adding a task; a test checks that files are current
"""

from collections.abc import Iterable
from typing import NamedTuple

from spectrum_trl.evaluation.distributional_tasks import distributional_tasks
from spectrum_trl.evaluation.diversity_tasks import diversity_tasks
from spectrum_trl.known_tasks import TINY_PREFIX, tasks
from spectrum_trl.paths import PACKAGE
from spectrum_trl.suite.source import Source

HEAD = "# Written by spectrum_trl/evaluation/write_tasks.py\n"
TAGS = {"icl": "spectrum_icl", "distributional": "spectrum_dist", "diversity": "spectrum_div"}
QUICK, HELD_OUT = "spectrum_quick", "spectrum_icl_heldout"
# Synthetic tasks that take a small model minutes on a CPU.
QUICK_TASKS = {
    "icl": ("cards", "flight"),
    "distributional": ("urn", "states"),
    "diversity": ("rng_1_100", "us_states_full_names"),
}
CLASSES = {
    "icl": "icl.Icl",
    "distributional": "distributional.Distributional",
    "diversity": "diversity.Diversity",
}
TITLES = {
    "icl": "Steerability: loss and accuracy of each output given those before it",
    "distributional": "Distributional alignment: shares of the possible answers against the true ones",
    "diversity": "Diversity against validity: 100 samples of one prompt",
}
METRICS = {
    "icl": """\
- `loss` (headline): mean over outputs after the first of the summed token loss in nats, end of turn
  included, given all previous outputs; `loss_first`, `loss_all`, `loss_last`; `loss_at_1`, `loss_at_2`,
  `loss_at_4`, …: the curve by number of examples
- `accuracy` (whole output), `accuracy_all`, `accuracy_last`, `first_token_accuracy`,
  `token_accuracy`, `calibration_error`: with `--model spectrum` only, since other model classes of the
  harness return only summed log-likelihoods; `calibration_error_by_chance` is the error expected if
  the same probabilities were exactly right
- `loss_restricted`, `accuracy_restricted`: among the task's own labels, with `restricted=true`; `coverage` is
  the model's probability of all labels together, `low_coverage` is 1 if that is below 0.05
- `regret`: loss above that of the exact predictive, on described sequences of synthetic tasks that have one
- `..._low`, `..._high`: 95% interval of each but `calibration_error`, clustered by sequence; `outputs`,
  `sequences`, `sequences_at_1`, …: counts""",
    "distributional": """\
- `log_loss` (headline): cross-entropy minus the logarithm of `coverage`, a proper score; `low_coverage`:
  1 if `coverage` is below 0.05, where all metrics of shares are meaningless
- `js_divergence` (headline), `kl_divergence` (target to model), `reverse_kl`, `cross_entropy` in
  nats; `total_variation`, `mode_match`; `coverage`: the model's probability of all candidates
  together
- `uniform_...`: the same (except `coverage`, which is 1) for the uniform guess over the candidates,
  the baseline; with `scoring=published` smoothed like the model's
- `js_divergence[GROUP]`: by group, if there are at most twelve; `parsed`: share of verbalized
  answers that parse
- `..._low`, `..._high`: 95% interval of each, clustered by question; `items`, `items[GROUP]`: counts""",
    "diversity": """\
- `share_valid`, `share_unique` (distinct valid / valid), `yield_count` (headline: distinct valid
  samples), `yield_share`, `unique_of_all`, `collision` (probability that two valid samples agree),
  `coverage` of closed lists
- `exact_yield`, `exact_unique`: expected values of an exact uniform sampler with as many valid samples,
  for closed lists
- `..._low`, `..._high`: 95% interval of each but `exact_...`, over samples; `samples`: number of
  samples, each cut at its first line break""",
}


class TaskFile(NamedTuple):
    """One task of an axis.

    Attributes:
        name: Name in our catalogue.
        what: Short description of the samples or questions.
        source: Source of the data.
        tags: Tags besides that of the axis.
    """

    name: str
    what: str
    source: Source
    tags: tuple[str, ...]


def task_files(axis: str) -> list[TaskFile]:
    """Return the tasks of an axis, in alphabetical order."""
    found: Iterable[TaskFile]
    if axis == "icl":
        own = (task for task in tasks().values() if not task.name.startswith(TINY_PREFIX))
        found = (TaskFile(t.name, t.summary, t.source, (HELD_OUT,) * (t.split == "test")) for t in own)
    elif axis == "distributional":
        found = (TaskFile(t.name, t.summary, t.source, ()) for t in distributional_tasks().values())
    else:
        found = (TaskFile(t.name, t.description, t.source, ()) for t in diversity_tasks().values())
    quick = QUICK_TASKS[axis]
    return sorted(one._replace(tags=one.tags + (QUICK,) * (one.name in quick)) for one in found)


def contents(axis: str) -> dict[str, str]:
    """Return the files of an axis: name to text."""
    tag = TAGS[axis]
    files = {
        f"_{axis}_yaml": f"{HEAD}class: !function spectrum_trl.evaluation.{CLASSES[axis]}\n"
        f"tag: {tag}\nmetadata:\n  version: 1.0\n"
    }
    rows = []
    for task in task_files(axis):
        name = f"{tag}_{task.name}"
        tags = f"tag: [{', '.join((tag, *task.tags))}]\n" if task.tags else ""
        files[f"{name}.yaml"] = (
            f"include: _{axis}_yaml\ntask: {name}\n{tags}spectrum: {{task: {task.name}}}\n"
        )
        rows.append(
            f"| `{name}` | {task.what} | {task.source.title} | {task.source.licence} | "
            f"{', '.join(task.tags) or '—'} |"
        )
    table = (
        "| task | what | source | licence | further tags |\n| --- | --- | --- | --- | --- |\n"
        + "\n".join((*rows, ""))
    )
    files["README.md"] = (
        f"# {TITLES[axis]}\n\nTasks of lm-evaluation-harness, version 1.0, tag `{tag}`. Source of the "
        f"method: Spectrum Tuning (arXiv 2510.06084).\n\n## Metrics\n\n{METRICS[axis]}\n\n## Tasks\n\n{table}"
    )
    return files


def main() -> None:
    """Write all files into the clone, and remove those of deleted tasks."""
    for axis in TAGS:
        folder = PACKAGE.parent / "tasks" / axis
        folder.mkdir(parents=True, exist_ok=True)
        files = contents(axis)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        for old in set(folder.iterdir()) - {folder / name for name in files}:
            old.unlink()


if __name__ == "__main__":
    main()
