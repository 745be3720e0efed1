"""From programs to edits: every call is executed, clamped, or rejected under a reason; nothing else happens.

All calls are located on the original text, so their order does not matter. Whole lines go with their line break;
strings must occur exactly once in their scope (the chunk, or the named line). Where calls meet, removal wins: a string
edit inside a removed line is rejected `overlap`; of two string edits over the same characters the first stands.
Intervals are merged, never enumerated: `remove_lines(0, 2000000)` costs as much as any other call (0.5 s in ProX's
reference). Guards keep the text: of the chunk for a loop or a conflict, of the page if too much would go.
"""

from collections.abc import Sequence

from hf_curation.programs.collect import Budget, Collector, Part, RejectedError
from hf_curation.programs.execute_plain import execute_plain
from hf_curation.programs.guards import removes_too_much, why_kept
from hf_curation.programs.limits import DEFAULT_LIMITS, Limits
from hf_curation.programs.model import (
    AddLine,
    Call,
    DropDocument,
    Edit,
    EditResult,
    KeepAll,
    Program,
    Rejection,
    RemoveAll,
    RemoveLines,
    ReplaceString,
    Stage,
)
from hf_curation.programs.read_variants import shorten
from hf_curation.programs.spans import Page, replay


def execute(
    text: str,
    programs: Program | Sequence[Program],
    *,
    limits: Limits = DEFAULT_LIMITS,
    stage: str = Stage.CHUNK,
) -> EditResult:
    """Execute the programs of one document on its text.

    Args:
        text: The document as it came; only edited places change, carriage returns elsewhere stay.
        programs: The parsed answers for the document's windows. Scopes should be disjoint.
        limits: The guards.
        stage: Which pass the programs belong to. Only the document stage may drop a page, and may do nothing else.

    Raises:
        ValueError: if a scope does not fit the text.
    """
    if isinstance(programs, Program):
        programs = (programs,)
    if stage == Stage.CHUNK and len(programs) == 1:
        plain = execute_plain(text, programs[0], limits)
        if plain is not None:
            return plain
    return execute_general(text, programs, limits=limits, stage=stage)


def execute_general(text: str, programs: Sequence[Program], *, limits: Limits, stage: str) -> EditResult:
    """Execute programs the long way, which decides whatever `execute_plain` does not; see `execute`."""
    if stage != Stage.CHUNK:
        Stage(stage)  # a misspelt stage is a ValueError
        return _execute_document(text, programs)
    rejected: list[Rejection] = []
    jobs: list[_Job] = []
    for program in programs:
        rejected += program.rejected
        jobs.append(_Job(program))
    fallbacks = _keep_what_guards_keep(text, jobs, limits)
    edits: tuple[Edit, ...] = ()
    result = text
    busy = [job for job in jobs if job.removals or job.insertions]
    if busy:
        edits = _edit(Page(text), busy, limits)
        result = replay(text, edits)
        if removes_too_much(text, result, edits, limits.max_removed_fraction):
            fallbacks.append("removed_too_much")
            for job in busy:
                job.keep_text("removed_too_much")
            edits, result = (), text
    effective: list[Program] = []
    num_applied = num_clamped = 0
    for job in jobs:
        rejected += job.rejected
        num_clamped += job.num_clamped
        num_applied += job.num_applied
        program = job.effective()
        if program.calls:
            effective.append(program)
    return EditResult(
        result, edits, tuple(rejected), tuple(fallbacks), False, num_applied, num_clamped, tuple(effective)
    )


