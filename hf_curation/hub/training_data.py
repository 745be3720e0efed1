"""Push a finished training set: one commit, the card that is there read first, nothing overwritten by accident."""

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

_BEGIN: Final = "<!-- hf-curation: written when the set was made -->"
_END: Final = "<!-- hf-curation: end -->"
_PATTERNS: Final = ("data/*.parquet", "README.md", "report.json")
"""The configuration stays at home: it may hold an address or a path. The report has its settings without these."""


@dataclass(frozen=True, slots=True)
class SetPush:
    """What a push sends, or would send."""

    repo_id: str
    files: tuple[tuple[str, int], ...]
    """(name, bytes); the teacher's answers are not among them."""
    private: bool
    commit_url: str | None = None
    """None after a dry run."""


def push_training_set(folder: Path, repo_id: str, *, private: bool = True, dry_run: bool = False) -> SetPush:
    """Upload a folder of `write_training_set` as a dataset, in one commit.

    A card that is on the Hub keeps all that stands outside our two marks, and its own header.

    Args:
        folder: The set.
        repo_id: `you/data`; created where it is not there. The token is the Hub client's own (`HF_TOKEN`).
        private: Of a repository that is created here. Page text belongs to its sites: think before you say False.
        dry_run: Say what would be sent; nothing is sent or read.

    Raises:
        ValueError: if the folder holds no finished set, or `repo_id` is no `you/data`.
    """
    if not (folder / "report.json").is_file():
        raise ValueError(f"{folder} holds no training set (report.json is missing): make one first")
    if repo_id.count("/") != 1 or not all(repo_id.split("/")):
        raise ValueError(f"a dataset on the Hub is called you/data, got {repo_id!r}")
    found = sorted({path for pattern in _PATTERNS for path in folder.glob(pattern)})
    files = tuple((path.relative_to(folder).as_posix(), path.stat().st_size) for path in found)
    if dry_run:
        return SetPush(repo_id, files, private)
    return SetPush(repo_id, files, private, _commit(folder, repo_id, [name for name, _ in files], private=private))


def _commit(folder: Path, repo_id: str, names: list[str], *, private: bool) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi  # noqa: PLC0415

    api = HfApi()
    api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
    head = api.repo_info(repo_id, repo_type="dataset").sha
    card = _card(folder, repo_id, head)
    operations = [CommitOperationAdd(name, card.encode() if name == "README.md" else folder / name) for name in names]
    there = api.list_repo_files(repo_id, repo_type="dataset", revision=head)
    stale = [name for name in there if fnmatch(name, _PATTERNS[0]) and name not in names]
    commit = api.create_commit(
        repo_id,
        [*operations, *map(CommitOperationDelete, stale)],  # a split that has no example any more
        repo_type="dataset",
        commit_message="Training set made with hf-curation",
        parent_commit=head,  # whoever edits the card meanwhile is not overwritten: the commit is refused
    )
    return str(commit.commit_url)


def _card(folder: Path, repo_id: str, head: str | None) -> str:
    """Return our card, or the one that is on the Hub with our part renewed."""
    from huggingface_hub import DatasetCard, hf_hub_download  # noqa: PLC0415
    from huggingface_hub.errors import EntryNotFoundError  # noqa: PLC0415

    ours = DatasetCard((folder / "README.md").read_text(encoding="utf-8"))
    try:
        path = hf_hub_download(repo_id, "README.md", repo_type="dataset", revision=head)
    except EntryNotFoundError:
        return str(ours).replace("# Training data for a refiner", f"# {repo_id.split('/')[1]}", 1)
    return str(_merged(DatasetCard(Path(path).read_text(encoding="utf-8")), ours))


def _merged(existing: Any, ours: Any) -> Any:  # noqa: ANN401 - cards have no useful types
    """Return the card that is there with our part renewed; tags and file lists are added, none is taken away."""
    section = ours.text[ours.text.index(_BEGIN) : ours.text.index(_END) + len(_END)]
    before, found, rest = existing.text.partition(_BEGIN)
    after = rest.partition(_END)[2] if found else ""
    existing.text = f"{before.rstrip()}\n\n{section}\n{after.lstrip()}".lstrip()
    existing.data.tags = sorted({*(existing.data.tags or []), *(ours.data.tags or [])})
    existing.data.configs = ours.data.configs  # which files are there is ours to say
    return existing
