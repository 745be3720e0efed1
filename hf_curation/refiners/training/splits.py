"""Which domains are for training, validation and test: a function of the registered domain and nothing else.

Disjoint by construction: no list of pages is ever divided, so a page that comes later falls where its site's other
pages are. Folds are those of `recipes/benchmarks/tagger.py` (first four bytes of the SHA-256 of the domain, modulo the
number of folds): a tagger trained for its fold 0 and an LM trained with `test_fold=0` can be compared on the same
pages. A page without a usable address might be of any site; it is for training only.
"""

import random
from dataclasses import dataclass
from hashlib import blake2b, sha256
from typing import Final, Literal

Split = Literal["train", "validation", "test"]
SPLITS: Final[tuple[Split, ...]] = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRule:
    """How domains are divided."""

    num_folds: int = 5
    """One fold is the test: a fifth of the domains."""
    test_fold: int = 0
    """Which one, from 0."""
    validation_fraction: float = 0.1
    """Share of the other domains held out for choosing checkpoints, in [0, 1)."""

    def __post_init__(self) -> None:
        if self.num_folds < 2 or not 0 <= self.test_fold < self.num_folds:
            raise ValueError(f"test_fold must be one of num_folds >= 2, got {self.test_fold} of {self.num_folds}")
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(f"validation_fraction must be in [0, 1), got {self.validation_fraction}")

    def split_of(self, domain: str) -> Split:
        """Return the split of a registered domain; an empty one is for training."""
        if not domain:
            return "train"
        digest = sha256(domain.encode()).digest()
        if int.from_bytes(digest[:4], "big") % self.num_folds == self.test_fold:
            return "test"
        is_validation = int.from_bytes(digest[4:8], "big") < self.validation_fraction * 2**32
        return "validation" if is_validation else "train"


class Draws:
    """Random numbers that depend on a seed and a document's id only: not on order, batches or workers.

    Built on `random.Random.random`, whose sequence Python promises to keep.
    """

    def __init__(self, seed: int, purpose: str, document_id: str) -> None:
        key = f"{seed}\0{purpose}\0{document_id}".encode("utf-8", "surrogatepass")
        digest = blake2b(key, digest_size=8, person=b"hf-curation/draw").digest()
        self._random = random.Random(int.from_bytes(digest, "big"))  # noqa: S311 - not a secret

    def share(self) -> float:
        """Return a number in [0, 1)."""
        return self._random.random()

    def below(self, number: int) -> int:
        """Return an integer from 0 to `number - 1`."""
        return int(self._random.random() * number)
