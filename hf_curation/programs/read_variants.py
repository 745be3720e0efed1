"""Spellings that models emit and the canonical grammar does not have: accepted here, or rejected under a reason.

Accepted: positional arguments, `start=`/`end=`, arguments by name in any order, either quote, trailing commas and
comments, several calls on a line, `untouch_doc()`, a bare `drop` or `keep` as a whole line, and strings with unescaped
quotes inside as long as only one reading is possible. A line is read from left to right, at most twice over, so that
time is linear in its length. Numbers are ASCII digits: `int` would take `1_0` and Arabic digits.
"""

import re
from functools import cache
from typing import Final, NamedTuple

from hf_curation.programs.grammar import terminal_pattern
from hf_curation.programs.model import Call, Dialect, DropDocument, KeepAll, Rejection, RemoveAll
from hf_curation.programs.operations import OPERATIONS, Argument, Operation, UnreadableError, bind

BLANKS: Final = " \t\r\f\v\ufeff"
"""What may stand around a call and means nothing."""

_MAX_SHOWN: Final = 80
_BARE: Final[dict[str, Call]] = {
    "drop": DropDocument(),
    "drop_doc": DropDocument(),
    "keep": KeepAll(document=True),
    "keep_doc": KeepAll(document=True),
}
_REMOVE_ALL_ARGUMENTS: Final = [Argument("all", "True", False)]

_HEAD: Final = re.compile(r"([^\W\d]\w*)[ \t]*\(")
_SEPARATORS: Final = re.compile(rf"[{BLANKS};]*")
_NAME: Final = r"[ \t]*(?:([^\W\d]\w*)[ \t]*=[ \t]*)?"
_UNQUOTED: Final = r"""[^,()'"=]*"""
_UNQUOTED_ARGUMENT: Final = re.compile(rf"{_NAME}({_UNQUOTED}),")
_OPENING: Final = re.compile(rf"""{_NAME}(["'])""")
_CLOSING: Final = {mark: re.compile(rf"{mark}[ \t]*,?[ \t]*\)") for mark in "\"'"}
_BETWEEN: Final = {mark: re.compile(rf"{mark}[ \t]*,{_NAME}{mark}") for mark in "\"'"}


class _Syntax(NamedTuple):
    dialect: Dialect
    argument: re.Pattern[str]
    """One argument and the comma or parenthesis after it: name, string, other text, closer."""
    tail: re.Pattern[str]
    """What may follow a call on its line: nothing, a comment, or another call of the dialect."""
    next_statement: re.Pattern[str]
    """The same, or a semicolon and anything."""


def shorten(text: str) -> str:
    """Return `text` cut to what a report shows of a rejected call."""
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."


def read_line(line: str, dialect: Dialect) -> list[Call | Rejection]:
    """Read one line of output that the canonical grammar does not match.

    Args:
        line: The line without surrounding blanks; not empty, not a comment.
        dialect: How the refiner was told to write.

    Returns:
        The line's calls and rejections from left to right; at least one.
    """
    if dialect is Dialect.PROX and line in _BARE:
        return [_BARE[line]]
    syntax = _syntax(dialect)
    pieces: list[Call | Rejection] = []
    pos = 0
    while pos < len(line) and line[pos] != "#":
        head = _HEAD.match(line, pos)
        if head is None:
            return [*pieces, Rejection(shorten(line[pos:]), "prose")]
        try:
            call, end = _read_call(line, head, syntax)
            pieces.append(call)
        except UnreadableError as error:
            end = error.end if syntax.next_statement.match(line, error.end) else len(line)
            pieces.append(Rejection(shorten(line[pos:end]), error.reason))
        pos = _after_separators(line, end)
    return pieces


