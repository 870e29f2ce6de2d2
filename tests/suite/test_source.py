"""What sources declare: where to get them, on which terms, and that what is fetched is what tasks read."""

import fnmatch
import re

import pytest

from spectrum_trl.evaluation.axis_tasks import distributional_tasks, diversity_tasks
from spectrum_trl.suite.catalogue import suite_sources, suite_tasks
from spectrum_trl.suite.source import Download, HubFiles, checksums

SOURCES = list(suite_sources().values())
READING = [task for task in suite_tasks().values() if not task.synthetic and task.source.downloads]
EVALUATED = [
    task for task in (*distributional_tasks().values(), *diversity_tasks().values()) if task.source.downloads
]


def gives(download: Download | HubFiles, pattern: str) -> bool:
    """Whether a download can make a file that a task's pattern reaches."""
    pattern = pattern.replace("**/", "*")
    if isinstance(download, HubFiles):
        names = [f"{download.path}/{name}" for name in download.files]
        return any(fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(pattern, name) for name in names)
    if download.is_zip:
        return pattern.startswith(f"{download.path}/")
    return fnmatch.fnmatch(download.path, pattern)


@pytest.mark.parametrize("task", [*READING, *EVALUATED], ids=lambda task: task.name)
def test_what_is_fetched_is_what_a_task_reads(task) -> None:
    for pattern in task.files:
        assert any(gives(download, pattern) for download in task.source.downloads), pattern


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_a_source_says_where_it_is_from_and_how_to_get_it(source) -> None:
    assert re.fullmatch("[a-z0-9_]+", source.name)
    assert source.title and source.licence and source.citation
    assert source.homepage.startswith("https://")
    assert source.downloads or source.steps or source.ask
    for download in source.downloads:
        assert not download.path.startswith("/") and ".." not in download.path.split("/")
        if isinstance(download, HubFiles):
            assert re.fullmatch(r"[\w.-]+/[\w.-]+", download.repo) and download.files
        else:
            assert download.url.startswith("https://")


def test_pinned_files_have_their_published_sums() -> None:
    pinned = [
        download
        for source in SOURCES
        for download in source.downloads
        if isinstance(download, Download) and re.search("/[0-9a-f]{40}/", download.url)
    ]
    assert len(pinned) > 80
    assert all(download.sha256 == checksums().get(download.path) for download in pinned)
    assert sum(download.sha256 is not None for download in pinned) > 75
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in checksums().values())
