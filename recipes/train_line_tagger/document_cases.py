"""The texts from which the document head learns: real pages with and without their content, and the set in junk/.

Each text has a `kind`. Of a page with gold text come the page itself, its gold text (`clean`), the gold text's first
lines (`note`) and other lines of it (`crop`), a crop between the page's menus (`framed_note`), and the page without
its content (`emptied`). The hand-written pages come whole, in part, and between the menus of a page.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from junk import read_junk
from pages import Page, fold_of

from hf_curation.programs.lines import split_lines
from hf_curation.refiners.tagger.document import Evidence, page_evidence
from hf_curation.refiners.tagger.features import page_features
from hf_curation.refiners.tagger.network import Network, sigmoid

WEIGHTS: Final = {
    "page": 3.0, "clean": 1.5, "note": 1.5, "crop": 1.5, "framed_note": 0.5,
    "keep_set": 2.0, "keep_set_part": 1.5, "keep_set_framed": 0.5,
    "junk_set": 4.0, "junk_set_part": 2.0, "junk_set_framed": 0.5,
    "emptied": 0.3, "no_gold": 0.1, "shuffled": 0.5, "absent": 0.0,
}  # fmt: skip
"""Kind -> weight of all its texts together. `absent` is a page whose text does not hold its gold text."""
JUNK_KINDS: Final = ("junk_set", "junk_set_part", "junk_set_framed", "emptied", "no_gold", "shuffled")
_MIN_CHARS: Final = 16
_LEFTOVER_SHARE: Final = 0.3


@dataclass(frozen=True, slots=True)
class Text:
    """A text to judge."""

    kind: str
    text: str
    fold: int
    """The fold of the page that it comes from; -1 for the hand-written set."""
    language: str = ""
    topic: str = ""
    """The kind of page in the hand-written set."""


@dataclass(frozen=True, slots=True)
class Case:
    """A text as the head sees it."""

    source: Text
    evidence: Evidence

    @property
    def is_junk(self) -> bool:
        """Whether it should be dropped."""
        return self.source.kind in JUNK_KINDS


def all_texts(pages: Sequence[Page], num_folds: int, seed: int = 0) -> list[Text]:
    """Return the texts of all pages and of the hand-written set; a function of its arguments."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    texts = [text for page in pages for text in _of_page(page, fold_of(page, num_folds), rng)]
    frames = [(text.fold, text.text.split("\n")) for text in texts if text.kind == "emptied"]
    for body, is_junk, language, topic in read_junk():
        kind = "junk_set" if is_junk else "keep_set"
        texts.append(Text(kind, body, -1, language, topic))
        lines = [line for line in body.split("\n") if line.strip()]
        if len(lines) > 3:
            part = "\n".join(line for line in lines if rng.random() < 0.6)
            texts.append(Text(kind + "_part", part, -1, language, topic))
        _, frame = rng.choice(frames)
        texts.append(Text(kind + "_framed", _framed(frame, lines, rng), -1, language, topic))
    return [text for text in texts if len(text.text) >= _MIN_CHARS or text.kind.endswith("_set")]


def describe(texts: Sequence[Text], networks: Sequence[Network], shipped: Network) -> list[Case]:
    """Return the cases of all texts that have a line with text, each read by a network that did not learn from it."""
    cases = []
    for text in texts:
        lines = split_lines(text.text)
        page = page_features(lines)
        if len(page.rows):
            network = shipped if text.fold < 0 or not networks else networks[text.fold]
            cases.append(Case(text, page_evidence(lines, page, sigmoid(network.logits(page)))))
    return cases


def _of_page(page: Page, fold: int, rng: random.Random) -> Iterator[Text]:
    if not page.gold.strip():
        yield Text("no_gold", page.text, fold)
        return
    gold = [line for line in split_lines(page.gold) if line.strip()]
    start = rng.randrange(len(gold))
    crop = gold[start : start + rng.choice((1, 1, 2, 3, 5))]
    yield Text("page" if _holds_gold(page) else "absent", page.text, fold)
    yield Text("clean", page.gold, fold)
    yield Text("note", "\n".join(gold[:2]), fold)
    yield Text("crop", "\n".join(crop), fold)
    rest = [line for line, share in zip(page.lines, page.shares_N, strict=True) if share < _LEFTOVER_SHARE]
    rest = [line for line in rest if line.strip()]
    if rest:
        yield Text("emptied", "\n".join(rest), fold)
        if rng.random() < 0.3 and len(" ".join(crop).split()) > 12:
            yield Text("framed_note", _framed(rest, crop, rng), fold)
    words = page.gold.split()[:400]
    if rng.random() < 0.25 and len(words) > 20:
        yield Text("shuffled", _shuffled(words, rng), fold)


def _holds_gold(page: Page) -> bool:
    """Whether the text holds a fifth of its gold text's first 200 words: some pages are drawn by scripts."""
    found = float((page.shares_N[page.features.rows] * page.features.num_words).sum())
    return found >= max(0.2 * min(len(page.gold.split()), 200), 8)


def _framed(frame: Sequence[str], body: Sequence[str], rng: random.Random) -> str:
    before = rng.randrange(min(len(frame), 20) + 1)
    after = rng.randrange(min(len(frame) - before, 15) + 1)
    return "\n".join([*frame[:before], *body, *frame[len(frame) - after :]])


def _shuffled(words: list[str], rng: random.Random) -> str:
    rng.shuffle(words)
    words, width = words[: rng.randint(30, 200)], rng.choice((8, 12, 40, 200))
    return "\n".join(" ".join(words[k : k + width]) for k in range(0, len(words), width))
