"""From a refiner's output to a typed program; never raises, never loses anything silently.

The fast path is one regular expression made from the dialect's grammar file, tried at the start of each line: 5 us for
a program of three calls. A line that is not canonical goes to `read_variants`, which accepts the spellings that models
are known to emit and rejects everything else under a word of `REASONS`. Rejected: `ast.parse` (44 us, and it reads
literals of 100,000 quotes), a general LALR parser at run time (139 us).
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

_FENCE: Final = re.compile(r"(```|~~~)[A-Za-z]*")
_THINK: Final = re.compile(r"\s*<think>")
_NUM_FENCES: Final = 2

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
    calls: list[Call] = []
    rejected: list[Rejection] = []
    pos, end, fences = 0, len(text), 0
    if end > limits.max_program_chars:
        end = text.rfind("\n", 0, limits.max_program_chars) + 1
    builders, match_call = _BUILDERS[dialect], call_pattern(dialect).match
    if _THINK.match(text):
        pos = _skip_thinking(text, end, complete, rejected)
    num_before = 0
    while pos < end and len(calls) + len(rejected) < limits.max_calls:
        num_before = len(calls)
        match = match_call(text, pos)
        if match is not None:
            last = match.lastindex or 0
            calls.append(builders[last](match, last))
            pos = match.end()
            continue
        stop = text.find("\n", pos)
        stop = end if stop < 0 else stop
        line = text[pos:stop].strip(BLANKS)
        pos = stop + 1
        if fences < _NUM_FENCES and _FENCE.fullmatch(line):
            fences += 1
        elif line and line[0] != "#":
            for piece in read_line(line, dialect):
                (rejected if isinstance(piece, Rejection) else calls).append(piece)  # type: ignore[arg-type]
    if pos < len(text):
        rest = text[pos:].strip(BLANKS)
        if rest:
            rejected.append(Rejection(shorten(rest), "program_too_long"))
    elif not complete and len(calls) > num_before:
        _reject_torn(text, calls, rejected)
    return Program(tuple(calls), tuple(rejected), scope)


def _skip_thinking(text: str, end: int, complete: bool, rejected: list[Rejection]) -> int:
    """Return where the text after a leading `<think>` block begins; an unclosed block is one rejection."""
    stop = text.find("</think>", 0, end)
    if stop >= 0:
        return stop + len("</think>")
    rejected.append(Rejection(shorten(text.strip(BLANKS)), "prose" if complete else "torn_call"))
    return end


def _reject_torn(text: str, calls: list[Call], rejected: list[Rejection]) -> None:
    """Reject the last call of a cut output if its closing quote may be one inside a longer string, or it is a word.

    `normalize(source_str="f("x")` is closed by its letters, and torn if the page says `f("x") = y`.
    """
    line = text[text.rfind("\n") + 1 :].strip(BLANKS)
    if not line or line[0] == "#":
        return
    last = calls[-1]
    is_doubtful = isinstance(last, ReplaceString | AddLine) and line.count('"') + line.count("'") not in (2, 4)
    if is_doubtful or not line.endswith((")", ";", ",")):
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
