"""Metadata: what a document says of its source, and how that becomes a prefix."""

from hf_curation.metadata.compat import reference_host
from hf_curation.metadata.counts import ValueCounts
from hf_curation.metadata.fields import Field, parse_field
from hf_curation.metadata.kinds import KINDS, FieldKind, Option, register_kind
from hf_curation.metadata.missing import MISSING, Missing
from hf_curation.metadata.prefix import EncodedPrefix, PrefixEncoder, encode_prefix
from hf_curation.metadata.suffixes import suffix_list_version
from hf_curation.metadata.template import (
    DEFAULT_TEMPLATE,
    MissingMetadataError,
    MissingPolicy,
    Prefix,
    PrefixCounts,
    PrefixTemplate,
    parse_template,
)
from hf_curation.metadata.urls import CanonicalUrl, canonicalize_url

__all__ = [
    "DEFAULT_TEMPLATE",
    "KINDS",
    "MISSING",
    "CanonicalUrl",
    "EncodedPrefix",
    "Field",
    "FieldKind",
    "Missing",
    "MissingMetadataError",
    "MissingPolicy",
    "Option",
    "Prefix",
    "PrefixCounts",
    "PrefixEncoder",
    "PrefixTemplate",
    "ValueCounts",
    "canonicalize_url",
    "encode_prefix",
    "parse_field",
    "parse_template",
    "reference_host",
    "register_kind",
    "suffix_list_version",
]
