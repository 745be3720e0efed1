"""Which labelled windows become examples: everything is printed, parsed, executed and replayed before it is believed.

Whoever made a label, a program that the student cannot have learnt from is worse than none: one that does not parse
back, that the executor rejects in part, that the guards would stop, or that is longer than the student may write. What
is left out is counted under a reason, and the counts must add up.
"""

from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from hf_curation.files.accounts import ConservationError
from hf_curation.programs.execute import execute
from hf_curation.programs.limits import Limits
from hf_curation.programs.model import Dialect, Program, Stage
from hf_curation.programs.parse import parse_program
from hf_curation.programs.printing import print_program
from hf_curation.programs.spans import replay
from hf_curation.refiners.prompts import Preset
from hf_curation.refiners.training.examples import Example, make_example
from hf_curation.refiners.training.labels import Labelled
from hf_curation.refiners.training.splits import SPLITS, Draws, SplitRule
from hf_curation.refiners.windows import CountTokens

EXCLUSIONS: Final[dict[str, str]] = {
    # A page gives no label of one origin.
    "empty_page": "the page is empty or blank",
    "no_clean_text": "nobody has said what the clean text of the page is",
    "nothing_to_keep": "the clean text is empty: no example for the chunk stage, which may not drop a page",
    "undecided": "too short to say whether the page is worth keeping",
    "low_agreement": "no program was found that comes near the clean text, or the teacher's copy",
    # A window gives no example.
    "not_parsed": "the printed program does not parse back to itself",
    "not_executed": "the executor rejects a call, or a guard other than the next keeps the text",
    "removed_too_much": "the programs of the page remove more than the allowed share of it",
    "not_replayed": "the programs of the windows together do not give the expected text",
    "program_too_long": "the program is longer than the student may write",
    "blank_window": "nothing is to be seen in the window",
    "duplicate": "an equal window of the same stage is an example already",
    "surplus_keep": "one of too many examples that change nothing",
    # A teacher's answer is no label.
    "teacher_failed": "no answer after all retries",
    "teacher_cut": "the answer was cut at the token limit",
    "teacher_unreadable": "no score, no call or no copy could be read from the answer",
    "teacher_off_task": "a call that the question did not ask for",
    "teacher_not_executed": "a call that does not fit the window",
    "teacher_removed_too_much": "one answer removes more than the allowed share of the window",
    "inserted_too_much": "the copy holds text that the window does not",
}
"""Reason -> what it means. Reports are keyed by these words: add to them, never rename."""


@dataclass(slots=True)
class SetAccount:
    """Where every page and every window went."""

    pages: int = 0
    labellings: Counter[str] = field(default_factory=Counter)
    """Pages that were tried, by kind of label (`pair`, `noise`, `documents`, `teacher_...`)."""
    labelled: Counter[str] = field(default_factory=Counter)
    """Those of them that gave windows."""
    pages_excluded: dict[str, Counter[str]] = field(default_factory=dict)
    """Kind of label -> reason -> pages."""
    windows: int = 0
    """Windows of labelled pages."""
    windows_excluded: Counter[str] = field(default_factory=Counter)
    examples: int = 0

    def exclude_page(self, kind: str, reason: str) -> None:
        """Count a page that gave no label."""
        assert reason in EXCLUSIONS, reason
        self.pages_excluded.setdefault(kind, Counter())[reason] += 1

    def exclude_window(self, reason: str, number: int = 1) -> None:
        """Count windows that become no example."""
        assert reason in EXCLUSIONS, reason
        self.windows_excluded[reason] += number

    def check(self) -> None:
        """Check that nothing vanished.

        Raises:
            ConservationError: if pages or windows are unaccounted for.
        """
        for kind, tried in self.labellings.items():
            if tried != self.labelled[kind] + self.pages_excluded.get(kind, Counter()).total():
                raise ConservationError(f"{kind}: {tried} pages tried, {self.labelled[kind]} labelled, others lost")
        if self.windows != self.examples + self.windows_excluded.total():
            raise ConservationError(f"{self.windows} windows, {self.examples} examples, others lost")


