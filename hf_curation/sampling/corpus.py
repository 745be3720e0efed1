"""The candidates of a choice as one counted and checked corpus; a small one is read once and held."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hf_curation.sampling.budget import MAX_AMOUNT, Amount, Unit
from hf_curation.sampling.candidates import Candidates, Read
from hf_curation.sampling.rules import ChoiceRules

_HASHES_A_DOCUMENT: Final = 16
"""Equal hashes are looked for among this many times as many as documents are held otherwise: every round is a pass."""


class EqualIdsError(ValueError):
    """Two documents have one id, or ids of one hash."""

    def __init__(self, message: str, hash_: int) -> None:
        super().__init__(message)
        self.hash = hash_
        """The least of the hashes that two documents have."""


@dataclass(slots=True)
class Corpus:
    """What may be chosen: candidates that are neither excluded nor too short."""

    read: Read
    """Yields the eligible documents anew."""
    num_candidates: int
    """Excluded ones among them."""
    sizes: dict[Unit, int]
    sizes_of_source: dict[Unit, NDArray[np.int64]]

    @property
    def amount(self) -> Amount:
        """Return all eligible documents, once each."""
        num_documents, num_tokens = self.sizes[Unit.DOCUMENTS], self.sizes[Unit.TOKENS]
        return Amount(num_documents=num_documents, num_copies=num_documents, num_tokens=num_tokens)

    @property
    def num_documents(self) -> int:
        """Return the number of eligible documents."""
        return self.sizes[Unit.DOCUMENTS]


def survey(
    read: Read,
    rules: ChoiceRules,
    *,
    num_targets: int | None,
    num_sources: int,
    max_held: int,
    check_ids: bool = True,
) -> Corpus:
    """Read all candidates once; count them, check them, and hold them if they are no more than `max_held`.

    Without a number of targets, log weights are not looked at; without `check_ids`, ids are not compared.

    Raises:
        ValueError: for weights that are not finite, negative lengths, or arrays that do not fit the number of targets
            or sources.
        EqualIdsError: for documents with equal hashes of ids.
    """
    if max_held < 1:
        raise ValueError(f"max_held must be at least 1 document, got {max_held}")
    corpus = Corpus(
        read=lambda: _again(read, rules, corpus.num_documents),
        num_candidates=0,
        sizes=dict.fromkeys(Unit, 0),
        sizes_of_source={unit: np.zeros(num_sources, dtype=np.int64) for unit in Unit},
    )
    held: list[Candidates] = []
    num_not_finite = 0
    for chunk in read():
        _check_chunk(chunk, num_targets, num_sources)
        eligible = chunk.take(chunk.eligible(rules.min_tokens))
        corpus.num_candidates += len(chunk)
        _count(corpus, eligible)
        num_not_finite += 0 if num_targets is None else _num_not_finite(eligible)
        if corpus.num_documents <= max_held:
            held.append(eligible)
        else:
            held.clear()
    if num_not_finite:
        raise ValueError(
            f"{num_not_finite} of {corpus.num_documents} documents have a log weight that is not a finite number (NaN "
            "or infinite); weigh them again, or mark them as excluded"
        )
    if corpus.num_documents <= max_held:
        corpus.read = lambda: iter(held)
    if check_ids and not rules.allow_equal_ids:
        _refuse_equal_ids(corpus, _HASHES_A_DOCUMENT * max_held)
    return corpus


def add_by_source(totals: NDArray[np.int64], candidates: Candidates, sizes: NDArray[np.int64]) -> None:
    """Add the sizes of documents to the totals, int64[number of sources], of their sources."""
    if candidates.sources is not None and len(totals):
        has_source = candidates.sources >= 0
        np.add.at(totals, candidates.sources[has_source], sizes[has_source])


def sizes_in(unit: Unit, candidates: Candidates) -> NDArray[np.int64]:
    """Return int64[N], what one copy of each document counts for."""
    if unit is Unit.DOCUMENTS:
        return np.ones(len(candidates), dtype=np.int64)
    return candidates.num_tokens


def find_equal_hashes(
    read: Callable[[], Iterator[NDArray[np.uint64]]], num_hashes: int, max_held: int
) -> tuple[int, int]:
    """Return how many hashes also stand at another, earlier place, and the least such hash (0 if there is none).

    Holds `max_held` hashes of 8 bytes at a time, and reads all of them once for every so many: each round takes those
    with one remainder. With 2^24 held, 256 MB at the peak, 1e9
    documents take 60 rounds.
    """
    num_rounds = -(-num_hashes // max_held)
    num_equal, least = 0, 0
    for remainder in range(num_rounds):
        parts = [
            hashes[hashes % np.uint64(num_rounds) == remainder] if num_rounds > 1 else hashes for hashes in read()
        ]
        held = np.concatenate(parts)
        del parts
        held.sort()
        equal = held[1:][held[1:] == held[:-1]]
        if len(equal):
            least = int(equal[0]) if num_equal == 0 else min(least, int(equal[0]))
        num_equal += len(equal)
    return num_equal, least


def _again(read: Read, rules: ChoiceRules, num_documents: int) -> Iterator[Candidates]:
    num_read = 0
    for chunk in read():
        eligible = chunk.take(chunk.eligible(rules.min_tokens))
        num_read += len(eligible)
        yield eligible
    if num_read != num_documents:
        raise ValueError(
            f"read() gave {num_documents} eligible documents at first and {num_read} later; it has to give the same "
            "ones with every call"
        )


def _refuse_equal_ids(corpus: Corpus, max_held: int) -> None:
    num_equal, least = find_equal_hashes(
        lambda: (chunk.hashes for chunk in corpus.read()), corpus.num_documents, max_held
    )
    if num_equal:
        raise EqualIdsError(
            f"{num_equal} of {corpus.num_documents} documents have the id of another one (the first has the hash "
            f"{least:016x}); deduplicate the corpus or make its ids distinct (by the file's name, say), or set "
            "allow_equal_ids to choose such documents together. Of 1e9 different ids two are alike by chance in 1 "
            "corpus of 37",
            least,
        )


def _count(corpus: Corpus, eligible: Candidates) -> None:
    for unit in Unit:
        sizes = sizes_in(unit, eligible)
        corpus.sizes[unit] += int(sizes.sum())
        add_by_source(corpus.sizes_of_source[unit], eligible, sizes)
    if corpus.sizes[Unit.TOKENS] > MAX_AMOUNT:
        raise ValueError(f"candidates have more than 2^60 tokens: {corpus.sizes[Unit.TOKENS]}")


def _num_not_finite(candidates: Candidates) -> int:
    is_finite = np.isfinite(candidates.log_weights)
    return int((~(is_finite if is_finite.ndim == 1 else is_finite.all(axis=1))).sum())


def _check_chunk(chunk: Candidates, num_targets: int | None, num_sources: int) -> None:
    columns = 1 if chunk.log_weights.ndim == 1 else chunk.log_weights.shape[1]
    if num_targets is not None and columns != num_targets:
        raise ValueError(f"candidates have log weights for {columns} targets, but {num_targets} are named")
    if len(chunk) and chunk.num_tokens.min() < 0:
        raise ValueError(f"a document has {chunk.num_tokens.min()} tokens; numbers of tokens are 0 or more")
    if chunk.sources is not None and len(chunk) and num_sources:
        least, most = chunk.sources.min(), chunk.sources.max()
        if least < -1 or most >= num_sources:
            raise ValueError(f"codes of sources are from -1 to {num_sources - 1}, got {least} to {most}")
