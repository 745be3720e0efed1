"""From pages to a training set: every source of labels in turn, all through the same gates.

Pages are held in memory: refiners are trained on some fifty thousand of them (ProX: 51K documents, 57K chunks), a
gigabyte or so. Deriving programs is the slow part (40 ms a page of WCXB) and runs in worker processes. Of two equal
windows the first stands: one from a pair before one with noise, before a teacher's.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from hf_curation.evaluation.gold_pages import GoldPage
from hf_curation.programs.limits import Limits
from hf_curation.programs.lines import normalize_newlines
from hf_curation.programs.model import Dialect, Program
from hf_curation.refiners.base import Stage, Window
from hf_curation.refiners.prompts import Preset, load_system_text
from hf_curation.refiners.server import ServerPolicy
from hf_curation.refiners.server.form import RequestForm
from hf_curation.refiners.server.tokens import token_counter
from hf_curation.refiners.training.asked import ask_programs, task_presets
from hf_curation.refiners.training.examples import Example
from hf_curation.refiners.training.gates import GatedSet, SetAccount
from hf_curation.refiners.training.labels import Labelled, PairLabeller, label_document, label_noisy
from hf_curation.refiners.training.noise import NoiseBank
from hf_curation.refiners.training.rewrite import read_rewrite, rewrite_preset
from hf_curation.refiners.training.scores import judge_windows, score_presets
from hf_curation.refiners.training.settings import Student, TrainingDataConfig
from hf_curation.refiners.training.teacher import Teacher, TeacherCost

_PAGES_A_ROUND: Final = 256
"""Pages whose windows a teacher is asked about together."""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Examples of all splits, and how they came about."""

    examples: list[Example]
    account: SetAccount
    cost: TeacherCost | None = None


def make_training_set(
    pages: Iterable[GoldPage], config: TrainingDataConfig, *, answers: Path | None = None
) -> TrainingSet:
    """Label pages by every source that the configuration names, and return what passes the gates.

    Args:
        pages: With clean text, or without where only a teacher labels them.
        config: All settings.
        answers: The teacher's cache, where the configuration names none.

    Raises:
        ValueError: for settings that do not fit together.
        ServerFailure: if the teacher cannot go on; the same call resumes from the cache.
    """
    chosen = sorted(pages, key=lambda page: page.id)  # which of two equal windows stays must not depend on the order
    for one, other in pairwise(chosen):
        if one.id == other.id:
            raise ValueError(f"two pages have the id {one.id!r}; name the column of ids that differ with --id-key")
    return _Maker(chosen, config).make(config.teacher.cache or answers)


