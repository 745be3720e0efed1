"""One sampled page as the template shows it: who it is, what was decided, by which program, and the diff."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

from hf_curation.evaluation.word_f1 import word_f1
from hf_curation.programs.model import Edit
from hf_curation.programs.reasons import FALLBACKS, REASONS
from hf_curation.reports.custody import PROBLEMS, Replay
from hf_curation.reports.diff import Diff, diff
from hf_curation.reports.folder import Page
from hf_curation.reports.visible import clip, host_of, link_of, markup_bytes

FIELD_BYTES: Final = 600
"""HTML of one field: address, id, title, ..."""
WORD_BYTES: Final = 120
MAX_WORDS: Final = 12
PROGRAM_SHARE: Final = 0.2
"""Share of a page's budget that each of its programs may take."""
HEAD_BYTES: Final = 3_500
"""Upper bound on a page's markup around its fields, without the diff."""

_NO_DIFF: Final = Diff(())


@dataclass(frozen=True, slots=True)
class Word:
    """A reason, what it means and how often it occurred."""

    word: str
    meaning: str
    count: int


@dataclass(frozen=True, slots=True)
class PageView:
    """Everything that the report says about one page; every string is clipped, none is escaped yet."""

    id: str
    status: str
    url: str
    address: tuple[str, str, str]
    """What names the page in the list: (before the host, the host, after it), without `https://`."""
    link: str | None
    facts: tuple[tuple[str, str], ...]
    """(name, value) of language, type, title, where the run knows them."""
    programs: tuple[tuple[str, str], ...]
    """(stage, program in custody form)."""
    rejected: tuple[Word, ...]
    fallbacks: tuple[Word, ...]
    drop_reason: str | None
    has_original: bool
    is_chained: bool
    """The page went through a stage more than once, so that its edits are not spans of one original."""
    problem: str | None
    """What replay found wrong with it; None if nothing."""
    checked: bool
    chars_before: int | None
    chars_after: int
    f1: tuple[float, float] | None = None
    """Word F1 before and after; None without gold text or without the original."""
    diff: Diff = _NO_DIFF

    @property
    def share_removed(self) -> float | None:
        """Share of the page's characters that went; None where the original is not known."""
        return 1 - self.chars_after / self.chars_before if self.chars_before else None

    @property
    def cut(self) -> str:
        """The share removed as the list shows it; a page may also have grown."""
        share = self.share_removed or 0.0
        if 0 < abs(share) < 0.005:
            return f"{'−' if share > 0 else '+'}<1 %"
        return f"{'−' if share > 0 else '+' if share < 0 else ''}{abs(share):.0%}".replace("%", " %")


def view_page(page: Page, replay: Replay, *, max_bytes: int) -> PageView:
    """Return what the report shows of `page`, in about `max_bytes` of HTML."""
    facts = (("type", page.kind), ("language", page.language), ("title", page.title))
    programs = (("document", page.doc_program), ("chunk", page.chunk_program))
    program_bytes = int(max_bytes * PROGRAM_SHARE)
    view = PageView(
        id=_field(page.id),
        status=page.status,
        url=_field(page.url or ""),
        address=_address(page),
        link=link_of(page.url),
        facts=tuple((name, _field(value)) for name, value in facts if value),
        programs=tuple((stage, clip_markup(text, program_bytes)) for stage, text in programs if text.strip()),
        rejected=_words(page.rejected, REASONS),
        fallbacks=_words(page.fallbacks, FALLBACKS),
        drop_reason=_field(page.drop_reason) if page.drop_reason else None,
        has_original=page.original is not None,
        is_chained=replay.is_chained,
        problem=PROBLEMS[replay.problem] if replay.problem else None,
        checked=replay.checked,
        chars_before=None if page.original is None else len(page.original),
        chars_after=len(page.result),
        f1=_scores(page),
    )
    return replace(view, diff=_diff(page, replay, max_bytes - _head_bytes(view)))


def _diff(page: Page, replay: Replay, max_bytes: int) -> Diff:
    source = page.text if page.original is None or replay.is_chained else page.original
    edits = (Edit(0, len(source)),) if page.status == "dropped" else replay.edits
    return diff(source, edits, max_bytes=max_bytes, first_number=replay.first_number)


def _head_bytes(view: PageView) -> int:
    words = [part for word in (*view.rejected, *view.fallbacks) for part in (word.word, word.meaning, " " * 80)]
    fields = [value for pair in (*view.facts, *view.programs) for value in pair]
    shown = [view.id, view.url, *view.address, view.link or "", *fields, *words]
    return HEAD_BYTES + sum(map(markup_bytes, shown))


def _field(text: str) -> str:
    return clip_markup(text, FIELD_BYTES)


def clip_markup(text: str, max_bytes: int) -> str:
    """Return `text`, or as much of it as fits into `max_bytes` of HTML and how much more there is."""
    length = min(len(text), max_bytes)
    while length and (size := markup_bytes(text[:length])) > max_bytes:
        length = min(length - 1, length * max_bytes // size)
    return clip(text, length)


def _scores(page: Page) -> tuple[float, float] | None:
    if page.gold_text is None or page.original is None:
        return None
    return word_f1(page.original, page.gold_text), word_f1(page.result, page.gold_text)


def _address(page: Page) -> tuple[str, str, str]:
    host = host_of(page.url)
    if page.url is None or host is None:
        return "", "", _field(page.url or page.id)
    start, found, end = page.url.partition("://")[2].partition(host)
    # A host in capitals is not found by its canonical form: such an address stands as it came.
    return (_field(start), found, _field(end)) if found else ("", "", _field(page.url))


def _words(words: tuple[str, ...], meanings: dict[str, str]) -> tuple[Word, ...]:
    common = Counter(words).most_common(MAX_WORDS)
    listed = [Word(clip_markup(word, WORD_BYTES), meanings.get(word, ""), count) for word, count in common]
    rest = len(words) - sum(word.count for word in listed)
    return (*listed, Word("other", "reasons past the first dozen", rest)) if rest else tuple(listed)
