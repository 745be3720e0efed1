"""One sampled page as the template shows it: who it is, what was decided, by which program, and the diff."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from hf_curation.evaluation.word_f1 import word_f1
from hf_curation.programs.model import Edit
from hf_curation.programs.reasons import FALLBACKS, REASONS
from hf_curation.reports.custody import PROBLEMS, Replay
from hf_curation.reports.diff import Diff, diff
from hf_curation.reports.folder import Page
from hf_curation.reports.visible import clip, host_of, link_of, markup_bytes

MAX_FIELD = 300
MAX_WORDS = 12
PROGRAM_SHARE: Final = 0.25
"""Share of a page's budget that its programs may take."""
FIXED_BYTES: Final = 6_000
"""Upper bound on a page's head and lists, without diff and programs."""


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
    diff: Diff
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
    """Return what the report shows of `page`, in at most `max_bytes` of HTML."""
    program_bytes = int((max_bytes - FIXED_BYTES) * PROGRAM_SHARE)
    programs = tuple(
        (stage, clip_markup(program, program_bytes // 2))
        for stage, program in (("document", page.doc_program), ("chunk", page.chunk_program))
        if program.strip()
    )
    used = sum(markup_bytes(program) for _, program in programs)
    has_diff = page.original is not None and not replay.is_chained
    source = page.original if has_diff and page.original is not None else page.text
    edits = (Edit(0, len(source)),) if page.status == "dropped" else replay.edits if has_diff else ()
    facts = (("type", page.kind), ("language", page.language), ("title", page.title))
    return PageView(
        id=clip(page.id, MAX_FIELD),
        status=page.status,
        url=clip(page.url or "", MAX_FIELD),
        address=_address(page),
        link=link_of(page.url),
        facts=tuple((name, clip(value, MAX_FIELD // 2)) for name, value in facts if value),
        programs=programs,
        rejected=_words(page.rejected, REASONS),
        fallbacks=_words(page.fallbacks, FALLBACKS),
        drop_reason=clip(page.drop_reason, MAX_FIELD // 4) if page.drop_reason else None,
        diff=diff(source, edits, max_bytes=max_bytes - FIXED_BYTES - used, first_number=replay.first_number),
        has_original=page.original is not None,
        is_chained=replay.is_chained,
        problem=PROBLEMS[replay.problem] if replay.problem else None,
        checked=replay.checked,
        chars_before=None if page.original is None else len(page.original),
        chars_after=len(page.result),
        f1=_scores(page),
    )


def clip_markup(text: str, max_bytes: int) -> str:
    """Return `text`, or as much of it as fits into `max_bytes` of HTML and how much more there is."""
    length = len(text)
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
        return "", "", clip(page.url or page.id, MAX_FIELD)
    start, found, end = page.url.partition("://")[2].partition(host)
    # "EXAMPLE.org" is found as "" here: then the address stands as it came.
    return (start, found, clip(end, MAX_FIELD)) if found else ("", "", clip(page.url, MAX_FIELD))


def _words(words: tuple[str, ...], meanings: dict[str, str]) -> tuple[Word, ...]:
    common = Counter(words).most_common(MAX_WORDS)
    listed = [Word(clip(word, MAX_FIELD // 4), meanings.get(word, ""), count) for word, count in common]
    rest = len(words) - sum(word.count for word in listed)
    return (*listed, Word("other", "reasons past the first dozen", rest)) if rest else tuple(listed)