class _Maker:
    def __init__(self, pages: Sequence[GoldPage], config: TrainingDataConfig) -> None:
        student = config.student
        self.pages, self.config = pages, config
        count = token_counter(student.tokenizer)
        self.form = _form(student.preset, Stage.CHUNK, student)
        self.doc_form = _form(student.document_preset, Stage.DOCUMENT, student) if student.document_preset else None
        _check_labels(config, self.form, self.doc_form)
        self.limits = Limits(max_removed_fraction=config.gates.max_removed_fraction)
        self.gated = GatedSet(split=config.split, limits=self.limits, count=count, seed=config.seed)
        self.gated.account.pages = len(pages)

    def make(self, answers: Path | None) -> TrainingSet:
        config, labels = self.config, self.config.teacher.labels
        if config.pairs.enabled:
            self._derive()
        if config.noise.enabled:
            self._inject()
        if self.doc_form and "scores" not in labels and config.pairs.enabled:
            least = config.gates.min_document_words
            for page in self.pages:
                self._add("documents", label_document(page, self.doc_form, min_words=least), self.doc_form)
        cost = self._ask(answers) if labels else None
        examples = self.gated.finish(max_keep_share=config.gates.max_keep_share)
        return TrainingSet(examples, self.gated.account, cost)

    def _add(self, kind: str, outcome: Labelled | str, form: RequestForm) -> None:
        longest = self.config.student.max_program_tokens if form.stage is Stage.CHUNK else None
        self.gated.add(kind, outcome, form.preset, max_program_tokens=longest or form.preset.max_new_tokens)

    def _derive(self) -> None:
        config = self.config
        labeller = PairLabeller(
            form=self.form, rules=config.derive, limits=self.limits, min_word_f1=config.pairs.min_word_f1
        )
        for outcome in _map(labeller, self.pages, config.workers):
            self._add("pair", outcome, self.form)

    def _inject(self) -> None:
        config = self.config
        bank = NoiseBank(config.noise, seed=config.seed)
        for page in self.pages:
            if page.clean and page.clean.strip():
                split = config.split.split_of(page.domain)
                bank.add_page(page.id, page.raw, page.clean, domain=page.domain, split=split)
        bank.close()
        for page in self.pages:
            split = config.split.split_of(page.domain)
            self._add("noise", label_noisy(page, self.form, bank, split=split, seed=config.seed), self.form)

    def _ask(self, answers: Path | None) -> TeacherCost:
        settings = self.config.teacher
        assert settings.base_url is not None, "checked by the settings"
        assert settings.model is not None, "checked by the settings"
        policy = ServerPolicy(max_concurrency=settings.max_concurrency, timeout_s=settings.timeout_s)
        with Teacher(
            settings.base_url,
            settings.model,
            cache=answers,
            policy=policy,
            api_key_env=settings.api_key_env,
            extra_body=settings.extra_body,
        ) as teacher:
            usable = [page for page in self.pages if page.raw.strip()]
            for label in settings.labels:
                form = self.doc_form if label == "scores" else self.form
                assert form is not None, "checked at the start"
                for _ in range(len(self.pages) - len(usable)):
                    self._add(f"teacher_{label}", "empty_page", form)
                for start in range(0, len(usable), _PAGES_A_ROUND):
                    for outcome in self._ask_about(teacher, label, usable[start : start + _PAGES_A_ROUND], form):
                        self._add(f"teacher_{label}", outcome, form)
            return teacher.cost

    def _ask_about(
        self, teacher: Teacher, label: str, pages: Sequence[GoldPage], form: RequestForm
    ) -> Iterator[Labelled]:
        """Ask about all windows of some pages at once, and deal the labels out again."""
        texts = [normalize_newlines(page.raw) for page in pages]
        windows = [form.windows(text) for text in texts]
        flat = [(text, window) for text, of_text in zip(texts, windows, strict=True) for window in of_text]
        programs = iter(self._ask_flat(teacher, label, flat, form.preset))
        for page, text, of_text in zip(pages, texts, windows, strict=True):
            yield Labelled(page, f"teacher_{label}", text, of_text, [next(programs) for _ in of_text])

    def _ask_flat(
        self, teacher: Teacher, label: str, flat: Sequence[tuple[str, Window]], preset: Preset
    ) -> list[Program | str]:
        config, folder, size = self.config, self.config.teacher.prompts, preset.window_tokens
        windows = [window for _, window in flat]
        if label == "scores":
            return judge_windows(teacher, windows, score_presets(size, folder), config.scores)
        if label == "programs":
            texts = [text for text, _ in flat]
            return ask_programs(teacher, texts, windows, task_presets(size, folder), config.programs)
        drafts = teacher.ask(rewrite_preset(size, folder), windows)
        return [
            read_rewrite(window, draft, config.rewrite, dialect=preset.dialect)
            for window, draft in zip(windows, drafts, strict=True)
        ]


def _check_labels(config: TrainingDataConfig, form: RequestForm, doc_form: RequestForm | None) -> None:
    """Refuse, before anything slow, what a teacher cannot be asked for."""
    labels = config.teacher.labels
    if "scores" in labels and doc_form is None:
        raise ValueError("teacher.labels asks for scores: set student.document_preset")
    if "programs" in labels and form.dialect is not Dialect.PROX:
        raise ValueError(f"a teacher writes ProX programs; for {form.dialect} set teacher.labels=[rewrite]")


def _form(preset: str, stage: Stage, student: Student) -> RequestForm:
    is_chunk = stage is Stage.CHUNK
    form = RequestForm(
        preset,
        system=load_system_text(student.system) if is_chunk and student.system else None,
        tokenizer=student.tokenizer,
        window_tokens=student.window_tokens if is_chunk else None,
    )
    if form.stage is not stage:
        raise ValueError(f"preset {preset!r} is for the {form.stage} stage, not for the {stage} stage")
    return form


def _map(function: Any, pages: Sequence[GoldPage], workers: int) -> Iterator[Labelled | str]:  # noqa: ANN401
    if workers <= 1:
        yield from map(function, pages)
        return
    with get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(function, pages, chunksize=16)
