"""The default corpus: documentation pages of Debian packages as a crawl would have them, and clean ones held out.

Raw pages keep what all pages of a site share: navigation, footers, notes on versions. Held-out passages and the target
are without these lines (a line that more than a tenth of a site's pages share), by `debian_docs.py`. Which page goes
where follows from its address: one in ten is held out, a third of the other pages of the target's site are the target.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from pipeline_config import Read

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

HELD_OUT_BYTES = 900
"""Of a held-out passage: about the 256 tokens of a row of the models that are scored on them."""
HELD_OUT_PAGES = 24
"""Of a site, at most."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the other stages start from."""

    documents: str
    target: str | None
    held_out: str | None


def inputs_of(read: Read, folder: Path) -> Inputs:
    """Return where documents, target and held-out texts are, or will be."""
    if read.documents != "debian_docs":
        return Inputs(read.documents, read.target, read.held_out)
    return Inputs(*(str(folder / f"{name}.jsonl") for name in ("documents", "target", "held_out")))


def write_corpus(read: Read, folder: Path) -> None:
    """Fetch the packages and write `documents.jsonl`, `target.jsonl` and `held_out.jsonl`, each whole or not at all.

    Raises:
        ValueError: for a site that is not there.
    """
    from hf_curation.files.atomic import write_whole

    rows: dict[str, list[dict[str, str]]] = {"documents": [], "target": [], "held_out": []}
    for name in read.sites:
        for kind, row in _pages_of(name, read):
            rows[kind].append(row)
    for kind, found in rows.items():
        if not found:
            raise ValueError(f"no page is left for {kind}; raise read.pages_per_site, or add sites")
        write_whole(folder / f"{kind}.jsonl", "".join(json.dumps(row) + "\n" for row in found).encode())


def held_out_rows(path: str | None) -> list[dict[str, Any]]:
    """Return the held-out passages with their metadata; `group` is `all` where they have none."""
    if path is None:
        return []
    with Path(path).open(encoding="utf-8") as lines:
        return [{"group": "all", **json.loads(line)} for line in lines if line.strip()]


def _pages_of(name: str, read: Read) -> Iterator[tuple[str, dict[str, str]]]:
    from debian_docs import LARGE_SITES, fetch, pages_of, without_shared_lines

    sites = {site.package: site for site in LARGE_SITES}
    if name not in sites or read.target_site not in read.sites:
        raise ValueError(f"read.sites are among {', '.join(sites)}, and target_site among them; got {name!r}")
    raw = list(pages_of(sites[name], fetch(sites[name], read.packages), read.pages_per_site))
    clean = dict(without_shared_lines(raw))
    num_held_out = 0
    for url, text in raw:
        row = {"id": url, "url": url, "source": name}
        place = int.from_bytes(blake2b(url.encode(), digest_size=8).digest(), "big") % 10
        if url in clean and place == 0 and num_held_out < HELD_OUT_PAGES:
            num_held_out += 1
            passage = clean[url].encode()[:HELD_OUT_BYTES].decode(errors="ignore")
            group = "target" if name == read.target_site else "others"
            yield "held_out", row | {"group": group, "text": passage}
        elif url in clean and place in (1, 2, 3) and name == read.target_site:
            yield "target", row | {"text": clean[url]}
        elif place:
            yield "documents", row | {"text": text}
