"""Why a document has no value for a field: one closed set.

A missing value is an answer, not an exception: it carries its reason through templates, datatrove statistics,
manifests and cards, where it is counted. The words are part of the on-disk format: add to them, never rename.
"""

from dataclasses import dataclass
from typing import Final

MISSING: Final[dict[str, str]] = {
    # Any field.
    "absent": "the document has no such column, or null (None, NaN, NaT) in it",
    "empty": "the value is blank",
    "wrong_type": "the value is of a type that this field cannot read",
    "unsafe_character": "a control, line-breaking, bidirectional-override, tag or surrogate character in the value",
    "too_long": "the value is longer than a prefix should carry",
    "special_token": "the tokenizer would read a special token (an end of text, say) in the value",
    "rare": "fewer than k documents have this value; it is replaced by `unknown` whatever the policy",
    # Web addresses.
    "not_a_url": "neither a scheme, nor a leading //, nor a dotted host in front",
    "unsupported_scheme": "a scheme other than http, https and ftp (mailto, data, javascript, file, ...)",
    "no_host": "an http, https or ftp address without //host",
    "bad_authority": "a host or port that is not well formed: illegal character, empty label, too long, bad number",
    "single_label": "a host without a dot: `localhost`, a name on somebody's intranet",
    "ip_address": "the host is an IP address in one of its spellings: personal data, kept only on request",
    "no_registered_domain": "the host is itself a public suffix (`co.uk`, `github.io`), so nobody registered it",
    # Labels.
    "out_of_range": "a number outside the stated range",
    "bad_date": "not an ISO 8601 date or time stamp, no day of the calendar, or coarser than the part asked for",
    "bad_language": "not shaped like a language tag (`en`, `eng_Latn`, `pt-BR`)",
}
"""Reason -> what it means."""


@dataclass(frozen=True, slots=True)
class Missing:
    """No value, and a key of `MISSING` that says why."""

    reason: str
    stand_in: str | None = None
    """What a prefix shows in its place under every policy; None leaves that to the template's policy."""
