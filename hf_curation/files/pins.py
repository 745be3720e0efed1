"""Which commit of a repository on the Hub a run reads: found once, kept in its plan, the same for tasks and resumes.

A branch moves, and a run of days would read two states of it. So `hf://datasets/you/crawl@main/data` becomes
`hf://datasets/you/crawl@COMMIT/data` before anything is listed, and so do names of models and tokenizers. The plan
holds what was asked for and the commit; the same command later goes on with that commit, wherever the branch is then.
"""

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self
from urllib.parse import unquote

logger = logging.getLogger(__name__)

_URL_RE: Final = re.compile(
    r"hf://(?:(models|datasets|spaces)/)?(?!(?:models|datasets|spaces|buckets)/)([^/@]+/[^/@]+)(?:@(refs/(?:convert|pr)/[^/]+|[^/]+))?(/.*)?"
)
_COMMIT_RE: Final = re.compile(r"[0-9a-f]{40}")
_NAME_RE: Final = re.compile(r"[\w.-]+/[\w.-]+")


def split_revision(name: str, revision: str | None = None) -> tuple[str, str | None]:
    """Return name and revision of `you/model@revision`, or of `you/model` and a revision beside it.

    Raises:
        ValueError: if both are there and differ.

    >>> split_revision("you/model@v1"), split_revision("https://me@host/v1")
    (('you/model', 'v1'), ('https://me@host/v1', None))
    """
    base, at, given = name.rpartition("@")
    if not at or not given or "/" in base.rpartition("/")[0] or "://" in name or Path(name).exists():
        return name, revision
    if revision is not None and revision != given:
        raise ValueError(f"{name!r} names a revision, and {revision!r} is given as another; say one")
    return base, given


def portable_name(given: str) -> str:
    """Return what a model or tokenizer is called in what a run writes: its name on the Hub, or its folder's own name.

    Where it lies is not what it is, and equal runs in two places are equal; what it is, a digest beside the name says.
    """
    path = Path(given).expanduser()
    return path.resolve().name if path.exists() else given


def pin_url(url: str) -> str:
    """Return an `hf://` address with the commit that its revision is now; others, and buckets, come back as they are.

    Raises:
        ValueError: if there is no such repository or revision, or this token may not read it.
        OSError: if the Hub does not answer.
    """
    match = _URL_RE.fullmatch(url)
    if match is None or (match[3] and _COMMIT_RE.fullmatch(match[3])):
        return url
    return Pins().url(url)


class Pins:
    """The commits of a run.

    Args:
        known: What was asked for -> commit, from an earlier launch of the run.
    """

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        self.known = dict(known or {})
        self.used: dict[str, str] = {}
        """What was asked for -> commit, for the plan."""

    @classmethod
    def of_run(cls, *folders: str | Path | None, overwrite: bool = False) -> Self:
        """Return the pins in the plans of runs, of which the first that knows a name counts.

        Args:
            folders: Output folders, whether or not a run has begun there; None is passed over.
            overwrite: Whether the first is about to be emptied, and its plan with it.
        """
        known: dict[str, str] = {}
        for folder in folders[1:] if overwrite else folders:
            path = None if folder is None else Path(folder).expanduser() / "plan.json"
            if path is not None and path.exists():
                known = {**_pins_in(path), **known}
        return cls(known)

    def url(self, url: str) -> str:
        """Return an `hf://` address with its commit in it; other addresses and paths come back as they are."""
        match = _URL_RE.fullmatch(url)
        if match is None:
            return url
        kind, revision = match[1] or "models", unquote(match[3] or "main")
        repo = url[: match.end(2)]
        commit = self._commit(f"{repo}@{revision}", kind.removesuffix("s"), match[2], revision)
        return f"{repo}@{commit}{match[4] or ''}"

    def model(self, name: str, revision: str | None = None) -> tuple[str, str | None]:
        """Return the name and commit of a model or tokenizer; what lies here, or is no `you/name`, has none.

        Raises:
            ValueError: if there is no such repository or revision, or this token may not read it.
            OSError: if the Hub does not answer, and no copy is kept here.
        """
        name, revision = split_revision(name, revision)
        if not _NAME_RE.fullmatch(name) or Path(name).exists():
            return name, revision
        return name, self._commit(f"{name}@{revision or 'main'}", "model", name, revision or "main")

    def as_config(self) -> dict[str, dict[str, str]]:
        """Return what a plan's configuration holds of it: nothing where nothing came from the Hub."""
        return {"pins": dict(sorted(self.used.items()))} if self.used else {}

    def _commit(self, asked: str, repo_type: str, repo_id: str, revision: str) -> str:
        if asked not in self.used:
            before = self.known.get(asked)
            try:
                self.used[asked] = before or commit_of(repo_id, revision, repo_type)
                if before is not None and (now := commit_of(repo_id, revision, repo_type)) != before:
                    logger.warning(
                        "%s is at %s now; this run goes on with %s, with which it began (--overwrite starts afresh)",
                        *(asked, now[:8], before[:8]),
                    )
            except (ValueError, OSError) as error:
                if before is None:
                    raise
                logger.warning("%s: %s; this run goes on with %s", asked, error, before[:8])
        return self.used[asked]


def _pins_in(path: Path) -> dict[str, str]:
    """Return the pins of a plan; of a file that is no plan none, and who claims the folder says what is wrong."""
    try:
        config = json.loads(path.read_bytes())["config"]
        return {str(asked): str(commit) for asked, commit in config.get("pins", {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def commit_of(repo_id: str, revision: str = "main", repo_type: str = "model") -> str:
    """Return the commit that a branch, a tag or a (shortened) commit of a repository is.

    Offline it is what was the last that a download of that revision brought.

    Raises:
        ValueError: if there is no such repository or revision, or this token may not read it.
        OSError: if the Hub does not answer, and no copy is kept here.
    """
    from huggingface_hub import HfApi, constants  # noqa: PLC0415
    from huggingface_hub.file_download import repo_folder_name  # noqa: PLC0415

    from hf_curation.hub.errors import one_line_errors, patiently  # noqa: PLC0415

    try:
        with one_line_errors(repo_id, revision=revision):
            return str(
                patiently(lambda: HfApi().repo_info(repo_id, repo_type=repo_type, revision=revision), repo_id).sha
            )
    except OSError:
        folder = Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=repo_id, repo_type=repo_type))
        if (kept := folder / "refs" / revision).is_file():
            return kept.read_text(encoding="ascii").strip()
        if (folder / "snapshots" / revision).is_dir():
            return revision
        raise
