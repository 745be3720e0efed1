"""What the ranks of a pass read, and how a step takes documents: from files, or from the step before it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from datatrove.data import Document

from datatrove_steps.importance.texts import Keys, Rejects, TextBatch, read_texts
from datatrove_steps.ledger import RankLedger
from hf_curation.files.accounts import StageAccount
from hf_curation.files.manifest import InputShare
from hf_curation.files.sources import Source
from hf_curation.files.spans import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one rank reads straight from files."""

    source: Source
    spans: Sequence[Span]
    keys: Keys
    """Where its records keep text, id and source."""
    group: int = 0
    """Which of several targets it belongs to."""


def read_reading(reading: Reading, rejects: Rejects, page: RankLedger, *, whole: bool = False) -> Iterator[TextBatch]:
    """Yield a rank's share of the input, and enter in its page what was read of each file."""
    for span in reading.spans:
        file, num_records = reading.source.files[span.file], -rejects.counts.total()
        for batch in read_texts(reading.source, [] if file.bad else [span], reading.keys, rejects, whole=whole):
            num_records += len(batch)
            yield batch
        num_records += rejects.counts.total()
        name = file.name
        if file.bad is None and (span.start or span.stop is not None):
            name += f"[{span.start}:{'' if span.stop is None else span.stop}]"
        left_out = file.bad.reason if file.bad else None
        page.inputs.append(InputShare(name=name, part=0, num_parts=1, num_records=num_records, left_out=left_out))


def read_account(num_documents: int, rejects: Rejects) -> StageAccount:
    """Return the account of reading: what records became."""
    num_records = num_documents + rejects.counts.total()
    return StageAccount(num_in=num_records, num_out=num_documents, quarantined=rejects.counts)


def batch_of(documents: Sequence[Document], source_key: str | None) -> TextBatch:
    """Return documents of datatrove's as a batch of texts."""
    sources = ["" if source_key is None else str(doc.metadata.get(source_key) or "") for doc in documents]
    return TextBatch(texts=[doc.text for doc in documents], ids=[doc.id for doc in documents], sources=sources)
