"""Fetch files of a data set on the Hugging Face Hub, of a commit that the lock file keeps."""

import os
from pathlib import Path
from typing import Any

from spectrum_trl.errors import Unreachable, UserError
from spectrum_trl.suite.source import HubFiles

COMMIT_DIGITS = 40


def fetch_from_hub(wanted: HubFiles, *, data_dir: Path, commit: str | None) -> tuple[str, list[Path]]:
    """Fetch the files that the patterns name.

    Args:
        wanted: The data set and its files.
        data_dir: The data folder.
        commit: What an earlier fetch was of, or None for the newest of the declared revision.

    Returns:
        The commit, and the files below the data folder.

    Raises:
        UserError: If they cannot be had; says what to do.
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

    address = f"https://huggingface.co/datasets/{wanted.repo}"
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    try:
        return _fetch(api, wanted, data_dir=data_dir, commit=commit or wanted.revision)
    except GatedRepoError:
        raise UserError(
            f"{wanted.repo} is gated: accept its terms at {address}, then log in with `hf auth login`"
        ) from None
    except RevisionNotFoundError:
        raise UserError(
            f"{wanted.repo} has no revision {commit or wanted.revision}: its history was changed. Remove it "
            "from the lock file to take the newest one"
        ) from None
    except RepositoryNotFoundError:
        raise UserError(
            f"{wanted.repo} is not there, or private: see {address}, or `hf auth login`"
        ) from None
    except (OfflineModeIsEnabled, LocalEntryNotFoundError, httpx.HTTPError):
        raise Unreachable(
            f"{wanted.repo} cannot be reached: check the connection, and HF_HUB_OFFLINE"
        ) from None
    except (HfHubHTTPError, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"{wanted.repo} could not be fetched ({reason}). Run the command again") from None


def _fetch(api: Any, wanted: HubFiles, *, data_dir: Path, commit: str) -> tuple[str, list[Path]]:
    from huggingface_hub.utils import filter_repo_objects

    info = api.dataset_info(wanted.repo, revision=commit)
    names = [sibling.rfilename for sibling in info.siblings or []]
    chosen = list(filter_repo_objects(names, allow_patterns=list(wanted.files)))
    if not chosen:
        raise UserError(
            f"{wanted.repo} at {str(info.sha)[:7]} has no {' or '.join(wanted.files)}. It has: "
            f"{', '.join(names[:10])}. Its publisher has renamed files: put "
            f"them into {data_dir / wanted.path} by hand"
        )
    folder = data_dir / wanted.path
    api.snapshot_download(
        wanted.repo,
        repo_type="dataset",
        revision=info.sha,
        allow_patterns=chosen,
        local_dir=folder,
    )
    return str(info.sha), [folder / name for name in chosen]
