"""A report compares what is comparable, or says in one message why not."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from lm_eval.utils import handle_non_serializable, hash_string
from rich.console import Console

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.tiny import KINDS
from spectrum_trl.paths import bundled
from spectrum_trl.tiny import report
from spectrum_trl.tiny import scores as results
from spectrum_trl.tiny.evaluation_items import SAMPLES
from spectrum_trl.tiny.report import COMPARE, PICTURE, report_run
from spectrum_trl.tiny.scores import TinyResult
from tests.messages import named, naming
from tests.processes import run_command


def test_a_report_is_tables_a_picture_and_files_to_compare(
    uniform_result: TinyResult, learnt_result: TinyResult, tmp_path: Path
) -> None:
    results.save(uniform_result, tmp_path / "pretrained.json")
    results.save(learnt_result, tmp_path / "tuned.json")
    out = Console(record=True, width=200)
    written = report_run(tmp_path, out=out)
    text = out.export_text()
    assert "coverage" in text and named(text, "Spectrum-tuned", "minus") and "first samples" in text
    assert (tmp_path / PICTURE).is_file() and all(file.is_file() for file in written)
    folders = [tmp_path / COMPARE / name for name in ("pretrained", "tuned")]
    words = [word for metric in ("js_divergence", "mode_match", "loss_late") for word in ("--metric", metric)]
    done = run_command("compare", *folders, *words)
    assert done.returncode == 0, done.stderr
    assert "tiny_urn" in done.stdout and "improved" in done.stdout
    assert "mode_match" in done.stdout and "loss_late" in done.stdout and "formats differ" not in done.stdout


def test_results_of_different_seeds_are_not_compared(uniform_result: TinyResult, tmp_path: Path) -> None:
    results.save(uniform_result, tmp_path / "pretrained.json")
    results.save(uniform_result.model_copy(update={"seed": 1}), tmp_path / "tuned.json")
    with pytest.raises(UserError, match="different seeds"):
        report_run(tmp_path)


def test_a_folder_in_the_place_of_the_picture_is_told_first(
    uniform_result: TinyResult, tmp_path: Path
) -> None:
    results.save(uniform_result, tmp_path / "tuned.json")
    (tmp_path / PICTURE).mkdir()
    with pytest.raises(UserError, match=naming("folder", "file")):
        report_run(tmp_path)


def test_the_recorded_result_is_of_the_items_that_are_measured(world_tokenizer: Any) -> None:
    recorded = results.load(bundled("recipes") / "demo_all_tokens.json")
    metadata = {"tokenizer": world_tokenizer, "format": "spectrum", "seed": recorded.seed}
    for name, (kind, items) in KINDS.items():
        own = {"items": items, "part": recorded.part, "wording": "{}", "plain": "colon"}
        task = kind({"task": name, "spectrum": own, "metadata": metadata})
        for doc, row in zip(task.eval_docs, recorded.rows[name], strict=True):
            written = json.dumps(doc, indent=2, default=handle_non_serializable, ensure_ascii=False)
            assert (row.prompt, row.doc_hash) == (doc["description"], hash_string(written))
            if name in results.SEQUENCES:
                continue
            # What depends on the item alone; `exact_unique` depends on the number of valid samples.
            known = task.score(
                doc, [[0.0]] * len(doc["candidates"]) if name == results.URN else ["?"] * SAMPLES
            )
            names = {n for n in row.values if n.startswith(("uniform", "exact", "even"))} - {"exact_unique"}
            assert names
            for metric in names:
                assert row.values[metric][0] == pytest.approx(known[metric][0], abs=1e-5)


def test_the_picture_is_a_png_of_readable_size(
    learnt_result: TinyResult, uniform_result: TinyResult, tmp_path: Path
) -> None:
    path = tmp_path / "curves.png"
    report.plot({"before": learnt_result, "after": uniform_result}, path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n") and content.endswith(b"IEND\xaeB`\x82")
    width, height = struct.unpack(">II", content[16:24])
    assert 1000 <= width <= 2000 and 700 <= height <= 1500
    assert 20_000 < len(content) < 1_000_000
    assert [file.name for file in tmp_path.iterdir()] == ["curves.png"]


def test_the_same_results_give_the_same_picture_and_others_another(
    learnt_result: TinyResult, uniform_result: TinyResult, tmp_path: Path
) -> None:
    for name, shown in (
        ("a", {"x": learnt_result}),
        ("b", {"x": learnt_result}),
        ("c", {"x": uniform_result}),
    ):
        report.plot(shown, tmp_path / name)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize("n", [0, 6])
def test_more_results_than_colours_are_refused(n: int, learnt_result: TinyResult, tmp_path: Path) -> None:
    path = tmp_path / "curves.png"
    path.write_text("old")
    with pytest.raises(ValueError, match="expected 1 to 5"):
        report.plot({str(i): learnt_result for i in range(n)}, path)
    assert path.read_text() == "old"
