"""What runs import and compute anyway: the server that tests fork their processes from has it already."""

import gc
import importlib

from transformers.conversion_mapping import get_checkpoint_conversion_mapping

from spectrum_trl.known_tasks import tasks

for module in (
    "spectrum_trl.training.train",
    "spectrum_trl.commands.main",
    "spectrum_trl.evaluation.tiny",
    "lm_eval.evaluator",
    "transformers.models.qwen3.modeling_qwen3",
    "scipy.stats",
    "peft",
    "matplotlib.figure",
):
    importlib.import_module(module)
tasks()
# It compiles a thousand patterns, and keeps them.
get_checkpoint_conversion_mapping("qwen3")
# Trainer collects garbage, among all of this in each process.
gc.freeze()
