"""The program grammar in the words of each server, so that every answer parses.

One grammar per window (`hf_curation.programs.grammar`: a program cannot touch a line that the model was not shown),
two notations: vLLM takes Lark; llama.cpp and SGLang take GBNF, into which `to_gbnf` rewrites the small Lark subset
that our grammar files use. `transformers serve` constrains nothing and the OpenAI API only JSON: `none` is for them.
"""

import re
from typing import Any, Final, Literal

from hf_curation.programs.grammar import grammar
from hf_curation.programs.model import Dialect
from hf_curation.refiners.base import Stage, Window
from hf_curation.refiners.windows import owned_lines

Constraint = Literal["none", "vllm", "llama.cpp", "sglang"]

_RULE: Final = re.compile(r"^(\w+): (.+)$", re.MULTILINE)
_PART: Final = re.compile(r'("(?:[^"\\]|\\.)*")|/((?:[^/\\]|\\.)*)/|(\w+)|([()|*?+])')
_ATOM: Final = re.compile(r"(\[(?:[^\]\\]|\\.)*\])|(\\.)|(\{[0-9]+(?:,[0-9]*)?\}|[()|*?+])|(.)", re.DOTALL)
_ESCAPES: Final = ("n", "r", "t", "\\")


def constraint_body(kind: Constraint, dialect: Dialect, stage: Stage, window: Window) -> dict[str, Any]:
    """Return the request fields that make a server of this kind write nothing but programs for this window."""
    if kind == "none":
        return {}
    first, last = owned_lines(window)
    lark = grammar(dialect, stage, first_line=first, last_line=last)
    if kind == "vllm":
        return {"structured_outputs": {"grammar": lark}}
    return {"grammar" if kind == "llama.cpp" else "ebnf": to_gbnf(lark)}


def to_gbnf(lark: str) -> str:
    r"""Rewrite a grammar of our Lark subset (rules, strings, plain regular expressions) as GBNF.

    >>> to_gbnf('start: "f(" LINE ")"\nLINE: /[0-9]{1,3}/\n')
    'root ::= "f(" t-line ")"\nt-line ::= [0-9]{1,3}\n'
    """
    rules = [f"{_gbnf_name(name)} ::= {_gbnf_body(body)}" for name, body in _RULE.findall(lark)]
    return "\n".join(rules) + "\n"


def _gbnf_name(name: str) -> str:
    """Rule names of GBNF know no underscore; terminals get a prefix, or `LINE` and `line` would be one."""
    if name == "start":
        return "root"
    return ("t-" if name.isupper() else "") + name.lower().replace("_", "-")


def _gbnf_body(body: str) -> str:
    parts = []
    for literal, pattern, reference, symbol in _PART.findall(body):
        if pattern:
            parts.append(_gbnf_pattern(pattern))
        else:
            parts.append(literal or symbol or _gbnf_name(reference))
    return re.sub(r"(?<=\() | (?=[)*?+])", "", " ".join(parts))


def _gbnf_pattern(pattern: str) -> str:
    """Rewrite a regular expression: only its bare characters need quotes, the rest is spelled alike."""
    parts: list[str] = []
    for charset, escape, symbol, char in _ATOM.findall(pattern):
        if charset:
            parts.append(charset)
        elif symbol:
            if symbol[0] in "*?+{":
                parts[-1] += symbol
            else:
                parts.append(symbol)
        else:
            plain = escape if escape[1:] in _ESCAPES else escape[1:]
            parts.append('"' + (plain or char).replace('"', '\\"') + '"')
    body = " ".join(parts)
    return f"({body})" if "|" in parts else body
