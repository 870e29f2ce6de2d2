"""Processes share the work, and the figures stay the same."""

import json
from pathlib import Path

import pytest

from tests.processes import run_processes

SCRIPT = """
import json, sys
from lm_eval.evaluator import simple_evaluate
from lm_eval.tasks import TaskManager
from spectrum_trl.scoring.lm import SpectrumLM

lm = SpectrumLM("spectrum-trl/tiny-base", device="cpu")
settings = {"task_manager": TaskManager(include_defaults=False), "bootstrap_iters": 0}
results = simple_evaluate(model=lm, tasks=[json.loads(sys.argv[1])], **settings)
if results is not None:
    texts = {row["doc_id"]: row["resps"][0] for row in results["samples"]["texts"]}
    print("RESULT", json.dumps([lm.world_size, texts]))
"""
REPEATS = 3
ROWS = [{"text": f"A number from 1 to {n}:"} for n in (3, 10, 1000)]


@pytest.mark.slow
def test_processes_give_the_samples_that_one_gives(tmp_path: Path) -> None:
    rows, script = tmp_path / "rows.jsonl", tmp_path / "evaluate.py"
    rows.write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    script.write_text(SCRIPT, encoding="utf-8")
    task = {
        "task": "texts",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(rows)}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{text}}",
        "doc_to_target": "",
        "repeats": REPEATS,
        "generation_kwargs": {"do_sample": True, "temperature": 3.0, "until": ["\n"], "max_gen_toks": 5},
        "metric_list": [{"metric": "exact_match"}],
    }
    found = []
    for n in (1, 2):
        done = run_processes(n, script, json.dumps(task), ACCELERATE_USE_CPU="true", OMP_NUM_THREADS="1")
        assert done.returncode == 0, done.stderr[-2000:]
        (line,) = (line for line in done.stdout.splitlines() if line.startswith("RESULT "))
        found.append(json.loads(line.removeprefix("RESULT ")))
    (one_process, one), (two_processes, two) = found
    assert (one_process, two_processes) == (1, 2)
    # lm-eval asks once more for the last row of a process that has fewer rows than another.
    assert one == {row: texts[:REPEATS] for row, texts in two.items()} and len(one) == len(ROWS)
    assert len({text for texts in one.values() for text in texts}) > 4
