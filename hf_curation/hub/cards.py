"""What our cards share: our part stands between two marks and only that is replaced; tags are added, none is lost."""

from collections.abc import Iterable
from typing import Any, Final

END: Final = "<!-- hf-curation: end -->"


def replace_section(text: str, begin: str, section: str) -> str:
    """Return a card's text with the part between `begin` and `END` renewed, or added at its end.

    Args:
        text: The body of a card.
        begin: The mark in front of our part; each kind of card has its own.
        section: The new part, without marks.
    """
    before, found, rest = text.partition(begin)
    after = rest.partition(END)[2] if found else ""
    return f"{before.rstrip()}\n\n{begin}\n{section.strip()}\n{END}\n{after.lstrip()}".lstrip()


def add_tags(data: Any, tags: Iterable[str]) -> None:  # noqa: ANN401 - card data has no useful types
    """Add tags to those that a card has."""
    data.tags = sorted({*(data.tags or []), *tags})


def read_card(repo_id: str, *, revision: str | None = None) -> Any:  # noqa: ANN401
    """Return the card that a model repository has at a revision, or None."""
    from huggingface_hub import ModelCard, hf_hub_download  # noqa: PLC0415
    from huggingface_hub.errors import EntryNotFoundError  # noqa: PLC0415

    try:
        return ModelCard.load(hf_hub_download(repo_id, "README.md", revision=revision))
    except EntryNotFoundError:
        return None
