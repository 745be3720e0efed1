r"""One grammar file per dialect, and what is made of it.

`grammars/*.lark` describes the canonical spelling, one call a line. Three readers share it: constrained decoding
(`grammar`: the line-number terminals are narrowed to the numbers of the window, so that a program cannot touch a line
that the model was not shown), the parser (`call_pattern`: one regular expression, tried on each line) and the slow
twin in the tests (a lark parser). The files stay inside a subset that lark, llguidance and a regular expression all
express: rules without recursion, strings, terminals made of plain regular expressions, `|`, `*`, `?` and groups.
"""

import re
from functools import cache
from importlib.resources import files
from typing import Final

from hf_curation.programs.model import Dialect, Stage

FIRST_LINE: Final = {Dialect.PROX: 0, Dialect.REFINEX: 1, Dialect.ULTRAX: 1}
"""The number that each dialect prints for the first line of a document."""

_LARGEST: Final = 999_999_999
"""The last number that the grammar files know."""

_DEFINITION: Final = re.compile(r"^(\w+): (.+)$", re.MULTILINE)
_TOKEN: Final = re.compile(r'\s+|("(?:[^"\\]|\\.)*")|(/(?:[^/\\]|\\.)*/)|(\w+)|([()|*?])')


@cache
def definitions(dialect: Dialect) -> dict[str, str]:
    """Return the dialect's grammar as name -> right-hand side, in file order. Terminals have upper-case names."""
    text = files("hf_curation.programs").joinpath("grammars", f"{dialect}.lark").read_text(encoding="utf-8")
    return dict(_DEFINITION.findall(re.sub(r"(?m)^//.*$", "", text)))


def grammar(dialect: Dialect, stage: str, *, first_line: int, last_line: int) -> str:
    """Return a Lark grammar of the programs for one window: constrained decoding for llguidance, vLLM or SGLang.

    A program is one call a line. What a model writes freely and the executor takes as it is, it can write under the
    grammar too: a range may end behind the window, where it is clamped. The order of its two ends is left to the
    executor (`reversed_range`).

    Args:
        dialect: How programs are spelled.
        stage: Which pass; only ProX has programs for the document stage.
        first_line: First line that the program may name, 0-based over the document.
        last_line: Last line that the program may name, 0-based, inclusive.

    Raises:
        ValueError: if the dialect has no such stage, or the lines are negative or reversed.
    """
    if not 0 <= first_line <= last_line:
        raise ValueError(f"need 0 <= first_line <= last_line, got {first_line} and {last_line}")
    rules = dict(definitions(dialect))
    if Stage(stage) not in rules:
        raise ValueError(f"the {dialect} dialect has no {stage} stage")
    base = FIRST_LINE[dialect]
    first, last = first_line + base, last_line + base
    bounds = {
        "LINE": number_range(first, last),
        "END": number_range(first, _LARGEST),
        "ANCHOR": number_range(max(first - 1, 0), last),
    }
    rules |= {name: f"/{pattern}/" for name, pattern in bounds.items() if name in rules}
    used = _reachable(rules, Stage(stage))
    return "\n".join([f"start: {stage}", *(f"{name}: {rules[name]}" for name in rules if name in used)]) + "\n"


def number_range(first: int, last: int) -> str:
    """Return a regular expression of exactly the decimal numbers `first` to `last`, without leading zeros.

    Long numbers come first, for readers that take the first alternative that fits.

    >>> number_range(7, 123)
    '12[0-3]|1[0-1][0-9]|[1-9][0-9]|[7-9]'
    """
    parts = []
    while first <= last:
        # The widest block first..stop that is "fixed digits, one class, free digits".
        free = 0
        while first % 10 ** (free + 1) == 0 and first + 10 ** (free + 1) - 1 <= last and first > 0:
            free += 1
        digit = first // 10**free % 10
        steps = min((last - first + 1) // 10**free, 10 - digit)
        head = str(first // 10 ** (free + 1)) if first >= 10 ** (free + 1) else ""
        one = str(digit) if steps == 1 else f"[{digit}-{digit + steps - 1}]"
        parts.append(head + one + "[0-9]" * free)
        first += steps * 10**free
    return "|".join(reversed(parts))


@cache
def call_pattern(dialect: Dialect) -> re.Pattern[str]:
    """Return the expression of one canonical call.

    Terminals are its groups. After each call's own groups stands an empty group with the call's name, which makes
    `match.lastgroup` that name and `match.lastindex - k` its k-th last argument.
    """
    rules = definitions(dialect)
    calls = [name for name, body in rules.items() if name.islower() and body.startswith('"')]
    alternatives = (f"{_expression(rules, name)}(?P<{name}>)" for name in calls)
    return re.compile("|".join(alternatives))


@cache
def terminal_pattern(dialect: Dialect, name: str) -> re.Pattern[str]:
    """Return the expression of one terminal of a dialect."""
    return re.compile(_expression(definitions(dialect), name))


def _expression(rules: dict[str, str], name: str) -> str:
    """Translate one rule or terminal into a regular expression, its terminals as groups."""
    parts = []
    for literal, pattern, reference, symbol in _TOKEN.findall(rules[name]):
        if literal:
            parts.append(re.escape(literal[1:-1].replace("\\n", "\n")))
        elif pattern:
            parts.append("(?:" + re.sub(r"(?<!\\)\((?!\?)", "(?:", pattern[1:-1]) + ")")
        elif reference:
            inner = _expression(rules, reference)
            parts.append(f"({inner})" if reference.isupper() and name.islower() else f"(?:{inner})")
        else:
            parts.append({"(": "(?:"}.get(symbol, symbol))
    return "".join(parts)


def _reachable(rules: dict[str, str], start: str) -> set[str]:
    found, todo = set(), [start]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += [reference for _, _, reference, _ in _TOKEN.findall(rules[name]) if reference]
    return found
