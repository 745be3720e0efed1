"""The loose reading of a raw and a clean text: words are aligned, not lines; see `derive`.

Lines whose words survive are kept. Stretches of a kept line that have no counterpart are cut out of it, and what stood
between their neighbours in the clean text (a space, a full stop) is put in their place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hf_curation.programs.align import align_words, follow_neighbours, shared_ends, word_spans, words_of
from hf_curation.programs.model import ReplaceString
from hf_curation.programs.string_edits import Hunk, StringRules, edits_of


@dataclass(frozen=True, slots=True)
class LooseLine:
    """What the loose reading decides about one raw line."""

    is_kept: bool
    edits: tuple[ReplaceString, ...] = ()


def loose_lines(
    raw_lines: Sequence[str], clean: str, strings: StringRules, *, min_share: float, min_delete_chars: int
) -> list[LooseLine]:
    """Decide on every raw line.

    Args:
        raw_lines: The page.
        clean: Its clean version.
        strings: What a string edit may look like.
        min_share: Least share of a line's words, after its edits, that must have a counterpart.
        min_delete_chars: Shorter stretches stay where they are.
    """
    text = _CleanText(clean)
    spans_by_line = [word_spans(line) for line in raw_lines]
    partners = _partners(raw_lines, clean)
    decided: list[LooseLine] = []
    at = 0
    for number, (line, spans) in enumerate(zip(raw_lines, spans_by_line, strict=True)):
        own = partners[at : at + len(spans)]
        at += len(spans)
        num_kept = sum(partner >= 0 for partner in own)
        edits: list[ReplaceString] = []
        num_cut = 0
        if 0 < num_kept < len(own):
            edits, num_cut = _cut(line, number, list(_stretches(line, spans, own, text)), strings, min_delete_chars)
        is_kept = num_kept > 0 and num_kept >= min_share * (len(own) - num_cut)
        decided.append(LooseLine(is_kept, tuple(edits) if is_kept else ()))
    keep = follow_neighbours([line.is_kept for line in decided], [bool(spans) for spans in spans_by_line])
    return [LooseLine(is_kept, line.edits) for is_kept, line in zip(keep, decided, strict=True)]


class _CleanText:
    """A clean text and its words' places: what stands between two of them."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._spans = word_spans(text)

    def between(self, before: int, after: int) -> str:
        """Return what stands between two words, by index; -1 is the border of a line."""
        if before < 0:
            return ""
        start = self._spans[before][1]
        if after == before + 1:
            return self._text[start : self._spans[after][0]].replace("\n", " ")
        if after >= 0:
            return " "
        end = self._spans[before + 1][0] if before + 1 < len(self._spans) else len(self._text)
        return self._text[start:end].split("\n")[0].rstrip()


def _partners(raw_lines: Sequence[str], clean: str) -> list[int]:
    """Return for each word of the raw lines the index of its counterpart in the clean text, or -1."""
    raw_words = [word for line in raw_lines for word in words_of(line)]
    clean_by_line = [words_of(line) for line in clean.split("\n")]
    starts = [0]
    for words in clean_by_line:
        starts.append(starts[-1] + len(words))
    partners = [-1] * len(raw_words)
    for i, j, n in align_words(raw_words, [word for words in clean_by_line for word in words], frozenset(starts)):
        partners[i : i + n] = range(j, j + n)
    return partners


def _stretches(
    line: str, spans: Sequence[tuple[int, int]], partners: Sequence[int], text: _CleanText
) -> Iterator[tuple[Hunk, int]]:
    """Yield the stretches of words without counterpart: the hunk that removes one, and how many words it removes."""
    word = 0
    while word < len(spans):
        first = word
        while word < len(spans) and partners[word] < 0:
            word += 1
        if word > first:
            start = spans[first - 1][1] if first else 0
            end = spans[word][0] if word < len(spans) else len(line)
            gap = text.between(partners[first - 1] if first else -1, partners[word] if word < len(spans) else -1)
            head, tail = shared_ends(line[start:end], gap)
            yield (start + head, end - tail, gap[head : len(gap) - tail]), word - first
        word += 1


def _cut(
    line: str, number: int, stretches: list[tuple[Hunk, int]], strings: StringRules, min_delete_chars: int
) -> tuple[list[ReplaceString], int]:
    """Return the edits for those stretches that are long enough and can be said, and how many words they remove."""
    chosen = [
        (hunk, num_words)
        for hunk, num_words in stretches
        if hunk[1] - hunk[0] >= min_delete_chars and edits_of(line, [hunk], number, strings)
    ]
    edits = edits_of(line, [hunk for hunk, _ in chosen], number, strings)
    return (edits, sum(num_words for _, num_words in chosen)) if edits else ([], 0)
