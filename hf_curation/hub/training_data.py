"""Push a finished training set: one commit, the card that is there read first, nothing overwritten by accident."""

from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from hf_curation.hub.cards import CARD, END, add_tags, card_text, parse_card, replace_section
from hf_curation.hub.commits import Artifact, Head, Pushed, push

_BEGIN: Final = "<!-- hf-curation: written when the set was made -->"
_DATA: Final = "data/*.parquet"
"""The configuration stays at home: it may hold an address or a path. The report has its settings without these."""


def push_training_set(folder: Path, repo_id: str, *, private: bool = True, dry_run: bool = False) -> Pushed:
    """Upload a folder of `write_training_set` as a dataset, in one commit.

    A card that is on the Hub keeps all that stands outside our two marks, and its own header.

    Args:
        folder: The set.
        repo_id: `you/data`; created where it is not there. The token is the Hub client's own (`HF_TOKEN`).
        private: Of a repository that is created here. Page text belongs to its sites: think before you say False.
        dry_run: Say what would be sent; nothing is sent or read.

    Raises:
        ValueError: if the folder holds no finished set, `repo_id` is no `you/data`, the token may not write there, or
            somebody else pushed other data meanwhile.
        OSError: if the Hub does not answer.
    """
    if not (folder / "report.json").is_file():
        raise ValueError(f"{folder} holds no training set (report.json is missing): make one first")
    found = [*sorted(folder.glob(_DATA)), folder / "report.json"]
    files = {path.relative_to(folder).as_posix(): path for path in found}
    ours = (folder / CARD).read_text(encoding="utf-8")

    def stale(head: Head) -> list[str]:
        """Return splits that have no example any more."""
        return [name for name in head.files if fnmatch(name, _DATA) and name not in files]

    artifact = Artifact(
        title="Training set made with hf-curation",
        files=files,
        card=lambda existing: _card(ours, repo_id, existing),
        repo_type="dataset",
        stale=stale,
    )
    return push(artifact, repo_id, private=private, dry_run=dry_run)


def _card(text: str, repo_id: str, existing: str | None) -> str:
    """Return our card, or the one that is on the Hub with our part renewed."""
    from huggingface_hub import DatasetCard  # noqa: PLC0415

    ours = DatasetCard(text)
    if existing is None:
        return text.replace("# Training data for a refiner", f"# {repo_id.split('/')[1]}", 1)
    return card_text(_merged(parse_card(DatasetCard, existing), ours), existing)


def _merged(existing: Any, ours: Any) -> Any:  # noqa: ANN401 - cards have no useful types
    """Return the card that is there with our part renewed; tags and file lists are added, none is taken away."""
    section = ours.text.partition(_BEGIN)[2].partition(END)[0]
    existing.text = replace_section(existing.text, _BEGIN, section)
    add_tags(existing.data, ours.data.tags or [])
    existing.data.configs = ours.data.configs  # which files are there is ours to say
    return existing
