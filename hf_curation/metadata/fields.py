"""A field: a kind bound to the column it reads and to its options.

Written `kind`, `kind:column` or `kind:column,option=value`, so that a whole prefix fits in one line of YAML, of a
command line and of a model card: `{host}`, `{quality:edu_score,max=5}`, `{date,part=year}`, `{column:author}`.
"""

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from hf_curation.metadata.kinds import KINDS, FieldKind
from hf_curation.metadata.missing import Missing

UNKNOWN: Final = "unknown"
"""What a prefix shows for a rare or, under the policy `unknown`, a missing value; the paper's own word."""

Extractor = Callable[[object], str | Missing]


@dataclass(frozen=True, slots=True)
class Field:
    """What a template shows of a document; made by `parse_field`."""

    spec: str
    """As written, with the column spelled out: `host:url`."""
    column: str
    extract: Extractor
    min_count: int = 1
    """The k of k-anonymity; 1: every value is shown. Set by `keep_frequent`."""

    @property
    def kind(self) -> str:
        """The kind's name, under which missing values are counted."""
        return self.spec.partition(":")[0]

    def read(self, metadata: Mapping[str, object]) -> str | Missing:
        """Return this field's value for the document with these columns."""
        return self.extract(metadata.get(self.column))

    def keep_frequent(self, values: Collection[str], min_count: int) -> "Field":
        """Return this field with each value outside `values` shown as `unknown` and counted as `rare`."""
        extract = partial(_keep_frequent, extract=self.extract, values=frozenset(values))
        return replace(self, extract=extract, min_count=min_count)


def parse_field(spec: str) -> Field:
    """Return the field written as `kind[:column][,option=value]...`.

    Raises:
        ValueError: unknown kind (the message has the nearest one), no column where the kind has no usual one, or an
            option that is unknown, repeated or has a value it cannot take.
    """
    head, *settings = (part.strip() for part in spec.split(","))
    name, _, column = (part.strip() for part in head.partition(":"))
    kind = KINDS.get(name)
    if kind is None:
        near = difflib.get_close_matches(name, KINDS, n=1, cutoff=0.65)
        hint = f"did you mean {near[0]!r}? " if near else ""
        known = f"fields are {', '.join(KINDS)}; a column of that name is written {{column:{name}}}"
        raise ValueError(f"unknown field {name!r}: {hint}{known}")
    if "=" in column:
        raise ValueError(
            f"field {spec!r}: options follow a comma: write {{{name},{column}}} or {{{name}:COLUMN,{column}}}"
        )
    column = column or kind.column or ""
    if not column:
        raise ValueError(f"field {spec!r} names no column: write {{{name}:COLUMN}}")
    options = _parse_options(spec, kind, settings)
    return Field(
        spec=",".join([f"{name}:{column}", *settings]),
        column=column,
        extract=partial(kind.extract, **options) if options else kind.extract,
    )


def _parse_options(spec: str, kind: FieldKind, settings: list[str]) -> dict[str, object]:
    options: dict[str, object] = {}
    for setting in settings:
        name, _, text = (part.strip() for part in setting.partition("="))
        option = kind.options.get(name)
        if option is None:
            raise ValueError(f"field {spec!r} has no option {name!r}; it has: {', '.join(kind.options) or 'none'}")
        if option.keyword in options:
            raise ValueError(f"field {spec!r} sets {name!r} twice")
        try:
            options[option.keyword] = option.parse(text)
        except ValueError as error:
            raise ValueError(f"field {spec!r}, option {name!r}: {error}") from None
    try:
        kind.extract(None, **options)  # options that do not fit together must show now, not at the first document
    except ValueError as error:
        raise ValueError(f"field {spec!r}: {error}") from None
    return options


def _keep_frequent(value: object, *, extract: Extractor, values: frozenset[str]) -> str | Missing:
    found = extract(value)
    return found if isinstance(found, Missing) or found in values else Missing("rare", stand_in=UNKNOWN)
