"""Weights & Biases gets figures, samples and the page, by the real client, without a network."""

import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from spectrum_trl.report.page import page_of
from spectrum_trl.report.reading import read_evaluations
from spectrum_trl.report.tracking import OF_THE_PAPER, figures_of, means_of
from tests.report.evaluations import write


def test_means_have_the_papers_names_and_figures_ours(tmp_path: Path) -> None:
    (one,) = read_evaluations([f"tuned={write(tmp_path / 'a')}"])
    means, figures = means_of(one), figures_of(one, page_of([one]))
    for name, metric in OF_THE_PAPER.items():
        each = [found[f"{metric},none"] for found in one.file.results.values() if f"{metric},none" in found]
        assert means.get(name) == (pytest.approx(statistics.fmean(each)) if each else None), name
    assert means["js_divergence.mean"] == figures["spectrum_dist_urn/js_divergence"]
    assert figures["spectrum_dist_urn/js_divergence/uniform guess"] == 0.5


@pytest.mark.slow
def test_an_offline_run_holds_the_figures_the_samples_and_the_page(tmp_path: Path) -> None:
    results, page = write(tmp_path / "a", words="a peculiar answer"), tmp_path / "report.html"
    given = {**os.environ, "WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "WANDB_SILENT": "true"}
    words = ["report", f"tuned={results}", "-o", str(page), "--wandb", "suite"]
    command = [sys.executable, "-m", "spectrum_trl", *words]
    done = subprocess.run(command, env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (tracked,) = tmp_path.glob("wandb/offline-run-*")
    content = next(tracked.glob("*.wandb")).read_bytes()
    assert [
        one for one in (b"js_divergence.mean", b"spectrum_dist_urn/js_divergence") if one not in content
    ] == []
    (shown,) = tracked.glob("files/media/html/report*.html")
    assert shown.read_text() == page.read_text()
    tables = [file.read_text() for file in tracked.glob("files/media/table/samples/*.json")]
    assert any("a peculiar answer" in text for text in tables)


def test_a_missing_key_is_one_line(tmp_path: Path) -> None:
    given = {name: value for name, value in os.environ.items() if name != "WANDB_API_KEY"}
    given |= {"WANDB_MODE": "online", "WANDB_SILENT": "true", "NETRC": os.devnull, "WANDB_DIR": str(tmp_path)}
    words = ["report", str(write(tmp_path / "a")), "-o", str(tmp_path / "page.html"), "--wandb", "suite"]
    done = subprocess.run(
        [sys.executable, "-m", "spectrum_trl", *words],
        env=given,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "WANDB_MODE=offline" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
