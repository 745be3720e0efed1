"""What a person is told of input files that a run leaves out: one sentence, in tables, cards and reports alike."""

from collections.abc import Mapping


def left_out_in_words(shards: Mapping[str, str], *, most: int = 10) -> list[str]:
    """Return one sentence about files that were left out, name -> reason; none where there are none.

    >>> left_out_in_words({"a.jsonl.gz": "damaged"})
    ['1 file of the input could not be decoded and was left out: a.jsonl.gz (damaged).']
    """
    if not shards:
        return []
    files, were = ("file", "was") if len(shards) == 1 else ("files", "were")
    told = listed(shards, most=most)
    return [f"{len(shards)} {files} of the input could not be decoded and {were} left out: {told}."]


def listed(shards: Mapping[str, str], *, most: int) -> str:
    """Return the first of some files, name -> reason, and how many more there are."""
    told = ", ".join(f"{name} ({reason})" for name, reason in list(shards.items())[:most])
    return told + (f" and {len(shards) - most} more" if len(shards) > most else "")
