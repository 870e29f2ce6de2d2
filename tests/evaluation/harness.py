"""Load one of our tasks, and evaluate it with lm-eval's stock model class."""

from typing import Any

import lm_eval
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from spectrum_trl.paths import bundled


def _manager(**metadata: Any) -> TaskManager:
    # lm-eval's own thousands of task files take seconds to read.
    return TaskManager(include_path=str(bundled("tasks")), include_defaults=False, metadata=metadata)


def load(name: str, tokenizer: Any, **options: Any) -> Any:
    manager = _manager(**{"tokenizer": tokenizer, "max_length": 512, **options})
    (task,) = manager.load([name])["tasks"].values()
    return task


def evaluate(task: Any, model: Any, tokenizer: Any, **options: Any) -> dict[str, Any]:
    lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=16)
    settings = {"task_manager": _manager(), "bootstrap_iters": 0, **options}
    results = lm_eval.simple_evaluate(model=lm, tasks=[task], **settings)
    figures = results["results"][str(task.config.task)]
    return {name.removesuffix(",none"): value for name, value in figures.items()} | {
        "samples": results["samples"][str(task.config.task)]
    }
