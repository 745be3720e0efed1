"""Why a text is kept although its programs can be executed: the guards, each a word of `FALLBACKS`."""

from collections import Counter
from collections.abc import Sequence

from hf_curation.programs.limits import Limits
from hf_curation.programs.model import Edit, KeepAll, Program

_ROUNDING = 1e-9


def why_kept(program: Program, limits: Limits) -> str | None:
    """Return why the text of a program that edits is kept as it came, or None.

    `too_many_errors`, `conflict` (it also keeps all) or `loop` (one editing call again and again).
    """
    calls = program.calls
    if limits.max_errors is not None and len(program.rejected) > limits.max_errors:
        return "too_many_errors"
    if any([type(call) is KeepAll and not call.document for call in calls]):
        return "conflict"
    if len(calls) - len(set(calls)) >= limits.max_identical_calls and max(Counter(calls).values()) > (
        limits.max_identical_calls
    ):
        return "loop"
    return None


def surely_keeps_enough(result: str, num_edited: int, num_added: int, max_removed_fraction: float) -> bool:
    """Tell cheaply whether edits stay within the allowed share of non-space characters; False is "count them".

    Counting a whole page costs more than all its edits. But edits of `num_edited` characters stay within the limit
    if so many others are kept, and nearly always a short piece of the result shows that they are.

    Args:
        result: The edited page.
        num_edited: Characters of the original in edited places.
        num_added: Characters of the replacements.
        max_removed_fraction: The limit.
    """
    if max_removed_fraction <= 0:
        return not num_edited
    enough = num_added + num_edited * (1 / max_removed_fraction - 1)
    return _num_non_space(result[: int(1.5 * enough) + 8]) >= enough


def removes_too_much(text: str, result: str, edits: Sequence[Edit], max_removed_fraction: float) -> bool:
    """Tell whether more than the allowed share of the non-space characters of `text` stand in edited places."""
    num_edited = sum([edit.end - edit.start for edit in edits])
    num_added = sum([len(edit.replacement) for edit in edits])
    if surely_keeps_enough(result, num_edited, num_added, max_removed_fraction):
        return False
    num_removed = sum([_num_non_space(text[edit.start : edit.end]) for edit in edits])
    return num_removed > max_removed_fraction * _num_non_space(text) + _ROUNDING


def _num_non_space(text: str) -> int:
    return len("".join(text.split()))
