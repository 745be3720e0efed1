"""Read the long descriptions of the Python packages installed here: real documents on any machine, without a network.

They are Markdown and reStructuredText as people publish them, with badges, link lists and menus, and most name their
project's address. A development environment of this project holds 112 packages, of which 110 have a description.

A package that is found twice (an editable install beside its metadata, a folder that shadows another) counts once:
the first on the path is the one that Python imports. Packages are dealt to tasks by the order of their names, so the
tasks together read each of them once whatever the number of tasks, and what is skipped is counted by exactly one.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, distributions
from typing import Any, Final

from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

SKIP_REASONS: Final[dict[str, str]] = {
    "no_metadata": "the folder has no METADATA or PKG-INFO, or it lacks the name or the version",
    "invalid_utf8": "the metadata are not UTF-8",
    "no_description": "there is no long description, or only the UNKNOWN that old tools wrote for none",
    "duplicate": "a package of the same name comes earlier on the path",
}
"""Reason -> what it means, for packages that yield no document."""

_SOURCE_LABELS: Final = ("source", "repository", "sourcecode", "code", "github", "gitlab")
_URL_LABELS: Final = ("homepage", "home", "website", *_SOURCE_LABELS, "documentation", "docs")
_NOT_THE_PROJECT: Final = {"funding", "sponsor", "sponsors", "donate", "donation", "tidelift"}


class ReadPackageDescriptions(PipelineStep):  # type: ignore[misc]
    """Yield a document for every installed package with a long description.

    Its id is `pypi/NAME==VERSION`; metadata are `url`, `title`, `version`, `license` and `content_type`, each a string
    or None. Skipped packages are counted under `skipped_REASON`, with a reason of `SKIP_REASONS`.

    Args:
        path: folders to look in, as `sys.path` has them; None for `sys.path`.
    """

    type = "📖 - READER"
    name = "📦 Package descriptions"

    def __init__(self, path: Sequence[str | os.PathLike[str]] | None = None) -> None:
        super().__init__()
        self.path = None if path is None else [os.fspath(folder) for folder in path]

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Yield the documents of this rank's share of the packages, after those of `data`."""
        yield from data or ()
        skipped: Counter[str] = Counter()
        with self.track_time("task"):
            rows = list(package_rows(self.path, part=rank, num_parts=world_size, skipped=skipped))
        for row in rows:
            doc = Document(**row)
            self.stat_update("documents")
            self.update_doc_stats(doc)
            yield doc
        for reason, number in sorted(skipped.items()):
            self.stat_update(f"skipped_{reason}", value=number, unit="task")


def package_rows(
    path: Sequence[str | os.PathLike[str]] | None = None,
    *,
    part: int = 0,
    num_parts: int = 1,
    skipped: Counter[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield `{"id", "text", "metadata"}` of every installed package with a long description, sorted by name.

    Args:
        path: folders to look in, as `sys.path` has them; None for `sys.path`.
        part: which share of the packages, in `range(num_parts)`; shares are disjoint and together complete.
        num_parts: number of shares.
        skipped: counts the packages of this share that have no row, by reason.
    """
    if not 0 <= part < num_parts:
        raise ValueError(f"part must be in 0..{num_parts - 1}, got {part}")
    found = _find(None if path is None else [os.fspath(folder) for folder in path])
    for row in found[part::num_parts]:
        if isinstance(row, dict):
            yield row
        elif skipped is not None:
            skipped[row] += 1


def _find(path: list[str] | None) -> list[dict[str, Any] | str]:
    """Return a row, or the reason for having none, for every package on `path`, in an order that repeats."""
    seen: set[str] = set()
    found: list[tuple[str, dict[str, Any] | str]] = []
    for distribution in distributions() if path is None else distributions(path=path):
        name, row = _describe(distribution)
        if name and name in seen:
            row = "duplicate"
        seen.add(name)
        found.append((name, row))
    return [row for _, row in sorted(found, key=lambda item: (item[0], isinstance(item[1], str)))]


def _describe(distribution: Distribution) -> tuple[str, dict[str, Any] | str]:
    """Return a package's normalised name (empty where it is unknown), and its row or the reason for having none."""
    try:
        metadata = distribution.metadata
    except UnicodeDecodeError:
        return "", "invalid_utf8"
    except FileNotFoundError:  # Python 3.14 and later; before, the metadata are empty
        return "", "no_metadata"
    fields = metadata.json
    name, version = _known(fields.get("name")), _known(fields.get("version"))
    if name is None or version is None:
        return "", "no_metadata"
    key = re.sub(r"[-_.]+", "-", name).lower()
    text = fields.get("description")
    if not isinstance(text, str) or _known(text) is None:
        return key, "no_description"
    summary = _known(fields.get("summary"))
    details = {
        "url": _project_url(fields),
        "title": f"{name}: {summary}" if summary else name,
        "version": version,
        "license": _license(fields),
        "content_type": _known(fields.get("description_content_type")),
    }
    return key, {"id": f"pypi/{name}=={version}", "text": text, "metadata": details}


def _known(value: object) -> str | None:
    """Return a metadata field as text, None where it is missing, empty or the UNKNOWN of old tools."""
    text = value.strip() if isinstance(value, str) else ""
    return None if text in ("", "UNKNOWN") else text


def _project_url(fields: dict[str, Any]) -> str | None:
    """Return the address that the package gives for its project: home page, then source, then documentation."""
    urls: dict[str, str] = {}
    if home := _known(fields.get("home_page")):
        urls["homepage"] = home
    for entry in fields.get("project_url") or ():
        label, _, url = entry.partition(",")
        # Labels are compared as PEP 753 asks: no case, no punctuation, no spaces.
        urls.setdefault(re.sub(r"[\W_]+", "", label).lower(), url.strip())
    urls = {label: url for label, url in urls.items() if re.match(r"https?://\S+$", url)}
    named = [urls[label] for label in _URL_LABELS if label in urls]
    others = [url for label, url in urls.items() if label not in _NOT_THE_PROJECT]
    return next(iter(named + others), None)


def _license(fields: dict[str, Any]) -> str | None:
    """Return the licence as an expression, a line or a classifier, never as the whole text that some packages give."""
    for key in ("license_expression", "license"):
        text = _known(fields.get(key))
        if text is not None and "\n" not in text and len(text) <= 200:
            return text
    classifiers = [entry for entry in fields.get("classifier") or () if entry.startswith("License ::")]
    return "; ".join(entry.rpartition(" :: ")[2] for entry in classifiers) or None
