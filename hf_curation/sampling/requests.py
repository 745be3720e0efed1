"""OLMES requests: benchmark questions as `requests.jsonl.gz` files, one line for every choice of every question.

The train splits of the eight benchmarks are published in this form in one package, which makes the paper's target
available without a network. Only `rc` files are read: in `mc` files the choices are letters.
"""

import gzip
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from hf_curation.sampling.questions import Question

_SPLITS: Final = {"train": "train", "validation": "val", "test": "test"}
_QUERY_RE: Final = re.compile(r"(?:(?P<passage>.*)\n)?(?:Question|Goal): (?P<text>.*)\nAnswer:", re.DOTALL)
_UNCONDITIONED: Final = 1_000_000
"""Ids from here on repeat a question with only `Answer:` before its choices."""


def find_requests(folder: Path, task: str, split: str) -> Path | None:
    """Return the file of requests of one split below `folder`; None where there is none."""
    found = sorted(folder.glob(f"**/{task}/{_SPLITS.get(split, split)}_rc_*/requests.jsonl.gz"))
    return found[0] if found else None


def read_requests(path: Path, read: Callable[[Mapping[str, Any]], Question]) -> Iterator[Question]:
    """Yield the questions of a file, each once.

    Args:
        path: what `find_requests` found.
        read: for documents that have kept the columns of the Hub.

    Raises:
        ValueError: if a line is not a request.
    """
    seen: set[int] = set()
    with gzip.open(path, "rb") as lines:
        for number, line in enumerate(lines):
            try:
                request = orjson.loads(line)
                key, doc = request["doc_id"], request["doc"]
                if key >= _UNCONDITIONED or key in seen:
                    continue
                seen.add(key)
                yield _question(doc, read)
            except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                raise ValueError(f"line {number + 1} of {path} is no OLMES request: {error!r}") from error


def _question(doc: Mapping[str, Any], read: Callable[[Mapping[str, Any]], Question]) -> Question:
    if {"sentence", "option1"} <= doc.keys() or {"goal", "sol1"} <= doc.keys() or {"context", "answerA"} <= doc.keys():
        return read(doc)
    choices = tuple(choice.strip() for choice in doc["choices"])
    found = _QUERY_RE.fullmatch(doc["query"])
    if found is None:  # a text to go on with, as in HellaSwag
        return Question(doc["query"].strip(), choices, doc["gold"])
    return Question(found["text"].strip(), choices, doc["gold"], (found["passage"] or "").strip())
