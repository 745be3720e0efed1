"""The custody columns of a refined document: what was decided about it, by which program, and from which text.

| column | type | meaning |
| --- | --- | --- |
| `original_sha256` | string | of the UTF-8 of the text as it came; set by the first refining step, never changed |
| `original_text` | string | the text as it came; only when asked for |
| `doc_program` | string | what the document stage executed, in custody form |
| `chunk_program` | string | what the chunk stage executed; run on the original text it gives the refined text |
| `refine_status` | string | `kept`, `edited`, `dropped`, `fallback` |
| `refine_rejected` | list of string | a key of `REASONS` per call that was not executed, in order, both stages |
| `refine_fallbacks` | list of string | a key of `FALLBACKS` per chunk or page that kept its text, both stages |
| `earlier_programs` | list of string | only on a page that went through a stage twice: its programs before |

**Precedence of `refine_status`**, where both stages ran: `dropped` > `edited` > `fallback` > `kept`. What happened to
the text outranks what was tried: a page whose document program was unreadable and whose lines were then edited is
`edited`, and its `refine_fallbacks` still hold `unparsed`. A page that arrives as `dropped` (somebody reads the pages
that were left out again) starts afresh.

A dropped page keeps the text that it came to the step with: its program explains the decision, and nothing is lost.
"""

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from hf_curation.refiners.base import Stage

if TYPE_CHECKING:
    from hf_curation.refiners.refine import Refined

CUSTODY_TYPES: Final[dict[str, str]] = {
    "original_sha256": "string",
    "doc_program": "string",
    "chunk_program": "string",
    "refine_status": "string",
    "refine_rejected": "list<string>",
    "refine_fallbacks": "list<string>",
}
"""Column -> Arrow type of the columns that every refined document has, in the order in which they are written."""

DROP_REASONS: Final[dict[str, str]] = {
    "drop_doc": "the document program said `drop_doc()`",
    "refined_to_nothing": "nothing but white space was left after the edits",
}
"""Why a refining step left a document out -> what it means; the value of `filter_reason` on dropped documents."""

PROGRAM_COLUMN: Final[dict[Stage, str]] = {Stage.DOCUMENT: "doc_program", Stage.CHUNK: "chunk_program"}

_PRECEDENCE: Final = ("kept", "fallback", "edited", "dropped")


def digest_text(text: str) -> str:
    """Return the value of `original_sha256` for `text`.

    Raises:
        UnicodeEncodeError: if the text holds a lone surrogate, which has no UTF-8.
    """
    return sha256(text.encode("utf-8")).hexdigest()


def drop_reason(original: str, refined: "Refined") -> str | None:
    """Return the key of `DROP_REASONS` under which a document is left out, or None when it goes on."""
    if refined.result.dropped:
        return "drop_doc"
    return "refined_to_nothing" if original.strip() and not refined.result.text.strip() else None


def record_custody(
    metadata: dict[str, Any], original: str, refined: "Refined", stage: Stage, *, keep_original: bool = False
) -> None:
    """Write what one stage did to one document into its metadata, in place; nothing else in it is touched.

    Args:
        metadata: the document's.
        original: the text with which the document came to this stage.
        refined: the outcome of this stage.
        stage: which of the two stages this was.
        keep_original: also set `original_text`, unless an earlier step has, or has edited the text already.

    Raises:
        UnicodeEncodeError: if the text holds a lone surrogate and no earlier step has set `original_sha256`.
    """
    result = refined.result
    column = PROGRAM_COLUMN[stage]
    if not metadata.get("original_sha256"):
        metadata["original_sha256"] = digest_text(original)
    if keep_original and "original_text" not in metadata and digest_text(original) == metadata["original_sha256"]:
        metadata["original_text"] = original
    if before := metadata.get(column):
        metadata["earlier_programs"] = [*_words(metadata.get("earlier_programs")), before]
    metadata[column] = refined.program
    status = "dropped" if drop_reason(original, refined) else result.status
    metadata["refine_status"] = combine_status(metadata.get("refine_status"), status)
    rejected = [rejection.reason for rejection in result.rejected]
    metadata["refine_rejected"] = _words(metadata.get("refine_rejected")) + rejected
    metadata["refine_fallbacks"] = _words(metadata.get("refine_fallbacks")) + list(result.fallbacks)


def combine_status(before: str | None, now: str) -> str:
    """Return the status of a document that came to a stage as `before` (None: its first) and left it as `now`.

    >>> combine_status("fallback", "edited"), combine_status("edited", "kept"), combine_status("dropped", "kept")
    ('edited', 'edited', 'kept')
    """
    if before not in _PRECEDENCE or before == "dropped":
        return now
    return max(before, now, key=_PRECEDENCE.index)


def _words(value: object) -> list[str]:
    """What an earlier step left in a list column; a foreign column of that name that holds no list counts as none."""
    return list(value) if isinstance(value, (list, tuple)) else []
