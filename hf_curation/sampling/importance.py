r"""Importance weights of documents: how much more likely the target makes a document than the raw corpus does.

After DSIR (https://huggingface.co/papers/2302.03169, equations 1 to 3): target and raw corpus are bags of hashed
n-grams, p and q; the log weight of a document with n-grams g_1 .. g_L is

    s(d) = sum_i (ln p(g_i) - ln q(g_i)) / L^alpha,         key(d) = clip(s(d) / tau) + Gumbel(seed, id of d)

and the documents with the largest keys are chosen. DSIR is alpha = 0, tau = 1. On whole documents that is not the
sampling that it sets out to be. **Measured on 6,133 web pages**: the standard deviation of s is 1,132 nats against
1.28 of the Gumbel noise, so the noise has no effect: at 2 %, sampled and plain top-k picks overlap by 99.2 to 99.7 %,
and two draws by 99.7 to 100 %: a deterministic top-k. And as s is a sum over n-grams, it grows with length: the chosen
have a median of 7,754 n-grams where the corpus has 1,807, 4.3 times. (The paper chose 128-word chunks of equal length,
for which neither shows.) With alpha = 1 the median is 2,329.

So the default is the mean per n-gram (alpha = 1), drawn with a temperature of tau = 0.03 nats per n-gram. Small
budgets without temperature collapse onto odd documents, and with too much of it they are random: of 110 MB of
documentation, of which 3 % are from the source that is sought, 1 % chosen at tau = 0.1 is to .33 of it, at .03 to .87,
the top of the list to .94 and DSIR to .68; but KL(target || chosen) on character 5-grams, which nobody chose by, is
least at .03: .045 nats, against .052 at the top and .062 for DSIR (`recipes/benchmarks/temperature.py`). Weights stay
natural logarithms everywhere: a user of DSIR saw 5.4e-52 to 6.5e40 once they were exponentiated.
`Scoring.chunk_tokens` scores pieces of equal length as the paper did, and averages them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import numpy as np
import orjson

from hf_curation.sampling.arrays import read_arrays, write_arrays
from hf_curation.sampling.features import Counts, Featurizer, Floats
from hf_curation.sampling.keys import DEFAULT_TEMPERATURE
from hf_curation.sampling.loading import load_featurizer
from hf_curation.sampling.smoothing import BackOff, Smoothing
from hf_curation.sampling.spec import FeatureSpec
from hf_curation.vocabulary.texts import Texts

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """How n-gram ratios become the weight of a document, and the weight a key."""

    length_exponent: float = 1.0
    """alpha: 0 sums over n-grams, 1 takes their mean."""
    temperature: float = DEFAULT_TEMPERATURE
    """tau, in the unit of the weight (nats per n-gram for alpha = 1). Used when keys are drawn, not in the weight."""
    chunk_tokens: int | None = None
    """Score pieces of so many tokens and average them; None scores the document as one piece."""
    clip: float | None = None
    """Bound of |s / tau|, in nats, when keys are drawn; None leaves it open."""

    def __post_init__(self) -> None:
        if not 0 <= self.length_exponent <= 2:
            raise ValueError(f"length_exponent must be in 0..2, got {self.length_exponent}")
        if not 0 < self.temperature < np.inf:
            raise ValueError(
                f"temperature must be above 0, got {self.temperature}; for no noise choose the top k instead"
            )
        if self.chunk_tokens is not None and self.chunk_tokens < 1:
            raise ValueError(f"chunk_tokens must be at least 1, got {self.chunk_tokens}")
        if self.clip is not None and not 0 < self.clip < np.inf:
            raise ValueError(f"clip must be above 0, got {self.clip}")

    @classmethod
    def dsir(cls) -> Self:
        """Return DSIR's: a sum, temperature 1, no clip."""
        return cls(length_exponent=0.0, temperature=1.0)


@dataclass(frozen=True, slots=True, eq=False)
class LogWeights:
    """The weights of a batch of documents."""

    log_weight: Floats
    """float64[N], or float64[N, T] for separate targets: s(d), in nats, before temperature and clip.

    0 for a text without n-grams, about which nothing is known: `num_ngrams` is 0 there, and who chooses must leave it
    out under a reason.
    """
    num_tokens: Counts
    """int64[N]"""
    num_ngrams: Counts
    """int64[N]"""


