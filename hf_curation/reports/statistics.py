"""What a refining run did, in numbers: one pass over its pages, and memory that does not grow with them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hf_curation.evaluation.word_f1 import word_f1
from hf_curation.programs.model import Edit
from hf_curation.reports.custody import Replay
from hf_curation.reports.folder import Page
from hf_curation.reports.tally import Histogram, Mean, TopTally, count_words, length_edges, share_edges
from hf_curation.reports.visible import host_of

OUTCOMES = ("kept", "edited", "fallback", "dropped", "quarantined")
"""In this order everywhere: charts, legend, filters."""
TOP_HOSTS = 15
MAX_KINDS = 12
MAX_PROBLEM_IDS = 20
NO_HOST = "no http(s) address"


@dataclass(slots=True)
class KindStatistics:
    """Sums over the pages of one type (`page_type`)."""

    pages: int = 0
    chars_before: int = 0
    chars_after: int = 0
    f1_before: Mean = field(default_factory=Mean)
    f1_after: Mean = field(default_factory=Mean)


@dataclass(slots=True)
class RunStatistics:
    """Everything that the charts show; `as_dict` is the same for machines.

    Characters are counted over the pages whose original text is known (`measured`). A dropped page counts with all its
    characters removed, so that before - after is what the run took out.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    measured: int = 0
    chars_before: int = 0
    chars_after: int = 0
    chars_by_operation: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    fallbacks: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    """Reasons of dropped pages."""
    quarantined: Counter[str] = field(default_factory=Counter)
    share_removed: Histogram = field(default_factory=lambda: Histogram(share_edges()))
    untouched: int = 0
    """Measured pages that lost nothing; they are not in `share_removed`."""
    length_before: Histogram = field(default_factory=lambda: Histogram(length_edges()))
    length_after: Histogram = field(default_factory=lambda: Histogram(length_edges()))
    hosts: TopTally = field(default_factory=TopTally)
    kinds: dict[str, KindStatistics] = field(default_factory=dict)
    f1_before: Mean = field(default_factory=Mean)
    f1_after: Mean = field(default_factory=Mean)
    replayed: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    problem_ids: list[str] = field(default_factory=list)

    @property
    def num_documents(self) -> int:
        """Every document that the run took in, wherever it went."""
        return sum(self.outcomes.values())

    @property
    def is_measured(self) -> bool:
        """Whether the original text of every page is known; of edited pages it takes `--keep-original`."""
        return self.measured == self.num_documents - self.outcomes["quarantined"]

    @property
    def has_lengths(self) -> bool:
        """Whether enough original texts are known for charts of what went: those of some edited pages."""
        return self.measured > 0 and (self.share_removed.total > 0 or not self.outcomes["edited"])

    @property
    def compares_f1(self) -> bool:
        """Whether word F1 before and after are means over the same pages."""
        return 0 < self.f1_before.count == self.f1_after.count

    @property
    def share_of_chars_removed(self) -> float | None:
        """Characters removed / characters before; None where some pages could not be measured."""
        return 1 - self.chars_after / self.chars_before if self.chars_before and self.is_measured else None

    def add(self, page: Page, replay: Replay) -> None:
        """Count one page."""
        self.outcomes[page.status] += 1
        count_words(self.rejected, page.rejected)
        count_words(self.fallbacks, page.fallbacks)
        if page.status == "dropped":
            count_words(self.dropped, [page.drop_reason or "no_reason_given"])
        self.operations.update(replay.operations)
        self._add_custody(page, replay)
        kind = self.kinds.setdefault(self._kind_key(page.kind), KindStatistics()) if page.kind else None
        if kind is not None:
            kind.pages += 1
        if page.original is not None:
            self._add_lengths(page, page.original, kind)
            self.chars_by_operation.update(_chars_by_operation(page, page.original, replay.edits))
        if page.gold_text is not None:
            self._add_f1(page, page.gold_text, kind)

    def add_quarantined(self, reasons: Mapping[str, int]) -> None:
        """Count the documents that could not be read or refined."""
        for reason, count in reasons.items():
            count_words(self.quarantined, [reason], count)
        self.outcomes["quarantined"] += sum(reasons.values())

    def as_dict(self) -> dict[str, Any]:
        """Return the statistics as JSON-ready values; the keys are part of the command's interface."""
        top, others, num_others = self.hosts.top(TOP_HOSTS)
        return {
            "documents": self.num_documents,
            "outcomes": {name: self.outcomes[name] for name in OUTCOMES},
            "measured_documents": self.measured,
            "chars_before": self.chars_before,
            "chars_after": self.chars_after,
            "share_of_chars_removed": self.share_of_chars_removed,
            "chars_removed_by_operation": dict(self.chars_by_operation.most_common()),
            "operations": dict(self.operations.most_common()),
            "rejected": dict(self.rejected.most_common()),
            "fallbacks": dict(self.fallbacks.most_common()),
            "dropped": dict(self.dropped.most_common()),
            "quarantined": dict(self.quarantined.most_common()),
            "untouched_documents": self.untouched,
            "share_removed": list(self.share_removed.bins()),
            "length_before": [entry for entry in self.length_before.bins() if entry[2]],
            "length_after": [entry for entry in self.length_after.bins() if entry[2]],
            "hosts": [_host_dict(host, *entry) for host, entry in top],
            "other_hosts": {**_host_dict("", *others), "hosts": num_others, "exact": self.hosts.is_exact},
            "page_types": {name: _kind_dict(kind) for name, kind in sorted(self.kinds.items())},
            "word_f1": {
                "pages": self.f1_after.count,
                "before": self.f1_before.value if self.compares_f1 else None,
                "after": self.f1_after.value,
            },
            "replayed": self.replayed,
            "replay_problems": dict(self.problems.most_common()),
            "replay_problem_ids": self.problem_ids,
        }

    def _add_custody(self, page: Page, replay: Replay) -> None:
        self.replayed += replay.checked
        if replay.problem:
            self.problems[replay.problem] += 1
            if len(self.problem_ids) < MAX_PROBLEM_IDS:
                self.problem_ids.append(page.id)

    def _kind_key(self, kind: str) -> str:
        return kind if kind in self.kinds or len(self.kinds) < MAX_KINDS else "other types"

    def _add_lengths(self, page: Page, original: str, kind: KindStatistics | None) -> None:
        before, after = len(original), len(page.result)
        self.measured += 1
        self.chars_before += before
        self.chars_after += after
        self.hosts.add(host_of(page.url) or NO_HOST, before - after, before)
        self.length_before.add(before)
        if page.status != "dropped":
            self.length_after.add(after)
        if page.status == "edited":
            self.share_removed.add(1 - after / before if before else 0.0)
        elif page.status != "dropped":
            self.untouched += 1
        if kind is not None:
            kind.chars_before += before
            kind.chars_after += after

    def _add_f1(self, page: Page, gold: str, kind: KindStatistics | None) -> None:
        after = word_f1(page.result, gold)
        before = None if page.original is None else word_f1(page.original, gold)
        for target in (self, kind) if kind is not None else (self,):
            target.f1_after.add(after)
            if before is not None:
                target.f1_before.add(before)


