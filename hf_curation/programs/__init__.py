"""Refinement programs: parse, print, execute, replay, derive."""

from hf_curation.programs.align import LineMatch, keep_lines, match_lines
from hf_curation.programs.derive import DeriveRules, derive
from hf_curation.programs.execute import execute
from hf_curation.programs.grammar import grammar
from hf_curation.programs.limits import NO_LIMITS, Limits
from hf_curation.programs.lines import normalize_newlines, split_lines
from hf_curation.programs.model import (
    AddLine,
    Call,
    Dialect,
    DropDocument,
    Edit,
    EditResult,
    KeepAll,
    Program,
    Rejection,
    RemoveAll,
    RemoveLines,
    ReplaceString,
    Scope,
    Stage,
)
from hf_curation.programs.parse import parse_program
from hf_curation.programs.printing import parse_programs, print_program, print_programs
from hf_curation.programs.reasons import FALLBACKS, REASONS
from hf_curation.programs.spans import replay

__all__ = [
    "FALLBACKS",
    "NO_LIMITS",
    "REASONS",
    "AddLine",
    "Call",
    "DeriveRules",
    "Dialect",
    "DropDocument",
    "Edit",
    "EditResult",
    "KeepAll",
    "Limits",
    "LineMatch",
    "Program",
    "Rejection",
    "RemoveAll",
    "RemoveLines",
    "ReplaceString",
    "Scope",
    "Stage",
    "derive",
    "execute",
    "grammar",
    "keep_lines",
    "match_lines",
    "normalize_newlines",
    "parse_program",
    "parse_programs",
    "print_program",
    "print_programs",
    "replay",
    "split_lines",
]
