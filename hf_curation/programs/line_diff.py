"""Which raw line became which clean line: the coarse half of `derive`.

A dynamic program over pairs of lines finds the pairing that loses the fewest clean lines and, among those, needs the
fewest calls (a stretch of removed lines is one call). It runs row by row in numpy, 20 us a raw line, so that a page of
1,000 lines takes 30 ms; pages beyond four million pairs are first cut at runs of lines that are equal and rare on both
sides. Lines that differ are compared only if they share most words, or a beginning or an end.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from hf_curation.programs.align import equal_runs, shared_ends, words_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Costs = NDArray[np.floating[Any]]
    Steps = NDArray[np.uint8]

MAX_CELLS: Final = 4_000_000
"""Largest product of line counts solved exactly; 8 MB of memory."""

_SKIP_CLEAN: Final = 1_000.0
_OPEN_REMOVAL: Final = 1.0
_AFTER_KEPT, _AFTER_REMOVED, _SKIP = range(3)
"""How a cell was reached: by one raw line more, after a kept or a removed one, or by giving up a clean line."""
_SMALL_PAGE: Final = 2_500
_END_CHARS: Final = 8
_MAX_POSTINGS: Final = 64

Options = Sequence[dict[int, float]]
"""For each raw line, the clean lines that it can become, and in how many calls."""
Box = tuple[int, int, int, int]
"""(raw start, raw end, clean start, clean end)."""


def equal_lines(raw: Sequence[str], clean: Sequence[str]) -> list[dict[int, float]]:
    """Return for each raw line the clean lines that are equal to it, at no cost."""
    places: dict[str, list[int]] = defaultdict(list)
    for j, line in enumerate(clean):
        places[line].append(j)
    return [dict.fromkeys(places.get(line, ()), 0.0) for line in raw]


def like_lines(raw: Sequence[str], clean: Sequence[str]) -> list[set[int]]:
    """Return for each raw line the clean lines that it might become by string edits; equal ones left out.

    On a small page any clean line whose letters occur in the raw line in order. On any page those that share half
    their words with it, or that are the raw line with one string cut out.
    """
    likes: list[set[int]] = [set() for _ in raw]
    if len(raw) * len(clean) <= _SMALL_PAGE:
        for i, line in enumerate(raw):
            likes[i] |= {j for j, wanted in enumerate(clean) if _is_subsequence(wanted, line)}
    wanted_words = [set(words_of(line)) for line in clean]
    with_word, with_end = defaultdict(list), defaultdict(list)
    for j, line in enumerate(clean):
        for word in wanted_words[j]:
            with_word[word].append(j)
        if len(line) >= _END_CHARS:
            with_end[line[:_END_CHARS], True].append(j)
            with_end[line[-_END_CHARS:], False].append(j)
    for i, line in enumerate(raw):
        found = [with_word.get(word, ()) for word in set(words_of(line))]
        shared = Counter(j for places in found if len(places) <= _MAX_POSTINGS for j in places)
        likes[i] |= {j for j, count in shared.items() if 2 * count >= len(wanted_words[j])}
        ends = with_end.get((line[:_END_CHARS], True), []), with_end.get((line[-_END_CHARS:], False), [])
        near = {j for places in ends if len(places) <= _MAX_POSTINGS for j in places}
        likes[i] |= {j for j in near if sum(shared_ends(line, clean[j])) == len(clean[j])}
        likes[i] -= {j for j in likes[i] if clean[j] == line}
    return likes


def unpaired_likes(
    raw: Sequence[str], clean: Sequence[str], pairs: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """Yield pairs of a raw and a clean line that stand in the same gap between `pairs`, compared letter by letter."""
    raw_at = clean_at = 0
    for i, j in [*pairs, (len(raw), len(clean))]:
        if 0 < (i - raw_at) * (j - clean_at) <= _SMALL_PAGE:
            for k in range(raw_at, i):
                yield from ((k, n) for n in range(clean_at, j) if _is_subsequence(clean[n], raw[k]))
        raw_at, clean_at = i + 1, j + 1


def pair_lines(raw: Sequence[str], clean: Sequence[str], options: Options) -> list[tuple[int, int]]:
    """Return pairs (raw line, clean line) without crossings; raw lines in no pair are to be removed."""
    head, tail = shared_ends(raw, clean)
    box = (head, len(raw) - tail, head, len(clean) - tail)
    pairs = [(i, i) for i in range(head)]
    pairs += _pair_box(raw, clean, box, options)
    return pairs + [(len(raw) - k, len(clean) - k) for k in range(tail, 0, -1)]


def _pair_box(raw: Sequence[str], clean: Sequence[str], box: Box, options: Options) -> Iterator[tuple[int, int]]:
    raw_at, raw_end, clean_at, clean_end = box
    if (raw_end - raw_at) * (clean_end - clean_at) <= MAX_CELLS:
        yield from _solve(box, options)
        return
    for i, j, length in [*equal_runs(raw, clean, box), (raw_end, clean_end, 0)]:
        if (i - raw_at) * (j - clean_at) <= MAX_CELLS:
            yield from _solve((raw_at, i, clean_at, j), options)
        yield from zip(range(i, i + length), range(j, j + length), strict=True)
        raw_at, clean_at = i + length, j + length


def _solve(box: Box, options: Options) -> list[tuple[int, int]]:
    """Pair the lines of a box at the least cost.

    `kept[j]` and `removed[j]` are the best costs of the raw lines so far against the first j clean lines, by whether
    the last raw line is kept; removing a line after a removed one is free.
    """
    import numpy as np  # noqa: PLC0415 - importing the language stays free of numpy

    raw_at, raw_end, clean_at, clean_end = box
    width = clean_end - clean_at + 1
    ramp = np.arange(width) * _SKIP_CLEAN
    kept, removed = ramp.copy(), np.full(width, np.inf)
    steps = []
    for i in range(raw_at, raw_end):
        opened = kept + _OPEN_REMOVAL
        source = np.where(kept <= removed, _AFTER_KEPT, _AFTER_REMOVED).astype(np.uint8)
        before = np.minimum(kept, removed)
        extended = np.where(removed <= opened, _AFTER_REMOVED, _AFTER_KEPT).astype(np.uint8)
        removed, step_removed = _give_up_some(np.minimum(removed, opened), extended, ramp)
        kept = np.full(width, np.inf)
        for j, cost in options[i].items():
            if clean_at <= j < clean_end:
                kept[j - clean_at + 1] = before[j - clean_at] + cost
        kept, step_kept = _give_up_some(kept, np.roll(source, 1), ramp)
        steps.append((step_kept, step_removed))
    return _trace(steps, raw_at, clean_at, width - 1, is_kept=bool(kept[-1] <= removed[-1]))


def _give_up_some(costs: "Costs", steps: "Steps", ramp: "Costs") -> "tuple[Costs, Steps]":
    """Let each cell also be reached from its left by giving up clean lines; return costs and steps."""
    import numpy as np  # noqa: PLC0415

    best = np.minimum.accumulate(costs - ramp) + ramp
    return best, np.where(costs <= best, steps, np.uint8(_SKIP))


def _trace(
    steps: "Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]]",
    raw_at: int,
    clean_at: int,
    j: int,
    *,
    is_kept: bool,
) -> list[tuple[int, int]]:
    """Walk the dynamic program's steps backwards and return the pairs."""
    pairs = []
    i = len(steps)
    while i:
        step = steps[i - 1][0 if is_kept else 1][j]
        if step == _SKIP:
            j -= 1
            continue
        i -= 1
        if is_kept:
            j -= 1
            pairs.append((raw_at + i, clean_at + j))
        is_kept = step == _AFTER_KEPT
    return pairs[::-1]


def _is_subsequence(wanted: str, line: str) -> bool:
    characters = iter(line)
    return all(character in characters for character in wanted)
