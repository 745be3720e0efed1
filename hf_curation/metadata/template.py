r"""The text in front of a document: literal text and fields, `URL: {host}\n\n` by default.

`render` explains itself: a `Prefix` holds the text and, for every field without a value, the reason. With the policy
`drop_prefix` (default) one missing field leaves the whole prefix out, which is how the model also learns documents
without metadata; the paper's top-k ablation writes `unknown` instead.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from string import Formatter
from typing import Final

from hf_curation.metadata.counts import ValueCounts
from hf_curation.metadata.fields import UNKNOWN, Field, parse_field
from hf_curation.metadata.missing import MISSING, Missing
from hf_curation.metadata.suffixes import suffix_list_version

DEFAULT_TEMPLATE: Final = "URL: {host}\n\n"
"""MeCo's prefix (https://huggingface.co/papers/2501.01956, section 2)."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class MissingPolicy(StrEnum):
    """What a missing value does to its document's prefix."""

    DROP_PREFIX = "drop_prefix"
    """No prefix at all."""
    UNKNOWN = "unknown"
    """The word `unknown` in its place."""
    ERROR = "error"
    """A `MissingMetadataError`."""


class MissingMetadataError(ValueError):
    """A document has no value for a field of a template whose policy is `error`."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """The prefix of one document."""

    text: str
    """Empty: the document is trained without metadata."""
    missing: tuple[tuple[str, str], ...] = ()
    """(kind of field, key of `MISSING`) for each field without a value, whether or not the prefix was dropped."""


@dataclass(slots=True)
class PrefixCounts:
    """How many documents got a prefix, and why others, or single fields, did not. Mergeable."""

    num_documents: int = 0
    num_prefixed: int = 0
    missing: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(kind of field, reason) -> fields without a value."""

    def add(self, prefix: Prefix) -> None:
        """Count one document."""
        self.num_documents += 1
        self.num_prefixed += bool(prefix.text)
        self.missing.update(prefix.missing)

    def merge(self, other: "PrefixCounts") -> None:
        """Add the counts of other documents to these."""
        self.num_documents += other.num_documents
        self.num_prefixed += other.num_prefixed
        self.missing.update(other.missing)

    def as_dict(self) -> dict[str, int]:
        """Return flat counts for statistics and manifests: `documents`, `prefixed`, `missing_host_ip_address`, ..."""
        reasons = {f"missing_{kind}_{reason}": count for (kind, reason), count in sorted(self.missing.items())}
        return {"documents": self.num_documents, "prefixed": self.num_prefixed, **reasons}


@dataclass(frozen=True, slots=True)
class PrefixTemplate:
    """A parsed template; made by `parse_template`. Pickles to DataLoader workers."""

    text: str
    """As written."""
    literals: tuple[str, ...]
    """The text before, between and behind the fields; one more than `fields`."""
    fields: tuple[Field, ...]
    on_missing: MissingPolicy = MissingPolicy.DROP_PREFIX

    def render(self, metadata: Mapping[str, object]) -> Prefix:
        """Return the prefix of the document with these columns.

        Raises:
            MissingMetadataError: under the policy `error`; names field and reason, never the value.
        """
        return self.compose([field.read(metadata) for field in self.fields])

    def compose(self, values: Sequence[str | Missing]) -> Prefix:
        """Return the prefix with `values` in the places of the fields, in order; see `render`."""
        shown, missing, dropped = [], [], False
        for field_, value in zip(self.fields, values, strict=True):
            if isinstance(value, Missing):
                missing.append((field_.kind, value.reason))
                dropped = dropped or (value.stand_in is None and self._drops(field_, value))
                value = value.stand_in or UNKNOWN
            shown.append(value)
        if dropped:
            return Prefix("", tuple(missing))
        pairs = zip(self.literals, [*shown, ""], strict=True)
        return Prefix("".join(part for pair in pairs for part in pair), tuple(missing))

    def with_k_anonymity(self, counts: ValueCounts, k: int) -> "PrefixTemplate":
        """Return this template with values that fewer than `k` documents share shown as `unknown`.

        Args:
            counts: Of every document of the data set, for one field of this template.
            k: At least 1.

        Raises:
            ValueError: no field of this template was counted, or the counts were pruned above `k`.
        """
        if all(field.spec != counts.spec for field in self.fields):
            specs = ", ".join(repr(field.spec) for field in self.fields)
            raise ValueError(f"the counts are of {counts.spec!r}; template {self.text!r} has {specs or 'no field'}")
        values = counts.frequent(k)
        fields = [field.keep_frequent(values, k) if field.spec == counts.spec else field for field in self.fields]
        return replace(self, fields=tuple(fields))

    def describe(self) -> dict[str, object]:
        """Return what a manifest or a card says about the prefix; JSON-ready, without secrets."""
        fields = [{"field": field.spec, "min_count": field.min_count} for field in self.fields]
        facts: dict[str, object] = {"template": self.text, "on_missing": self.on_missing.value, "fields": fields}
        is_listed = any(field.kind in {"domain", "suffix"} for field in self.fields)
        return {**facts, "suffix_list": suffix_list_version()} if is_listed else facts

    def _drops(self, field: Field, value: Missing) -> bool:
        if self.on_missing is MissingPolicy.ERROR:
            raise MissingMetadataError(
                f"no {field.kind} in column {field.column!r}: {value.reason} ({MISSING[value.reason]}); "
                "repair the document or choose on_missing='drop_prefix' or 'unknown'"
            )
        return self.on_missing is MissingPolicy.DROP_PREFIX


def parse_template(text: str = DEFAULT_TEMPLATE, *, on_missing: str = MissingPolicy.DROP_PREFIX) -> PrefixTemplate:
    r"""Return the template written with fields in braces (see `fields`); `{{` and `}}` are braces of the text.

    >>> template = parse_template("URL: {host}\nDate: {date,part=year}\n\n", on_missing="unknown")
    >>> template.render({"url": "https://EN.Wikipedia.org/wiki/Whale"})
    Prefix(text='URL: en.wikipedia.org\nDate: unknown\n\n', missing=(('date', 'absent'),))

    Raises:
        ValueError: empty, unbalanced braces, an unknown field or option, control characters other than newline and
            tab, or a backslash before an `n`, which a shell or YAML did not turn into a newline.
    """
    if not text or _CONTROL.search(text):
        raise ValueError(f"template {text!r} is empty or holds control characters")
    if r"\n" in text:
        raise ValueError(f"template {text!r} holds a backslash and an n, not a newline: in a shell, write $'...\\n'")
    if on_missing not in list(MissingPolicy):
        raise ValueError(f"on_missing must be one of {', '.join(MissingPolicy)}, got {on_missing!r}")
    literals, fields = [""], []
    for literal, spec in _split(text):
        literals[-1] += literal
        if spec is not None:
            fields.append(parse_field(spec))
            literals.append("")
    return PrefixTemplate(text, tuple(literals), tuple(fields), MissingPolicy(on_missing))


def _split(text: str) -> list[tuple[str, str | None]]:
    """Return pairs of literal text and the field behind it, None where there is none."""
    pairs: list[tuple[str, str | None]] = []
    try:
        for literal, name, options, conversion in Formatter().parse(text):
            if conversion or "{" in (options or ""):
                raise ValueError("a field takes no conversion and no inner braces")
            pairs.append((literal, f"{name}:{options}" if options else name))
    except ValueError as error:
        raise ValueError(f"template {text!r}: {error}; braces of the text itself are written {{{{ and }}}}") from None
    return pairs
