"""What prefix ids depend on besides the documents, as one digest: equal digests give equal ids for equal columns.

The digest goes over the template and its fields, the values that k-anonymity lets through, the tokenizer with all of
its rules, our own code and the packages that shape a host. Where something cannot be told (a kind that somebody
registered, a key that only the environment holds, a tokenizer of unknown code) there is no digest, and whoever would
keep ids by it does not.
"""

from functools import partial
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from unicodedata import unidata_version

import orjson

from hf_curation.files.atomic import canonical_json
from hf_curation.files.plans import code_digest
from hf_curation.metadata.fields import Field
from hf_curation.metadata.prefix import PrefixEncoder, special_token_ids

_OUR_CODE: Final = __name__.rpartition(".")[0]
_PACKAGES: Final = ("idna", "publicsuffixlist", "tokenizers", "transformers")


def encoder_digest(encoder: PrefixEncoder) -> str | None:
    """Return the sha256 of all that decides which ids `encoder` gives a document; None where that cannot be told."""
    fields = [_describe_field(field) for field in encoder.template.fields]
    tokenizer = tokenizer_digest(encoder.tokenizer)
    if tokenizer is None or None in fields:
        return None
    facts = {
        "template": [encoder.template.text, encoder.template.on_missing, encoder.template.literals],
        "fields": fields,
        "tokenizer": tokenizer,
        "special": sorted(special_token_ids(encoder.tokenizer)),
        "code": code_digest(Path(__file__).parent),
        "versions": [unidata_version, *(version(name) if find_spec(name) else None for name in _PACKAGES)],
    }
    return sha256(canonical_json(facts)).hexdigest()


def tokenizer_digest(tokenizer: object) -> str | None:
    """Return the sha256 of a fast tokenizer, model and rules; None for one whose code is not known.

    A third of a second for a vocabulary of 128,000. Padding and truncation, which calls leave behind in a tokenizer,
    are no part of it.
    """
    kind = type(tokenizer)
    if not kind.__module__.startswith(("tokenizers", "transformers.")):
        return None
    backend: Any = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not hasattr(backend, "to_str"):
        return None
    rules = orjson.loads(backend.to_str()) | {"padding": None, "truncation": None}
    settings = [kind.__name__, bool(getattr(tokenizer, "split_special_tokens", False))]
    return sha256(canonical_json([settings, rules], keep_order=True)).hexdigest()


def _describe_field(field: Field) -> list[Any] | None:
    """Return a field as data; None where its code or its key is not ours to know."""
    extract, shown = field.extract, []
    while isinstance(extract, partial):
        if extract.keywords.get("key_env") is not None:
            return None
        if "values" in extract.keywords:
            shown.append(sha256(canonical_json(sorted(extract.keywords["values"]))).hexdigest())
        extract = extract.keywords.get("extract", extract.func)
    is_ours = getattr(extract, "__module__", "").startswith(_OUR_CODE)
    return [field.spec, field.min_count, shown] if is_ours else None
