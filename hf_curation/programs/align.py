r"""Which words of a raw page survive in its clean version: the alignment behind derived labels.

Words (lower-cased `\w+` runs; single characters in scripts written without spaces) are matched without crossings:
rare runs of six words common to both texts are chained by weight, then the gaps between them by runs of three, two and
one word. Islands of one or two words that no longer match supports are dropped (a menu's "About" is not the body's).
What is left over on both sides is matched once more out of order, whole passages only, because extractors move titles
and captions. Cost is near-linear: runs are seeded by n-grams that occur a few times, never by all pairs.

Measured on 1,476 pages of the WCXB development split: keeping the lines with at least half of their words matched
gives a mean word F1 of .967 against the gold text, in 14 ms a page.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, takewhile
from typing import Final

# Thai, Lao, Burmese, Khmer, kana, and the CJK ideographs: a word is not bounded by spaces there.
_UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD: Final = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")

_RUN_LENGTHS: Final = (6, 3, 2, 1)
_MAX_OCCURRENCES: Final = 8
_MIN_MOVED: Final = 4
_MIN_ISLAND: Final = 3
_ISLAND_GAP: Final = 4

Run = tuple[int, int, int]
"""(first word in raw, first word in clean, number of words): equal words on both sides."""


@dataclass(frozen=True, slots=True)
class LineMatch:
    """How much of one raw line is found in the clean text."""

    num_words: int
    num_matched: int

    @property
    def share(self) -> float:
        """Share of the line's words that the clean text holds; 0 for a line without words."""
        return self.num_matched / self.num_words if self.num_words else 0.0


def words_of(text: str) -> list[str]:
    """Return the lower-cased words of `text`; each character of an unspaced script is a word."""
    return [word.lower() for word in _WORD.findall(text)]


def word_spans(text: str) -> list[tuple[int, int]]:
    """Return where in `text` its words stand, one span for each of `words_of`."""
    return [match.span() for match in _WORD.finditer(text)]


def match_lines(raw_lines: Sequence[str], clean: str) -> list[LineMatch]:
    """Align a page's lines with its clean version; one `LineMatch` per raw line.

    Args:
        raw_lines: The page, one string per line.
        clean: The clean text, wrapped and split in any way; may miss or reorder passages.
    """
    words_by_line = [words_of(line) for line in raw_lines]
    raw = [word for words in words_by_line for word in words]
    clean_by_line = [words_of(line) for line in clean.split("\n")]
    matched = bytearray(len(raw))
    for i, _, n in align_words(raw, [word for words in clean_by_line for word in words], _starts(clean_by_line)):
        matched[i : i + n] = b"\x01" * n
    result, at = [], 0
    for words in words_by_line:
        result.append(LineMatch(len(words), sum(matched[at : at + len(words)])))
        at += len(words)
    return result


def keep_lines(raw_lines: Sequence[str], clean: str, *, threshold: float = 0.5) -> list[bool]:
    """Decide for each raw line whether a clean page would hold it: the labels of a line tagger.

    A line is kept when at least `threshold` of its words are matched. Half is the threshold that maximises word F1
    when F1 is near 1 (a line pays off above F1/2). Lines without words follow their neighbours: between two kept lines
    they stay, and of a removed stretch one side's blank lines stay, so that paragraphs do not run together.
    """
    matches = match_lines(raw_lines, clean)
    keep = [match.num_words > 0 and match.share >= threshold for match in matches]
    return follow_neighbours(keep, [match.num_words > 0 for match in matches])


def follow_neighbours(keep: Sequence[bool], has_words: Sequence[bool]) -> list[bool]:
    """Decide on lines without words, given which lines with words are kept; see `keep_lines`."""
    decided = list(keep)
    kept = [i for i, is_kept in enumerate(keep) if is_kept]
    for left, right in pairwise(kept):
        between = range(left + 1, right)
        wordless = partial(takewhile, lambda i: not has_words[i])
        for i in list(wordless(between)) or list(wordless(reversed(between))):
            decided[i] = True
    return decided


