"""What KeepChosen gathers for the evidence while it reads the corpus once more: counts of groups, and a few documents.

Everything is whole numbers, or documents picked by a keyed hash of their ids, so the sum over ranks is the same for
any number of them. A rank leaves `counts/kept/RANK.npz` (the groups) and `RANK.json` (documents, overlap).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import orjson
import pyarrow as pa

from datatrove_steps.importance.featurizers import featurizer_of
from datatrove_steps.importance.texts import TextBatch, Texts
from hf_curation.files.addresses import without_user
from hf_curation.files.atomic import write_json
from hf_curation.sampling.evidence import CHOSEN, TOP_K
from hf_curation.sampling.groups import GroupCounts, load_groups, save_groups
from hf_curation.sampling.leakage import LeakIndex
from hf_curation.sampling.measures import Overlap
from hf_curation.sampling.probes import CharNgrams
from hf_curation.sampling.samples import DocumentSample, SampleDocument
from hf_curation.sampling.spec import FeatureSpec

PROBES: Final = CharNgrams()
_CONTEXT_CHARS: Final = 400
_CORPUS_SAMPLE: Final = 400
_CORPUS: Final = "not_chosen"  # the one stratum of a sample that all documents take part in


@dataclass(slots=True)
class KeptGroups:
    """The gathered, of one rank or of all."""

    groups: dict[str, GroupCounts]
    overlap: Overlap = field(default_factory=Overlap)
    sample: DocumentSample = field(default_factory=DocumentSample)
    """Of the chosen, of the others, and of those that hold a held-out passage."""
    corpus: DocumentSample = field(default_factory=lambda: DocumentSample(size=_CORPUS_SAMPLE))
    """Of all documents; their n-grams give names to buckets."""

    @classmethod
    def empty(cls, spec: FeatureSpec, names: Iterable[str], seed: int) -> Self:
        """Return groups of no documents."""
        groups = {name: GroupCounts.empty(spec.num_buckets, PROBES) for name in names}
        return cls(groups, sample=DocumentSample(seed=seed), corpus=DocumentSample(_CORPUS_SAMPLE, seed))

    def merge(self, other: Self) -> None:
        """Add what another rank gathered."""
        for name, group in other.groups.items():
            self.groups[name].merge(group)
        self.overlap = self.overlap.merge(other.overlap)
        self.sample.merge(other.sample)
        self.corpus.merge(other.corpus)

    def corpus_texts(self) -> list[str]:
        """Return the beginnings of some documents of the corpus, picked at random."""
        return [document.text for document in self.corpus.documents()[_CORPUS]]

    def save(self, folder: Path, rank: int) -> list[Path]:
        """Write both files, whole, and return where they lie."""
        paths = [folder / f"{rank:05d}.npz", folder / f"{rank:05d}.json"]
        save_groups(paths[0], self.groups)
        documents = {"sample": self.sample.to_dict(), "corpus": self.corpus.to_dict()}
        write_json(paths[1], documents | {"overlap": asdict(self.overlap)})
        return paths

    @classmethod
    def load(cls, folder: Path, rank: int) -> Self:
        """Read what `save` wrote."""
        values = orjson.loads((folder / f"{rank:05d}.json").read_bytes())
        return cls(
            load_groups(folder / f"{rank:05d}.npz"),
            Overlap(**values["overlap"]),
            DocumentSample.from_dict(values["sample"]),
            DocumentSample.from_dict(values["corpus"]),
        )


class Gatherer:
    """Adds batches to the groups of one rank.

    Args:
        spec: the sampler's features.
        names: of the groups.
        seed: of the draw of documents to look at.
        leaks: to show the passages that documents were left out for.
    """

    def __init__(self, spec: FeatureSpec, names: Sequence[str], *, seed: int, leaks: LeakIndex | None) -> None:
        self.kept = KeptGroups.empty(spec, names, seed)
        self._featurizer = featurizer_of(spec)
        self._leaks = leaks

    def add(self, batch: TextBatch, weights: Any, copies: Mapping[str, Any], is_leaked: Any) -> None:  # noqa: ANN401
        """Add a batch.

        Args:
            batch: N documents, with their rows.
            weights: their rows of the sidecar.
            copies: group -> int16[N], how often it has each document.
            is_leaked: bool[N], whether they hold a held-out passage.
        """
        for name, copies_N in copies.items():
            rows = np.repeat(np.arange(len(batch)), copies_N)
            if len(rows):
                group, texts = self.kept.groups[name], take_texts(batch.texts, rows)
                sizes = self._featurizer.count(texts, group.features_B)
                group.add(texts, sizes, [batch.sources[i] for i in rows.tolist()], probes=PROBES)
        is_chosen = copies[CHOSEN] > 0
        self.kept.overlap = self.kept.overlap.plus(is_chosen, copies[TOP_K] > 0)
        self._sample(batch, weights, is_chosen, is_leaked)

    def _sample(self, batch: TextBatch, weights: Any, is_chosen: Any, is_leaked: Any) -> None:  # noqa: ANN401
        hashes = weights.column("id_hash").to_numpy()
        log_weights = next(weights.column(name) for name in weights.schema.names if name.startswith("log_weight"))

        def show(i: int) -> SampleDocument:
            facts = {"log_weight": log_weights[i].as_py(), "num_tokens": weights.column("num_tokens")[i].as_py()}
            facts |= {"source": batch.sources[i] or None, "url": _url(batch, i)}
            text = _text(batch.texts, i)
            excerpt, note = self._passage(text) if is_leaked[i] else (text, None)
            shown = SampleDocument.of(batch.ids[i], excerpt, note=note, **facts)
            return shown

        for stratum, wanted in (
            ("chosen", is_chosen),
            ("not_chosen", ~is_chosen & ~is_leaked),
            ("leaked", is_leaked),
        ):
            if wanted.any():
                self.kept.sample.offer(stratum, hashes, np.flatnonzero(wanted), show)
        self.kept.corpus.offer(_CORPUS, hashes, np.arange(len(batch)), lambda i: _bare(batch, i))

    def _passage(self, text: str) -> tuple[str, str | None]:
        """Return the text around the first held-out passage, and which it is."""
        found = self._leaks.find_examples(text, limit=1, context=_CONTEXT_CHARS) if self._leaks else []
        if not found:
            return text, None
        return found[0].before + found[0].passage + found[0].after, f"{found[0].set_name}: {found[0].passage}"


def take_texts(texts: Texts, rows: Any) -> Texts:  # noqa: ANN401 - int64[K]
    """Return some of the texts of a batch."""
    return [texts[i] for i in rows.tolist()] if isinstance(texts, list) else texts.take(pa.array(rows))


def _text(texts: Texts, i: int) -> str:
    return texts[i] if isinstance(texts, list) else str(texts[i].as_py())


def _bare(batch: TextBatch, i: int) -> SampleDocument:
    return SampleDocument.of(batch.ids[i], _text(batch.texts, i), num_tokens=0, log_weight=None)


def _url(batch: TextBatch, i: int) -> str | None:
    """Return the address of a document, where its row has one."""
    if isinstance(batch.rows, list):
        record = batch.rows[i]
        nested = record.get("metadata")
        found = record.get("url") or (nested.get("url") if isinstance(nested, dict) else None)
    else:
        found = batch.rows.column("url")[i].as_py() if "url" in batch.rows.schema.names else None
    return without_user(found) if isinstance(found, str) else None
