"""Pages with their clean text: what refiners are measured on, and what their training data is made from.

Any JSONL or Parquet will do that has the page as it came in one column and the clean text in another; a key that is no
column is looked up in `metadata`, where datatrove's layout has everything but the text. A page whose clean text is
null has none and is not scored; one whose clean text is empty holds nothing worth keeping: it should be dropped.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from hf_curation.files.reading import is_parquet, open_lines, open_parquet, read_lines, read_rows
from hf_curation.files.sources import Source, SourceFile, find_source, limit_records
from hf_curation.metadata.kinds import registered_domain


@dataclass(frozen=True, slots=True)
class GoldPage:
    """One page and its clean version."""

    id: str
    raw: str
    """The page as it came."""
    clean: str | None
    """What should be left of it; empty: nothing; None: nobody has said."""
    url: str | None = None

    @property
    def domain(self) -> str:
        """The registered domain, by which pages are split; empty without a usable address.

        Sites of one host of blogs count as one domain, so that no template is on both sides of a split.
        """
        found = registered_domain(self.url, private=False)
        return found if isinstance(found, str) else ""

    @property
    def is_junk(self) -> bool:
        """Whether nothing of the page is worth keeping."""
        return self.clean is not None and not self.clean.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class PageKeys:
    """Where a record holds what; a key that is no column is looked up in `metadata`."""

    text: str = "text"
    clean: str = "gold_text"
    id: str = "id"
    url: str = "url"


def read_gold_pages(
    source: str | os.PathLike[str],
    *,
    keys: PageKeys | None = None,
    limit: int | None = None,
    skipped: Counter[str] | None = None,
    needs_clean: bool = True,
) -> Iterator[GoldPage]:
    """Yield the pages of a file, folder, pattern or `hf://...` in the order of names and records.

    Args:
        source: JSONL (plain or compressed) or Parquet.
        keys: The names of the columns.
        limit: The most records to read.
        needs_clean: Whether it is an error that no record has a clean text.
        skipped: Records that cannot be read are counted here: `bad_json`, `bad_record`, `record_too_long`, `no_text`.

    Raises:
        ValueError: if nothing is there, or no record has a clean text under its key.
        ShardError: if a file is damaged.
    """
    keys = keys or PageKeys()
    skipped = Counter() if skipped is None else skipped
    found = find_source(source)
    found = limit_records(found, limit) if limit is not None else found
    num_pages, has_clean = 0, False
    for file in found.files:
        for index, record in _records(found, file, skipped):
            page = _page(record, f"{file.name}/{index}", keys)
            if page is None:
                skipped["no_text"] += 1
                continue
            num_pages += 1
            has_clean = has_clean or page.clean is not None
            yield page
    if needs_clean and not has_clean:
        what = f"none of {num_pages} pages has" if num_pages else "no page was read that has"
        raise ValueError(f"{source}: {what} a clean text under {keys.clean!r}; name its column with --clean-key")


def _records(source: Source, file: SourceFile, skipped: Counter[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with source.open(file) as raw:
        if is_parquet(file.name):
            parquet = open_parquet(raw, file.name)
            stop = parquet.metadata.num_rows if file.stop is None else file.stop
            for first, batch in read_rows(parquet, file.name, start=0, stop=stop):
                yield from enumerate(batch.to_pylist(), first)
            return
        for index, line, is_whole in read_lines(open_lines(raw, file.name), file.name):
            if file.stop is not None and index >= file.stop:
                return
            if not line.strip():
                continue
            record = _parse(line) if is_whole else "record_too_long"
            if isinstance(record, str):
                skipped[record] += 1
            else:
                yield index, record


def _parse(line: bytes) -> dict[str, Any] | str:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return "bad_json"
    return record if isinstance(record, dict) else "bad_record"


def _page(record: Mapping[str, Any], default_id: str, keys: PageKeys) -> GoldPage | None:
    text, clean, name, url = (_look_up(record, key) for key in (keys.text, keys.clean, keys.id, keys.url))
    if not isinstance(text, str):
        return None
    return GoldPage(
        id=default_id if name is None else str(name),
        raw=text,
        clean=clean if isinstance(clean, str) else None,
        url=url if isinstance(url, str) else None,
    )


def _look_up(record: Mapping[str, Any], key: str) -> object:
    if key in record:
        return record[key]
    place: object = record
    for part in key.split("."):
        place = place.get(part) if isinstance(place, Mapping) else None
    if place is None and isinstance(metadata := record.get("metadata"), Mapping):
        return metadata.get(key)
    return place
