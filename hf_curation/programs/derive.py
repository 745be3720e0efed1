"""From a raw page and its clean version to the program that makes one of the other: labels without a teacher.

Two readings are tried. The strict one pairs lines: every clean line is a raw line, or one with strings removed or
replaced. If running it gives the clean text, that is the answer, in the fewest calls. Real clean texts are wrapped,
split and re-ordered by some extractor; for them the loose reading aligns words, keeps the lines whose words survive
and removes the stretches that do not from the lines that stay. Whichever result has the better word F1 is returned.

RefineX and UltraX get their labels this way from a teacher's rewrite (https://huggingface.co/papers/2507.03253).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from hf_curation.programs.align import words_of
from hf_curation.programs.execute import execute
from hf_curation.programs.limits import NO_LIMITS
from hf_curation.programs.line_diff import equal_lines, like_lines, pair_lines, unpaired_likes
from hf_curation.programs.lines import split_lines
from hf_curation.programs.loose import loose_lines
from hf_curation.programs.model import AddLine, Call, Dialect, KeepAll, Program, RemoveLines, ReplaceString
from hf_curation.programs.string_edits import StringRules, diff_line, edits_of

_GUESSED_EDITS = 1.5
_MAX_ROUNDS = 5
_SHORT_PAGE = 50
_MAX_RANK = 999

PlacedCall = tuple[int, Call]
"""A call and the first line that it concerns, by which calls are put in page order."""


@dataclass(kw_only=True, slots=True, frozen=True)
class DeriveRules:
    """What a derived program may do."""

    max_insert_chars: int = 20
    """Most new characters of one replacement (RefineX's bound for a page to be used); RefineX itself has none."""
    max_line_chars: int = 200
    """Longest added line (UltraX's bound)."""
    min_delete_chars: int = 10
    """In the loose reading, shorter stretches stay in their line: they are quirks of extractors (RefineX's bound)."""
    min_share: float = 0.5
    """In the loose reading, the least share of a line's words (after string edits) that must survive."""

    def __post_init__(self) -> None:
        if min(self.max_insert_chars, self.max_line_chars, self.min_delete_chars) < 0:
            raise ValueError(f"lengths must be 0 or more, got {self}")
        if not 0 < self.min_share <= 1:
            raise ValueError(f"min_share must be in (0, 1], got {self.min_share}")


def derive(raw: str, clean: str, *, dialect: Dialect = Dialect.PROX, rules: DeriveRules | None = None) -> Program:
    """Return the shortest program found that turns `raw` into `clean`, as nearly as the dialect can express.

    It is exact when `clean` is `raw` with lines removed, and with strings removed that occur once in their scope
    (the page for ProX, the line for RefineX and UltraX).

    Args:
        raw: The page as it came.
        clean: What should be left of it.
        dialect: Decides how strings are scoped, and whether they may be replaced and lines added.
        rules: Bounds on edits.
    """
    if not raw.strip():
        return Program((KeepAll(),))  # nothing to refine: the executor passes blank pages through
    pair = _Pair(split_lines(raw), split_lines(clean), dialect, rules or DeriveRules())
    if not clean:
        return Program((RemoveLines(0, len(pair.raw_lines) - 1),))
    candidates = []
    if pair.looks_paired():
        calls = _strict_calls(pair)
        strict = _program(calls)
        if execute(pair.raw, strict, limits=NO_LIMITS).text == pair.clean:
            return strict
        candidates.append(_program([placed for placed in calls if _changes_words(placed[1])]))
    candidates.append(_program(_loose_calls(pair)))
    return max(candidates, key=pair.merit)


class _Pair:
    """A raw and a clean text, and what of the dialect matters for turning one into the other."""

    def __init__(self, raw_lines: list[str], clean_lines: list[str], dialect: Dialect, rules: DeriveRules) -> None:
        self.raw_lines, self.clean_lines = raw_lines, clean_lines
        self.raw, self.clean = "\n".join(raw_lines), "\n".join(clean_lines)
        self.dialect, self.rules = dialect, rules
        self.strings = StringRules(
            scope=self.raw if dialect is Dialect.PROX else None,
            max_insert_chars=rules.max_insert_chars,
            may_replace=dialect is not Dialect.REFINEX,
        )
        self._clean_words = Counter(words_of(self.clean))

    def looks_paired(self) -> bool:
        """Tell whether most clean lines are raw lines, so that pairing lines is worth its time."""
        raw_lines = set(self.raw_lines)
        filled = [line for line in self.clean_lines if line.strip()]
        return len(self.raw_lines) <= _SHORT_PAGE or 2 * sum(line in raw_lines for line in filled) >= len(filled)

    def merit(self, program: Program) -> tuple[float, int]:
        """Return the word F1 of what a program makes of the raw text, and its shortness to break ties."""
        words = Counter(words_of(execute(self.raw, program, limits=NO_LIMITS).text))
        total = words.total() + self._clean_words.total()
        f1 = 2 * (words & self._clean_words).total() / total if total else 1.0
        return f1, -len(program.calls)


def _program(calls: list[PlacedCall]) -> Program:
    """Return the program of the calls in page order; one without calls keeps all."""
    return Program(tuple(call for _, call in sorted(calls, key=lambda placed: placed[0])) or (KeepAll(),))


def _strict_calls(pair: _Pair) -> list[PlacedCall]:
    """Pair lines; remove raw lines without a partner, edit those whose partner differs."""
    partners, edits = _partners(pair)
    calls = _removals([i in partners for i in range(len(pair.raw_lines))])
    calls += [(i, edit) for i, j in partners.items() for edit in edits.get((i, j), ())]
    if pair.dialect is Dialect.ULTRAX:
        calls += _added_lines(pair, partners)
    return calls


def _partners(pair: _Pair) -> tuple[dict[int, int], dict[tuple[int, int], list[ReplaceString]]]:
    """Return the clean line of each raw line that has one, and the edits between pairs that differ.

    Finding the edits of a line costs more than pairing all lines, so they are found for chosen pairs only. Where that
    fails the pair is struck out, and where clean lines are left over, any raw line nearby becomes an option; then the
    lines are paired again.
    """
    raw, clean = pair.raw_lines, pair.clean_lines
    options = equal_lines(raw, clean)
    for i, likes in enumerate(like_lines(raw, clean)):
        options[i] |= dict.fromkeys(likes, _GUESSED_EDITS)
    edits: dict[tuple[int, int], list[ReplaceString]] = {}
    struck: set[tuple[int, int]] = set()
    partners: dict[int, int] = {}
    for _ in range(_MAX_ROUNDS):
        pairs = pair_lines(raw, clean, options)
        for i, j in pairs:
            if raw[i] != clean[j] and (i, j) not in edits:
                found = edits_of(raw[i], diff_line(raw[i], clean[j]), i, pair.strings)
                if found is None:
                    struck.add((i, j))
                    del options[i][j]
                else:
                    edits[i, j] = found
                    options[i][j] = 0.5 + len(found)
        partners = {i: j for i, j in pairs if (i, j) not in struck}
        new = [(i, j) for i, j in unpaired_likes(raw, clean, list(partners.items())) if (i, j) not in struck]
        for i, j in new:
            options[i].setdefault(j, _GUESSED_EDITS)
        if len(partners) == len(pairs) and not new:
            break
    return partners, edits


def _loose_calls(pair: _Pair) -> list[PlacedCall]:
    """Keep the lines whose words survive, without the stretches that do not."""
    lines = loose_lines(
        pair.raw_lines,
        pair.clean,
        pair.strings,
        min_share=pair.rules.min_share,
        min_delete_chars=pair.rules.min_delete_chars,
    )
    return _removals([line.is_kept for line in lines]) + [(i, e) for i, line in enumerate(lines) for e in line.edits]


def _removals(keep: Sequence[bool]) -> list[PlacedCall]:
    """Return one call for each stretch of lines that are not kept."""
    calls: list[PlacedCall] = []
    for is_kept, stretch in groupby(range(len(keep)), key=keep.__getitem__):
        if not is_kept:
            lines = list(stretch)
            calls.append((lines[0], RemoveLines(lines[0], lines[-1])))
    return calls


def _added_lines(pair: _Pair, partners: dict[int, int]) -> list[PlacedCall]:
    """Return calls for the clean lines without a raw partner, each after its predecessor's."""
    raw_line_of = {j: i for i, j in partners.items()}
    calls: list[PlacedCall] = []
    after, order = -1, 1
    for j, text in enumerate(pair.clean_lines):
        if j in raw_line_of:
            after, order = raw_line_of[j], 1
        elif len(text) <= pair.rules.max_line_chars and order <= _MAX_RANK:
            calls.append((after, AddLine(after, order, text)))
            order += 1
    return calls


def _changes_words(call: Call) -> bool:
    """Tell whether a call is worth it in a result that is not exact; changed spaces and quotes are not."""
    return not isinstance(call, ReplaceString) or words_of(call.source) != words_of(call.target)