class GatedSet:
    """Examples that have passed, and an account of those that have not."""

    def __init__(self, *, split: SplitRule, limits: Limits, count: CountTokens, seed: int = 0) -> None:
        self.account = SetAccount()
        self._examples: list[Example] = []
        self._seen: set[bytes] = set()
        self._split, self._limits, self._count, self._seed = split, limits, count, seed

    def add(self, kind: str, outcome: Labelled | str, preset: Preset, *, max_program_tokens: int) -> None:
        """Take what came of one page, with the prompt format that the examples are for."""
        account = self.account
        account.labellings[kind] += 1
        if isinstance(outcome, str):
            account.exclude_page(kind, outcome)
            return
        account.labelled[kind] += 1
        account.windows += len(outcome.windows)
        programs = [_parse_back(program, preset.dialect) for program in outcome.programs]
        reason = why_wrong(outcome, programs, preset.stage, self._limits)
        split = self._split.split_of(outcome.page.domain)
        for number, (window, program) in enumerate(zip(outcome.windows, programs, strict=True)):
            if isinstance(program, str) or reason is not None:
                account.exclude_window(program if isinstance(program, str) else str(reason))
                continue
            example = make_example(
                outcome.page, window, program, preset=preset, origin=outcome.origin, split=split, number=number
            )
            why = self._why_left_out(example, max_program_tokens)
            if why is None:
                self._examples.append(example)
            else:
                account.exclude_window(why)

    def finish(self, *, max_keep_share: float) -> list[Example]:
        """Balance the training examples and return all, sorted by split, stage and a hash of the id.

        Sorting by hash mixes pages and origins, and makes the files independent of the order of reading.

        Raises:
            ConservationError: if pages or windows are unaccounted for.
        """
        chosen = [e for e in self._examples if e.split != "train"]
        training = [e for e in self._examples if e.split == "train"]
        for stage in Stage:
            of_stage = [e for e in training if e.stage == stage]
            kept = [e for e in of_stage if e.kind == "keep"]
            room = int((len(of_stage) - len(kept)) * max_keep_share / (1 - max_keep_share))
            kept.sort(key=self._rank)
            if len(kept) > room:
                self.account.exclude_window("surplus_keep", len(kept) - room)
            chosen += kept[:room] + [e for e in of_stage if e.kind != "keep"]
        chosen.sort(key=lambda e: (SPLITS.index(e.split), e.stage, *self._rank(e)))
        self.account.examples = len(chosen)
        self.account.check()
        return chosen

    def _rank(self, example: Example) -> tuple[float, str]:
        return Draws(self._seed, "order", example.id).share(), example.id

    def _why_left_out(self, example: Example, max_program_tokens: int) -> str | None:
        if not example.window_text.strip():
            return "blank_window"
        if self._count([example.program])[0] > max_program_tokens:
            return "program_too_long"
        # Line numbers are part of the prompt, and would tell equal windows of two pages apart.
        digest = sha256(f"{example.stage}\0{example.window_text}".encode("utf-8", "surrogatepass")).digest()[:16]
        if digest in self._seen:
            return "duplicate"
        self._seen.add(digest)
        return None


def why_wrong(labelled: Labelled, programs: list[Program | str], stage: Stage, limits: Limits) -> str | None:
    """Run the programs of a page together as the student's will be; return why they are wrong, or None."""
    usable = [program for program in programs if isinstance(program, Program)]
    result = execute(labelled.text, usable, limits=limits, stage=stage)
    if "removed_too_much" in result.fallbacks:
        return "removed_too_much"
    if result.fallbacks or result.rejected:
        return "not_executed"
    if replay(labelled.text, result.edits) != result.text:
        return "not_replayed"
    is_whole = len(usable) == len(programs) and labelled.expected is not None
    return "not_replayed" if is_whole and result.text != labelled.expected else None


def _parse_back(program: Program | str, dialect: Dialect) -> Program | str:
    """Return the program as it parses from its own print, or why it does not."""
    if isinstance(program, str):
        return program
    try:
        printed = print_program(program, dialect)
    except ValueError:  # the dialect has no such call, or cannot spell its string
        return "not_parsed"
    parsed = parse_program(printed, dialect, scope=program.scope)
    return parsed if parsed.calls == program.calls and not parsed.rejected else "not_parsed"
