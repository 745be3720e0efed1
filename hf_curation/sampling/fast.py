"""The compiled featurizer: text goes from Arrow's buffers through the kernels, and no Python object is made of it.

`recipes/benchmarks/scoring.py` measures it against data-selection, in process, on one core. Importing this module
costs numba (0.3 s); the first featurizer of a process reads kernels from numba's cache on disk (1 s), or compiles them
once a machine (10 to 20 s).

One object is for one thread: its buffers are used again from call to call.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from hf_curation.sampling import kernels
from hf_curation.sampling.features import Counts, Floats, TextScores, TextSizes
from hf_curation.sampling.kernels.code_points import code_point_table
from hf_curation.sampling.kernels.documents import SLACK, Settings, make_scratch, read_documents
from hf_curation.sampling.kernels.dsir import WordMemory, make_memory
from hf_curation.sampling.kernels.words import NEEDS_PYTHON
from hf_curation.sampling.plain import check_chunk, check_counts, check_table, load_plain
from hf_curation.sampling.spec import FeatureSpec
from hf_curation.vocabulary.encoding import BulkEncoder
from hf_curation.vocabulary.texts import Texts, as_large_strings, as_strings, is_arrow

BATCH_TEXTS = 256
"""Texts that are taken from a list at once: enough to hide the call, few enough to stay in the second cache."""
Data: TypeAlias = np.ndarray[Any, np.dtype[Any]]
"""uint8 text, or uint32 ids."""
Kernel: TypeAlias = Callable[[Data, Counts, int, Floats, Counts], int]
"""Reads texts from a given number on; returns how far it came."""

PROBES: Final = [
    "The whale sings in the cold sea: 3.5 naïve whales_sing, and THE SEA IS COLD AND THE WHALE SINGS.",
    "Ünïcödé — ΠΛΟΙΟ 日本語 हिन्दी " + "internationalization " * 9 + "sixty-four bytes and on",
]
"""Texts that every branch of the common path sees; see `FastFeaturizer._check_kernels`."""
MEMORY_WORDS = 1 << 19
"""DSIR's words that are remembered (10 MB), their bytes, and bigrams (16 MB, about the third cache)."""
MEMORY_BYTES = 1 << 23
MEMORY_PAIRS = 1 << 20


