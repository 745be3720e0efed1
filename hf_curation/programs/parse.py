"""From a refiner's output to a typed program; never raises, never loses anything silently.

The fast path is one regular expression made from the dialect's grammar file, tried on each line: 4 us for a program of
three calls, half of that once its `remove_lines` have been seen before. A line that is not canonical goes to
`read_variants`, which accepts the spellings that models are known to emit and rejects everything else under a word of
`REASONS`. Rejected: `ast.parse` (44 us, and it reads literals of 100,000 quotes), a LALR parser at run time (139 us).
"""

import re
from collections.abc import Callable
from typing import Final

from hf_curation.programs.grammar import FIRST_LINE, call_pattern
from hf_curation.programs.limits import DEFAULT_LIMITS, Limits
from hf_curation.programs.literals import decode_escapes
from hf_curation.programs.model import (
    AddLine,
    Call,
    Dialect,
    DropDocument,
    KeepAll,
    Program,
    Rejection,
    RemoveAll,
    RemoveLines,
    ReplaceString,
    Scope,
)
from hf_curation.programs.read_variants import BLANKS, read_line, shorten

_FENCE: Final = re.compile(rf"[{BLANKS}]*(```|~~~)[A-Za-z]*[{BLANKS}]*")
_THINK: Final = re.compile(r"\s*<think>")
_QUOTE: Final = re.compile("[\"']")
_NUM_FENCES: Final = 2

_MAX_KNOWN: Final = 16_384
"""Lines with a `remove_lines` that are kept with their call, per dialect: most lines of most programs, 1 us each."""
_MAX_KNOWN_CHARS: Final = 64

_KEEP: Final = KeepAll()
_KEEP_DOCUMENT: Final = KeepAll(document=True)
_DROP: Final = DropDocument()
_REMOVE_ALL: Final = RemoveAll()

Builder = Callable[[re.Match[str], int], Call]
"""Makes a call from a match of `call_pattern`; argument k of n is group `last - n + k`, counted from 0."""


def parse_program(
    text: str,
    dialect: Dialect = Dialect.PROX,
    *,
    scope: Scope | None = None,
    complete: bool = True,
    limits: Limits = DEFAULT_LIMITS,
) -> Program:
    """Read one refiner output.

    Every piece of the output that is neither blank nor a comment, a code fence or a leading `<think>` block ends as a
    call or as a rejection.

    Args:
        text: What the refiner wrote.
        dialect: How it was told to write; never guessed.
        scope: The part of the document it was shown, and may edit; None for the whole document.
        complete: False when the output was cut at the token limit: a last call that might be torn is then rejected.
        limits: Caps on the length of a program and its number of calls.
    """
    body, rest = text, ""
    if len(text) > limits.max_program_chars:
        stop = text.rfind("\n", 0, limits.max_program_chars) + 1
        body, rest = text[:stop], text[stop:]
    rejected: list[Rejection] = []
    if "<think>" in body:
        body = _skip_thinking(body, complete, rejected)
    lines = body.split("\n")
    if len(lines) > limits.max_calls:
        rest = "\n".join([*lines[limits.max_calls :], rest])
        del lines[limits.max_calls :]
    calls = _read_lines(lines, dialect, rejected)
    if len(calls) > limits.max_calls:
        rest = f"{calls[limits.max_calls]!r}\n{rest}"
        del calls[limits.max_calls :]
    if rest:
        _reject_rest(rest, rejected)
    elif not complete:
        _reject_torn(lines[-1], dialect, calls, rejected)
    return Program(tuple(calls), tuple(rejected), scope)


def _read_lines(lines: list[str], dialect: Dialect, rejected: list[Rejection]) -> list[Call]:
    """Return the calls of an output's lines; what is none is added to `rejected`."""
    calls: list[Call] = []
    known, builders, match_call = _KNOWN[dialect], _BUILDERS[dialect], call_pattern(dialect).fullmatch
    num_fences = 0
    for line in lines:
        call = known.get(line)
        if call is not None:
            calls.append(call)
        elif (match := match_call(line)) is not None:
            last = match.lastindex or 0
            call = builders[last](match, last)
            calls.append(call)
            _remember(line, call, known)
        elif num_fences < _NUM_FENCES and _FENCE.fullmatch(line):
            num_fences += 1
        else:
            for piece in _read_variants(line, dialect):
                if isinstance(piece, Rejection):
                    rejected.append(piece)
                else:
                    calls.append(piece)
    return calls


