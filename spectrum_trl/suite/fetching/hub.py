"""Fetch files of a dataset on the Hugging Face Hub at the commit pinned in the lock file."""

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from spectrum_trl.console import visible
from spectrum_trl.errors import Unreachable, UserError
from spectrum_trl.suite.fetching.lock import begin
from spectrum_trl.suite.source import HubFiles


def fetch_from_hub(
    wanted: HubFiles, *, data_dir: Path, commit: str | None, advance: Callable[[int], None] = lambda n: None
) -> tuple[str, list[Path]]:
    """Fetch the files that match the patterns.

    Args:
        wanted: The dataset and its files.
        data_dir: The data folder.
        commit: Commit of an earlier fetch, or None for the newest one of the declared revision.
        advance: Called with the number of bytes received.

    Returns:
        The commit, and the paths of the files.

    Raises:
        UserError: If they cannot be fetched; says what to do.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import httpx

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    try:
        return _fetch(api, wanted, data_dir=data_dir, commit=commit or wanted.revision, advance=advance)
    except GatedRepoError:
        raise UserError(
            f"{wanted.repo} is gated: accept its terms at {wanted.origin}, then log in with `hf auth login`"
        ) from None
    except RevisionNotFoundError:
        raise UserError(
            f"{wanted.repo} has no revision {commit or wanted.revision}: correct it, or if its history was "
            "rewritten, add --again to `spectrum-trl data fetch` to fetch the newest one"
        ) from None
    except RepositoryNotFoundError:
        raise UserError(
            f"{wanted.repo} does not exist or is private: see {wanted.origin}, or run `hf auth login`"
        ) from None
    except (OfflineModeIsEnabled, LocalEntryNotFoundError, httpx.HTTPError):
        raise Unreachable(
            f"{wanted.repo} cannot be reached: check the connection, and HF_HUB_OFFLINE"
        ) from None
    except (HfHubHTTPError, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"{wanted.repo} could not be fetched ({reason}). Run the command again") from None


def _fetch(
    api: Any, wanted: HubFiles, *, data_dir: Path, commit: str, advance: Callable[[int], None]
) -> tuple[str, list[Path]]:
    from huggingface_hub.utils import filter_repo_objects

    info = api.dataset_info(wanted.repo, revision=commit)
    names = [sibling.rfilename for sibling in info.siblings or []]
    chosen = list(filter_repo_objects(names, allow_patterns=list(wanted.files)))
    if not chosen:
        raise UserError(
            f"{wanted.repo} at {str(info.sha)[:7]} has no {' or '.join(wanted.files)}. It has: "
            f"{', '.join(visible(name[:100]) for name in names[:10])}. If its files were renamed, put them "
            f"into {data_dir / wanted.path} by hand"
        )
    if outside := [each for each in chosen if each.startswith("/") or ".." in PurePosixPath(each).parts]:
        raise UserError(f"{wanted.repo} would write outside its folder ({visible(outside[0][:100])})")
    folder = data_dir / wanted.path
    begin(wanted, data_dir=data_dir)
    api.snapshot_download(
        wanted.repo,
        repo_type="dataset",
        revision=info.sha,
        allow_patterns=chosen,
        local_dir=folder,
        tqdm_class=_reporting(advance),
    )
    return str(info.sha), [folder / name for name in chosen]


def _reporting(advance: Callable[[int], None]) -> Any:
    """Return a progress bar that calls ``advance`` at each update, so a download can be interrupted."""
    from huggingface_hub.utils import tqdm

    class Reporting(tqdm):
        def update(self, n: float | None = 1) -> bool | None:
            advance(0)
            return super().update(n)

    return Reporting
