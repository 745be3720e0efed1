"""What the tagger sees of a page: numbers per line and hashed words, computed with whole-page array operations.

No vocabulary, no list of English words, no tag names: a line is described by its length, its character classes,
where it stands, how often it and its words occur elsewhere on the page, and by hashes of its words, whose meaning the
network learns. All loops over characters and words are numpy reductions (about 2 ms for a page of 13,000 characters).

Lines longer than `MAX_LINE_CHARS` are described by their beginning and end. Blank lines are no rows of their own; they
are counts on their neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hf_curation.refiners.tagger.characters import CLASS, CLASSES, classify, codes_of
from hf_curation.refiners.tagger.words import Words, find_words, special_tokens

FEATURES_VERSION: Final = 1
"""Part of every weights file; raised when a feature changes its meaning."""
MAX_LINE_CHARS: Final = 1200
_TAIL_CHARS: Final = 200
_LONG_LINE_WORDS: Final = 12
_TABLE_BITS: Final = 16
_REACHES: Final = (3, 10, 40)
_MARKS: Final = np.array(sorted(ord(c) for c in '@|©%#[]{}=<>&_/+?!…"(:;-–—»›•·*'), dtype=np.uint32)

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PageFeatures:
    """The lines of a page that hold anything but white space. L = such lines, W = words, S = special tokens."""

    rows: NDArray[np.int64]
    """(L,) the line number of each row among all lines of the page."""
    numbers: FloatArray
    """(L, F) features; see `_numbers`."""
    num_words: FloatArray
    """(L,) words of the line, at least 1; a character of an unspaced script is a word."""
    num_chars: FloatArray
    """(L,) characters of the line that are not white space (estimated for a long line)."""
    words: NDArray[np.uint32]
    """(W,) hashes of the words of all lines."""
    word_starts: NDArray[np.int64]
    """(L + 1,) where the words of each line begin in `words`."""
    specials: NDArray[np.uint32]
    """(L, 4) hashes: first word, last word, first two words, whole line (0 for a long one)."""


def page_features(lines: Sequence[str]) -> PageFeatures:
    """Describe the lines of a page (or of a long page's part)."""
    stripped = [line.strip() for line in lines]
    rows = np.array([i for i, line in enumerate(stripped) if line], dtype=np.int64)
    texts = [_shorten(stripped[i]) for i in rows]
    lengths = np.array([len(stripped[i]) for i in rows], dtype=np.float32)
    indents = np.array([len(lines[i]) - len(lines[i].lstrip()) for i in rows], dtype=np.float32)
    if not len(rows):
        return _empty()
    codes = codes_of("\n".join(texts) + "\n")
    classes, lowered = classify(codes)
    char_starts = np.concatenate([[0], np.cumsum([len(t) + 1 for t in texts])]).astype(np.int64)
    words = find_words(classes, lowered, char_starts)
    specials = special_tokens(words)
    numbers = np.concatenate(
        [
            _shape(codes, classes, char_starts, lengths, indents, words),
            _place(rows, len(lines), lengths),
            _repetition(words, specials, indents),
            _surroundings(rows, classes, char_starts, words, indents),
        ],
        axis=1,
    )
    scale = np.maximum(lengths / np.diff(char_starts).clip(2), 1.0)
    counts = np.diff(words.line_starts).astype(np.float32)
    num_chars = scale * (_sum_by_line((classes != CLASS["space"]).astype(np.float32), char_starts) - 1)
    return PageFeatures(
        rows,
        numbers,
        np.maximum(counts * scale, 1.0).astype(np.float32),
        num_chars,
        words.hashes,
        words.line_starts,
        specials,
    )


def _shorten(line: str) -> str:
    if len(line) <= MAX_LINE_CHARS:
        return line
    return line[: MAX_LINE_CHARS - _TAIL_CHARS] + line[-_TAIL_CHARS:]


def _empty() -> PageFeatures:
    none, nothing = np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.uint32)
    return PageFeatures(
        rows=np.zeros(0, dtype=np.int64),
        numbers=np.zeros((0, NUM_NUMBERS), dtype=np.float32),
        num_words=none,
        num_chars=none,
        words=nothing,
        word_starts=np.zeros(1, dtype=np.int64),
        specials=np.zeros((0, 4), dtype=np.uint32),
    )


