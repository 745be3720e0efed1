"""Programs as text: the canonical spelling of each dialect, and the custody form that keeps scopes.

Printing is checked against the dialect's grammar, so what is printed can be parsed: `parse(print(program)) == program`
for every program without rejections (a rejected call has no canonical spelling).
"""

import re
from collections.abc import Sequence
from typing import Final

from hf_curation.programs.grammar import FIRST_LINE, call_pattern, terminal_pattern
from hf_curation.programs.limits import NO_LIMITS
from hf_curation.programs.literals import quote
from hf_curation.programs.model import (
    AddLine,
    Call,
    Dialect,
    DropDocument,
    KeepAll,
    Program,
    RemoveAll,
    RemoveLines,
    ReplaceString,
    Scope,
)
from hf_curation.programs.parse import parse_program

_NUMBER: Final = "([0-9]{1,18})"
_HEADER: Final = re.compile(rf"(?m)^# (prox|refinex|ultrax)(?: chunk {_NUMBER}:{_NUMBER} line {_NUMBER})?(?:\n|\Z)")


def print_program(program: Program, dialect: Dialect) -> str:
    """Return the program's calls in the dialect's canonical spelling, one a line; scope and rejections are left out.

    Raises:
        ValueError: if the dialect cannot express a call.
    """
    pattern = call_pattern(dialect)
    lines = []
    for call in program.calls:
        line = _SPELLINGS[dialect](call)
        if line is None or not pattern.fullmatch(line):
            raise ValueError(f"the {dialect} dialect cannot express {call!r}")
        lines.append(line)
    return "\n".join(lines)


def print_programs(programs: Sequence[Program], dialect: Dialect) -> str:
    """Return the custody form of a document's programs: each under a header comment with its dialect and scope.

    The header is left out for a first ProX program over the whole document, so that the common case reads as the
    refiner wrote it.

    >>> print(print_programs([Program((RemoveLines(3, 4),), scope=Scope(0, 90, 0))], Dialect.PROX))
    # prox chunk 0:90 line 0
    remove_lines(line_start=3, line_end=4)
    """
    blocks: list[str] = []
    for program in programs:
        body = print_program(program, dialect)
        scope = program.scope
        if scope is not None:
            body = f"# {dialect} chunk {scope.start}:{scope.end} line {scope.first_line}\n{body}"
        elif blocks or not body or dialect is not Dialect.PROX:
            body = f"# {dialect}\n{body}"
        blocks.append(body.removesuffix("\n"))
    return "\n".join(blocks)


def parse_programs(text: str) -> list[Program]:
    """Read the custody form back: the inverse of `print_programs`, for every dialect, without limits.

    Text before the first header is one ProX program over the whole document. What cannot be read is a rejection of
    the program it stands in, as in `parse_program`.
    """
    headers = list(_HEADER.finditer(text))
    stops = [header.start() for header in headers] + [len(text)]
    programs = [parse_program(text[: stops[0]], limits=NO_LIMITS)] if stops[0] else []
    for header, stop in zip(headers, stops[1:], strict=True):
        dialect, start, end, first_line = header.groups()
        scope = Scope(int(start), int(end), int(first_line)) if start else None
        programs.append(parse_program(text[header.end() : stop], Dialect(dialect), scope=scope, limits=NO_LIMITS))
    return programs


def _spell_prox(call: Call) -> str | None:
    match call:
        case RemoveLines(start, end):
            return f"remove_lines(line_start={start}, line_end={end})"
        case ReplaceString(source, target, None):
            return f"normalize(source_str={_prox_string(source)}, target_str={_prox_string(target)})"
        case KeepAll(document):
            return "keep_doc()" if document else "keep_chunk()"
        case DropDocument():
            return "drop_doc()"
        case RemoveAll():
            return "remove_lines(all=True)"
        case _:
            return None


def _spell_refinex(call: Call) -> str | None:
    base = FIRST_LINE[Dialect.REFINEX]
    match call:
        case RemoveLines(start, end):
            return f"remove_lines({start + base}, {end + base})"
        case ReplaceString(source, "", int(line)):
            return f"remove_str({line + base}, {quote(source)})"
        case KeepAll(False):
            return "keep_all()"
        case _:
            return None


def _spell_ultrax(call: Call) -> str | None:
    base = FIRST_LINE[Dialect.ULTRAX]
    match call:
        case RemoveLines(start, end):
            return f"remove_lines({start + base}, {end + base})"
        case ReplaceString(source, target, int(line)):
            return f"replace_str({line + base}, {quote(source)}, {quote(target)})"
        case AddLine(after, order, text):
            return f"add_line({after + base}, {order}, {quote(text)})"
        case KeepAll(False):
            return "keep_all()"
        case RemoveAll():
            return "remove_all()"
        case _:
            return None


def _prox_string(content: str) -> str:
    plain = f'"{content}"'
    return plain if terminal_pattern(Dialect.PROX, "PLAIN").fullmatch(plain) else quote(content)


_SPELLINGS: Final = {Dialect.PROX: _spell_prox, Dialect.REFINEX: _spell_refinex, Dialect.ULTRAX: _spell_ultrax}
