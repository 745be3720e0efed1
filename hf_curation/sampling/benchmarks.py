"""Benchmarks as targets and as held-out sets: where they lie on the Hub, and how a row becomes text.

The eight of "Target-aware language modeling via granular data sampling" (https://huggingface.co/papers/2409.14705)
and two more. A target is the train split, each question with its right answer. Held out are the other splits: each
question alone and with every choice, right or wrong, since a page that lists the choices has leaked the test as well.

`folder` reads the same data without a network, from either of two layouts: folders of `datasets.save_to_disk` under
their Hub names (`ai2_arc/ARC-Easy/validation`), or OLMES requests (`arc_easy/train_rc_5shot/requests.jsonl.gz`).
"""

import difflib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hf_curation.sampling import questions
from hf_curation.sampling.questions import Question
from hf_curation.sampling.requests import find_requests, read_requests

logger = logging.getLogger(__name__)

Row = Mapping[str, Any]
_PREFIX: Final = "benchmark:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One benchmark."""

    name: str
    title: str
    path: str
    """Of the data set on the Hub."""
    config: str | None = None
    held_out: tuple[str, ...] = ("validation", "test")
    """Splits that no training text may hold."""
    folder: str
    """Below a local folder: where `save_to_disk` put it."""
    task: str
    """Its name among OLMES tasks."""
    read: Callable[[Row], Question]
    """From a row with the Hub's columns."""
    in_paper: bool = True


_ALL: Final = (
    Benchmark(
        name="arc_easy",
        title="ARC-Easy",
        path="allenai/ai2_arc",
        config="ARC-Easy",
        folder="ai2_arc/ARC-Easy",
        task="arc_easy",
        read=questions.from_labelled_choices,
    ),
    Benchmark(
        name="arc_challenge",
        title="ARC-Challenge",
        path="allenai/ai2_arc",
        config="ARC-Challenge",
        folder="ai2_arc/ARC-Challenge",
        task="arc_challenge",
        read=questions.from_labelled_choices,
    ),
    Benchmark(
        name="hellaswag",
        title="HellaSwag",
        path="Rowan/hellaswag",
        folder="hellaswag",
        task="hellaswag",
        read=questions.from_hellaswag,
    ),
    Benchmark(
        name="piqa",
        title="PIQA",
        path="baber/piqa",
        folder="piqa",
        task="piqa",
        read=questions.from_piqa,
    ),
    Benchmark(
        name="winogrande",
        title="WinoGrande",
        path="allenai/winogrande",
        config="winogrande_xl",
        folder="winogrande/winogrande_xl",
        task="winogrande",
        read=questions.from_winogrande,
    ),
    Benchmark(
        name="openbookqa",
        title="OpenBookQA",
        path="allenai/openbookqa",
        config="main",
        folder="openbookqa/main",
        task="openbookqa",
        read=questions.from_labelled_choices,
    ),
    Benchmark(
        name="boolq",
        title="BoolQ",
        path="google/boolq",
        held_out=("validation",),
        folder="boolq",
        task="boolq",
        read=questions.from_boolq,
    ),
    Benchmark(
        name="social_iqa",
        title="Social IQa",
        path="lighteval/siqa",
        held_out=("validation",),
        folder="social_i_qa",
        task="socialiqa",
        read=questions.from_social_iqa,
    ),
    Benchmark(
        name="sciq",
        title="SciQ",
        path="allenai/sciq",
        folder="sciq",
        task="sciq",
        read=questions.from_sciq,
        in_paper=False,
    ),
    Benchmark(
        name="commonsense_qa",
        title="CommonsenseQA",
        path="tau/commonsense_qa",
        folder="commonsense_qa",
        task="csqa",
        read=questions.from_labelled_choices,
        in_paper=False,
    ),
)
BENCHMARKS: Final = {one.name: one for one in _ALL}
PAPER_BENCHMARKS: Final = tuple(one.name for one in _ALL if one.in_paper)
"""The eight of the paper, in its order of difficulty classes; `benchmark:paper` means all of them."""


def find_benchmarks(name: str) -> tuple[Benchmark, ...]:
    """Return what a target names: a benchmark, or the eight for `paper`; `benchmark:` in front is allowed.

    >>> [one.title for one in find_benchmarks("benchmark:arc_easy")], len(find_benchmarks("paper"))
    (['ARC-Easy'], 8)

    Raises:
        ValueError: for any other name, with the nearest one.
    """
    short = name.removeprefix(_PREFIX)
    if short == "paper":
        return tuple(BENCHMARKS[one] for one in PAPER_BENCHMARKS)
    if short in BENCHMARKS:
        return (BENCHMARKS[short],)
    aliases = {one.task: one for one in _ALL}
    if short in aliases:
        return (aliases[short],)
    near = difflib.get_close_matches(short.lower(), [*BENCHMARKS, "paper"], n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(BENCHMARKS)}, and 'paper' for eight"
    raise ValueError(f"unknown benchmark {short!r}: {hint}")


