"""Load one of our tasks, and evaluate it with lm-eval's stock model class."""

from typing import Any

import lm_eval
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from spectrum_trl.paths import bundled


def load(name: str, tokenizer: Any, **options: Any) -> Any:
    manager = TaskManager(
        include_path=str(bundled("tasks")),
        include_defaults=False,
        metadata={"tokenizer": tokenizer, "max_length": 512, **options},
    )
    (task,) = manager.load([name])["tasks"].values()
    return task


def evaluate(task: Any, model: Any, tokenizer: Any, **options: Any) -> dict[str, Any]:
    lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=16)
    results = lm_eval.simple_evaluate(model=lm, tasks=[task], bootstrap_iters=0, **options)
    figures = results["results"][str(task.config.task)]
    return {name.removesuffix(",none"): value for name, value in figures.items()} | {
        "samples": results["samples"][str(task.config.task)]
    }
