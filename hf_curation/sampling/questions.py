"""A benchmark's row as a question with choices, from the columns that each data set has on the Hub."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Row = Mapping[str, Any]

_MARKS_RE: Final = re.compile(r"\[[^\]]*\]")
_SPACES_RE: Final = re.compile(r" {2,}")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, what may be answered, and which answer is right."""

    text: str
    """Everything before the answer; empty where the choices are whole sentences (WinoGrande)."""
    choices: tuple[str, ...]
    gold: int | None
    """Index of the right choice; None where the split does not tell."""
    passage: str = ""
    """What the question is about; empty for most benchmarks."""

    @property
    def answered(self) -> str:
        """The text of a target: passage, question and right answer."""
        assert self.gold is not None
        return "\n".join(part for part in (self.passage, _join(self.text, self.choices[self.gold])) if part)

    def forms(self, *, passages: bool = False) -> tuple[str, ...]:
        """Return the texts that a page may not hold: the question, and the question with each choice.

        >>> Question("Is ice cold?", ("yes", "no"), 0).forms()
        ('Is ice cold?', 'Is ice cold? yes', 'Is ice cold? no')
        """
        found = (self.text, *(_join(self.text, choice) for choice in self.choices), self.passage if passages else "")
        return tuple(form for form in found if form)


def from_labelled_choices(row: Row) -> Question:
    """Read ARC, OpenBookQA and CommonsenseQA: `choices` {text, label} and `answerKey`."""
    text = row["question"] if "question" in row else row["question_stem"]
    labels = list(row["choices"]["label"])
    gold = labels.index(row["answerKey"]) if row.get("answerKey") in labels else None
    return Question(text.strip(), _strip(row["choices"]["text"]), gold)


def from_hellaswag(row: Row) -> Question:
    """Read HellaSwag: an activity, the start of a text, `endings`; marks of WikiHow pages are taken out."""
    second = row["ctx_b"][:1].upper() + row["ctx_b"][1:]
    start = f"{row['activity_label']}: {row['ctx_a']} {second}"
    return Question(_without_marks(start), tuple(map(_without_marks, row["endings"])), _number(row["label"]))


def from_piqa(row: Row) -> Question:
    """Read PIQA: `goal`, `sol1`, `sol2`; label -1 in the test split."""
    return Question(row["goal"].strip(), _strip((row["sol1"], row["sol2"])), _number(row["label"]))


def from_winogrande(row: Row) -> Question:
    """Read WinoGrande: both sentences, with the blank filled in; `answer` counts from 1 and is empty in the test."""
    sentence = row["sentence"]
    if "_" not in sentence:
        raise ValueError(f"a WinoGrande sentence has no blank: {sentence[:80]!r}")
    return Question("", _strip(sentence.replace("_", row[key]) for key in ("option1", "option2")), _from_one(row))


def from_boolq(row: Row) -> Question:
    """Read BoolQ: `question` without its mark, `passage`, `answer` true or false."""
    text = row["question"].strip().rstrip("?") + "?"
    gold = None if row["answer"] is None else int(not row["answer"])
    return Question(text, ("yes", "no"), gold, row["passage"].strip())


def from_social_iqa(row: Row) -> Question:
    """Read Social IQa: `context`, `question`, `answerA` to `answerC`, `label` counts from 1."""
    choices = _strip(row[f"answer{letter}"] for letter in "ABC")
    return Question(_join(row["context"].strip(), row["question"].strip()), choices, _from_one(row, "label"))


def from_sciq(row: Row) -> Question:
    """Read SciQ: `correct_answer`, three distractors, and `support`, the passage that it was made from."""
    choices = _strip(row[key] for key in ("correct_answer", "distractor1", "distractor2", "distractor3"))
    return Question(row["question"].strip(), choices, 0, row["support"].strip())


def _without_marks(text: str) -> str:
    return _SPACES_RE.sub(" ", _MARKS_RE.sub("", text.replace(" [title]", ". "))).strip()


def _number(label: int | str) -> int | None:
    return int(label) if str(label) not in {"", "-1"} else None


def _from_one(row: Row, key: str = "answer") -> int | None:
    return int(row[key]) - 1 if str(row[key]) in {"1", "2", "3"} else None


def _strip(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(text.strip() for text in texts)


def _join(start: str, end: str) -> str:
    """Return both with a space between, but where the end begins with a mark that clings to the word before."""
    return start + end if not start or end[:1] in ",.;:!?" else f"{start} {end}"
