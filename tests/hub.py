"""A stand-in for the Hub's interface, for tests that publish."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any


class Hub:
    """Remembers what it was asked."""

    def __init__(self, *, private: bool = True) -> None:
        self.private, self.calls, self.uploaded = private, list[Any](), list[str]()

    def create_repo(self, repo: str, **settings: Any) -> None:
        self.calls.append((repo, settings))

    def repo_info(self, repo: str, *, repo_type: str) -> Any:
        assert {"repo_type": repo_type}.items() <= self.calls[-1][1].items()
        return SimpleNamespace(private=self.private)

    def upload_folder(self, *, folder_path: str | Path, **settings: Any) -> Any:
        folder = Path(folder_path)
        self.uploaded = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        return SimpleNamespace(commit_url="https://hub/commit/1")
