"""What a training set is made with: every setting, a dataclass for each section of the recipe's config.yaml."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hf_curation.programs.derive import DeriveRules
from hf_curation.refiners.training.asked import AskedRules
from hf_curation.refiners.training.noise import NoiseRules
from hf_curation.refiners.training.rewrite import RewriteRules
from hf_curation.refiners.training.scores import ScoreRule
from hf_curation.refiners.training.splits import SplitRule

TeacherLabels = Literal["scores", "programs", "rewrite"]


@dataclass(kw_only=True, slots=True, frozen=True)
class Student:
    """Who will be trained: what it is shown and how long it may answer."""

    preset: str = "generic-chunk"
    """Prompt format and dialect of the chunk stage, as `load_refiner(preset=...)` will name it."""
    document_preset: str | None = "generic-doc"
    """That of the document stage; null: no examples for it."""
    system: Path | None = None
    """File with the system text of a chunk preset that needs one (`load_system_text`)."""
    tokenizer: str | None = None
    """`tokenizer.json`, a folder with one, or a Hub id, to cut windows and measure programs by; null: an estimate."""
    window_tokens: int | None = None
    """Size of a chunk window; null: the preset's."""
    max_program_tokens: int | None = None
    """Longest program; null: what the preset lets the student write."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Pairs:
    """Labels from pages and their clean text."""

    enabled: bool = True
    min_word_f1: float = 0.9
    """Agreement of what the derived program makes of the page with the clean text; below it the label says little."""


@dataclass(kw_only=True, slots=True, frozen=True)
class TeacherSettings:
    """Labels from a large model behind a server."""

    labels: tuple[TeacherLabels, ...] = ()
    """What to ask for: `scores` (documents), `programs`, `rewrite` (chunks); empty: nothing."""
    base_url: str | None = None
    model: str | None = None
    """Its name on that server."""
    api_key_env: str | None = None
    """NAME of the environment variable with the key."""
    cache: Path | None = None
    """File of answers; null: `answers.sqlite` in the output folder."""
    extra_body: dict[str, Any] = field(default_factory=dict)
    """Further fields of every request, such as `{chat_template_kwargs: {enable_thinking: false}}`."""
    prompts: Path | None = None
    """Folder of template files in the place of ours."""
    max_concurrency: int = 32
    timeout_s: float = 120.0
    per_million_in: float = 0.0
    """Price of a million tokens read, for the report."""
    per_million_out: float = 0.0

    def __post_init__(self) -> None:
        if self.labels and not (self.base_url and self.model):
            raise ValueError(
                f"teacher.labels asks for {', '.join(self.labels)}: set teacher.base_url and teacher.model"
            )
        if "programs" in self.labels and "rewrite" in self.labels:
            raise ValueError("teacher.labels: choose programs or rewrite; both would label the same windows twice")


@dataclass(kw_only=True, slots=True, frozen=True)
class Gates:
    """Which examples are good enough."""

    max_removed_fraction: float = 0.95
    """Share of a page that its label may remove: beyond it the executor keeps the page anyway."""
    max_keep_share: float = 0.5
    """Most of a stage's training examples that may change nothing, in [0, 1); surplus ones are left out at random.
    Validation and test keep what they have, so that their figures are about real pages."""
    min_document_words: int = 50
    """A page of fewer clean words, and of some, is no example of the document stage: nobody knows what is right."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_keep_share < 1:
            raise ValueError(f"max_keep_share must be in [0, 1), got {self.max_keep_share}")
        if not 0 < self.max_removed_fraction <= 1:
            raise ValueError(f"max_removed_fraction must be in (0, 1], got {self.max_removed_fraction}")


@dataclass(kw_only=True, slots=True, frozen=True)
class TrainingDataConfig:
    """Everything that decides what is in a training set, besides the pages."""

    seed: int = 0
    workers: int = 1
    """Processes that derive programs; the result does not depend on it."""
    student: Student = field(default_factory=Student)
    pairs: Pairs = field(default_factory=Pairs)
    derive: DeriveRules = field(default_factory=DeriveRules)
    noise: NoiseRules = field(default_factory=NoiseRules)
    teacher: TeacherSettings = field(default_factory=TeacherSettings)
    scores: ScoreRule = field(default_factory=ScoreRule)
    programs: AskedRules = field(default_factory=AskedRules)
    rewrite: RewriteRules = field(default_factory=RewriteRules)
    gates: Gates = field(default_factory=Gates)
    split: SplitRule = field(default_factory=SplitRule)
