"""What runs import and compute anyway: the server that tests fork their processes from has it already."""

import gc

import lm_eval.evaluator  # noqa: F401
import matplotlib.figure  # noqa: F401
import peft  # noqa: F401
import scipy.stats  # noqa: F401
from transformers.conversion_mapping import get_checkpoint_conversion_mapping
from transformers.models.qwen3 import modeling_qwen3  # noqa: F401

import spectrum_trl.commands.main
import spectrum_trl.evaluation.tiny
import spectrum_trl.training.train
from spectrum_trl.known_tasks import tasks

tasks()
# It compiles a thousand patterns, and keeps them.
get_checkpoint_conversion_mapping("qwen3")
# Trainer collects garbage, among all of this in each process.
gc.freeze()
