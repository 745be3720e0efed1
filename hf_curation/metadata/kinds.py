"""The kinds of field: plain functions `(value, **options) -> str | Missing` in one registry.

None of them raises on a document's value, and all but `meco_host`, which is there to be compared with, return text
that is safe in a prefix.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hf_curation.metadata.compat import reference_host
from hf_curation.metadata.labels import DATE_PARTS, bucket_score, format_date, normalize_language
from hf_curation.metadata.missing import Missing
from hf_curation.metadata.urls import PUBLIC_KEY, canonicalize_url
from hf_curation.metadata.values import is_null, read_label


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a kind, as `name=value` in a template."""

    keyword: str
    """The keyword of the kind's function."""
    parse: Callable[[str], object]
    """Turns the value's text into the keyword's value; raises ValueError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldKind:
    """One entry of the registry."""

    extract: Callable[..., str | Missing]
    """`(value, **options)`; a function of a module, so that fields can be pickled to DataLoader workers."""
    summary: str
    """One line for help texts."""
    column: str | None = None
    """The column read when a field names none; None: it must name one."""
    options: Mapping[str, Option] = field(default_factory=dict)
    """Option as written in a template -> how it reaches `extract`."""


def host(value: object, *, keep_ip: bool = False) -> str | Missing:
    """Return the canonical host of an address."""
    url = canonicalize_url(value, keep_ip=keep_ip)
    return url if isinstance(url, Missing) else url.host


def host_hash(value: object, *, keep_ip: bool = False, key_env: str | None = None) -> str | Missing:
    """Return the keyed hash of the host; the key is read from the environment where it is used, and never stored."""
    url = canonicalize_url(value, keep_ip=keep_ip)
    if isinstance(url, Missing):
        return url
    return url.host_hash(_key_from(key_env) if key_env else PUBLIC_KEY)


def registered_domain(value: object, *, private: bool = True) -> str | Missing:
    """Return the registered domain of an address."""
    url = canonicalize_url(value)
    return url if isinstance(url, Missing) else url.registered_domain(private=private)


def public_suffix(value: object, *, private: bool = True) -> str | Missing:
    """Return the public suffix of an address."""
    url = canonicalize_url(value)
    return url if isinstance(url, Missing) else url.public_suffix(private=private)


def path(value: object, *, keep_ip: bool = False) -> str | Missing:
    """Return the canonical path of an address."""
    url = canonicalize_url(value, keep_ip=keep_ip)
    return url if isinstance(url, Missing) else url.path


def full_url(value: object, *, keep_ip: bool = False) -> str | Missing:
    """Return `scheme://host/path`."""
    url = canonicalize_url(value, keep_ip=keep_ip)
    return url if isinstance(url, Missing) else url.url


def meco_host(value: object) -> str | Missing:
    """Return the host as MeCo's published code cuts it: for comparison only, unsafe by design (see `compat`)."""
    if not isinstance(value, str):
        return Missing("absent" if is_null(value) else "wrong_type")
    return reference_host(value) or Missing("empty")


def _choice(**choices: object) -> Callable[[str], object]:
    def parse(text: str) -> object:
        if text not in choices:
            raise ValueError(f"choose from {', '.join(choices)}")
        return choices[text]

    return parse


def _key_name(text: str) -> str:
    _key_from(text)
    return text


def _key_from(name: str) -> bytes:
    key = os.environ.get(name, "").encode()
    if not 1 <= len(key) <= 64:
        raise ValueError(f"the environment variable {name!r} must hold a key of 1 to 64 bytes, it holds {len(key)}")
    return key


_IP = {"ip": Option("keep_ip", _choice(keep=True, missing=False))}
_PRIVATE = {"private": Option("private", _choice(yes=True, no=False))}

KINDS: dict[str, FieldKind] = {
    "host": FieldKind(extract=host, column="url", options=_IP, summary="host of a URL: en.wikipedia.org"),
    "domain": FieldKind(
        extract=registered_domain, column="url", options=_PRIVATE, summary="registered domain: wikipedia.org"
    ),
    "suffix": FieldKind(extract=public_suffix, column="url", options=_PRIVATE, summary="public suffix: org, co.uk"),
    "path": FieldKind(extract=path, column="url", options=_IP, summary="path of a URL: /wiki/Bill_Gates"),
    "url": FieldKind(
        extract=full_url, column="url", options=_IP, summary="scheme://host/path, nothing else of the URL"
    ),
    "host_hash": FieldKind(
        extract=host_hash,
        column="url",
        options={**_IP, "key_env": Option("key_env", _key_name)},
        summary="keyed hash of the host, 16 hexadecimal digits",
    ),
    "meco_host": FieldKind(extract=meco_host, column="url", summary="MeCo's own expression; unsafe, to compare with"),
    "quality": FieldKind(
        extract=bucket_score,
        column="score",
        options={
            "min": Option("minimum", float),
            "max": Option("maximum", float),
            "buckets": Option("buckets", int),
        },
        summary="score in tenths of its range, floor(10 * score): 0 to 10",
    ),
    "date": FieldKind(
        extract=format_date,
        column="date",
        options={"part": Option("part", _choice(**{part: part for part in DATE_PARTS}))},
        summary="year, month (default) or day: 2013-05",
    ),
    "language": FieldKind(extract=normalize_language, column="language", summary="language tag: en, eng-Latn"),
    "topic": FieldKind(extract=read_label, column="topic", summary="the column `topic`, a short label"),
    "source": FieldKind(extract=read_label, column="source", summary="the column `source`, a short label"),
    "column": FieldKind(extract=read_label, summary="any column that holds a short label: {column:author}"),
}
"""Name -> kind. `register_kind` adds to it."""


def register_kind(name: str, kind: FieldKind) -> None:
    """Make `{name}` a field of templates; do so before any template that uses it is parsed.

    Raises:
        ValueError: `name` is taken, or no Python identifier.
    """
    if not name.isidentifier() or name in KINDS:
        raise ValueError(f"{name!r} is taken, or is no identifier; taken are {', '.join(KINDS)}")
    KINDS[name] = kind
