"""Labels that are exact: real boilerplate put into clean documents at known places.

Derived labels are as good as an alignment; these are right by construction, in any language that the pages have, and
they teach restraint too, for a share of the documents is left as it is. Noise is taken from stretches of other pages
that their clean text does not hold: what stood above the content goes above, what stood below goes below. Only lines
of up to 200 characters are taken, because what an annotator left out may be prose (comments, a second article) and
would be content elsewhere.

Two leaks are closed: a block goes only into documents of its own split, and never into its own domain. Blocks of the
document's script are preferred, lest "another script" become the student's word for noise.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Final, Literal

from hf_curation.programs.align import match_lines
from hf_curation.programs.lines import normalize_newlines, split_lines
from hf_curation.programs.model import KeepAll, Program, RemoveLines
from hf_curation.programs.spans import merge_ranges
from hf_curation.refiners.training.splits import Draws, Split

Place = Literal["head", "middle", "tail"]
_SCRIPT_CHARS: Final = 2_000
_TRIES: Final = 8


@dataclass(kw_only=True, slots=True, frozen=True)
class NoiseRules:
    """How documents are made noisy."""

    enabled: bool = True
    untouched: float = 0.15
    """Share of documents that get no noise at all, in [0, 1]."""
    head: float = 0.8
    """Probability of a block above the document."""
    tail: float = 0.8
    """Probability of a block below it."""
    middle: float = 0.5
    """Probability of a block between two of its lines, tried `max_middle` times."""
    max_middle: int = 2
    max_block_lines: int = 40
    """Longest block; a longer stretch of noise is cut to the part nearest to the content."""
    max_line_chars: int = 200
    max_share: float = 0.1
    """A line is noise when at most this share of its words is found in the page's clean text."""
    max_blocks: int = 20_000
    """Most blocks that are kept for one split, place and script."""

    def __post_init__(self) -> None:
        for name in ("untouched", "head", "tail", "middle", "max_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        for name in ("max_block_lines", "max_line_chars", "max_blocks"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class NoiseBlock:
    """Neighbouring lines of boilerplate from one page."""

    lines: tuple[str, ...]
    place: Place
    domain: str
    script: str


@dataclass(frozen=True, slots=True)
class Noisy:
    """A clean document with noise in it, and the program that takes exactly the noise out."""

    text: str
    program: Program
    blocks: tuple[NoiseBlock, ...]


class NoiseBank:
    """Blocks of noise by split, place and script; what it holds does not depend on the order of pages."""

    def __init__(self, rules: NoiseRules, *, seed: int = 0) -> None:
        self.rules = rules
        self.seed = seed
        self._blocks: defaultdict[tuple[str, Place, str], list[tuple[float, str, NoiseBlock]]] = defaultdict(list)

    def __len__(self) -> int:
        return sum(len(blocks) for blocks in self._blocks.values())

    def add_page(self, page_id: str, raw: str, clean: str, *, domain: str, split: Split) -> None:
        """Take the noise of a page with clean text."""
        for index, block in enumerate(noise_blocks(raw, clean, self.rules, domain=domain)):
            key = f"{page_id}#{index}"
            entry = (Draws(self.seed, "noise bank", key).share(), key, block)
            blocks = self._blocks[split, block.place, block.script]
            blocks.append(entry)
            if len(blocks) >= 2 * self.rules.max_blocks:
                self._trim(blocks)

    def close(self) -> None:
        """Put the blocks in their final order; call it when all pages are in."""
        for blocks in self._blocks.values():
            self._trim(blocks)

    def draw(self, draws: Draws, place: Place, *, split: Split, script: str, domain: str) -> NoiseBlock | None:
        """Return a block for a document, of its script if there is one; None where there is none of another domain."""
        blocks = self._blocks.get((split, place, script)) or self._of_any_script(split, place)
        for _ in range(_TRIES if blocks else 0):
            block = blocks[draws.below(len(blocks))][2]
            if not domain or block.domain != domain:
                return block
        return None

    def _of_any_script(self, split: Split, place: Place) -> list[tuple[float, str, NoiseBlock]]:
        scripts = sorted(key for key in self._blocks if key[:2] == (split, place))
        return [entry for key in scripts for entry in self._blocks[key]]

    def _trim(self, blocks: list[tuple[float, str, NoiseBlock]]) -> None:
        blocks.sort(key=lambda entry: entry[:2])
        del blocks[self.rules.max_blocks :]


def noise_blocks(raw: str, clean: str, rules: NoiseRules, *, domain: str = "") -> Iterator[NoiseBlock]:
    """Yield the stretches of a page that its clean text does not hold, above, between and below what it holds."""
    lines = split_lines(raw)
    matches = match_lines(lines, clean)
    is_noise = [
        match.share <= rules.max_share and len(line) <= rules.max_line_chars
        for line, match in zip(lines, matches, strict=True)
    ]
    content = [i for i, (noise, match) in enumerate(zip(is_noise, matches, strict=True)) if not noise and match.share]
    if not content:
        return  # without content nothing tells what stands above it from what stands below
    for noise, stretch in groupby(range(len(lines)), key=is_noise.__getitem__):
        numbers = list(stretch)
        place = _place(numbers[0], numbers[-1], content)
        if not noise:
            continue
        numbers = numbers[-rules.max_block_lines :] if place == "head" else numbers[: rules.max_block_lines]
        block = tuple(lines[i] for i in numbers)
        if sum(match.num_words for match in (matches[i] for i in numbers)):
            yield NoiseBlock(block, place, domain, script_of("\n".join(block)))


def inject_noise(
    clean: str, bank: NoiseBank, *, document_id: str, domain: str = "", split: Split = "train", seed: int = 0
) -> Noisy:
    """Return a clean document with noise in it; a function of the bank, `seed` and `document_id`.

    Executing the program on the text, without guards, gives `clean` back (with its newlines normalised).

    Raises:
        ValueError: for a blank document, which no noise can be told from.
    """
    if not clean.strip():
        raise ValueError(f"document {document_id!r} is blank; noise needs a document around it")
    lines = split_lines(clean)
    draws = Draws(seed, "inject noise", document_id)
    script, rules = script_of(clean), bank.rules
    placed: list[tuple[int, NoiseBlock]] = []
    if draws.share() >= rules.untouched:
        for place, at in _places(len(lines), rules, draws):
            block = bank.draw(draws, place, split=split, script=script, domain=domain)
            if block is not None:
                placed.append((at, block))
    return _insert(lines, sorted(placed, key=lambda one: one[0]))


@cache
def _script_of_char(char: str) -> str:
    return unicodedata.name(char, "OTHER").split(" ", 1)[0]


def script_of(text: str) -> str:
    """Return the script of most letters of its beginning, as Unicode names it (`LATIN`); `OTHER`: none."""
    letters = Counter(_script_of_char(char) for char in text[:_SCRIPT_CHARS] if char.isalpha())
    return min(letters, key=lambda name: (-letters[name], name)) if letters else "OTHER"


def _places(num_lines: int, rules: NoiseRules, draws: Draws) -> Iterator[tuple[Place, int]]:
    """Yield where blocks go: before line `at`, or after the last line for `num_lines`."""
    if draws.share() < rules.head:
        yield "head", 0
    if draws.share() < rules.tail:
        yield "tail", num_lines
    for _ in range(rules.max_middle if num_lines > 1 else 0):
        if draws.share() < rules.middle:
            yield "middle", 1 + draws.below(num_lines - 1)


def _insert(lines: Sequence[str], placed: Sequence[tuple[int, NoiseBlock]]) -> Noisy:
    noisy: list[str] = []
    ranges: list[tuple[int, int]] = []
    done = 0
    for at, block in placed:
        noisy += lines[done:at]
        done = at
        ranges.append((len(noisy), len(noisy) + len(block.lines) - 1))
        noisy += block.lines
    noisy += lines[done:]
    calls = tuple(RemoveLines(start, end) for start, end in merge_ranges(ranges)) or (KeepAll(),)
    return Noisy(normalize_newlines("\n".join(noisy)), Program(calls), tuple(block for _, block in placed))


def _place(first: int, last: int, content: Sequence[int]) -> Place:
    if last < content[0]:
        return "head"
    return "tail" if first > content[-1] else "middle"
