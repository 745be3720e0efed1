"""What each dialect can say: names, parameters, and how argument texts become a call.

Serves the tolerant reader only. The canonical spelling is in `grammars/`; this table adds the other names under which
models are known to write the same arguments.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from hf_curation.programs.grammar import FIRST_LINE
from hf_curation.programs.literals import decode_escapes
from hf_curation.programs.model import (
    AddLine,
    Call,
    Dialect,
    DropDocument,
    KeepAll,
    RemoveAll,
    RemoveLines,
    ReplaceString,
)

_MAX_NUMBER: Final = 10**9 - 1
_MAX_RANK: Final = 999
_NUMBER: Final = re.compile(r"-?[0-9]+")


class UnreadableError(Exception):
    """A call that cannot be read, the reason, and where in its line the reader may go on."""

    def __init__(self, reason: str, end: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.end = end


class Argument(NamedTuple):
    """One argument as it was written: its name if it had one, its text, and whether that is a quoted string."""

    name: str | None
    text: str
    is_string: bool


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an operation."""

    names: tuple[str, ...]
    kind: str
    """`line`, `place` (a line, or before the first), `rank` or `string`."""
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of a dialect: its parameters in order, and what makes the call of their values."""

    build: Callable[..., Call]
    parameters: tuple[Parameter, ...] = ()

    @property
    def num_strings(self) -> int:
        """How many parameters are strings; they come last."""
        return sum(parameter.kind == "string" for parameter in self.parameters)


def bind(operation: Operation, arguments: Sequence[Argument], dialect: Dialect) -> Call:
    """Make a call of arguments by position and name.

    Raises:
        UnreadableError: with the reason; its `end` is 0.
    """
    slots: dict[int, Argument] = {}
    for index, argument in enumerate(arguments):
        slot = index if argument.name is None else _slot_of(operation, argument.name)
        if slot >= len(operation.parameters):
            raise UnreadableError("unknown_argument", 0)
        if slot in slots:  # a string that happens to hold `", target_str="` looks like this
            is_string = operation.parameters[slot].kind == "string"
            raise UnreadableError("ambiguous_quotes" if is_string else "unknown_argument", 0)
        slots[slot] = argument
    values: list[int | str] = []
    for slot, parameter in enumerate(operation.parameters):
        if slot in slots:
            values.append(_read_value(slots[slot], parameter.kind, dialect))
        elif parameter.default is not None:
            values.append(parameter.default)
        else:
            raise UnreadableError("missing_argument", 0)
    return operation.build(*values)


def _slot_of(operation: Operation, name: str) -> int:
    for slot, parameter in enumerate(operation.parameters):
        if name in parameter.names:
            return slot
    raise UnreadableError("unknown_argument", 0)


def _read_value(argument: Argument, kind: str, dialect: Dialect) -> int | str:
    return _read_string(argument, dialect) if kind == "string" else _read_number(argument, kind, dialect)


def _read_string(argument: Argument, dialect: Dialect) -> str:
    if not argument.is_string:
        raise UnreadableError("bad_string", 0)
    is_plain = dialect is Dialect.PROX and argument.text[0] == '"'
    return argument.text[1:-1] if is_plain else decode_escapes(argument.text[1:-1])


def _read_number(argument: Argument, kind: str, dialect: Dialect) -> int:
    """Read ASCII digits; numbers of ten digits and more become 999,999,999, so that a long bound costs nothing."""
    if argument.is_string or not _NUMBER.fullmatch(argument.text):
        raise UnreadableError("bad_number", 0)
    if argument.text[0] == "-":
        raise UnreadableError("line_out_of_range", 0)
    digits = argument.text.lstrip("0")
    number = int(digits or "0") if len(digits) < 10 else _MAX_NUMBER
    if kind == "rank":
        return min(number, _MAX_RANK)
    base = FIRST_LINE[dialect]
    if number < base and kind == "line":
        raise UnreadableError("line_out_of_range", 0)
    return number - base


def _remove_string(line: int, source: str) -> ReplaceString:
    return ReplaceString(source, "", line)


def _replace_in_line(line: int, source: str, target: str) -> ReplaceString:
    return ReplaceString(source, target, line)


_RANGE: Final = (
    Parameter(("line_start", "start", "start_line", "l1"), "line"),
    Parameter(("line_end", "end", "end_line", "l2"), "line"),
)
_LINE: Final = Parameter(("line", "line_number", "l"), "line")

OPERATIONS: Final[dict[Dialect, dict[str, Operation]]] = {
    Dialect.PROX: {
        "keep_doc": Operation(lambda: KeepAll(document=True)),
        "drop_doc": Operation(DropDocument),
        "keep_chunk": Operation(KeepAll),
        "untouch_doc": Operation(KeepAll),
        "remove_lines": Operation(RemoveLines, _RANGE),
        "normalize": Operation(
            ReplaceString,
            (Parameter(("source_str", "source"), "string"), Parameter(("target_str", "target"), "string", "")),
        ),
    },
    Dialect.REFINEX: {
        "keep_all": Operation(KeepAll),
        "remove_lines": Operation(RemoveLines, _RANGE),
        "remove_str": Operation(_remove_string, (_LINE, Parameter(("s", "string", "str"), "string"))),
    },
    Dialect.ULTRAX: {
        "keep_all": Operation(KeepAll),
        "remove_all": Operation(RemoveAll),
        "remove_lines": Operation(RemoveLines, _RANGE),
        "replace_str": Operation(
            _replace_in_line,
            (
                _LINE,
                Parameter(("old", "old_str", "source_str"), "string"),
                Parameter(("new", "new_str", "target_str"), "string"),
            ),
        ),
        "add_line": Operation(
            AddLine,
            (
                Parameter(("base", "base_line", "line"), "place"),
                Parameter(("sub_index", "index"), "rank"),
                Parameter(("text", "content"), "string"),
            ),
        ),
    },
}