def align_words(
    raw: Sequence[str], clean: Sequence[str], clean_line_starts: frozenset[int] = frozenset()
) -> list[Run]:
    """Match the words of two texts, each at most once; see the module's docstring.

    Args:
        raw: Words of the raw text.
        clean: Words of the clean text.
        clean_line_starts: Indices in `clean` of words that begin a line, and `len(clean)`; a one-word match that is a
            whole clean line is trusted without neighbours.

    Returns:
        Disjoint runs sorted by their place in `raw`.
    """
    chained = equal_runs(raw, clean, (0, len(raw), 0, len(clean)))
    chained = _drop_islands(chained, clean_line_starts)
    return sorted(chained + _align_moved(raw, clean, chained))


def shared_ends(a: Sequence[str], b: Sequence[str]) -> tuple[int, int]:
    """Return how many items two sequences (of characters, or of lines) share at the start, then at the end."""
    shorter = min(len(a), len(b))
    head = next((i for i in range(shorter) if a[i] != b[i]), shorter)
    room = shorter - head
    return head, next((i for i in range(room) if a[-1 - i] != b[-1 - i]), room)


def equal_runs(raw: Sequence[str], clean: Sequence[str], box: tuple[int, int, int, int]) -> list[Run]:
    """Return runs of equal items (words, or whole lines) without crossings, rare ones first; near-linear time.

    Args:
        raw: Items of the raw text.
        clean: Items of the clean text.
        box: Where to look: (raw start, raw end, clean start, clean end).
    """
    return list(_align_between(raw, clean, box, 0))


def _starts(words_by_line: Iterable[list[str]]) -> frozenset[int]:
    starts, at = {0}, 0
    for words in words_by_line:
        at += len(words)
        starts.add(at)
    return frozenset(starts)


def _align_between(
    raw: Sequence[str], clean: Sequence[str], box: tuple[int, int, int, int], level: int
) -> Iterator[Run]:
    raw_at, raw_end, clean_at, clean_end = box
    if raw_at >= raw_end or clean_at >= clean_end or level == len(_RUN_LENGTHS):
        return
    runs = _chain(_common_runs(raw, clean, box, _RUN_LENGTHS[level]))
    for i, j, n in [*runs, (raw_end, clean_end, 0)]:
        yield from _align_between(raw, clean, (raw_at, i, clean_at, j), level + 1)
        if n:
            yield i, j, n
        raw_at, clean_at = i + n, j + n


def _common_runs(raw: Sequence[str], clean: Sequence[str], box: tuple[int, int, int, int], length: int) -> list[Run]:
    """Return the maximal common runs inside `box` that hold an n-gram of `length` words, rare on both sides."""
    raw_at, raw_end, clean_at, clean_end = box
    places = _ngram_places(clean, clean_at, clean_end, length)
    seeds = _ngram_places(raw, raw_at, raw_end, length, only=places)
    runs: list[Run] = []
    covered: dict[int, int] = {}  # diagonal -> raw index up to which a run on it already reaches
    pairs = [
        (i, j)
        for ngram, in_raw in seeds.items()
        if len(in_raw) * len(places[ngram]) <= _MAX_OCCURRENCES
        for i in in_raw
        for j in places[ngram]
    ]
    for i, j in sorted(pairs):
        if covered.get(i - j, -1) > i:
            continue
        start = i
        while start > raw_at and start + j - i > clean_at and raw[start - 1] == clean[start - 1 + j - i]:
            start -= 1
        end = i + length
        while end < raw_end and end + j - i < clean_end and raw[end] == clean[end + j - i]:
            end += 1
        covered[i - j] = end
        runs.append((start, start + j - i, end - start))
    return runs


