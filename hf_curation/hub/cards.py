"""What our cards share: our part stands between two marks and only that is replaced; tags are added, none is lost.

A head of YAML is changed line by line: parsing and writing it again would lose the comments that a person left there.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

CARD: Final = "README.md"
END: Final = "<!-- hf-curation: end -->"
_HEAD_RE: Final = re.compile(r"\A\s*---[ \t]*\n(.*?\n)??---[ \t]*(?:\n|\Z)", re.DOTALL)
_HEADING_RE: Final = re.compile(r"^(#+ )", re.MULTILINE)


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
    """Add tags behind those that a card has."""
    data.tags = list(dict.fromkeys([*(data.get("tags") or []), *tags]))  # without a head there is no attribute


def parse_card(kind: Any, text: str) -> Any:  # noqa: ANN401 - cards have no useful types
    """Return a card, a `kind` such as `huggingface_hub.ModelCard`.

    Raises:
        ValueError: if its head is no YAML.
    """
    from yaml import YAMLError  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415

    try:
        return kind(text)
    except (YAMLError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"the head of {CARD} on the Hub cannot be read, mend it there: {reason[:160]}") from error


def card_text(card: Any, existing: str | None) -> str:  # noqa: ANN401
    """Return the text of a card; of a head that is there, only lines of keys with other values are replaced.

    Args:
        card: Made of `existing`, or new.
        existing: The text that the repository has.
    """
    if existing is None:
        return str(card)
    was, now = parse_card(type(card), existing).data.to_dict(), card.data.to_dict()
    changes = {key: value for key, value in now.items() if was.get(key) != value}
    head = _HEAD_RE.match(existing)
    text = f"---\n{_renew((head and head[1]) or '', changes)}---\n{card.text.lstrip()}"
    try:
        is_kept = parse_card(type(card), text).data.to_dict() == now
    except ValueError:
        is_kept = False
    return text if is_kept else str(card)  # a head of a shape that lines do not tell, such as {tags: [a]}


def model_card_text(make: Callable[[Any], Any], existing: str | None) -> str:
    """Return the text of a model card that `make` makes of the one that is there, or of None."""
    from huggingface_hub import ModelCard  # noqa: PLC0415

    return card_text(make(None if existing is None else parse_card(ModelCard, existing)), existing)


def merge_dataset_card(ours: str, existing: str | None, *, name: str, begin: str) -> str:
    """Return the card of a data set: our part in the one that is there, or in a new one.

    Tags are added. Of the configurations ours replace those that we wrote under the same names before.

    Args:
        ours: The card of a folder, with its head.
        existing: The card that the repository has, or None.
        name: Heading of a new card.
        begin: The mark of our part.

    Raises:
        ValueError: if the card that is there cannot be read, or somebody else's configuration has the name of ours.
    """
    from huggingface_hub import DatasetCard  # noqa: PLC0415

    card: Any = DatasetCard(ours)
    section = _HEADING_RE.sub(r"#\1", card.text.strip())
    if existing is None:
        card.text = replace_section(f"# {name}\n", begin, section)
        return str(card)
    merged = parse_card(DatasetCard, existing)
    add_tags(merged.data, card.data.tags or [])
    configs = card.data.get("configs") or []
    names = {one["config_name"] for one in configs}
    there = merged.data.get("configs") or []
    others = [one for one in there if one.get("config_name") not in names]
    taken = [one["config_name"] for one in there if one not in others]
    if taken and begin not in merged.text:
        raise ValueError(
            f"the card of {name} has a configuration {taken[0]!r} that is not ours: push into a folder of the "
            "repository (path_in_repo, --into), or to another"
        )
    merged.data.configs = [*others, *_without_second_default(configs, others)]
    merged.text = replace_section(merged.text, begin, section)
    return card_text(merged, existing)


def _without_second_default(ours: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not any(one.get("default") for one in others):
        return ours
    return [{key: value for key, value in one.items() if key != "default"} for one in ours]


def _renew(head: str, changes: Mapping[str, Any]) -> str:
    """Return the lines of a head with some keys set; comments and the other keys stay as they are."""
    from huggingface_hub.utils import yaml_dump  # type: ignore[attr-defined]  # noqa: PLC0415

    for key, value in changes.items():
        new: str = yaml_dump({key: value}, sort_keys=False)
        # A key's value goes on in lines that are indented, items of a list, or blank.
        goes_on = r"(?:[ \t]*(?:#.*)?\n)*(?:[ \t]+[^\s#]|-[ \t])"
        block = re.compile(rf"^{re.escape(key)}[ \t]*:.*\n(?:{goes_on}.*\n)*", re.MULTILINE)
        found = block.search(head)
        head = head[: found.start()] + new + head[found.end() :] if found else head + new
    return head