def _remember(line: str, call: Call, known: dict[str, Call]) -> None:
    if type(call) is RemoveLines and len(known) < _MAX_KNOWN and len(line) <= _MAX_KNOWN_CHARS:
        known[line] = call


def _read_variants(line: str, dialect: Dialect) -> list[Call | Rejection]:
    stripped = line.strip(BLANKS)
    if not stripped or stripped[0] == "#":
        return []
    pieces = read_line(stripped, dialect)
    if len(pieces) == 1 and isinstance(pieces[0], RemoveLines):
        _remember(line, pieces[0], _KNOWN[dialect])
    return pieces


def _reject_rest(rest: str, rejected: list[Rejection]) -> None:
    shown = rest.strip(BLANKS + "\n")
    if shown:
        rejected.append(Rejection(shorten(shown), "program_too_long"))


def _skip_thinking(text: str, complete: bool, rejected: list[Rejection]) -> str:
    """Return the text after a leading `<think>` block; a block that is never closed is one rejection."""
    if not _THINK.match(text):
        return text
    stop = text.find("</think>")
    if stop >= 0:
        return text[stop + len("</think>") :]
    rejected.append(Rejection(shorten(text.strip(BLANKS)), "prose" if complete else "torn_call"))
    return ""


def _reject_torn(line: str, dialect: Dialect, calls: list[Call], rejected: list[Rejection]) -> None:
    """Reject the call that ends a cut output if more of it may have been to come.

    A bare word may be the beginning of another. A string call with odd quotes may have been cut inside its string:
    `normalize(source_str="f("x")` looks closed, and is not if the page says `f("x") = y`.
    """
    line = line.strip(BLANKS)
    if not line or line[0] == "#" or _FENCE.fullmatch(line):
        return
    last = read_line(line, dialect)[-1]
    if isinstance(last, Rejection):
        if last.reason == "prose":
            rejected[-1] = Rejection(last.call, "torn_call")
        return
    mark = _QUOTE.search(line)
    num_marks = line.count(mark[0]) - line.count(f"\\{mark[0]}") if mark else 0
    has_odd_quotes = isinstance(last, ReplaceString | AddLine) and num_marks not in (2, 4)
    if "(" not in line or has_odd_quotes:
        calls.pop()
        rejected.append(Rejection(shorten(line), "torn_call"))


def _prox_string(literal: str) -> str:
    return literal[1:-1] if literal[0] == '"' else decode_escapes(literal[1:-1])


def _quoted(literal: str) -> str:
    return decode_escapes(literal[1:-1])


def _make_prox() -> dict[str, Builder]:
    return {
        "keep_doc": lambda m, k: _KEEP_DOCUMENT,
        "drop_doc": lambda m, k: _DROP,
        "keep_chunk": lambda m, k: _KEEP,
        "remove_all": lambda m, k: _REMOVE_ALL,
        "remove_lines": lambda m, k: RemoveLines(int(m[k - 2]), int(m[k - 1])),
        "normalize": lambda m, k: ReplaceString(_prox_string(m[k - 2]), _prox_string(m[k - 1] or '""')),
    }


def _make_one_based() -> dict[str, Builder]:
    return {
        "keep_all": lambda m, k: _KEEP,
        "remove_all": lambda m, k: _REMOVE_ALL,
        "remove_lines": lambda m, k: RemoveLines(int(m[k - 2]) - 1, int(m[k - 1]) - 1),
        "remove_str": lambda m, k: ReplaceString(_quoted(m[k - 1]), "", int(m[k - 2]) - 1),
        "replace_str": lambda m, k: ReplaceString(_quoted(m[k - 2]), _quoted(m[k - 1]), int(m[k - 3]) - 1),
        "add_line": lambda m, k: AddLine(int(m[k - 3]) - 1, int(m[k - 2]), _quoted(m[k - 1])),
    }


def _by_group(dialect: Dialect) -> dict[int, Builder]:
    """Return the builders keyed by the number of the group that marks their call."""
    builders = _make_prox() if FIRST_LINE[dialect] == 0 else _make_one_based()
    return {index: builders[name] for name, index in call_pattern(dialect).groupindex.items()}


_BUILDERS: Final = {dialect: _by_group(dialect) for dialect in Dialect}
_KNOWN: Final[dict[Dialect, dict[str, Call]]] = {dialect: {} for dialect in Dialect}