def _ngram_places(
    words: Sequence[str], start: int, end: int, length: int, only: dict[tuple[str, ...], list[int]] | None = None
) -> dict[tuple[str, ...], list[int]]:
    places: dict[tuple[str, ...], list[int]] = defaultdict(list)
    shifted = (words[start + k : end - length + 1 + k] for k in range(length))
    for i, ngram in enumerate(zip(*shifted, strict=False), start):
        if only is None or ngram in only:
            places[ngram].append(i)
    return places


def _chain(runs: list[Run]) -> list[Run]:
    """Return the heaviest chain of runs without crossings; runs may overlap by two words, which are then trimmed.

    Patience sorting with weights: `ends` is a staircase of (clean end, weight), one bisection per run.
    """
    if len(runs) < 2:
        return runs
    events = []
    for index, (i, j, n) in enumerate(runs):
        slack = min(2, (n - 1) // 2)
        events.append((i + slack, 1, j + slack, index))
        events.append((i + n - slack, 0, j + n - slack, index))
    weight, before = [0] * len(runs), [-1] * len(runs)
    ends, owners = [-1], [-1]
    for _, opens, j, index in sorted(events):
        place = bisect_left(ends, j + 1) - 1
        if opens:
            before[index] = owners[place]
            weight[index] = runs[index][2] + (weight[owners[place]] if owners[place] >= 0 else 0)
        elif owners[place] < 0 or weight[index] >= weight[owners[place]]:
            stop = place + 1
            while stop < len(ends) and weight[owners[stop]] <= weight[index]:
                stop += 1
            first = place if ends[place] == j else place + 1
            ends[first:stop], owners[first:stop] = [j], [index]
    chosen, index = [], owners[-1]
    while index >= 0:
        chosen.append(runs[index])
        index = before[index]
    return _trim(reversed(chosen))


def _trim(runs: Iterable[Run]) -> list[Run]:
    trimmed: list[Run] = []
    raw_at = clean_at = 0
    for i, j, n in runs:
        cut = max(raw_at - i, clean_at - j, 0)
        if n > cut:
            trimmed.append((i + cut, j + cut, n - cut))
            raw_at, clean_at = i + n, j + n
    return trimmed


def _drop_islands(runs: list[Run], clean_line_starts: frozenset[int]) -> list[Run]:
    """Drop short matches that stand alone: fewer than three words with no other match nearby on both sides."""
    islands: list[list[Run]] = []
    for run in runs:
        i, j, _ = run
        if islands:
            last_i, last_j, last_n = islands[-1][-1]
            if i - last_i - last_n <= _ISLAND_GAP and j - last_j - last_n <= _ISLAND_GAP:
                islands[-1].append(run)
                continue
        islands.append([run])
    kept = []
    for island in islands:
        first, last = island[0][1], island[-1][1] + island[-1][2]
        is_whole_line = first in clean_line_starts and last in clean_line_starts
        if is_whole_line or sum(n for _, _, n in island) >= _MIN_ISLAND:
            kept.extend(island)
    return kept


def _align_moved(raw: Sequence[str], clean: Sequence[str], matched: list[Run]) -> list[Run]:
    """Match passages of four or more words that the chain left over on both sides, longest first, in any order."""
    free_raw, free_clean = list(raw), list(clean)
    for i, j, n in matched:  # places that are taken become equal to nothing
        free_raw[i : i + n] = [f"<{k}" for k in range(i, i + n)]
        free_clean[j : j + n] = [f">{k}" for k in range(j, j + n)]
    runs = _common_runs(free_raw, free_clean, (0, len(raw), 0, len(clean)), _MIN_MOVED)
    moved = []
    raw_taken, clean_taken = bytearray(len(raw)), bytearray(len(clean))
    for i, j, n in sorted(runs, key=lambda run: -run[2]):
        if not any(raw_taken[i : i + n]) and not any(clean_taken[j : j + n]):
            moved.append((i, j, n))
            raw_taken[i : i + n] = clean_taken[j : j + n] = b"\x01" * n
    return moved
