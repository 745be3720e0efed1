"""From a program for a page to a program for each window that the student will be shown.

Labels are derived once for the whole page, where the alignment sees all of it, and then cut to windows. What a window
owns decides: a call goes to the window that may edit its place, a range of lines over a border is cut in two.
"""

from collections.abc import Sequence
from dataclasses import replace

from hf_curation.programs.model import AddLine, Call, KeepAll, Program, RemoveAll, RemoveLines, ReplaceString
from hf_curation.refiners.base import Window
from hf_curation.refiners.windows import owned_lines


def clip_program(program: Program, windows: Sequence[Window]) -> list[Program]:
    """Return one program per window; a window without calls keeps all.

    A string that no window holds whole (its line is cut into pieces) is in none of the programs: compare what they do
    together with what `program` does.

    Args:
        program: For the whole page, in its line numbers; no document operations.
        windows: Of that page, scopes disjoint and in order.
    """
    return [clip_to_window(program, window) for window in windows]


def clip_to_window(program: Program, window: Window) -> Program:
    """Return the part of a program, in line numbers of the page, that is about what a window owns."""
    first, last = owned_lines(window)
    owned = window.text[len(window.text) - (window.scope.end - window.scope.start) :]
    calls: list[Call] = []
    for call in program.calls:
        match call:
            case RemoveAll():
                calls.append(RemoveLines(first, last))
            case RemoveLines(start, end) if start <= last and end >= first:
                calls.append(RemoveLines(max(start, first), min(end, last)))
            case ReplaceString(source, _, line) if (line is None or first <= line <= last) and source in owned:
                calls.append(call)
            case AddLine(after) if first <= after <= last or (after < 0 and first == 0):
                calls.append(call)
    return Program(tuple(calls) or (KeepAll(),), scope=window.scope)


def shift_program(program: Program, lines: int) -> Program:
    """Return a program about the lines of a window as one about lines of the page, `lines` further down."""
    return replace(program, calls=tuple(_shift(call, lines) for call in program.calls))


def _shift(call: Call, lines: int) -> Call:
    match call:
        case RemoveLines(start, end):
            return RemoveLines(start + lines, end + lines)
        case ReplaceString(line=int(line)):
            return replace(call, line=line + lines)
        case AddLine(after):
            return replace(call, after=after + lines)
    return call
