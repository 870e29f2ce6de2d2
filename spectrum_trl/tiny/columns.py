"""The models that the demo compares, each in the format that suits it, and their names in its table.

The design is the paper's: a pretrained model, its instruct sibling, and the Spectrum-tuned pretrained model.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from spectrum_trl.prompts.formats import Format
from spectrum_trl.prompts.scored import PlainTemplate
from spectrum_trl.tiny.scores import METRICS, SAMPLES, URN, TinyResult


class Column(NamedTuple):
    """One model of the comparison.

    Attributes:
        title: Heading in the table.
        fmt: Format of the prompts.
    """

    title: str
    fmt: Format


PRETRAINED, BEST, INSTRUCT = "pretrained", "best_wording", "instruct"
ALL_TOKENS, TUNED = "all_tokens", "tuned"
# In the order of the table; the keys name the files in a run's folder.
COLUMNS = {
    PRETRAINED: Column("pretrained", "colon"),
    BEST: Column("pretrained, best of 3 prompts", "colon"),
    INSTRUCT: Column("instruct", "chat_simple"),
    ALL_TOKENS: Column("all-token tuning", "spectrum"),
    TUNED: Column("Spectrum-tuned", "spectrum"),
}
# Subfolder of a run with one folder per model, in lm-eval's format.
COMPARE = "compare"
# Prompts for the pretrained model: the wording of a description and its plain-text template. The last is a
# layout that the model was pretrained on, which suits it best.
WORDINGS: tuple[tuple[str, PlainTemplate], ...] = (
    ("{}", "colon"),
    ("{} The draws, one per line.", "colon"),
    ("{}", "layouts/record"),
)


def best_of(results: Sequence[TinyResult]) -> TinyResult:
    """Return the best measurements of one model over several prompts, chosen separately for each task.

    They are chosen on the evaluation items, which favours this model over those it is compared with.
    """

    def badness(task: str, one: TinyResult) -> float:
        if task == URN:
            return one.mean(task, "js_divergence")
        return -one.mean(task, "share_valid") if task in SAMPLES else float(one.regret(task).mean())

    best = {task: min(results, key=partial(badness, task)).rows[task] for task in METRICS}
    return results[0].model_copy(update={"rows": best})


def is_run(folder: Path) -> bool:
    """Return whether a folder holds no results of an evaluation but those that a demo run leaves."""
    try:
        found = folder.glob("**/results_*.json") if folder.is_dir() else ()
        return folder.is_dir() and all(COMPARE in file.relative_to(folder).parts for file in found)
    except OSError:
        return False


def results_of(run: str) -> list[str]:
    """Return the results of every model of a demo run, each as NAME=PATH; of other folders, the folder."""
    folder = Path(run) / COMPARE
    if not (is_run(Path(run)) and folder.is_dir()):
        return [run]
    return [f"{name}={folder / name}" for name in COLUMNS if (folder / name).is_dir()] or [run]