class _Job:
    """One program on its way through the executor, and what became of each of its calls."""

    __slots__ = ("calls", "insertions", "is_changed", "num_clamped", "program", "rejected", "removals")

    def __init__(self, program: Program) -> None:
        self.program = program
        self.calls: list[Call | None] = list(program.calls)
        """Each call as executed; None once it is rejected."""
        self.removals: list[int] = []
        """Indices of the calls that remove lines."""
        self.insertions: list[int] = []
        """Indices of the calls that replace strings or add lines."""
        self.rejected: list[Rejection] = []
        self.num_clamped = 0
        self.is_changed = bool(program.rejected)
        for index, call in enumerate(program.calls):
            kind = type(call)
            if kind is RemoveLines or kind is RemoveAll:
                self.removals.append(index)
            elif kind is ReplaceString or kind is AddLine:
                self.insertions.append(index)
            elif _is_for_document(call):
                self._reject(index, "wrong_stage")

    @property
    def num_applied(self) -> int:
        """Calls that were executed."""
        return len(self.calls) - self.calls.count(None)

    def keep_text(self, reason: str) -> None:
        """Reject every call that edits."""
        for index in sorted(self.removals + self.insertions):
            if self.calls[index] is not None:
                self._reject(index, reason)
        self.removals, self.insertions = [], []
        self.num_clamped = 0

    def remove(self, collector: Collector, part: Part) -> None:
        """Run the calls that remove lines."""
        calls = self.program.calls
        for index in self.removals:
            call = calls[index]
            assert isinstance(call, RemoveLines | RemoveAll)
            try:
                done = collector.remove(call, part)
            except RejectedError as error:
                self._reject(index, str(error))
            else:
                if done is not call:
                    self.calls[index] = done
                    self.num_clamped += 1
                    self.is_changed = True

    def insert(self, collector: Collector, part: Part, budget: Budget) -> None:
        """Run the calls that replace strings or add lines."""
        calls = self.program.calls
        for index in self.insertions:
            call = calls[index]
            assert isinstance(call, ReplaceString | AddLine)
            try:
                if isinstance(call, ReplaceString):
                    done = collector.replace(call, part, budget)
                    if done is not call:
                        self.calls[index] = done
                        self.is_changed = True
                else:
                    collector.add_line(call, part, budget)
            except RejectedError as error:
                self._reject(index, str(error))

    def effective(self) -> Program:
        """Return the program of what was executed."""
        if not self.is_changed:
            return self.program
        calls = [call for call in self.calls if call is not None]
        if self.num_clamped:  # ranges that differed may be equal now, and must not look like a loop
            ranges = dict.fromkeys(call for call in calls if type(call) is RemoveLines)
            calls = [*ranges, *(call for call in calls if type(call) is not RemoveLines)]
        return Program(tuple(calls), scope=self.program.scope)

    def _reject(self, index: int, reason: str) -> None:
        self.calls[index] = None
        self.is_changed = True
        self.rejected.append(Rejection(shorten(repr(self.program.calls[index])), reason))


def _keep_what_guards_keep(text: str, jobs: Sequence[_Job], limits: Limits) -> list[str]:
    """Reject the editing calls of programs that a guard stops; return the fallbacks."""
    if not text or text.isspace():
        for job in jobs:
            job.keep_text("no_effect")
        return ["empty"]
    fallbacks = []
    for job in jobs:
        reason = why_kept(job.program, limits) if job.removals or job.insertions else None
        if reason is not None:
            job.keep_text(reason)
            fallbacks.append(reason)
    return fallbacks


def _edit(page: Page, jobs: Sequence[_Job], limits: Limits) -> tuple[Edit, ...]:
    """Run both passes over all programs: removals first, so that the order of calls does not matter."""
    collector = Collector(page)
    parts = [collector.part(job.program.scope) for job in jobs]
    for job, part in zip(jobs, parts, strict=True):
        job.remove(collector, part)
    collector.close_removals()
    for job, part in zip(jobs, parts, strict=True):
        if job.insertions:
            job.insert(collector, part, Budget(limits))
    return page.edits(collector.spans())


def _is_for_document(call: Call) -> bool:
    return type(call) is DropDocument or (type(call) is KeepAll and call.document)


def _execute_document(text: str, programs: Sequence[Program]) -> EditResult:
    """Execute the document stage: one answer, keep or drop; a contradiction keeps."""
    rejected = [rejection for program in programs for rejection in program.rejected]
    fallbacks, effective = [], []
    num_applied, is_dropped = 0, False
    for program in programs:
        decisions = [call for call in program.calls if _is_for_document(call)]
        is_conflict = len(set(decisions)) > 1
        for call in program.calls:
            if is_conflict or not _is_for_document(call):
                reason = "conflict" if _is_for_document(call) else "wrong_stage"
                rejected.append(Rejection(shorten(repr(call)), reason))
        if is_conflict:
            fallbacks.append("conflict")
        elif decisions:
            num_applied += len(decisions)
            is_dropped |= type(decisions[0]) is DropDocument
            effective.append(Program(tuple(decisions), scope=program.scope))
    return EditResult(
        text="" if is_dropped else text,
        edits=(Edit(0, len(text)),) if is_dropped and text else (),
        rejected=tuple(rejected),
        fallbacks=tuple(fallbacks),
        dropped=is_dropped,
        num_applied=num_applied,
        effective=tuple(effective),
    )