def _chars_by_operation(page: Page, original: str, edits: Sequence[Edit]) -> Counter[str]:
    """Return the characters removed by whole lines, by string edits, and with dropped pages."""
    if page.status == "dropped":
        return Counter({"pages dropped": len(original)})
    removed: Counter[str] = Counter()
    for edit in edits:
        if edit.start == edit.end:
            continue
        starts_line = edit.start == 0 or original[edit.start - 1] in "\r\n" or original[edit.start] in "\r\n"
        ends_line = edit.end == len(original) or original[edit.end] in "\r\n" or original[edit.end - 1] in "\r\n"
        is_lines = not edit.replacement and starts_line and ends_line
        removed["lines removed" if is_lines else "strings replaced"] += edit.end - edit.start
    return removed


def _host_dict(host: str, removed: int, before: int, pages: int) -> dict[str, Any]:
    counts = {"pages": pages, "chars_before": before, "chars_removed": removed}
    return {"host": host, **counts} if host else counts


def _kind_dict(kind: KindStatistics) -> dict[str, Any]:
    return {
        "pages": kind.pages,
        "chars_before": kind.chars_before,
        "chars_after": kind.chars_after,
        "word_f1": {"pages": kind.f1_after.count, "before": kind.f1_before.value, "after": kind.f1_after.value},
    }
