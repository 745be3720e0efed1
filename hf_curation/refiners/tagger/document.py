"""The document stage: is there anything on the page to keep?

A small network over the page's statistics says how much the page looks like one without content, and hashed words add
what its vocabulary says ("log in", "not found", in the languages of the training set). The words' part shrinks as the
line tagger finds content (by half at `gate_words` words), so an article about cookies is never dropped for its words.
A page of `sure_words` words in lines that are probably content is kept whatever the rest says. Thresholds are set
by length on held-out pages: a page kept for nothing costs the chunk stage a little work, a page dropped is lost.

The parameters have a file of their own, because they are fitted in seconds to line weights that took minutes:
`recipes/train_line_tagger/document_rule.py`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from hf_curation.refiners.tagger.document_statistics import MAX_WORDS, STATISTICS, page_statistics
from hf_curation.refiners.tagger.features import FloatArray, PageFeatures

LENGTHS: Final = (50, 250)
"""Words where the bands of page lengths begin; each band has a threshold."""
_CLIP: Final = 4.0
_WANTED: Final = STATISTICS.index("log_wanted_words")
_TOTAL: Final = STATISTICS.index("log_words")
_SURE: Final = STATISTICS.index("log_sure_words")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the head sees of a page."""

    statistics: FloatArray
    """(D,) see `STATISTICS`."""
    words: NDArray[np.uint32]
    """(K,) distinct hashes of the page's first words, sorted."""


@dataclass(frozen=True, slots=True)
class DocumentHead:
    """The parameters of the document stage."""

    arrays: Mapping[str, FloatArray]
    """`mean`, `scale` (D,); `hidden.weight` (H, D), `hidden.bias` (H,); `output.weight` (H,), `output.bias` (1,);
    `words` (2 ** table_bits,)."""
    config: Mapping[str, Any]
    """`table_bits`, `gate_words`, `sure_words`, `thresholds` and what fitting recorded."""

    def junk_score(self, evidence: Evidence) -> float:
        """Return the log odds that a page has no content; -inf for a page with too much content to be dropped."""
        w, s = self.arrays, evidence.statistics
        if np.expm1(s[_SURE]) >= self.config["sure_words"]:
            return -np.inf
        x = np.clip((s - w["mean"]) / w["scale"], -_CLIP, _CLIP)
        score = np.tanh(w["hidden.weight"] @ x + w["hidden.bias"]) @ w["output.weight"] + w["output.bias"][0]
        buckets = np.unique(evidence.words >> np.uint32(32 - self.config["table_bits"]))
        if len(buckets):
            score += w["words"][buckets].sum() * word_gate(s, len(buckets), self.config["gate_words"])
        return float(score)

    def is_junk(self, evidence: Evidence) -> bool:
        """Whether the page should be dropped."""
        return self.junk_score(evidence) > float(self.config["thresholds"][length_band(evidence.statistics)])


def length_band(statistics: FloatArray) -> int:
    """Return which of the bands that `LENGTHS` bounds a page belongs to."""
    return int(np.searchsorted(LENGTHS, np.expm1(statistics[_TOTAL]), side="right"))


def word_gate(statistics: FloatArray, num_buckets: int, gate_words: float) -> float:
    """Return the factor of the sum over words: less for many distinct words, less where content was found."""
    return float(3 / np.sqrt(num_buckets) / (1 + np.expm1(statistics[_WANTED]) / gate_words))


def page_evidence(lines: Sequence[str], page: PageFeatures, probabilities: FloatArray) -> Evidence:
    """Return what the head sees of a page with at least one line of text; see `page_statistics` for the arguments."""
    return Evidence(page_statistics(lines, page, probabilities), np.unique(page.words[:MAX_WORDS]))


def load_head(path: Path) -> DocumentHead:
    """Read a head from a safetensors file whose header holds its configuration.

    Raises:
        ValueError: if the file was made for other statistics than this version computes.
    """
    with safe_open(str(path), framework="np") as file:
        config = json.loads((file.metadata() or {}).get("config", "{}"))
        if (config.get("statistics"), config.get("lengths")) != (list(STATISTICS), list(LENGTHS)):
            raise ValueError(
                f"{path} is no document head for this version; fit it again with "
                "recipes/train_line_tagger/document_rule.py"
            )
        arrays = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
    return DocumentHead(arrays, config)