def held_out_of(name: str) -> tuple[str, ...]:
    """Return the splits of a benchmark that no training text may hold."""
    return find_benchmarks(name)[0].held_out


def load_benchmark(name: str, split: str, *, folder: Path | None = None) -> list[Question]:
    """Return the questions of one split, in the order of the data set.

    Args:
        name: as in `BENCHMARKS`.
        split: `train`, `validation` or `test`.
        folder: read from here, in either layout that the module describes, instead of the Hub.

    Raises:
        ValueError: if there is no such benchmark, or the folder holds no such split.
        ImportError: if `datasets` is needed and absent, with the command that installs it.
    """
    benchmark = find_benchmarks(name)[0]
    if folder is None:
        rows = _datasets().load_dataset(benchmark.path, benchmark.config, split=split)
        return [benchmark.read(row) for row in rows]
    found = _find_split(folder, benchmark, split)
    if found is not None and found.is_dir():
        return [benchmark.read(row) for row in _datasets().load_from_disk(str(found))]
    if found is not None:
        return list(read_requests(found, benchmark.read))
    raise ValueError(
        f"{folder} holds no {split} split of {benchmark.title}: neither {benchmark.folder}/**/{split} as saved by "
        f"`datasets` nor {benchmark.task}/{split}_rc_5shot/requests.jsonl.gz; leave the folder out to read the Hub"
    )


def target_texts(name: str, *, split: str = "train", folder: Path | None = None) -> Iterator[tuple[str, str]]:
    """Yield (benchmark, text) of every question with its right answer.

    Raises:
        ValueError: as `load_benchmark`, or if a question of the split has no answer (public test splits often do not).
    """
    for benchmark in find_benchmarks(name):
        for number, question in enumerate(load_benchmark(benchmark.name, split, folder=folder)):
            if question.gold is None:
                raise ValueError(f"question {number} of {benchmark.title}, {split}, has no answer: take split='train'")
            yield benchmark.name, question.answered


def held_out_texts(
    names: Sequence[str],
    *,
    splits: Sequence[str] | None = None,
    folder: Path | None = None,
    passages: bool = False,
) -> Iterator[tuple[str, str]]:
    """Yield ("benchmark/split", text) of all that must not be trained on, for `LeakIndex.build`.

    Args:
        names: benchmarks, as `find_benchmarks` takes them.
        splits: None takes `held_out_of` of each; of a folder, those of them that it holds, with a warning in the log
            for each that is absent (the names of the sets that come say the same).
        folder: as in `load_benchmark`.
        passages: also the passages that BoolQ and SciQ questions are about; they are Wikipedia and textbook prose, so
            that whole articles would count as leaked.

    Raises:
        ValueError: as `load_benchmark`, or if a folder holds no held-out split of a benchmark.
    """
    chosen = {one.name: one for name in names for one in find_benchmarks(name)}
    for name, benchmark in chosen.items():
        for split in splits if splits is not None else _held_out_in(folder, benchmark):
            for question in load_benchmark(name, split, folder=folder):
                yield from ((f"{name}/{split}", text) for text in question.forms(passages=passages))


def _held_out_in(folder: Path | None, benchmark: Benchmark) -> tuple[str, ...]:
    if folder is None:
        return benchmark.held_out
    found = tuple(split for split in benchmark.held_out if _find_split(folder, benchmark, split) is not None)
    for split in benchmark.held_out:
        if found and split not in found:
            logger.warning(f"{folder} holds no {split} split of {benchmark.title}: documents are not searched for it")
    return found or benchmark.held_out  # none at all is the error of `load_benchmark`


def _find_split(folder: Path, benchmark: Benchmark, split: str) -> Path | None:
    """Return a folder of `save_to_disk` or a file of requests; None where there is neither."""
    stored = sorted(folder.glob(f"**/{benchmark.folder}/**/{split}/state.json"))
    return stored[0].parent if stored else find_requests(folder, benchmark.task, split)


def _datasets() -> Any:  # noqa: ANN401 - loaded here and nowhere else
    try:
        import datasets  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415
    except ImportError as error:
        raise ImportError("datasets is needed to load benchmarks: pip install 'hf-curation[select]'") from error
    return datasets
