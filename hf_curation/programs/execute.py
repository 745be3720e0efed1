"""From programs to edits: every call is executed, clamped, or rejected under a reason; nothing else happens.

All calls are located on the original text, so their order does not matter. Whole lines go with their line break;
strings must occur exactly once in their scope (the chunk, or the named line). Where calls meet, removal wins: a string
edit inside a removed line is rejected `overlap`; of two string edits over the same characters the first stands.
Intervals are merged, never enumerated: `remove_lines(0, 2000000)` costs as much as any other call (0.5 s in ProX's
reference). Guards keep the text: of the chunk for a loop or a conflict, of the page if too much would go.
"""

from collections import Counter
from collections.abc import Sequence

from hf_curation.programs.collect import Budget, Collector, Part, RejectedError
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
    programs = (programs,) if isinstance(programs, Program) else programs
    if Stage(stage) is Stage.DOCUMENT:
        return _execute_document(text, programs)
    jobs = [_Job(program) for program in programs]
    fallbacks = _keep_what_guards_keep(text, jobs, limits)
    edits: tuple[Edit, ...] = ()
    result = text
    if any([job.todo for job in jobs]):
        edits = _edit(Page(text), jobs, limits)
        result = replay(text, edits)
        if _removes_too_much(text, result, edits, limits.max_removed_fraction):
            fallbacks.append("removed_too_much")
            for job in jobs:
                job.keep_text("removed_too_much")
            edits, result = (), text
    return EditResult(
        text=result,
        edits=edits,
        rejected=tuple([*_unread(programs), *(rejection for job in jobs for rejection in job.rejected)]),
        fallbacks=tuple(fallbacks),
        num_applied=sum([job.num_applied for job in jobs]),
        num_clamped=sum([job.num_clamped for job in jobs]),
        effective=tuple([job.effective() for job in jobs if job.num_applied]),
    )


class _Job:
    """One program on its way through the executor, and what became of each of its calls."""

    __slots__ = ("calls", "num_clamped", "program", "rejected", "todo")

    def __init__(self, program: Program) -> None:
        self.program = program
        self.calls: list[Call | None] = list(program.calls)
        """Each call as executed; None once it is rejected."""
        self.todo: list[int] = []
        """Indices of the calls that edit."""
        self.rejected: list[Rejection] = []
        self.num_clamped = 0
        for index, call in enumerate(program.calls):
            if not _is_for_document(call):
                if type(call) is not KeepAll:
                    self.todo.append(index)
            else:
                self._reject(index, "wrong_stage")

    @property
    def num_applied(self) -> int:
        return len(self.calls) - self.calls.count(None)

    def keep_text(self, reason: str) -> None:
        """Reject every call that edits."""
        for index in self.todo:
            if self.calls[index] is not None:
                self._reject(index, reason)
        self.todo = []
        self.num_clamped = 0

    def remove(self, collector: Collector, part: Part) -> None:
        """Run the calls that remove lines."""
        for index in self.todo:
            call = self.program.calls[index]
            if isinstance(call, RemoveLines | RemoveAll):
                try:
                    done = collector.remove(call, part)
                except RejectedError as error:
                    self._reject(index, str(error))
                    continue
                if done is not call:
                    self.calls[index] = done
                    self.num_clamped += 1

    def edit_strings(self, collector: Collector, part: Part, budget: Budget) -> None:
        """Run the calls that replace strings or add lines."""
        for index in self.todo:
            call = self.program.calls[index]
            try:
                if isinstance(call, ReplaceString):
                    self.calls[index] = collector.replace(call, part, budget)
                elif isinstance(call, AddLine):
                    collector.add_line(call, part, budget)
            except RejectedError as error:
                self._reject(index, str(error))

    def effective(self) -> Program:
        """Return the program of what was executed."""
        calls = tuple([call for call in self.calls if call is not None])
        if calls == self.program.calls and not self.program.rejected:
            return self.program
        return Program(calls, scope=self.program.scope)

    def _reject(self, index: int, reason: str) -> None:
        self.calls[index] = None
        self.rejected.append(Rejection(shorten(repr(self.program.calls[index])), reason))


def _keep_what_guards_keep(text: str, jobs: Sequence[_Job], limits: Limits) -> list[str]:
    """Reject the editing calls of programs that a guard stops; return the fallbacks."""
    if not text or text.isspace():
        for job in jobs:
            job.keep_text("no_effect")
        return ["empty"]
    fallbacks = []
    for job in jobs:
        reason = _why_kept(job, limits)
        if reason is not None:
            job.keep_text(reason)
            fallbacks.append(reason)
    return fallbacks


def _why_kept(job: _Job, limits: Limits) -> str | None:
    calls = job.program.calls
    if limits.max_errors is not None and len(job.program.rejected) > limits.max_errors:
        return "too_many_errors"
    if len(job.todo) < len(calls) and job.todo and any(type(call) is KeepAll and not call.document for call in calls):
        return "conflict"
    if len(job.todo) > limits.max_identical_calls:
        counts = Counter([calls[index] for index in job.todo])
        if max(counts.values()) > limits.max_identical_calls:
            return "loop"
    return None


def _edit(page: Page, jobs: Sequence[_Job], limits: Limits) -> tuple[Edit, ...]:
    collector = Collector(page)
    active = [(job, collector.part(job.program.scope)) for job in jobs if job.todo]
    for job, part in active:
        job.remove(collector, part)
    collector.close_removals()
    for job, part in active:
        job.edit_strings(collector, part, Budget(limits))
    return page.edits(collector.spans())


def _removes_too_much(text: str, result: str, edits: Sequence[Edit], max_fraction: float) -> bool:
    """Tell whether more than `max_fraction` of the non-space characters of `text` stand where edits are."""
    if max_fraction >= 1 or not edits:
        return False
    # Counting a whole page costs more than all its edits. If a small sample of the result holds more than could ever
    # be asked for, the exact count is not needed.
    enough = (1 - max_fraction) * len(text) + sum([len(edit.replacement) for edit in edits])
    if _num_non_space(result[: int(2 * enough) + 1]) >= enough:
        return False
    removed = sum([_num_non_space(text[edit.start : edit.end]) for edit in edits])
    return removed > max_fraction * _num_non_space(text)


def _num_non_space(text: str) -> int:
    return len("".join(text.split()))


def _unread(programs: Sequence[Program]) -> list[Rejection]:
    return [rejection for program in programs for rejection in program.rejected]


def _is_for_document(call: Call) -> bool:
    return type(call) is DropDocument or (type(call) is KeepAll and call.document)


def _execute_document(text: str, programs: Sequence[Program]) -> EditResult:
    """Execute the document stage: one answer, keep or drop; a contradiction keeps."""
    rejected = _unread(programs)
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