class FastFeaturizer:
    """A featurizer whose work is done in kernels; see `hf_curation.sampling.features.Featurizer`."""

    backend = "fast"

    def __init__(self, spec: FeatureSpec, encoder: BulkEncoder | None = None) -> None:
        self.spec = spec
        self.num_lowered_by_python = 0
        """Documents so far that hold a letter whose lower case only Python knows (capital sigma, and 25 others)."""
        self._plain = load_plain(spec, encoder)
        self._encoder = getattr(self._plain.tokenizer, "encoder", None)
        self._code_points = code_point_table() if spec.uses_words else None
        self._memory_factor = 1
        self._memory = self._empty_memory()
        self._scratch = make_scratch(1 << 16)
        self._check_kernels()

    def count(self, texts: Texts, counts_B: Counts) -> TextSizes:
        """Add the n-grams of `texts` to `counts_B`."""
        check_counts(counts_B, self.spec)
        _, sizes_3N = self._read(texts, self._settings(), counts_B, np.zeros((0, 0)))
        return TextSizes(sizes_3N[0], sizes_3N[1])

    def score(self, texts: Texts, table_B: Floats) -> TextScores:
        """Sum a table over the n-grams of each text."""
        return self._score(texts, table_B, self._settings())

    def score_chunks(
        self, texts: Texts, table_B: Floats, chunk_tokens: int, *, length_exponent: float = 0.0
    ) -> TextScores:
        """Score pieces of `chunk_tokens` tokens and average them."""
        check_chunk(chunk_tokens)
        return self._score(texts, table_B, self._settings(chunk_tokens, length_exponent))

    def ngrams(self, text: str) -> list[tuple[str, int]]:
        """Return the n-grams of one text, readable, with their buckets."""
        return self._plain.ngrams(text)

    def _check_kernels(self) -> None:
        """Compare with the plain featurizer on a few texts. This is also what compiles, or loads what was compiled.

        numba takes a kernel from its cache while the kernel's own file is unchanged, even if a file that it calls into
        has changed since: after an update, results could be silently wrong.
        """
        table_B = np.linspace(-1.0, 1.0, self.spec.num_buckets)
        ours, plain = self.score(PROBES, table_B), self._plain.score(PROBES, table_B)
        if ours.sums.tobytes() != plain.sums.tobytes():
            folder = Path(kernels.__file__).with_name("__pycache__")
            raise RuntimeError(
                f"the compiled kernels give other results than Python, so they are out of date: delete "
                f"*.nbi and *.nbc in {folder} (or in NUMBA_CACHE_DIR)"
            )

    def _settings(self, chunk_tokens: int = 0, length_exponent: float = 0.0) -> Settings:
        case_bit = np.uint8(32 if self.spec.lower else 0)
        return Settings(
            self.spec.max_order, np.uint64(self.spec.num_buckets), case_bit, chunk_tokens, float(length_exponent)
        )

    def _score(self, texts: Texts, table_B: Floats, settings: Settings) -> TextScores:
        sums_NT, sizes_3N = self._read(texts, settings, np.zeros(0, np.int64), check_table(table_B, self.spec))
        return TextScores(sums_NT[:, 0] if table_B.ndim == 1 else sums_NT, *sizes_3N)

    def _read(self, texts: Texts, settings: Settings, counts_B: Counts, table_TB: Floats) -> tuple[Floats, Counts]:
        """Read all texts; return sums, float64[N, T], and tokens, n-grams and pieces, int64[3, N]."""

        def kernel(data: Data, offsets: Counts, first: int, sums_NT: Floats, sizes_N3: Counts) -> int:
            fixed = (settings, self._code_points, self._scratch, self._memory, counts_B, _read_only(table_TB))
            return int(read_documents(data, offsets, first, *fixed, sums_NT, sizes_N3))

        sums, sizes = [np.zeros((0, len(table_TB)))], [np.zeros((0, 3), np.int64)]
        size = len(texts) if is_arrow(texts) else BATCH_TEXTS
        for start in range(0, len(texts), max(size, 1)):
            part = texts if size == len(texts) else texts[start : start + size]
            sums_NT, sizes_N3 = self._read_batch(part, kernel, len(table_TB))
            sums.append(sums_NT)
            sizes.append(sizes_N3)
        return np.concatenate(sums), np.ascontiguousarray(np.concatenate(sizes).T)

    def _read_batch(self, texts: Texts, kernel: Kernel, num_targets: int) -> tuple[Floats, Counts]:
        data, offsets, strings = self._open(texts)
        sums_NT, sizes_N3 = np.zeros((len(offsets) - 1, num_targets)), np.zeros((len(offsets) - 1, 3), np.int64)
        longest = int(np.diff(offsets).max(initial=0))
        if longest + SLACK > len(self._scratch.lowered):
            self._scratch = make_scratch(longest)
        stuck, done = -1, kernel(data, offsets, 0, sums_NT, sizes_N3)
        while done < len(sums_NT):
            # The memory of words was full. If it was empty when this text began, the text alone needs a larger one.
            self._memory_factor *= 2 if done == stuck else 1
            self._memory = self._empty_memory()
            stuck, done = done, kernel(data, offsets, done, sums_NT, sizes_N3)
        left_N = np.flatnonzero(sizes_N3[:, 0] == NEEDS_PYTHON)
        if len(left_N):
            self.num_lowered_by_python += len(left_N)
            lowered = [str(strings[int(row)]).lower() for row in left_N]
            sums_NT[left_N], sizes_N3[left_N] = self._read_batch(lowered, kernel, num_targets)
        return sums_NT, sizes_N3

    def _open(self, texts: Texts) -> tuple[Any, Counts, Any]:
        """Return what a kernel reads (bytes or ids), where each text starts in it, and the texts themselves."""
        if self._encoder is not None:
            ids, offsets = self._encoder.encode(texts)
            return _read_only(ids), offsets, None
        if not is_arrow(texts):
            return *_encode(texts), texts
        strings = as_large_strings(texts)
        strings.validate(full=True)  # a column of a file may hold bytes that are no UTF-8
        _, starts, data = strings.buffers()
        offsets = np.frombuffer(starts, np.int64)[strings.offset : strings.offset + len(strings) + 1].copy()
        return np.frombuffer(data or b"", np.uint8), offsets, strings

    def _empty_memory(self) -> WordMemory | None:
        if self.spec.hash != "sha256":
            return None
        factor = self._memory_factor
        return make_memory(MEMORY_WORDS * factor, MEMORY_BYTES * factor, MEMORY_PAIRS)


def _encode(texts: Sequence[str]) -> tuple[Data, Counts]:
    """Return the UTF-8 of all texts, and where each starts in it.

    `pa.array` is as fast, but it imports pandas, and leaves in every string that is not ASCII a copy of its UTF-8.
    """
    try:
        encoded = [text.encode() for text in texts]
    except (AttributeError, UnicodeEncodeError):  # null, or half a surrogate pair
        encoded = [text.encode() for text in as_strings(texts)]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(one) for one in encoded], out=offsets[1:])
    return np.frombuffer(b"".join(encoded), np.uint8), offsets


def _read_only(array: Any) -> Any:  # noqa: ANN401
    """Return a view that cannot be written: arrays that can are another type to numba, and would compile again."""
    view = array.view()
    view.flags.writeable = False
    return view
