"""What goes wrong between here and the hub, in words that say what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from studio.errors import ModelError, StudioError

_TOKEN = "Get a token in your account there, and start the studio with HF_TOKEN=… ."


@contextmanager
def explained(repo: str) -> Iterator[None]:
    """Turn the client's errors within into a ModelError about `repo`."""
    from huggingface_hub import errors
    from huggingface_hub.errors import HTTPError

    try:
        yield
    except errors.OfflineModeIsEnabled as error:
        raise ModelError("The studio is set to stay offline (HF_HUB_OFFLINE).", "Unset it to download.") from error
    except errors.GatedRepoError as error:
        raise ModelError(
            f"{repo} is gated: its owner wants to know who uses it.",
            f"Accept the conditions on its page at huggingface.co/{repo}. {_TOKEN}",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(f"{repo} has no such revision.", "Use main, or a commit of its history.") from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"The hub has no model {repo}, or it is private.", f"Check the spelling. For a private one: {_TOKEN}"
        ) from error
    except errors.EntryNotFoundError as error:
        raise ModelError(f"A file of {repo} is gone from the hub.", "Look it up again.") from error
    except errors.HfHubHTTPError as error:
        raise _refused(repo, error) from error
    except (HTTPError, ConnectionError, TimeoutError) as error:
        raise ModelError(
            f"The hub cannot be reached ({type(error).__name__}).",
            "Check the connection. What has arrived is kept: start the download again to go on.",
        ) from error
    except OSError as error:
        raise _of_disk(error) from error


def _refused(repo: str, error: Exception) -> StudioError:
    status = getattr(getattr(error, "response", None), "status_code", 0)
    if status in (401, 403):
        return ModelError(f"The hub does not let you have {repo} (status {status}).", _TOKEN)
    if status == 429:
        return ModelError("The hub has had too many requests from here (status 429).", "Try again in some minutes.")
    return ModelError(f"The hub answered with status {status}.", "Try again later; what has arrived is kept.")


def _of_disk(error: OSError) -> StudioError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ModelError("The disk is full.", "Free some room and start the download again: it goes on where it was.")
    return ModelError(f"The download failed: {error.strerror or str(error)[:200]}.", "Start it again to go on.")