def _read_call(line: str, head: re.Match[str], syntax: _Syntax) -> tuple[Call, int]:
    """Read the call that begins with `head`, a name and a parenthesis; return it and where it ends."""
    operation = OPERATIONS[syntax.dialect].get(head[1])
    if operation is None:
        raise UnreadableError("unknown_call", line.find(")", head.end()) + 1 or len(line))
    scanned = _scan_arguments(line, head.end(), syntax)
    # What follows a string may be the rest of it: `f("x"); y` has quotes of its own.
    may_follow = syntax.tail if operation.num_strings else syntax.next_statement
    if scanned is None or not may_follow.match(line, scanned[1]):
        if not operation.num_strings:
            raise UnreadableError(_why_not_closed(line, head.end(), scanned is None), len(line))
        scanned = _scan_unescaped(line, head.end(), operation, syntax)
    arguments, end = scanned
    if head[1] == "remove_lines" and syntax.dialect is Dialect.PROX and arguments == _REMOVE_ALL_ARGUMENTS:
        return RemoveAll(), end
    try:
        return bind(operation, arguments, syntax.dialect), end
    except UnreadableError as error:
        raise UnreadableError(error.reason, end) from None


def _why_not_closed(line: str, pos: int, is_unscanned: bool) -> str:
    if not is_unscanned:
        return "trailing_text"
    return "bad_number" if ")" in line[pos:] else "torn_call"


def _scan_arguments(line: str, pos: int, syntax: _Syntax) -> tuple[list[Argument], int] | None:
    """Scan arguments up to the closing parenthesis; None when quotes or parentheses do not pair up."""
    arguments: list[Argument] = []
    while match := syntax.argument.match(line, pos):
        name, string, other, closer = match.groups()
        pos = match.end()
        if name or string or other or closer == ",":
            arguments.append(Argument(name, string or other.rstrip(BLANKS), string is not None))
        if closer == ")":
            return arguments, pos
    return None


def _scan_unescaped(line: str, pos: int, operation: Operation, syntax: _Syntax) -> tuple[list[Argument], int]:
    """Scan arguments whose strings may hold unescaped quotes.

    The strings reach from the first quote to the one place where the call can end (a quote and a parenthesis, and
    then nothing, a comment or another call), split at the one place that looks like the border of two arguments.
    """
    arguments: list[Argument] = []
    while match := _UNQUOTED_ARGUMENT.match(line, pos):
        arguments.append(Argument(match[1], match[2].strip(BLANKS), False))
        pos = match.end()
    opening = _OPENING.match(line, pos)
    if opening is None:
        raise UnreadableError("bad_string" if ")" in line[pos:] else "torn_call", len(line))
    name, mark = opening.groups()
    closings = list(_CLOSING[mark].finditer(line, opening.end()))
    endings = [closing for closing in closings if syntax.tail.match(line, closing.end())]
    if len(endings) != 1:
        why = "ambiguous_quotes" if endings else "trailing_text" if closings else "torn_call"
        raise UnreadableError(why, len(line))
    content, end = line[opening.end() : endings[0].start()], endings[0].end()
    borders = _borders(content, mark, operation, is_named=name is not None)
    if len(borders) > 1:
        raise UnreadableError("ambiguous_quotes", end)
    for border in borders:
        arguments.append(Argument(name, mark + content[: border.start()] + mark, True))
        name, content = border[1], content[border.end() :]
    arguments.append(Argument(name, mark + content + mark, True))
    return arguments, end


def _borders(content: str, mark: str, operation: Operation, *, is_named: bool) -> list[re.Match[str]]:
    """Return every place in `content` that may separate two string arguments; places may overlap."""
    found: list[re.Match[str]] = []
    names = {name for parameter in operation.parameters for name in parameter.names}
    pos = 0 if operation.num_strings > 1 else len(content)
    while match := _BETWEEN[mark].search(content, pos):
        if match[1] in names if is_named else match[1] is None:
            found.append(match)
        pos = match.start() + 1
    return found


def _after_separators(line: str, pos: int) -> int:
    match = _SEPARATORS.match(line, pos)
    return match.end() if match else pos


@cache
def _syntax(dialect: Dialect) -> _Syntax:
    string = terminal_pattern(dialect, "STRING").pattern
    if dialect is not Dialect.PROX:
        string += r'|"(?:[^"\\\n\r]|\\[^\n\r])*"'
    argument = re.compile(rf"{_NAME}(?:({string})[ \t]*|({_UNQUOTED}))([,)])")
    tail = rf"[{BLANKS};]*(?:\Z|#|(?:{'|'.join(OPERATIONS[dialect])})[ \t]*\()"
    return _Syntax(dialect, argument, re.compile(tail), re.compile(rf"{tail}|[{BLANKS}]*;"))