def _sum_by_line(values: NDArray[np.float32], starts: NDArray[np.int64]) -> FloatArray:
    """Sum `values` over each line's span; an empty span gives 0."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    result: FloatArray = (sums[starts[1:]] - sums[starts[:-1]]).astype(np.float32)
    return result


def _shape(
    codes: NDArray[np.uint32],
    classes: NDArray[np.uint8],
    char_starts: NDArray[np.int64],
    lengths: FloatArray,
    indents: FloatArray,
    words: Words,
) -> FloatArray:
    num_lines = len(lengths)
    line_of = np.repeat(np.arange(num_lines), np.diff(char_starts))
    counts = np.bincount(line_of * len(CLASSES) + classes, minlength=num_lines * len(CLASSES))
    counts = counts.reshape(num_lines, len(CLASSES)).astype(np.float32)
    counts[:, CLASS["other"]] -= 1  # the joining newline
    total = np.maximum(counts.sum(1), 1.0)
    num_words = np.diff(words.line_starts).astype(np.float32)
    safe = np.maximum(num_words, 1.0)
    capital = (words.first_class == CLASS["upper"]).astype(np.float32)
    numeric = (words.first_class == CLASS["digit"]).astype(np.float32)
    short = (words.lengths <= 3).astype(np.float32)
    eye = np.eye(len(CLASSES), dtype=np.float32)
    firsts, lasts = classes[char_starts[:-1]], classes[char_starts[1:] - 2]
    place = _mark_table()[np.minimum(codes, 0xFFFF)]
    is_mark = place < len(_MARKS)
    marks = np.bincount(line_of[is_mark] * len(_MARKS) + place[is_mark], minlength=num_lines * len(_MARKS))
    marks = marks.reshape(num_lines, len(_MARKS)).astype(np.float32)
    stops = counts[:, CLASS["stop"]]
    columns = [
        np.log1p(lengths), np.log1p(num_words), np.log1p(stops), np.log1p(counts[:, CLASS["comma"]]),
        np.log1p(indents), num_words == 1, num_words <= 3, num_words >= _LONG_LINE_WORDS, num_words == 0,
        _sum_by_line(words.lengths.astype(np.float32), words.line_starts) / safe,
        _sum_by_line(capital, words.line_starts) / safe, _sum_by_line(numeric, words.line_starts) / safe,
        _sum_by_line(short, words.line_starts) / safe, num_words / (1 + stops) / 20,
    ]  # fmt: skip
    return np.concatenate(
        [np.stack(columns, axis=1), counts / total[:, None], eye[firsts], eye[lasts], np.minimum(marks, 3.0)], axis=1
    ).astype(np.float32)


def _place(rows: NDArray[np.int64], num_lines: int, lengths: FloatArray) -> FloatArray:
    n = len(rows)
    index = np.arange(n, dtype=np.float32)
    gap = np.diff(rows, prepend=-1) - 1
    gap_after = np.append(gap[1:], num_lines - 1 - rows[-1])
    chars = np.cumsum(lengths) - lengths / 2
    total = max(float(lengths.sum()), 1.0)
    columns = [
        index / n, np.log1p(index), np.log1p(n - 1 - index), chars / total, np.log1p(chars), np.log1p(total - chars),
        np.full(n, np.log1p(n)), np.full(n, np.log1p(total)), np.full(n, np.log1p(total / n)),
        np.minimum(gap, 3), np.minimum(gap_after, 3), np.full(n, num_lines / n - 1),
    ]  # fmt: skip
    return np.stack(columns, axis=1).astype(np.float32)


def _repetition(words: Words, specials: NDArray[np.uint32], indents: FloatArray) -> FloatArray:
    """How often the line, its shape and its words occur elsewhere on the page."""
    num_words = np.diff(words.line_starts)
    safe = np.maximum(num_words, 1).astype(np.float32)
    buckets = (words.hashes >> np.uint32(32 - _TABLE_BITS)).astype(np.int64)
    is_long = num_words >= _LONG_LINE_WORDS
    in_long = is_long[words.line_of].astype(np.float32)
    # Lines that hold a word, not occurrences: a word said twice in one line is not yet a topic.
    pair = np.sort(words.line_of * (1 << _TABLE_BITS) + buckets)
    pair = pair[np.diff(pair, prepend=-1) > 0]
    pair_line, pair_bucket = pair >> _TABLE_BITS, pair & ((1 << _TABLE_BITS) - 1)
    lines_with = np.bincount(pair_bucket, minlength=1 << _TABLE_BITS).astype(np.float32)
    long_with = np.bincount(pair_bucket, weights=is_long[pair_line], minlength=1 << _TABLE_BITS).astype(np.float32)
    others = lines_with[buckets] - 1
    long_others = long_with[buckets] - in_long
    heavy = np.minimum(words.lengths, 10).astype(np.float32)  # long words carry the topic in any language
    weight = np.maximum(_sum_by_line(heavy, words.line_starts), 1.0)
    same_line = _count_of(specials[:, 3])
    same_start = _count_of(specials[:, 0])
    same_end = _count_of(specials[:, 1])
    n = len(num_words)
    columns = [
        np.log1p(same_line - 1), np.log1p(same_start - 1), np.log1p(same_end - 1), same_line > 1,
        _is_first(specials[:, 3]), _count_of(indents) / n,
        _sum_by_line(np.log1p(others), words.line_starts) / safe,
        _sum_by_line(np.log1p(long_others), words.line_starts) / safe,
        _sum_by_line(heavy * (others > 0), words.line_starts) / weight,
        _sum_by_line(heavy * (long_others > 0), words.line_starts) / weight,
        _sum_by_line(heavy * (long_others > 1), words.line_starts) / weight,
        _sum_by_line(heavy * (others == 0), words.line_starts) / weight,
        np.full(n, is_long.mean()), np.full(n, np.log1p(is_long.sum())),
        np.full(n, num_words[is_long].sum() / max(num_words.sum(), 1)),
    ]  # fmt: skip
    return np.stack(columns, axis=1).astype(np.float32)


def _surroundings(
    rows: NDArray[np.int64],
    classes: NDArray[np.uint8],
    char_starts: NDArray[np.int64],
    words: Words,
    indents: FloatArray,
) -> FloatArray:
    """The block of lines between blank ones, means over windows around the line, and lines of the same shape."""
    n = len(rows)
    num_words = np.diff(words.line_starts).astype(np.float32)
    stops = _sum_by_line((classes == CLASS["stop"]).astype(np.float32), char_starts)
    starts_block = np.diff(rows, prepend=-2) > 1
    block = np.cumsum(starts_block) - 1
    first = np.flatnonzero(starts_block)
    size = np.bincount(block).astype(np.float32)
    block_words = np.bincount(block, weights=num_words)
    block_stops = np.bincount(block, weights=stops)
    place = np.arange(n) - first[block]
    ends = classes[char_starts[1:] - 2].astype(np.int64)
    begins = classes[char_starts[:-1]].astype(np.int64)
    bucket = np.minimum(np.log2(num_words + 1).astype(np.int64), 7)
    shape = ((np.minimum(indents, 15).astype(np.int64) * 8 + bucket) * 32 + begins) * 32 + ends
    same_shape = _count_of(shape)
    order = np.argsort(np.argsort(num_words, kind="stable")).astype(np.float32)
    columns = [
        np.log1p(size[block]), np.log1p(place), np.log1p(size[block] - 1 - place), np.log1p(block_words[block]),
        np.log1p(block_stops[block]), np.log1p(block_words[block] / size[block]),
        np.log1p(same_shape), same_shape / n, order / n, num_words / max(float(num_words.max()), 1.0),
    ]  # fmt: skip
    columns.extend(_window_means(num_words, stops))
    return np.stack(columns, axis=1).astype(np.float32)


def _window_means(num_words: FloatArray, stops: FloatArray) -> list[FloatArray]:
    n = len(num_words)
    is_long = num_words >= _LONG_LINE_WORDS
    values = np.stack([np.log1p(num_words), num_words, is_long, np.minimum(stops, 5)], axis=1)
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
    index = np.arange(n)
    columns: list[FloatArray] = []
    for reach in _REACHES:
        low, high = np.maximum(index - reach, 0), np.minimum(index + reach + 1, n)
        mean = (sums[high] - sums[low]) / (high - low)[:, None]
        mean[:, 1] /= max(float(num_words.mean()), 1.0)
        columns.extend(mean.T)
    return columns


@cache
def _mark_table() -> NDArray[np.int64]:
    table = np.full(1 << 16, len(_MARKS))
    table[_MARKS] = np.arange(len(_MARKS))
    return table


def _count_of(values: NDArray[np.generic]) -> FloatArray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    result: FloatArray = counts[inverse].astype(np.float32)
    return result


def _is_first(values: NDArray[np.generic]) -> FloatArray:
    first = np.zeros(len(values), dtype=np.float32)
    first[np.unique(values, return_index=True)[1]] = 1.0
    return first


NUM_NUMBERS: Final = 14 + 3 * len(CLASSES) + len(_MARKS) + 12 + 15 + 10 + 4 * len(_REACHES)