@dataclass(frozen=True, eq=False)
class ImportanceModel:
    """The table of log ratios, and what it was made of."""

    table: Floats
    """float64[B], or float64[T, B] for separate targets: ln p - ln q of every bucket."""
    spec: FeatureSpec
    target_names: tuple[str, ...]
    """Names of the targets: T of them for separate targets; all that were mixed for one table."""
    facts: dict[str, Any]
    """JSON: smoothing, proportions of the mixture, n-grams of each target and of the raw corpus, the features."""

    @classmethod
    def fit(
        cls,
        target_counts_TB: Counts,
        raw_counts_B: Counts,
        spec: FeatureSpec,
        *,
        target_names: Sequence[str] | None = None,
        separate: bool = False,
        proportions: Sequence[float] | None = None,
        smoothing: Smoothing | None = None,
    ) -> Self:
        """Estimate both models.

        Args:
            target_counts_TB: int64[T, B] n-gram counts of each target; int64[B] for a single one.
            raw_counts_B: int64[B] n-gram counts of the raw corpus.
            spec: the features that were counted.
            target_names: T names; "target" for a single one, "target_0" .. otherwise.
            separate: keep a table for each target; otherwise the targets are mixed into one.
            proportions: T shares of the mixture, in any unit; None mixes the n-grams as they are. They change no
                separate table, and are refused there: who chooses takes proportions of the budget.
            smoothing: `BackOff()` if None; `Floor()` is DSIR's.

        Raises:
            ValueError: if shapes do not fit, a target or the raw corpus holds no n-gram, or proportions are no shares.
        """
        smoothing = smoothing or BackOff()
        counts_TB, raw_B = _checked_counts(target_counts_TB, raw_counts_B, spec)
        names = _checked_names(target_names, counts_TB)
        shares = _checked_shares(proportions, names, separate=separate)
        q_B = smoothing.raw(raw_B)
        if not separate and shares is None:
            p_TB = smoothing.target(counts_TB.sum(axis=0), q_B)[None]
        else:
            p_TB = np.stack([smoothing.target(counts_B, q_B) for counts_B in counts_TB])
            p_TB = p_TB if shares is None else (shares[:, None] * p_TB).sum(axis=0, keepdims=True)
        table_TB = np.stack([smoothing.log_ratio(p_B, q_B) for p_B in p_TB])
        facts = {
            "features": spec.describe(),
            "smoothing": smoothing.describe(),
            "separate": separate,
            "proportions": None if shares is None else shares.tolist(),
            "target_ngrams": [int(n) for n in counts_TB.sum(axis=1)],
            "raw_ngrams": int(raw_B.sum()),
        }
        return cls(table_TB if separate else table_TB[0], spec, names, facts)

    @cached_property
    def featurizer(self) -> Featurizer:
        """The featurizer of the spec, loaded at first use."""
        return load_featurizer(self.spec)

    def log_weights(
        self,
        texts: Texts,
        *,
        scoring: Scoring = Scoring(),
        featurizer: Featurizer | None = None,
    ) -> LogWeights:
        """Weigh a batch of texts; see the module's docstring. A text's weight does not depend on its batch.

        Args:
            texts: strings, or an Arrow array of strings without nulls.
            scoring: only length_exponent and chunk_tokens matter here.
            featurizer: another backend than the default one.
        """
        finder = featurizer or self.featurizer
        if scoring.chunk_tokens is not None:
            found = finder.score_chunks(
                texts, self.table, scoring.chunk_tokens, length_exponent=scoring.length_exponent
            )
            return LogWeights(found.sums, found.num_tokens, found.num_ngrams)
        found = finder.score(texts, self.table)
        norm_N = np.maximum(found.num_ngrams, 1).astype(np.float64) ** scoring.length_exponent
        return LogWeights((found.sums.T / norm_N).T, found.num_tokens, found.num_ngrams)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the table and of all facts, hex."""
        return sha256(self._header() + np.ascontiguousarray(self.table).tobytes()).hexdigest()

    def save(self, path: Path) -> None:
        """Write an npz of two arrays: `table`, and `header` (JSON as bytes). Equal models give equal bytes."""
        write_arrays(Path(path), {"table": self.table, "header": np.frombuffer(self._header(), np.uint8)})

    @classmethod
    def load(cls, path: Path, *, tokens: str | None = None) -> Self:
        """Read a saved model.

        Args:
            path: what `save` wrote.
            tokens: where its tokenizer lies, see `FeatureSpec.tokens`: the model knows of a folder by its name alone.
                None: it is as the model says, words or a name on the Hub.

        Raises:
            ValueError: if the file is no model, is of another schema, or its features are others in this environment
                (another version of the hash, of Python's Unicode tables, or of the tokenizer).
        """
        arrays = read_arrays(Path(path), ("table", "header"), "an importance model")
        header = orjson.loads(arrays["header"].tobytes())
        if header.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(
                f"{path} has schema version {header.get('schema_version')}, this is {SCHEMA_VERSION}: fit it anew"
            )
        spec = FeatureSpec(**header["spec"] | ({} if tokens is None else {"tokens": tokens}))
        _check_features(path, header["facts"]["features"], spec.describe())
        return cls(arrays["table"], spec, tuple(header["target_names"]), header["facts"])

    def _header(self) -> bytes:
        header = {
            "schema_version": SCHEMA_VERSION,
            "spec": asdict(self.spec) | {"tokens": self.facts["features"]["tokens"]},
            "target_names": list(self.target_names),
            "facts": self.facts,
        }
        return orjson.dumps(header, option=orjson.OPT_SORT_KEYS)


def _checked_counts(target_counts_TB: Counts, raw_counts_B: Counts, spec: FeatureSpec) -> tuple[Counts, Counts]:
    counts_TB = np.atleast_2d(target_counts_TB)
    expected = (len(counts_TB), spec.num_buckets)
    if counts_TB.shape != expected or not len(counts_TB) or raw_counts_B.shape != (spec.num_buckets,):
        raise ValueError(
            f"counts must be [T, {spec.num_buckets}] of targets and [{spec.num_buckets}] of the raw corpus, "
            f"got {list(np.shape(target_counts_TB))} and {list(raw_counts_B.shape)}"
        )
    if min(counts_TB.min(), raw_counts_B.min()) < 0:
        raise ValueError("counts of n-grams cannot be negative")
    if not raw_counts_B.any():
        raise ValueError("the raw corpus holds no n-gram: is its text empty, or under another key (--text-key)?")
    for number, counts_B in enumerate(counts_TB):
        if not counts_B.any():
            raise ValueError(f"target {number} holds no n-gram: are its texts empty?")
    return counts_TB, raw_counts_B


def _checked_names(target_names: Sequence[str] | None, counts_TB: Counts) -> tuple[str, ...]:
    if target_names is None:
        return ("target",) if len(counts_TB) == 1 else tuple(f"target_{t}" for t in range(len(counts_TB)))
    if len(target_names) != len(counts_TB) or len(set(target_names)) != len(target_names):
        raise ValueError(f"{len(counts_TB)} targets need as many different names, got {list(target_names)}")
    return tuple(target_names)


def _checked_shares(proportions: Sequence[float] | None, names: tuple[str, ...], *, separate: bool) -> Floats | None:
    if proportions is None:
        return None
    if separate:
        raise ValueError("proportions mix targets into one table; with separate=True give them to the choice instead")
    shares = np.asarray(proportions, dtype=np.float64)
    if shares.shape != (len(names),) or not np.isfinite(shares).all() or shares.min() < 0 or not shares.any():
        raise ValueError(f"{len(names)} targets need as many proportions, 0 or more, got {list(proportions)}")
    return np.asarray(shares / shares.sum())


def _check_features(path: Path, saved: dict[str, Any], here: dict[str, Any]) -> None:
    keys = (saved.keys() | here.keys()) - {"tokens", "revision"}  # where a tokenizer lies; its digest says what it is
    different = sorted(key for key in keys if saved.get(key) != here.get(key))
    if different:
        told = ", ".join(f"{key} was {saved.get(key)!r} and is {here.get(key)!r}" for key in different)
        raise ValueError(f"{path} was fitted on other features than this environment finds: {told}; fit it anew")
